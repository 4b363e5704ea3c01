//! `sakuga bench`, against a server that reports every figure.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use sakuga_client::proto::digest::sha256_hex;
use sakuga_client::proto::generation::v1::generate_event::Event;
use sakuga_client::proto::generation::v1::{
    Completed, GenerateRequest, ImageInfo, Profile, ProfileSpan, Sampling, Solver, Stage, Started, Timings,
};
use sakuga_client::proto::system::v1::{GpuStats, StatsSource};
use serde_json::Value;

use crate::fake::{Act, Fake, chunks, job, stage, step};
use crate::info::System;
use crate::support::{Run, collect, command};

fn stats(percent: f32, used_bytes: u64, joules: f64) -> Act {
    Act::Send(Event::GpuStats(GpuStats {
        source: StatsSource::Nvml.into(),
        utilization_percent: Some(percent),
        memory_used_bytes: Some(used_bytes),
        power_watts: Some(500.0),
        energy_joules: Some(joules),
        ..GpuStats::default()
    }))
}

/// A picture of two steps, with every figure reported.
fn picture() -> Vec<Act> {
    let resolved = GenerateRequest {
        width: 64,
        height: 32,
        sampling: Some(Sampling {
            solver: Solver::Dpm.into(),
            steps: 2,
            guidance_scale: Some(3.5),
            ..Sampling::default()
        }),
        ..GenerateRequest::default()
    };
    let seconds = |milliseconds: i32| Some(prost_types::Duration { seconds: 0, nanos: milliseconds * 1_000_000 });
    let timings = Timings {
        text_encode: seconds(25),
        denoise: seconds(286),
        decode: seconds(40),
        total: seconds(400),
        ..Timings::default()
    };
    let span = ProfileSpan {
        network: "next_dit".to_owned(),
        layer: Some(0),
        name: "attention".to_owned(),
        count: 2,
        ms: 100.0,
        flops: 1e13,
        ..ProfileSpan::default()
    };
    let profile = Profile {
        stage: Stage::Denoise.into(),
        spans: vec![span],
        device_ms: 200.0,
        wall_ms: 250.0,
        peak_flops_per_second: Some(4e14),
        ..Profile::default()
    };
    let image = ImageInfo { sha256: sha256_hex(b"file"), size: 4, ..ImageInfo::default() };
    let mut acts = vec![
        Act::Send(Event::Started(Started { resolved: Some(resolved), seeds: vec![7], ..Started::default() })),
        stage(Stage::TextEncode),
        stage(Stage::Denoise),
        stats(90.0, 5 << 20, 0.0),
        step(1, 2),
        stats(100.0, 6 << 20, 0.0),
        step(2, 2),
        Act::Send(Event::Profile(profile)),
    ];
    acts.extend(chunks(0, b"file"));
    acts.push(Act::Send(Event::Completed(Completed { images: vec![image], timings: Some(timings) })));
    acts
}

async fn sakuga(directory: &Path, arguments: &[&str]) -> Run {
    let mut command = command(directory);
    command.args(arguments).stdin(Stdio::null());
    let output = tokio::process::Command::from(command).kill_on_drop(true).output();
    collect(tokio::time::timeout(Duration::from_secs(120), output).await.expect("the program ends").unwrap())
}

