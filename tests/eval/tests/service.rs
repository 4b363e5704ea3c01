//! A measurement of a server that draws gradients: everything is wrong, but everything is there.

use std::path::Path;

use sakuga_client::proto::generation::v1::Sampling;
use sakuga_eval::case::{Case, EIGHT};
use sakuga_eval::compare::{Comparison, Part};
use sakuga_eval::error::EvalError;
use sakuga_eval::form::Form;
use sakuga_eval::progress::Progress;
use sakuga_eval::run::{Plan, Summary, run};
use sakuga_eval::score::Scores;
use sakuga_eval::store::{Results, picture_path};
use sakuga_tests::server::TestServer;

fn plan(images_per_case: u64) -> Plan {
    Plan {
        cases: vec![Case::One, Case::TwoCrossed],
        forms: Form::ALL.to_vec(),
        images_per_case,
        seed: 1,
        images_per_request: 2,
        in_flight: 2,
        keep: 1,
        model: String::new(),
        sampling: Sampling { steps: 3, ..Sampling::default() },
        sampling_options: "--steps 3".to_owned(),
    }
}

async fn measure(server: &TestServer, plan: &Plan, folder: &Path) -> Result<Summary, EvalError> {
    run(plan, folder, &server.client().await, |_| Progress::hidden()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_measures_every_picture_once_and_goes_on_where_it_stopped() {
    let server = TestServer::scripted().await;
    let folder = tempfile::tempdir().unwrap();
    // Two pictures and one drawing of each of two cases in three forms.
    let first = measure(&server, &plan(2), folder.path()).await.unwrap();
    assert_eq!(first, Summary { measured: 14, had: 0 });
    let again = measure(&server, &plan(2), folder.path()).await.unwrap();
    assert_eq!(again, Summary { measured: 0, had: 14 });

    // A run that was killed while it wrote: one line is gone, and another is half there.
    let path = folder.path().join("results.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 14);
    std::fs::write(&path, format!("{}\n{}", lines[..12].join("\n"), &lines[12][..40])).unwrap();
    let resumed = measure(&server, &plan(2), folder.path()).await.unwrap();
    assert_eq!(resumed, Summary { measured: 2, had: 12 });

    let results = Results::read(folder.path()).unwrap();
    assert_eq!(results.records.len(), 14);
    assert_eq!(results.info.sessions.len(), 3);
    assert!(results.info.sessions.iter().all(|session| session.ended.is_some()));
    assert_eq!(results.info.settings.fingerprint, "0".repeat(64));
    for record in &results.records {
        assert_eq!(record.sampling.contains("3 steps"), record.key.form != Form::Drawn, "{record:?}");
        assert_eq!(record.seed, record.key.case.noise_seed(1, 0));
        let is_kept = record.key.form != Form::Drawn && record.key.image == 0;
        assert_eq!(picture_path(folder.path(), &record.key).is_file(), is_kept, "{:?}", record.key);
    }

    let scores = Scores::count(&results.records);
    let eight = |form| scores.get(Case::TwoCrossed, form).unwrap().over(EIGHT);
    let (drawn, sent) = (eight(Form::Drawn).right, eight(Form::Xml).right);
    assert_eq!((drawn.trials, sent.trials), (16, 32));
    assert!(drawn.hits >= 15, "{drawn:?}");
    assert!(2 * sent.hits < sent.trials, "a gradient is not a character: {sent:?}");

    let out = tempfile::tempdir().unwrap();
    sakuga_eval::report::write(&results, folder.path(), out.path()).unwrap();
    let page = std::fs::read_to_string(out.path().join("RESULTS.md")).unwrap();
    assert!(page.contains("**missed**") && page.contains("not measured"), "{page}");
    assert!(page.contains("4 of 4 pictures of shuffled XML are"), "{page}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_systems_are_asked_for_the_same_scenes_and_compared() {
    let server = TestServer::scripted().await;
    let folder = tempfile::tempdir().unwrap();
    let plan = |forms: &[Form]| Plan {
        cases: vec![Case::TwoCrossed, Case::ThreeNear],
        forms: forms.to_vec(),
        keep: 1,
        ..plan(4)
    };
    let comparison = Comparison::new(folder.path());
    let forms = Comparison::forms();
    for (part, forms) in [(Part::Newbie, &forms[0]), (Part::Sd, &forms[1])] {
        let summary = measure(&server, &plan(forms), &comparison.folder(part)).await.unwrap();
        // Two cases of four pictures in each form that is sent.
        assert_eq!(summary, Summary { measured: 8 * forms.len() as u64, had: 0 });
    }
    let out = tempfile::tempdir().unwrap();
    sakuga_eval::report::write_comparison(&comparison, out.path()).unwrap();
    let page = std::fs::read_to_string(out.path().join("COMPARED.md")).unwrap();
    for system in ["NewBie, XML", "NewBie, tags", "SD-Anime, tags"] {
        assert!(page.contains(system), "{page}");
    }
    // Two scenes of two tries each, none of which a gradient gets right.
    assert!(page.contains("three characters, near colours") && page.contains("2 of 2"), "{page}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_not_there_is_named() {
    let server = TestServer::scripted().await;
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan { model: "grand".to_owned(), ..plan(1) };
    let error = measure(&server, &plan, folder.path()).await.unwrap_err();
    assert!(error.to_string().starts_with("the server has no model `grand`; it lists: "), "{error}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_refuses_ends_the_run() {
    let server = TestServer::scripted().await;
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan { sampling: Sampling { steps: 100_000, ..Sampling::default() }, ..plan(1) };
    let error = measure(&server, &plan, folder.path()).await.unwrap_err();
    assert!(matches!(error, EvalError::Client(_)) && error.to_string().contains("refused"), "{error}");
    server.stop().await;
}
