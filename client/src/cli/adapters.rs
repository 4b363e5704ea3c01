//! `sakuga adapters`: the adapters of a server, and which models they fit.

use std::fmt::Write as _;

use clap::Args;
use sakuga_client::proto::model::v1::{AdapterFit, AdapterStatus, ListAdaptersRequest, ListAdaptersResponse};
use sakuga_client::proto::text::one_line;

use super::exit::{self, Exit};
use super::failure::Failure;
use super::server::{self, ServerArguments, answer};
use super::{output, units};

/// List the adapters of a server, and which models they fit
///
/// `sakuga generate --adapter NAME:SCALE` uses them. The server offers the files in the folder that its operator named with
/// `--adapters`, a moment after they were copied there.
#[derive(Debug, Args)]
#[command(after_long_help = exit::MANUAL)]
pub(crate) struct AdaptersArguments {
    #[command(flatten)]
    server: ServerArguments,

    /// Print protobuf JSON (sakuga.model.v1.ListAdaptersResponse)
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(arguments: &AdaptersArguments) -> Result<Exit, Failure> {
    let listed = server::runtime()?.block_on(async {
        let client = arguments.server.connect().await?;
        answer(&client, client.models().list_adapters(ListAdaptersRequest {})).await
    })?;
    output::print_answer(arguments.json, &listed, table)?;
    Ok(Exit::Ok)
}

/// One adapter a line, with a line for each model that it does not fit; then the files that cannot be used.
fn table(listed: &ListAdaptersResponse) -> String {
    let names: Vec<String> = listed.adapters.iter().map(|adapter| one_line(&adapter.name)).collect();
    let width = output::column_width(names.iter().map(String::as_str));
    let mut text = String::new();
    for (name, adapter) in names.iter().zip(&listed.adapters) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:width$}  {}", facts(adapter));
        for fit in adapter.fits.iter().filter(|fit| !fit.is_usable || !fit.text_problems.is_empty()) {
            let _ = writeln!(text, "{:width$}    {}", "", misfit(fit));
        }
    }
    for file in &listed.unusable {
        let _ = writeln!(text, "{} cannot be used: {}", one_line(&file.name), one_line(&file.reason));
    }
    if text.is_empty() {
        text.push_str(
            "the server has no adapters; its operator names a folder with `sakuga-server --adapters FOLDER`\n",
        );
    }
    text
}

fn facts(adapter: &AdapterStatus) -> String {
    let mut facts = vec![one_line(&adapter.algorithm), units::bytes(adapter.size)];
    if adapter.rank > 0 {
        facts.insert(1, format!("rank {}", adapter.rank));
    }
    let usable: Vec<String> = adapter.fits.iter().filter(|fit| fit.is_usable).map(|fit| one_line(&fit.model)).collect();
    facts.push(if usable.is_empty() { "fits no model".to_owned() } else { format!("fits {}", usable.join(", ")) });
    if !adapter.base_model.is_empty() {
        facts.push(format!("trained on {}", one_line(&adapter.base_model)));
    }
    if !adapter.trigger_words.is_empty() {
        facts.push(format!("words: {}", one_line(&adapter.trigger_words.join(", "))));
    }
    facts.join(", ")
}

/// The first problem with a model.
fn misfit(fit: &AdapterFit) -> String {
    let model = one_line(&fit.model);
    if fit.is_usable {
        let problem = fit.text_problems.first().map(|text| one_line(text)).unwrap_or_default();
        return format!("{model}: only with a text scale of 0, such as `--adapter NAME:1:0`: {problem}");
    }
    let problem = fit.problems.first().map(|text| one_line(text)).unwrap_or_default();
    let layout = match fit.nearest_layout.as_str() {
        "" => String::new(),
        layout => format!("; its names are most like those of: {}", one_line(layout)),
    };
    format!("{model}: {} of its modules do not match, such as: {problem}{layout}", fit.unmatched)
}

#[cfg(test)]
mod tests {
    use sakuga_client::proto::model::v1::UnusableAdapter;

    use super::*;

    #[test]
    fn an_adapter_is_a_line_and_a_line_for_each_problem() {
        let fit = |model: &str, is_usable| AdapterFit { model: model.into(), is_usable, ..Default::default() };
        let misfit = AdapterFit {
            unmatched: 3,
            problems: vec!["module `x` is\u{1b}[2J not there".into()],
            nearest_layout: "FLUX.1".into(),
            ..fit("photo", false)
        };
        let ink = AdapterStatus {
            name: "ink".into(),
            algorithm: "LoRA".into(),
            rank: 32,
            size: 3 << 20,
            trigger_words: vec!["ink wash".into()],
            fits: vec![fit("anime", true), misfit],
            ..Default::default()
        };
        let broken = UnusableAdapter { name: "half".into(), reason: "it is truncated".into() };
        let shown = table(&ListAdaptersResponse { adapters: vec![ink], unusable: vec![broken] });
        let expected =
            "ink  LoRA, rank 32, 3.0 MiB, fits anime, words: ink wash\n       photo: 3 of its modules do not match";
        assert!(shown.starts_with(expected), "{shown}");
        assert!(shown.contains("like those of: FLUX.1") && !shown.contains('\u{1b}'), "{shown}");
        assert!(shown.ends_with("half cannot be used: it is truncated\n"), "{shown}");
        assert!(table(&ListAdaptersResponse::default()).contains("--adapters FOLDER"));
        let long = AdapterStatus { name: "x".repeat(100_000), ..Default::default() };
        let shown = table(&ListAdaptersResponse { adapters: vec![long.clone()], unusable: Vec::new() });
        assert!(shown.starts_with(&long.name), "a name of any length is printed");
    }
}
