//! The record of one picture from the file that `sakuga generate --events` wrote.

use std::path::{Path, PathBuf};

use sakuga_client::json::{self, UnknownFields};
use sakuga_client::proto::generation::v1::GenerateEvent;
use sakuga_client::proto::generation::v1::generate_request::Prompt;

use super::record::{CaseRecord, FORMAT, Record, System};
use super::recorder::Recorder;
use super::report::{Pictures, Shown};
use super::run::protocol_of;
use crate::cli::failure::Failure;

/// Reads the events.
///
/// # Errors
///
/// The file cannot be read, a line is no event, or the job was not completed.
pub fn read(path: &Path, command: String) -> Result<Record, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::unreadable(path, error))?;
    parse(&text, command).map_err(|reason| Failure::unreadable(path, reason))?.checked()
}

fn parse(text: &str, command: String) -> Result<Record, String> {
    let mut recorder = Recorder::default();
    let mut begun_unix_ms = None;
    for (index, line) in text.lines().enumerate() {
        // Beside the event a line says what bytes it left out.
        let event: GenerateEvent = json::from_str(line, UnknownFields::Ignore)
            .map_err(|error| format!("line {} is no event: {error}", index + 1))?;
        if let Some(time) = event.time {
            begun_unix_ms.get_or_insert(u64::try_from(time.seconds).unwrap_or_default().saturating_mul(1000));
        }
        recorder.take(&event, None);
    }
    if !recorder.is_completed {
        return Err("its job was not completed".to_owned());
    }
    let prompt = match recorder.resolved.as_ref().and_then(|request| request.prompt.clone()) {
        Some(Prompt::Xml(text)) => text,
        Some(Prompt::Typed(_)) | None => String::new(),
    };
    let model = recorder.resolved.as_ref().map(|request| request.model.clone()).unwrap_or_default();
    let system = System {
        engine: "a server of sakuga".to_owned(),
        device: recorder.device.clone(),
        notice: recorder.notice.clone(),
        model: if model.is_empty() { "the default model".to_owned() } else { model },
        ..System::default()
    };
    Ok(Record {
        format: FORMAT.to_owned(),
        program: concat!("sakuga ", env!("CARGO_PKG_VERSION")).to_owned(),
        command,
        begun_unix_ms: begun_unix_ms.unwrap_or_default(),
        protocol: protocol_of(&recorder),
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
    })
}

/// Reads what was drawn: the picture, and the previews of a folder in the order of their names.
///
/// # Errors
///
/// A file or the folder cannot be read.
pub fn pictures(result: Option<&Path>, previews: Option<&Path>) -> Result<Pictures, Failure> {
    let mut paths: Vec<PathBuf> = Vec::new();
    if let Some(folder) = previews {
        let entries = std::fs::read_dir(folder).map_err(|error| Failure::unreadable(folder, error))?;
        for entry in entries {
            let path = entry.map_err(|error| Failure::unreadable(folder, error))?.path();
            // Of a request for several pictures the first is shown; anything else in the folder is somebody else's.
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with("image0_step") && media_type(&path).is_some() {
                paths.push(path);
            }
        }
        paths.sort();
    }
    let previews = paths.iter().map(|path| shown(path)).collect::<Result<_, _>>()?;
    Ok(Pictures { result: result.map(shown).transpose()?, previews })
}

fn shown(path: &Path) -> Result<Shown, Failure> {
    let media_type =
        media_type(path).ok_or_else(|| Failure::unreadable(path, "a picture is .png, .jpg or .webp here"))?;
    let bytes = std::fs::read(path).map_err(|error| Failure::unreadable(path, error))?;
    Ok(Shown { media_type, bytes, name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned() })
}

fn media_type(path: &Path) -> Option<&'static str> {
    match path.extension()?.to_str()? {
        "png" => Some("image/png"),
        "jpg" => Some("image/jpeg"),
        "webp" => Some("image/webp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!((record.protocol.width_px, record.protocol.solver.as_str()), (64, "dpm"));
        assert_eq!((record.system.model.as_str(), record.cases[0].prompt.as_str()), ("m", "1girl"));
        assert_eq!(record.begun_unix_ms, 1_767_225_600_000);
    }

    #[test]
    fn what_is_no_finished_job_is_refused() {
        let unfinished: String = LINES.lines().take(3).map(|line| format!("{line}\n")).collect();
        assert_eq!(parse(&unfinished, String::new()).unwrap_err(), "its job was not completed");
        let error = parse(&format!("{}\nnot json\n", LINES.lines().next().unwrap()), String::new()).unwrap_err();
        assert!(error.starts_with("line 2 is no event"), "{error}");
    }

    #[test]
    fn previews_come_in_order_and_nothing_else_with_them() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["image0_step002.jpg", "image0_step001.jpg", "image1_step001.jpg", "notes.txt", "image0_step.txt"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        let pictures = pictures(None, Some(folder.path())).unwrap();
        let names: Vec<_> = pictures.previews.iter().map(|shown| shown.name.as_str()).collect();
        assert_eq!(names, ["image0_step001", "image0_step002"]);
        assert!(super::pictures(Some(Path::new("a.gif")), None).is_err());
    }
}
