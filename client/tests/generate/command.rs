//! `sakuga generate`, run as a user runs it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use sakuga_client::picture;
use sakuga_client::proto::digest::sha256_hex;
use sakuga_client::proto::generation::v1::generate_event::Event as WireEvent;
use sakuga_client::proto::generation::v1::generate_request::{Negative, Prompt};
use sakuga_client::proto::generation::v1::{self as wire, GenerateRequest, ImageMetadata, PreviewMethod, Solver};
use sakuga_client::proto::json;
use sakuga_client::proto::prompt::v1::Strictness;
use sakuga_client::proto::system::v1::GpuStats;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::fake::{Act, Fake, chunks, completed, job, opening, step};
use crate::support::{Run, collect, command};

pub(crate) const PROMPT: &str = "<character_1>\n<n></n>\n<gender>1girl</gender>\n</character_1>\n";

/// A directory with a prompt in it, and the command run there against `fake`.
pub(crate) async fn generate(fake: &Fake, directory: &Path, arguments: &[&str]) -> Run {
    std::fs::write(directory.join("prompt.xml"), PROMPT).unwrap();
    let mut command = command(directory);
    command.arg("generate").args(arguments).args(["--server", &fake.address.to_string()]).stdin(Stdio::null());
    let output = tokio::process::Command::from(command).kill_on_drop(true).output();
    let output = tokio::time::timeout(Duration::from_secs(60), output).await.expect("the program ends");
    collect(output.unwrap())
}

pub(crate) fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn images_are_sent_and_named_by_their_hash_afterwards() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("girl.png"), b"a drawing").unwrap();
    std::fs::write(directory.path().join("large.png"), vec![0; (2 << 20) + 1]).unwrap();
    let fake = Fake::playing(job(2, &[b"a whole png file"])).await;
    let arguments = [
        "prompt.xml",
        "--out",
        "out.png",
        "--init",
        "girl.png",
        "--strength",
        "0.6",
        "--mask-box",
        "1,2,3,4",
        "--feather",
        "5",
        "--hires",
        "1.5",
    ];
    generate(&fake, directory.path(), &arguments).await.expect(0);
    let (request, _) = fake.requests().remove(0);
    let init = request.init.clone().unwrap();
    let source = wire::image_source::Source::Inline(b"a drawing".to_vec().into());
    assert_eq!((init.image.unwrap().source, init.strength), (Some(source), Some(0.6)));
    let mask = request.mask.clone().unwrap();
    assert_eq!((mask.boxes[0].width, mask.feather), (3, 5));
    assert_eq!(request.second_pass.unwrap().factor, Some(1.5));

    // The request of a record names the file by its hash: the note says which one is missing.
    let mut recorded = request;
    let asset = wire::image_source::Source::Asset(sha256_hex(b"a drawing"));
    recorded.init.as_mut().unwrap().image = Some(wire::ImageSource { source: Some(asset.clone()) });
    std::fs::write(directory.path().join("record.json"), json::to_string(&recorded).unwrap()).unwrap();
    let arguments = ["--from", "record.json", "--out", "again.png"];
    generate(&fake, directory.path(), &arguments).await.expect(0).says(&sha256_hex(b"a drawing")).says("with --init");
    assert_eq!(fake.requests()[1].0.init.clone().unwrap().image.unwrap().source, Some(asset));
    let arguments = ["--from", "record.json", "--init", "girl.png", "--out", "again.png"];
    generate(&fake, directory.path(), &arguments).await.expect(0);
    let sent = fake.requests()[2].0.init.clone().unwrap();
    assert_eq!(sent.strength, Some(0.6), "what the record says stays");

    let too_large = ["prompt.xml", "--init", "large.png", "--out", "out.png"];
    generate(&fake, directory.path(), &too_large).await.expect(2).says("at most 2.0 MiB");
    let over_itself = ["prompt.xml", "--init", "girl.png", "--out", "girl.png"];
    generate(&fake, directory.path(), &over_itself).await.expect(2).says("--init");
    let both = ["prompt.xml", "--init", "girl.png", "--mask", "girl.png", "--mask-box", "1,2,3,4", "--out", "out.png"];
    generate(&fake, directory.path(), &both).await.expect(2).says("cannot be used with");
}