/// A run against a server that plays `acts`, in `directory/name`.
async fn bench(fake: &Fake, directory: &Path, name: &str, more: &[&str]) -> Run {
    let address = fake.address.to_string();
    sakuga(directory, &[&["bench", "--server", &address, "--out", name], more].concat()).await
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Whether every element is closed and every attribute well formed.
fn is_well_formed(xml: &str) -> bool {
    let mut reader = quick_xml::Reader::from_str(xml);
    loop {
        match reader.read_event() {
            Ok(quick_xml::events::Event::Eof) => return true,
            Ok(quick_xml::events::Event::Start(start) | quick_xml::events::Event::Empty(start)) => {
                if start.attributes().any(|attribute| attribute.is_err()) {
                    return false;
                }
            }
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

#[tokio::test]
async fn a_run_leaves_its_samples_a_report_and_charts() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::playing_as(picture(), System).await;
    let run = bench(&fake, directory.path(), "out", &["--repeats", "2", "--profile"]).await;
    run.expect(0)
        .says("64 x 32 px, 2 steps (dpm), guidance 3.5")
        .says("two characters, XML")
        .says("143 (143")
        .says("one character, text: warm-up 1 of 1")
        .says("new last tag");

    let record = json(&directory.path().join("out/run.json"));
    assert_eq!(record["format"], "sakuga-bench/1");
    assert_eq!(record["protocol"]["steps"], 2);
    assert_eq!(record["system"]["engine"], "scripted");
    assert_eq!(record["loading"][1]["bytes"], 4_u64 << 30);
    let names: Vec<&Value> = record["cases"].as_array().unwrap().iter().map(|case| &case["name"]).collect();
    assert_eq!(names, ["one-xml", "one-text", "two-xml", "two-text"]);
    let case = &record["cases"][2];
    assert_eq!((case["warmup"].as_array().unwrap().len(), case["repeats"].as_array().unwrap().len()), (1, 2));
    let job = &case["repeats"][1];
    assert_eq!((&job["steps"][1]["ms"], &job["seed"]), (&143.0.into(), &7.into()));
    assert_eq!((&job["stats"][0]["utilization_percent"], &job["timings"]["decode_ms"]), (&90.0.into(), &40.0.into()));
    assert_eq!(record["profiled"]["profile"][0]["spans"][0]["name"], "attention");
    // Profiling slows the steps down, so it is done for one picture, after all measured ones.
    let asked: Vec<bool> = fake.requests().iter().map(|(request, _)| request.profile).collect();
    assert_eq!(asked.iter().filter(|is_profiled| **is_profiled).count(), 1);
    assert_eq!(asked.last(), Some(&true));
    assert_eq!(job["events"].as_array().unwrap().len(), 11);
    let kinds: Vec<&Value> = record["texts"].as_array().unwrap().iter().map(|text| &text["kind"]).collect();
    assert_eq!(kinds, ["cold", "prefix", "cached", "cold", "prefix", "cached"]);
    assert_eq!(record["texts"][0]["ms"], 25.0);

    let page = std::fs::read_to_string(directory.path().join("out/report.html")).unwrap();
    for part in [
        "<b>143 ms</b>",
        "<b>0.4 s</b>",
        "<b>95 ± 5.16 %</b>",
        "<b>1 MiB</b>",
        "next_dit attention",
        "<td>100</td><td>25 %</td>",
        "the driver is too old",
        "4.29 GB at 2.15 GB/s",
        "the weights are random",
        "--repeats 2 --profile",
        "Its steps took 143 ms (0 % more).",
        "PCIe rates",
    ] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
    assert!(!page.contains("<script") && !page.contains('\u{1b}'));

    let mut charts = Vec::new();
    for entry in std::fs::read_dir(directory.path().join("out/charts")).unwrap() {
        let path = entry.unwrap().path();
        match path.extension().unwrap().to_str().unwrap() {
            "svg" => assert!(is_well_formed(&std::fs::read_to_string(&path).unwrap()), "{}", path.display()),
            _ => {
                let mut reader = png::Decoder::new(std::io::BufReader::new(std::fs::File::open(&path).unwrap()))
                    .read_info()
                    .unwrap();
                let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
                let frame = reader.next_frame(&mut pixels).unwrap();
                assert_eq!(frame.width, 1920, "{}", path.display());
                assert!(pixels.chunks(4).any(|pixel| pixel != [255; 4]), "{} is blank", path.display());
            }
        }
        charts.push(path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    charts.sort();
    let both = |name: &str| [format!("{name}.png"), format!("{name}.svg")];
    let expected = ["loading", "memory", "parts", "power", "steps", "texts", "utilization"].map(both).concat();
    assert_eq!(charts, expected);
}

#[tokio::test]
async fn the_protocol_is_what_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::playing_as(picture(), System).await;
    let more = ["--quick", "--size", "128x64", "--steps", "3", "--warmup", "2", "--json"];
    let run = bench(&fake, directory.path(), "out", &more).await;
    assert_eq!(run.expect(0).json()["run"], "out/run.json");
    let requests: Vec<GenerateRequest> = fake.requests().into_iter().map(|(request, _)| request).collect();
    assert_eq!(requests.len(), 2 + 2 + 6);
    let seeds: Vec<_> = requests.iter().take(4).map(|request| request.seed.unwrap()).collect();
    assert_eq!(seeds, [20_250_826, 20_250_827, 20_250_826, 20_250_827], "the same pictures in every run");
    let steps = |request: &GenerateRequest| request.sampling.as_ref().map(|sampling| sampling.steps);
    assert!(requests[..4].iter().all(|request| (request.width, request.height, steps(request)) == (128, 64, Some(3))));
    assert!(requests[4..].iter().all(|request| (request.width, request.height, steps(request)) == (64, 64, Some(1))));
    assert!(requests.iter().all(|request| request.gpu_stats_interval_ms == 100 && !request.profile));
    assert_ne!(requests[4].prompt, requests[5].prompt);
    assert_eq!(requests[5].prompt, requests[6].prompt);
}

#[tokio::test]
async fn a_report_lists_what_the_server_did_not_report() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::playing_as(job(2, &[b"file"]), System).await;
    bench(&fake, directory.path(), "out", &["--quick"]).await.expect(0);
    let page = std::fs::read_to_string(directory.path().join("out/report.html")).unwrap();
    assert!(page.contains("Not reported by this server"), "{page}");
    assert!(
        page.contains("times of the text encoders alone, utilisation, memory, power, energy, PCIe rates, a profile"),
        "{page}"
    );
    assert!(!directory.path().join("out/charts/utilization.svg").exists());
}

#[tokio::test]
async fn what_cannot_be_measured_ends_with_the_code_of_its_reason() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::playing_as(picture(), System).await;
    let run = bench(&fake, directory.path(), "out", &["--model", "other"]).await;
    run.expect(3).says("the server has no model `other`").says("sakuga info");
    std::fs::write(directory.path().join("file"), "").unwrap();
    bench(&fake, directory.path(), "file", &[]).await.expect(6).says("cannot write");
    assert!(fake.requests().is_empty());
    let fake = Fake::playing(picture()).await;
    bench(&fake, directory.path(), "out", &[]).await.expect(3).says("UNIMPLEMENTED");
}

#[tokio::test]
async fn two_runs_are_compared() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::playing_as(picture(), System).await;
    bench(&fake, directory.path(), "a", &["--quick", "--quiet"]).await.expect(0);
    let mut record = json(&directory.path().join("a/run.json"));
    for job in record["cases"][0]["repeats"].as_array_mut().unwrap() {
        for step in job["steps"].as_array_mut().unwrap() {
            step["ms"] = (143.0 / 2.0).into();
        }
    }
    record["texts"] = Value::Array(Vec::new());
    std::fs::write(directory.path().join("b.json"), record.to_string()).unwrap();
    let compare = async |more: &[&str]| {
        sakuga(directory.path(), &[&["bench", "compare", "a/run.json", "b.json"], more].concat()).await
    };
    let run = compare(&["--out", "both.html"]).await;
    let line = run.expect(0).stdout.lines().find(|line| line.contains("two characters, XML: step, ms")).unwrap();
    let figures: Vec<&str> = line.split_whitespace().rev().take(3).collect();
    assert_eq!(figures, ["0.500", "71.5", "143"]);
    let page = std::fs::read_to_string(directory.path().join("both.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("0.500") && page.contains("not reported"), "{page}");

    // A setting that only the whole request in the record holds.
    let mut other = record.clone();
    other["protocol"]["request"]["sampling"]["guidanceRenorm"] = 0.5.into();
    std::fs::write(directory.path().join("b.json"), other.to_string()).unwrap();
    compare(&[]).await.expect(1).says("guidance_renorm: not reported and 0.5");

    record["protocol"]["steps"] = 28.into();
    std::fs::write(directory.path().join("b.json"), record.to_string()).unwrap();
    compare(&[]).await.expect(1).says("the runs have different settings: sampling.steps: 2 and 28").says("--force");
    compare(&["--force"]).await.expect(0).says("different: sampling.steps: 2 and 28").says("0.500");

    record["format"] = "sakuga-bench/9".into();
    std::fs::write(directory.path().join("b.json"), record.to_string()).unwrap();
    compare(&["--force"]).await.expect(2).says("it has the format `sakuga-bench/9`");
}

#[tokio::test]
async fn a_drawing_has_a_report_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("prompt.xml"), "<general_tags><style>anime</style></general_tags>").unwrap();
    let fake = Fake::playing(job(3, &[b"file"])).await;
    let address = fake.address.to_string();
    let generate = ["generate", "prompt.xml", "--server", &address, "--out", "a.png", "--events", "e.jsonl"];
    sakuga(directory.path(), &[&generate[..], &["--preview-dir", "steps"]].concat()).await.expect(0);
    let report = ["bench", "report", "--events", "e.jsonl", "--picture", "a.png", "--previews", "steps", "--out"];
    sakuga(directory.path(), &[&report[..], &["new/report.html"]].concat()).await.expect(0).says("report.html");
    let page = std::fs::read_to_string(directory.path().join("new/report.html")).unwrap();
    assert_eq!(page.matches("data:image/jpeg;base64,").count(), 3);
    // `file` in base64.
    assert!(page.contains("data:image/png;base64,ZmlsZQ==") && page.contains("<b>143 ms</b>"), "{page}");

    sakuga(directory.path(), &["bench", "report", "a.png", "--out", "r.html"]).await.expect(2);
    sakuga(directory.path(), &["bench", "report", "--out", "r.html"]).await.expect(2);
}

/// The model of [`System`].
const MODEL: &str = "tiny\u{1b}[2J";

#[tokio::test]
async fn two_systems_stand_next_to_the_claims_of_the_article() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::playing_as(picture(), System).await;
    let address = fake.address.to_string();
    let article = ["bench", "article", "--server", &address, "--newbie", MODEL, "--sd", MODEL, "--out", "both"];
    let run = sakuga(directory.path(), &[&article[..], &["--repeats", "2", "--warmup", "1"]].concat()).await;
    run.expect(0).says("NewBie, ours").says("SD-Anime, claimed").says("deviation of");
    let asked: Vec<GenerateRequest> = fake.requests().into_iter().map(|(request, _)| request).collect();
    let sampling = |request: &GenerateRequest| request.sampling.clone().unwrap_or_default();
    let sd: Vec<_> = asked.iter().map(sampling).filter(|sampling| sampling.solver() == Solver::Dpm).collect();
    // Four cases of three pictures and one with a profile.
    assert_eq!(sd.len(), 13);
    assert!(sd.iter().all(|sampling| sampling.steps == 30 && sampling.guidance_scale == Some(7.0)), "{sd:?}");
    assert_eq!(asked.iter().filter(|request| request.profile).count(), 2);

    let page = std::fs::read_to_string(directory.path().join("both/article.html")).unwrap();
    for part in [
        "A100 40 GB PCIe",
        // This server has no service for models.
        "NewBie: loading was not measured",
        "3500 million parameters and the article's 7893 million",
        "not possible: 0.611 of the least",
        "<td>0.4</td>",
    ] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
    assert!(!page.contains("<script") && !page.contains('\u{1b}'));
    assert!(is_well_formed(&std::fs::read_to_string(directory.path().join("both/charts/pictures.svg")).unwrap()));

    // PyTorch's run joins later, without a server.
    let torch = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/torch/testdata/run.json");
    let again = ["bench", "article", "--from", "both/article.json", "--torch", torch, "--out", "again", "--json"];
    assert_eq!(sakuga(directory.path(), &again).await.expect(0).json()["page"], "again/article.html");
    let page = std::fs::read_to_string(directory.path().join("again/article.html")).unwrap();
    let engine = json(Path::new(torch))["system"]["engine"].as_str().unwrap().to_owned();
    assert!(page.contains(&format!("NewBie, {engine}")), "{page}");
    assert_eq!(fake.requests().len(), asked.len());
    sakuga(directory.path(), &["bench", "article", "--from", torch]).await.expect(2).says("sakuga-article/1");
}
