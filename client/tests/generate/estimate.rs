//! `sakuga estimate`, against a server that plays a script.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use sakuga_client::Client;
use sakuga_client::proto::generation::v1::{GenerateRequest, JobOptions};
use tonic::Status;

use crate::fake::Fake;
use crate::support::{Run, collect, command};

async fn estimate(fake: &Fake, directory: &Path, arguments: &[&str]) -> Run {
    let prompt = directory.join("prompt.xml");
    std::fs::write(&prompt, "<caption>A girl looks at the sea.</caption>").unwrap();
    let mut command = command(directory);
    command.arg("estimate").arg(&prompt).args(["--server", &fake.address.to_string()]).args(arguments);
    collect(tokio::process::Command::from(command).stdin(Stdio::null()).output().await.unwrap())
}

#[tokio::test]
async fn an_estimate_is_shown_without_drawing() {
    let fake = Fake::playing(vec![]).await;
    let directory = tempfile::tempdir().unwrap();
    let shown = estimate(&fake, directory.path(), &["--steps", "9", "--timeout", "34s"]).await;
    shown
        .expect(0)
        .says("script on cpu")
        .says("12 s (11 s to 14 s), learnt from 20 jobs")
        .says("steps   9, ")
        .says("starts in 34 s");
    estimate(&fake, directory.path(), &[]).await.expect(0).says("no job before it");
    estimate(&fake, directory.path(), &["--priority", "low"]).await.expect(0).says("7 jobs before it");
    let json = estimate(&fake, directory.path(), &["--json", "--out", "unused.png"]).await;
    let json = json.expect(0).json();
    assert_eq!((&json["learnedJobs"], &json["time"]["expected"]), (&20.into(), &"12s".into()));
    assert!(fake.requests().is_empty() && !directory.path().join("unused.png").exists());
}

#[tokio::test]
async fn a_refusal_comes_with_the_change_that_helps() {
    let fake = Fake::playing(vec![]).await;
    let directory = tempfile::tempdir().unwrap();
    let shown = estimate(&fake, directory.path(), &["--images", "4"]).await;
    shown.expect(3).says("refused the request needs more memory").says("to fit: ask for 1 instead of 4 images");
    let json = estimate(&fake, directory.path(), &["--images", "4", "--json"]).await;
    assert_eq!(json.expect(3).json()["obstacles"][0]["changes"][0]["fields"][0]["field"], "images");
    let several = estimate(&fake, directory.path(), &["--matrix", "steps=1,2"]).await;
    several.expect(2).says("an estimate is of one").says("estimate one of them alone");
    let refusing = Fake::start(Some(Status::invalid_argument("steps: too many")), vec![]).await;
    estimate(&refusing, directory.path(), &[]).await.expect(3).says("steps: too many");
}

#[tokio::test]
async fn the_library_asks_too() {
    let fake = Fake::playing(vec![]).await;
    let client = Client::connect(&fake.address.to_string()).await.unwrap();
    let timeout = Some(prost_types::Duration { seconds: 5, nanos: 0 });
    let options = JobOptions { timeout, ..JobOptions::default() };
    let found = client.estimate(GenerateRequest::default(), options).await.unwrap();
    assert!(found.fits && found.eta.is_some_and(|eta| Duration::try_from(eta) == Ok(Duration::from_secs(5))));
}