#[tokio::test]
async fn pictures_previews_and_events_are_written() {
    let directory = tempfile::tempdir().unwrap();
    let mut acts = job(3, &[b"a whole png file"]);
    acts.insert(5, Act::Send(WireEvent::GpuStats(GpuStats { utilization_percent: Some(9.0), ..GpuStats::default() })));
    let fake = Fake::playing(acts).await;
    let arguments = ["prompt.xml", "--out", "new/out.png", "--preview-dir", "steps", "--events", "log/events.jsonl"];
    let run = generate(&fake, directory.path(), &arguments).await;
    run.expect(0)
        .says("out.png  16x32, 16 B, seed 42")
        .says("took 4.2 s: denoise 3.0 s")
        .says("3 previews in steps")
        .says("15 events in")
        .says("the weights are random")
        .says("step 3/3: 143 ms/step, 2.3 s left, guided");
    assert_eq!(std::fs::read(directory.path().join("new/out.png")).unwrap(), b"a whole png file");
    assert_eq!(names(&directory.path().join("new")), ["out.png"], "no temporary file is left");
    let previews = names(&directory.path().join("steps"));
    assert_eq!(previews, ["image0_step001.jpg", "image0_step002.jpg", "image0_step003.jpg"]);
    assert_eq!(std::fs::read(directory.path().join("steps/image0_step002.jpg")).unwrap(), b"jpeg bytes");

    let log = std::fs::read_to_string(directory.path().join("log/events.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 15);
    assert!(lines[0]["accepted"].is_object() && lines[14]["completed"].is_object(), "{log}");
    let numbers: Vec<&str> = lines.iter().map(|line| line["sequence"].as_str().unwrap()).collect();
    assert_eq!(numbers[..3], ["0", "1", "2"]);
    assert_eq!(lines[4]["step"]["stepMs"], 143.0);
    assert_eq!(lines[4]["jobId"], "job-1");
    let preview = lines.iter().find(|line| line["preview"].is_object()).unwrap();
    assert_eq!(preview["data"]["sha256"], sha256_hex(b"jpeg bytes"));
    assert!(preview["preview"].get("data").is_none());
    assert_eq!(lines[12]["data"]["bytes"], 8);
}

#[tokio::test]
async fn the_request_holds_what_was_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("bad.xml"), "<danbooru_tags>low_quality</danbooru_tags>\n").unwrap();
    let fake = Fake::playing(job(1, &[b"png"])).await;
    let arguments = [
        "prompt.xml",
        "--out",
        "a.png",
        "--seed",
        "7",
        "--steps",
        "12",
        "--guidance",
        "4.5",
        "--guidance-until",
        "0.25",
        "--guidance-renorm",
        "1",
        "--shift",
        "3",
        "--solver",
        "dpm",
        "--size",
        "512x768",
        "--images",
        "2",
        "--preview",
        "decoder",
        "--preview-format",
        "png",
        "--preview-max-edge",
        "256",
        "--negative",
        "bad.xml",
        "--system-prompt",
        "",
        "--negative-system-prompt",
        "You are bad. ",
        "--strict",
        "--model",
        "newbie",
        "--timeout",
        "5min",
        "--quiet",
    ];
    let run = generate(&fake, directory.path(), &arguments).await;
    assert_eq!(run.expect(0).stderr, "notice: the weights are random\n");
    let (request, timeout) = fake.requests().remove(0);
    assert!(timeout.is_some());
    assert_eq!(request.prompt, Some(Prompt::Xml(PROMPT.to_owned())));
    assert!(matches!(&request.negative, Some(Negative::NegativeText(text)) if text.contains("low_quality")));
    assert_eq!(request.strictness(), Strictness::Strict);
    assert_eq!((request.width, request.height, request.images, request.seed), (512, 768, 2, Some(7)));
    assert_eq!((request.model.as_str(), request.system_prompt.as_deref()), ("newbie", Some("")));
    assert_eq!(request.negative_system_prompt.as_deref(), Some("You are bad. "));
    let sampling = request.sampling.unwrap();
    assert_eq!((sampling.solver(), sampling.steps), (Solver::Dpm, 12));
    assert_eq!((sampling.guidance_scale, sampling.guidance_until), (Some(4.5), Some(0.25)));
    assert_eq!((sampling.guidance_renorm, sampling.shift), (Some(1.0), Some(3.0)));
    let preview = request.preview.unwrap();
    assert_eq!((preview.method(), preview.max_edge), (PreviewMethod::Decoder, 256));

    generate(&fake, directory.path(), &["prompt.xml", "--out", "a.png"]).await.expect(0);
    let (request, timeout) = fake.requests().remove(1);
    assert!(timeout.is_none() && request.seed.is_none() && request.sampling.is_none());
    assert_eq!(request.preview.unwrap().method(), PreviewMethod::None);
}

