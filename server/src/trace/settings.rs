//! The setting of traces and metrics.

use http::Uri;

use crate::config::Reader;
use crate::settings::Setting;

/// The settings, as the help lists them.
pub const SETTINGS: &[Setting] = &[Setting {
    name: "otlp-endpoint",
    value: "URL",
    default: "",
    help: "Send traces and metrics to the OpenTelemetry collector at this address, such as http://localhost:4317, by \
           OTLP over gRPC without encryption. One that cannot be reached delays nothing. Also \
           OTEL_EXPORTER_OTLP_ENDPOINT; the other OTEL_ variables hold too.",
}];

/// Reads the address. The outer `None` is a problem, the inner one no collector.
pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Option<String>> {
    if !reader.is_given("otlp-endpoint") {
        return Some(None);
    }
    let uri: Uri = reader.parse("otlp-endpoint", "write an address, such as http://localhost:4317")?;
    if uri.scheme() != Some(&http::uri::Scheme::HTTP) || uri.host().is_none() {
        reader.problem(format!(
            "--otlp-endpoint: `{uri}` is no http:// address; where encryption is needed, run a collector beside the \
             server that sends on"
        ));
        return None;
    }
    Some(Some(uri.to_string()))
}
