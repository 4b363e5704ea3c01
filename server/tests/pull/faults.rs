//! Faults during a pull: of connections, contents, disks, answers and names.

use axum::http::StatusCode;
use sakuga_proto::digest::sha256_hex;
use sakuga_server::pull::PullError;
use serde_json::json;

use crate::support::{FILE, SmallDisk, TOKEN, Trial, one_file};

fn ranges(trial: &Trial) -> Vec<Option<String>> {
    trial.hub.downloads().into_iter().map(|seen| seen.range).collect()
}

#[tokio::test]
async fn a_connection_that_is_cut_or_silent_continues_where_it_ended() {
    let trial = Trial::new(one_file());
    trial.hub.behaviour().cuts.extend([100_000, 50_000]);
    trial.hub.behaviour().silence = Some(20_000);
    trial.pull().await.expect("pulled");
    assert_eq!(trial.content(), one_file()[FILE]);
    let seen = trial.hub.downloads();
    let ranges: Vec<_> = seen.iter().map(|seen| seen.range.as_deref()).collect();
    assert_eq!(ranges, [None, Some("bytes=100000-"), Some("bytes=150000-"), Some("bytes=170000-")]);
    assert!(seen[1..].iter().all(|seen| seen.if_range.as_deref() == Some("\"300000-0\"")), "{seen:?}");
    assert!(trial.said("trying again"));
    // The token is sent to the hub only, and the signature of a redirect is not shown.
    assert!(seen.iter().all(|seen| seen.token.is_none()), "{seen:?}");
    let token = format!("Bearer {TOKEN}");
    assert!(trial.hub.behaviour().hub.iter().all(|seen| seen.token.as_ref() == Some(&token)));
    assert!(!trial.said("secret"));
}

#[tokio::test]
async fn a_pull_that_stopped_continues_in_the_next_run_and_begins_again_if_the_file_changed() {
    let mut trial = Trial::new(one_file());
    trial.repeats = 0;
    for (generation, expected) in [(0, Some("bytes=100000-")), (1, Some("bytes=100000-"))] {
        trial.hub.behaviour().cuts.push_back(100_000);
        let error = trial.error().await;
        assert!(error.contains(FILE) && error.contains("HTTPS_PROXY"), "{error}");
        assert!(trial.models().find("tiny").is_none(), "half a model is not visible");
        assert_eq!(trial.models().unfinished().len(), 1);
        ranges(&trial);
        trial.hub.behaviour().generation = generation;
        trial.pull().await.expect("pulled");
        assert_eq!(ranges(&trial), [expected.map(str::to_owned)]);
        assert_eq!(trial.said("begins again"), generation == 1);
        assert_eq!(trial.content(), one_file()[FILE]);
        assert!(trial.models().unfinished().is_empty());
        trial.models().remove("tiny").expect("deleted");
        trial.hub.behaviour().generation = 0;
    }
}

#[tokio::test]
async fn a_wrong_checksum_leaves_nothing_that_a_later_pull_uses() {
    let trial = Trial::new(one_file());
    trial.hub.behaviour().is_corrupt = true;
    let error = trial.error().await;
    assert!(error.contains(FILE) && error.contains(&sha256_hex(&one_file()[FILE])), "{error}");
    assert!(trial.models().find("tiny").is_none());
    trial.hub.behaviour().is_corrupt = false;
    ranges(&trial);
    trial.pull().await.expect("pulled");
    assert_eq!(ranges(&trial), [None]);
    assert_eq!(trial.content(), one_file()[FILE]);
}

#[tokio::test]
async fn a_full_disk_keeps_what_came_and_says_how_much_is_missing() {
    let trial = Trial::new(one_file());
    let error = trial.run(&SmallDisk::new(120_000, true)).await.expect_err("no room").to_string();
    assert!(error.contains("180.0 kB more are needed") && error.contains("--models"), "{error}");
    assert!(trial.hub.downloads().is_empty(), "it is known before anything is downloaded");

    let error = trial.run(&SmallDisk::new(120_000, false)).await.expect_err("no room").to_string();
    assert!(error.contains("kB more are needed") && error.contains("it continues"), "{error}");
    let [(_, kept)] = &trial.models().unfinished()[..] else { panic!("{:?}", trial.models().unfinished()) };
    assert!((1..=120_100).contains(kept), "{kept}");
    ranges(&trial);
    trial.pull().await.expect("pulled");
    assert!(ranges(&trial)[0].is_some(), "it continues");
    assert_eq!(trial.content(), one_file()[FILE]);
}

#[tokio::test]
async fn refusals_of_the_hub_say_what_to_do_and_passing_ones_are_repeated() {
    let trial = Trial::new(one_file());
    for (status, code, part) in [
        (StatusCode::UNAUTHORIZED, "GatedRepo", "accept the terms of this model in a browser at"),
        (StatusCode::FORBIDDEN, "GatedRepo", "accept the terms of this model in a browser at"),
        (StatusCode::UNAUTHORIZED, "RepoNotFound", "private or does not exist"),
        (StatusCode::FORBIDDEN, "", "the token in HF_TOKEN may not read it"),
        (StatusCode::NOT_FOUND, "RevisionNotFound", "no revision `main`"),
        (StatusCode::NOT_FOUND, "RepoNotFound", "check the name"),
    ] {
        trial.hub.behaviour().refusals.push_back((status, code));
        let error = trial.error().await;
        assert!(error.contains(part) && error.contains("said the hub"), "{error}");
    }
    let busy = (StatusCode::SERVICE_UNAVAILABLE, "");
    trial.hub.behaviour().refusals.extend([busy, (StatusCode::TOO_MANY_REQUESTS, ""), busy]);
    trial.pull().await.expect("pulled at last");
}