#[tokio::test]
async fn several_pictures_are_numbered_and_the_summary_is_json() {
    let directory = tempfile::tempdir().unwrap();
    let mut acts = job(2, &[b"one", b"two"]);
    acts.insert(6, Act::Skip(2));
    let fake = Fake::playing(acts).await;
    let run = generate(&fake, directory.path(), &["prompt.xml", "--out", "a.png", "--images", "2", "--json"]).await;
    let object = run.expect(0).json();
    assert_eq!(object["status"], "completed");
    assert_eq!(object["missed_events"], 2);
    assert_eq!(object["images"][1]["file"], "a-1.png");
    assert_eq!(object["images"][1]["sha256"], sha256_hex(b"two"));
    assert_eq!(object["images"][0]["seed"], 42);
    assert_eq!(object["timings_ms"]["total"], 4200.0);
    assert_eq!(object["model_notice"], "the weights are random");
    assert_eq!(std::fs::read(directory.path().join("a-0.png")).unwrap(), b"one");
    assert_eq!(std::fs::read(directory.path().join("a-1.png")).unwrap(), b"two");
    assert!(!directory.path().join("a.png").exists());
    generate(&fake, directory.path(), &["prompt.xml", "--out", "a.png"]).await.says("2 events dropped by the server");
}

#[tokio::test]
async fn an_invalid_prompt_is_not_sent() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("bad.xml"), "<character_1><n>a</n></character_1>").unwrap();
    let fake = Fake::playing(job(1, &[b"png"])).await;
    let run = generate(&fake, directory.path(), &["bad.xml", "--out", "a.png"]).await;
    run.expect(1).says("error[missing-required]").says("nothing was sent");
    let run = generate(&fake, directory.path(), &["bad.xml", "--out", "a.png", "--json"]).await;
    let object = run.expect(1).json();
    assert_eq!(object["status"], "invalid");
    assert_eq!(object["diagnostics"][0]["code"], "missing-required");
    assert!(fake.requests().is_empty());
}

#[tokio::test]
async fn a_damaged_picture_is_not_written() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.png"), "the old one").unwrap();
    let mut acts = opening(1, 1);
    acts.extend(chunks(0, b"file"));
    acts.push(completed(&[b"life"]));
    let fake = Fake::playing(acts).await;
    let run = generate(&fake, directory.path(), &["prompt.xml", "--out", "a.png"]).await;
    run.expect(3).says("picture 0 is damaged: its SHA-256 is").says("nothing was written");
    assert_eq!(std::fs::read(directory.path().join("a.png")).unwrap(), b"the old one");
}

#[tokio::test]
async fn a_refusal_is_printed_in_full() {
    let directory = tempfile::tempdir().unwrap();
    let mut details = ErrorDetails::new();
    details.add_bad_request_violation("sampling.steps", "201 is more than 200").set_error_info(
        "INVALID_REQUEST",
        "sakuga.dev",
        [("violations".to_owned(), "1".to_owned())],
    );
    let refusal = Status::with_error_details(Code::InvalidArgument, "the request is wrong", details);
    let fake = Fake::start(Some(refusal), vec![]).await;
    let run = generate(&fake, directory.path(), &["prompt.xml", "--out", "a.png", "--steps", "201"]).await;
    run.expect(3)
        .says("error: the server refused the request: the request is wrong (INVALID_ARGUMENT)")
        .says("  sampling.steps: 201 is more than 200")
        .says("reason: INVALID_REQUEST, violations = 1");
    let run = generate(&fake, directory.path(), &["prompt.xml", "--out", "a.png", "--json"]).await;
    let object = run.expect(3).json();
    assert_eq!((&object["status"], &object["code"]), (&"failed".into(), &"INVALID_ARGUMENT".into()));
    assert_eq!(object["violations"][0]["field"], "sampling.steps");

    let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(7)));
    let full = Status::with_error_details(Code::ResourceExhausted, "the queue is full\u{1b}[2J", details);
    let fake = Fake::start(Some(full), vec![]).await;
    let run = generate(&fake, directory.path(), &["prompt.xml", "--out", "a.png"]).await;
    run.expect(3).says("the queue is full").says("help: try again in 7.0 s");
    assert!(!run.stderr.contains('\u{1b}'), "{run:#?}");
}

