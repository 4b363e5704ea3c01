//! The record of one picture from an event log, as `sakuga generate --events` writes it.

use sakuga_proto::generation::v1::GenerateEvent;
use sakuga_proto::generation::v1::generate_request::Prompt;
use sakuga_proto::json::{self, UnknownFields};

use crate::error::BenchError;
use crate::protocol::Protocol;
use crate::record::{CaseRecord, FORMAT, Record, System};
use crate::recorder::Recorder;

/// Reads the events of a completed job. `command` goes into the record.
///
/// # Errors
///
/// [`BenchError::Event`], [`BenchError::NotCompleted`] or [`BenchError::Value`].
pub fn parse(text: &str, command: String) -> Result<Record, BenchError> {
    let mut recorder = Recorder::default();
    let mut begun_unix_ms = None;
    for (index, line) in text.lines().enumerate() {
        // A line also has the sizes of the bytes that it leaves out, which are not a field of the event.
        let event: GenerateEvent = json::from_str(line, UnknownFields::Ignore)
            .map_err(|error| BenchError::Event { line: index + 1, reason: error.to_string() })?;
        if let Some(time) = event.time {
            begun_unix_ms.get_or_insert(u64::try_from(time.seconds).unwrap_or_default().saturating_mul(1000));
        }
        recorder.take(&event, None);
    }
    if !recorder.is_completed {
        return Err(BenchError::NotCompleted);
    }
    let prompt = match recorder.resolved.as_ref().and_then(|request| request.prompt.clone()) {
        Some(Prompt::Xml(text)) => text,
        Some(Prompt::Typed(_)) | None => String::new(),
    };
    let model = recorder.resolved.as_ref().map(|request| request.model.clone()).unwrap_or_default();
    let system = System {
        engine: "sakuga-server".to_owned(),
        device: recorder.device.clone(),
        notice: recorder.notice.clone(),
        model: if model.is_empty() { "the default model".to_owned() } else { model },
        ..System::default()
    };
    let record = Record {
        format: FORMAT.to_owned(),
        program: concat!("sakuga ", env!("CARGO_PKG_VERSION")).to_owned(),
        command,
        begun_unix_ms: begun_unix_ms.unwrap_or_default(),
        protocol: Protocol::of(recorder.resolved.as_ref()),
        system,
        loading: Vec::new(),
        compute_paths: Vec::new(),
        cases: vec![CaseRecord {
            name: "drawn".to_owned(),
            title: "the picture".to_owned(),
            prompt,
            warmup: Vec::new(),
            repeats: vec![recorder.finish()],
        }],
        texts: Vec::new(),
        profiled: None,
    };
    record.checked()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sakuga_proto::generation::v1::Solver;

    const LINES: &str = r#"{"sequence":"0","time":"2026-01-01T00:00:00Z","jobId":"a","accepted":{"requestId":"r"}}
{"sequence":"1","time":"2026-01-01T00:00:00.100Z","jobId":"a","started":{"resolved":{"xml":"1girl","model":"m","width":64,"height":32,"sampling":{"solver":"SOLVER_DPM","steps":1}},"seeds":["5"],"device":"cpu"}}
{"sequence":"2","time":"2026-01-01T00:00:00.200Z","jobId":"a","step":{"index":1,"total":1,"stepMs":80.0}}
{"sequence":"3","time":"2026-01-01T00:00:00.300Z","jobId":"a","preview":{"step":1},"data":{"bytes":3,"sha256":"00"}}
{"sequence":"4","time":"2026-01-01T00:00:00.400Z","jobId":"a","completed":{"timings":{"total":"0.400s"}}}
"#;

    #[test]
    fn a_log_becomes_the_record_of_one_picture() {
        let record = parse(LINES, "c".to_owned()).unwrap();
        let job = &record.cases[0].repeats[0];
        assert_eq!((job.seed, job.steps[0].ms, job.steps[0].at_ms, job.events.len()), (5, 80.0, 200.0, 5));
        assert_eq!((record.protocol.request.width, record.protocol.sampling().solver()), (64, Solver::Dpm));
        assert_eq!((record.system.model.as_str(), record.cases[0].prompt.as_str()), ("m", "1girl"));
        assert_eq!(record.begun_unix_ms, 1_767_225_600_000);
    }

    #[test]
    fn an_unfinished_job_and_other_text_are_refused() {
        let unfinished: String = LINES.lines().take(3).map(|line| format!("{line}\n")).collect();
        assert_eq!(parse(&unfinished, String::new()).unwrap_err().to_string(), "its job was not completed");
        let error = parse(&format!("{}\nnot json\n", LINES.lines().next().unwrap()), String::new());
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("line 2 is not an event"), "{error}");
    }
}