#[tokio::test]
async fn hostile_answers_write_nothing() {
    let trial = Trial::new(one_file());
    let outside = trial.folder.path().join("outside");
    for path in ["../outside", "../../outside", "/outside", "a/../../outside", "a\\..\\outside", "a\0"] {
        let sibling = json!({"rfilename": path, "size": 1, "blobId": "0".repeat(40)});
        trial.hub.behaviour().siblings = vec![sibling];
        let error = trial.error().await;
        assert!(error.contains("could leave the folder"), "{error}");
    }
    trial.hub.behaviour().siblings.clear();
    trial.hub.behaviour().redirect =
        Some(format!("{}/owner/tiny/resolve/{}/{FILE}", trial.hub.endpoint(), crate::hub::COMMIT));
    assert!(trial.error().await.contains("redirects too often"));
    trial.hub.behaviour().redirect = Some("file:///etc/passwd".to_owned());
    assert!(trial.error().await.contains("redirects to a place without encryption"));
    trial.hub.behaviour().redirect = None;
    #[cfg(unix)]
    {
        let staging = trial.folder.path().join("models/.partial/tiny");
        std::fs::create_dir_all(&staging).expect("made");
        std::fs::remove_file(staging.join(format!("{FILE}.partial"))).expect("an empty file is there");
        std::os::unix::fs::symlink(&outside, staging.join(format!("{FILE}.partial"))).expect("a link");
        assert!(trial.error().await.contains("is a symbolic link"));
        std::fs::remove_file(staging.join(format!("{FILE}.partial"))).expect("removed");
    }
    assert!(trial.hub.downloads().is_empty() && !outside.exists() && trial.models().models().is_empty());
    trial.pull().await.expect("pulled");
}

#[tokio::test]
async fn two_pulls_of_one_model_do_not_meet_and_names_are_not_taken_twice() {
    let mut trial = Trial::new(one_file());
    let (first, second) = tokio::join!(trial.pull(), trial.pull());
    assert!(first.is_ok() && matches!(second, Err(PullError::Busy(_))), "{first:?} {second:?}");
    trial.source = "hf:owner/tiny@v2".to_owned();
    let error = trial.error().await;
    assert!(error.contains("`tiny` from hf:owner/tiny at commit 0123") && error.contains("--name"), "{error}");
    trial.name = Some("second".to_owned());
    assert_eq!(trial.pull().await.expect("pulled").name, "second");
    trial.name = Some("../x".to_owned());
    assert!(trial.error().await.contains("not a name"));
}

#[tokio::test]
async fn a_file_at_a_url_is_compared_with_the_sha256_that_is_given() {
    let mut trial = Trial::new(one_file());
    trial.source = format!("http://{}/{FILE}?signature=secret", trial.hub.storage);
    trial.sha256 = Some("0".repeat(64));
    assert!(trial.error().await.contains("SHA-256"));
    trial.sha256 = Some(sha256_hex(&one_file()[FILE]));
    trial.hub.behaviour().cuts.push_back(100_000);
    trial.pull().await.expect("pulled");
    assert_eq!(trial.content(), one_file()[FILE]);
    let seen = trial.hub.downloads();
    assert_eq!(seen.last().and_then(|seen| seen.range.as_deref()), Some("bytes=100000-"));
    assert!(seen.iter().all(|seen| seen.token.is_none()), "the token is for the hub");
    let record = std::fs::read_to_string(trial.folder.path().join("models/tiny/sakuga-pull.json")).expect("a record");
    assert!(!record.contains("secret") && record.contains(&sha256_hex(&one_file()[FILE])), "{record}");
    assert!(trial.said("cannot load this"), "it is no model");
    trial.models().remove("tiny").expect("deleted");

    // Without a checksum the entity tag says whether the rest is of the same file.
    trial.sha256 = None;
    trial.hub.behaviour().cuts.push_back(100_000);
    trial.pull().await.expect("pulled");
    assert_eq!(trial.content(), one_file()[FILE]);
}

#[tokio::test]
async fn a_repository_that_is_no_model_is_refused_before_the_download() {
    let trial = Trial::new(one_file());
    let two = [one_file(), one_file()].into_iter().flatten().chain([("b.safetensors".to_owned(), vec![1])]).collect();
    trial.hub.behaviour().files = two;
    let error = trial.error().await;
    assert!(
        error.contains("b.safetensors, tiny.safetensors")
            && error.contains(&format!("/resolve/{}/b.safetensors", "main")),
        "{error}"
    );
    for (index, part) in [
        (r#"{"_class_name": "FluxPipeline"}"#, "`FluxPipeline` is an unknown kind"),
        (r#"{"_class_name": "NewbiePipeline"}"#, "transformer: the part is missing"),
        ("{", "not JSON"),
    ] {
        trial.hub.behaviour().files.insert("model_index.json".to_owned(), index.as_bytes().to_vec());
        let error = trial.error().await;
        assert!(error.contains(part), "{error}");
    }
    assert!(trial.hub.downloads().is_empty());
}