#[tokio::test]
async fn a_failed_job_keeps_its_events() {
    let directory = tempfile::tempdir().unwrap();
    let mut acts = opening(9, 1);
    acts.push(step(1, 9));
    acts.push(Act::Send(WireEvent::Failed(tonic_types::pb::Status {
        code: Code::Internal as i32,
        message: "the velocity is not finite".to_owned(),
        details: vec![],
    })));
    let fake = Fake::playing(acts).await;
    let run = generate(&fake, directory.path(), &["prompt.xml", "--out", "a.png", "--events", "e.jsonl"]).await;
    run.expect(3).says("the job failed: the velocity is not finite (INTERNAL)");
    let log = std::fs::read_to_string(directory.path().join("e.jsonl")).unwrap();
    assert!(log.lines().last().unwrap().contains("the velocity is not finite"), "{log}");
    assert_eq!(names(directory.path()), ["e.jsonl", "prompt.xml"]);
}

#[cfg(unix)]
#[tokio::test]
async fn ctrl_c_cancels_and_says_where() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("prompt.xml"), PROMPT).unwrap();
    let mut acts = opening(9, 1);
    acts.extend([step(1, 9), step(2, 9), Act::Hang]);
    let mut fake = Fake::playing(acts).await;
    let mut command = command(directory.path());
    command
        .args(["generate", "prompt.xml", "--out", "a.png", "--events", "e.jsonl", "--json"])
        .args(["--server", &fake.address.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = tokio::process::Command::from(command).kill_on_drop(true).spawn().unwrap();
    let events = directory.path().join("e.jsonl");
    let second_step = async {
        while !std::fs::read_to_string(&events).unwrap_or_default().contains("\"index\":2") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // The line is written before the event is handed on.
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    tokio::time::timeout(Duration::from_secs(30), second_step).await.expect("the job gets to its second step");
    let process = child.id().unwrap().to_string();
    assert!(tokio::process::Command::new("kill").args(["-INT", &process]).status().await.unwrap().success());
    let output = tokio::time::timeout(Duration::from_secs(30), child.wait_with_output()).await.expect("it ends");
    let run = collect(output.unwrap());
    run.expect(5).says("cancelled after step 2 of 9: Ctrl-C; no picture was written");
    assert_eq!((&run.json()["status"], &run.json()["at_step"]), (&"cancelled".into(), &2.into()));
    assert!(fake.wait_for_hang_up().await, "the server sees it");
    assert!(!directory.path().join("a.png").exists());
}

#[tokio::test]
async fn a_job_that_the_server_cancels_ends_the_command() {
    let directory = tempfile::tempdir().unwrap();
    let mut acts = opening(9, 1);
    let reason = wire::CancelReason::Deadline.into();
    acts.push(Act::Send(WireEvent::Cancelled(wire::Cancelled { at_step: 4, reason })));
    let fake = Fake::playing(acts).await;
    let run = generate(&fake, directory.path(), &["prompt.xml", "--out", "a.png"]).await;
    run.expect(5).says("cancelled after step 4 of 9: its deadline passed");
}

/// A picture with this record. The fake's pictures have the pixels "pixels".
pub(crate) fn picture_with(record: &ImageMetadata) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 2, 1);
    encoder.set_color(png::ColorType::Rgb);
    encoder.add_itxt_chunk(picture::KEYWORD.to_owned(), json::to_string(record).unwrap()).unwrap();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(b"pixels").unwrap();
    writer.finish().unwrap();
    file
}

#[tokio::test]
async fn a_picture_is_made_again_from_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let stored = GenerateRequest {
        request_id: "old".to_owned(),
        prompt: Some(Prompt::Xml(PROMPT.to_owned())),
        seed: Some(42),
        width: 64,
        height: 64,
        preview: Some(wire::PreviewOptions {
            method: PreviewMethod::Linear.into(),
            every_steps: 3,
            ..Default::default()
        }),
        ..GenerateRequest::default()
    };
    let record = ImageMetadata {
        version: 1,
        request: Some(stored.clone()),
        seed: 42,
        device: "cpu".to_owned(),
        ..ImageMetadata::default()
    };
    std::fs::write(directory.path().join("old.png"), picture_with(&record)).unwrap();

    let fake = Fake::playing(job(1, &[b"png"])).await;
    let run = generate(&fake, directory.path(), &["--from", "old.png", "--out", "new.png"]).await;
    run.expect(0).says("the pixels are the same as in old.png");
    assert_eq!(fake.requests()[0].0, GenerateRequest { request_id: String::new(), ..stored.clone() });

    let run =
        generate(&fake, directory.path(), &["--from", "old.png", "--out", "new.png", "--seed", "7", "--json"]).await;
    assert!(run.expect(0).json()["same_pixels_as_origin"].is_null(), "another seed is another picture");
    let request = fake.requests().remove(1).0;
    assert_eq!((request.seed, request.width, request.prompt), (Some(7), 64, stored.prompt));

    let run = generate(&fake, directory.path(), &["--from", "prompt.xml", "--out", "new.png"]).await;
    run.expect(2).says("prompt.xml: it is not a PNG file");
}

#[tokio::test]
async fn outputs_that_cannot_be_written_fail_before_the_server_is_asked() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("file"), "").unwrap();
    let fake = Fake::playing(job(1, &[b"png"])).await;
    for arguments in [
        vec!["prompt.xml", "--out", "file/a.png"],
        vec!["prompt.xml", "--out", "."],
        vec!["prompt.xml", "--out", "a.png", "--preview-dir", "file"],
        vec!["prompt.xml", "--out", "a.png", "--events", "file/e.jsonl"],
    ] {
        generate(&fake, directory.path(), &arguments).await.expect(6).says("cannot write");
    }
    generate(&fake, directory.path(), &["prompt.xml", "--out", "a.png", "--size", "100x100"]).await.expect(2);
    generate(&fake, directory.path(), &["--out", "a.png"]).await.expect(2);
    assert!(fake.requests().is_empty());
}

#[tokio::test]
async fn a_profile_is_a_table_for_people_and_json_for_programs() {
    let directory = tempfile::tempdir().unwrap();
    let span = wire::ProfileSpan {
        network: "next_dit".to_owned(),
        name: "attention".to_owned(),
        count: 3,
        ms: 2.0,
        flops: 4e11,
        ..wire::ProfileSpan::default()
    };
    let profile = wire::Profile {
        stage: wire::Stage::Denoise.into(),
        spans: vec![span],
        device_ms: 2.0,
        wall_ms: 3.0,
        peak_flops_per_second: Some(400e12),
        ..wire::Profile::default()
    };
    let mut acts = job(3, &[b"a whole png file"]);
    let decode = acts.iter().rposition(|act| matches!(act, Act::Send(WireEvent::Stage(_)))).unwrap();
    acts.insert(decode, Act::Send(WireEvent::Profile(profile)));
    let fake = Fake::playing(acts).await;
    let arguments = ["prompt.xml", "--out", "out.png", "--profile"];
    let run = generate(&fake, directory.path(), &arguments).await;
    run.expect(0)
        .says("denoise  all on the device")
        .says("next_dit attention  2.00 ms  100 %, 200.00 TFLOP/s, 50 % of the peak");
    assert!(fake.requests()[0].0.profile);
    let object = generate(&fake, directory.path(), &[&arguments[..], &["--json"]].concat()).await.expect(0).json();
    assert_eq!(object["profiles"][0]["spans"][0]["name"], "attention");
    generate(&fake, directory.path(), &arguments[..3]).await.expect(0);
    assert!(!fake.requests()[2].0.profile, "nobody is measured unasked");
}

#[tokio::test]
async fn findings_of_the_server_are_shown_in_their_own_file() {
    use sakuga_client::proto::prompt::v1::{Diagnostic, Severity};
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("good.txt"), "a fox in the snow").unwrap();
    std::fs::write(directory.path().join("bad.txt"), "blurry hands everywhere").unwrap();
    let finding = |path: &str, message: &str| Diagnostic {
        code: "new-rule".to_owned(),
        severity: Severity::Warning.into(),
        message: message.to_owned(),
        span_start: 0,
        span_end: 6,
        path: path.to_owned(),
        ..Diagnostic::default()
    };
    let mut acts = job(1, &[b"png"]);
    acts[0] = Act::Send(WireEvent::Accepted(wire::Accepted {
        request_id: "r".to_owned(),
        diagnostics: vec![finding("", "of the prompt"), finding("negative", "of the negative")],
    }));
    let fake = Fake::playing(acts).await;
    let run = generate(&fake, directory.path(), &["good.txt", "--negative", "bad.txt", "--out", "a.png"]).await;
    let (of_prompt, of_negative) = run.expect(0).stderr.split_once("bad.txt: 1 finding").expect("two reports");
    assert!(of_prompt.contains("good.txt: 1 finding") && of_prompt.contains("a fox in the snow"), "{run:#?}");
    assert!(of_prompt.contains("of the prompt") && !of_prompt.contains("blurry"), "{run:#?}");
    assert!(of_negative.contains("of the negative") && of_negative.contains("blurry hands"), "{run:#?}");
    assert!(!of_negative.contains("a fox"), "{run:#?}");
}

#[tokio::test]
async fn a_picture_of_a_batch_says_what_becomes_of_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let record = |image_index: u32| ImageMetadata {
        version: 1,
        request: Some(GenerateRequest {
            prompt: Some(Prompt::Xml(PROMPT.to_owned())),
            images: 3,
            seed: Some(7),
            ..GenerateRequest::default()
        }),
        image_index,
        seed: 7,
        ..ImageMetadata::default()
    };
    std::fs::write(directory.path().join("b-1.png"), picture_with(&record(1))).unwrap();
    let fake = Fake::playing(job(1, &[b"png"])).await;
    let arguments = ["--from", "b-1.png", "--out", "c.png", "--images", "1"];
    let run = generate(&fake, directory.path(), &arguments).await;
    run.expect(0).says("note: b-1.png is picture 2 of 3, so --images 1 does not draw it but the first ones");
    assert!(run.stderr.contains("leave --images out, and --image-index 1 draws it alone"), "{run:#?}");
    let run = generate(&fake, directory.path(), &["--from", "b-1.png", "--out", "c.png", "--images", "2"]).await;
    assert!(run.stderr.contains("2 pictures of its request are drawn, this one as c-1.png"), "{run:#?}");
    let run = generate(&fake, directory.path(), &["--from", "b-1.png", "--out", "c.png", "--image-index", "1"]).await;
    assert!(!run.expect(0).stderr.contains("is picture 2 of 3"), "{run:#?}");
    let run = generate(&fake, directory.path(), &["--from", "b-1.png", "--out", "c.png", "--image-index", "0,2"]).await;
    assert!(run.stderr.contains("b-1.png is picture 2 of 3 and is not drawn"), "{run:#?}");
    let sent: Vec<Vec<u32>> = fake.requests().into_iter().map(|(request, _)| request.image_indices).collect();
    assert_eq!(sent, [vec![], vec![], vec![1], vec![0, 2]]);
}

#[tokio::test]
async fn a_negative_prompt_inside_the_file_is_used_and_named() {
    let directory = tempfile::tempdir().unwrap();
    let record = ImageMetadata {
        version: 1,
        request: Some(GenerateRequest {
            prompt: Some(Prompt::Xml(PROMPT.to_owned())),
            negative: Some(Negative::NegativeText("old".to_owned())),
            negative_system_prompt: Some("Old. ".to_owned()),
            ..GenerateRequest::default()
        }),
        ..ImageMetadata::default()
    };
    std::fs::write(directory.path().join("old.png"), picture_with(&record)).unwrap();
    std::fs::write(directory.path().join("both.txt"), "1girl, solo\nNegative prompt: lowres\n").unwrap();
    let fake = Fake::playing(job(1, &[b"png"])).await;
    let run = generate(&fake, directory.path(), &["both.txt", "--out", "a.png", "--json"]).await;
    let note = "the negative prompt inside both.txt is used";
    assert_eq!(run.expect(0).json()["notes"][0], note);
    assert!(run.stderr.contains(note), "{run:#?}");
    // It replaces the one of the picture.
    generate(&fake, directory.path(), &["both.txt", "--from", "old.png", "--out", "a.png"]).await.expect(0);
    let request = fake.requests().remove(1).0;
    assert_eq!((request.negative, request.negative_system_prompt), (None, None));
    let off = ["both.txt", "--out", "a.png", "--guidance", "1"];
    generate(&fake, directory.path(), &off).await.expect(0).says("the negative prompt has no effect");
    let two = ["both.txt", "--negative", "prompt.xml", "--out", "a.png"];
    generate(&fake, directory.path(), &two).await.expect(1).says("two negative prompts");
}
