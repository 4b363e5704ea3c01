//! `sakuga generate` with alternatives, batches and matrices, run as a user runs it.

use std::path::Path;
use std::time::Duration;

use sakuga_client::expand::{Draw, Wildcards};
use sakuga_client::proto::digest::sha256_hex;
use sakuga_client::proto::generation::v1::generate_request::{Negative, Prompt};
use sakuga_client::proto::generation::v1::{Expansion, GenerateRequest, ImageMetadata, PreviewMethod};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::command::{PROMPT, generate, names, picture_with};
use crate::fake::{Fake, job};

const TEMPLATE: &str = "<character_1>\n<n></n>\n<gender>1girl</gender>\n<appearance>{long|short}_hair, __eyes__</appearance>\n</character_1>\n";

fn write(directory: &Path, name: &str, text: &str) {
    let path = directory.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn text(request: &GenerateRequest) -> &str {
    let Some(Prompt::Xml(text)) = &request.prompt else { panic!("{request:?}") };
    text
}

/// A picture that can be decoded.
fn picture() -> Vec<u8> {
    picture_with(&ImageMetadata { version: 1, seed: 42, ..ImageMetadata::default() })
}

#[tokio::test]
async fn alternatives_are_chosen_and_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    write(path, "template.xml", TEMPLATE);
    write(path, "bad.txt", "{lowres|blurry}");
    write(path, "words/eyes.txt", "# eyes\nred_eyes\nblue_eyes\n");
    let fake = Fake::playing(job(1, &[b"png"])).await;
    let arguments =
        ["template.xml", "--negative", "bad.txt", "--expand", "--wildcards", "words", "--seed", "7", "--out", "a.png"];
    let run = generate(&fake, path, &arguments).await;
    run.expect(0).says("note: expanded with seed 7: ");
    let request = fake.requests().remove(0).0;
    let mut wildcards = Wildcards::in_folder(&path.join("words")).unwrap();
    let mut draw = Draw::new(7, 0);
    let [prompt, negative] = [TEMPLATE, "{lowres|blurry}"].map(|text| {
        let template = wildcards.read(text).unwrap();
        wildcards.expand(&template, &mut draw).unwrap()
    });
    assert_eq!(text(&request), prompt.text);
    assert_eq!(request.negative, Some(Negative::NegativeText(negative.text)));
    let expected = Expansion {
        template: TEMPLATE.to_owned(),
        negative_template: "{lowres|blurry}".to_owned(),
        seed: 7,
        variation: 0,
        choices: [prompt.choices, negative.choices].concat(),
    };
    assert_eq!(request.expansion, Some(expected.clone()));
    assert_eq!(expected.choices.len(), 3);

    // The picture is drawn again without the template, and knows where its prompt came from.
    let record = ImageMetadata { version: 1, request: Some(request.clone()), ..ImageMetadata::default() };
    std::fs::write(path.join("a.png"), picture_with(&record)).unwrap();
    generate(&fake, path, &["--from", "a.png", "--out", "b.png"]).await.expect(0);
    assert_eq!(fake.requests().remove(1).0, request);
    // Another prompt has another origin.
    generate(&fake, path, &["prompt.xml", "--from", "a.png", "--out", "b.png"]).await.expect(0);
    assert_eq!(fake.requests().remove(2).0.expansion, None);

    // Without the option everything is sent as it is, and the finding names it.
    let run = generate(&fake, path, &["template.xml", "--out", "c.png"]).await;
    run.expect(0).says("sakuga generate --expand");
    assert_eq!(text(&fake.requests().remove(3).0), TEMPLATE);
    let run = generate(&fake, path, &["template.xml", "--expand", "--out", "c.png"]).await;
    run.expect(1).says("no folder of wildcards").says("--wildcards FOLDER");
    let run = generate(&fake, path, &["template.xml", "--expand", "--wildcards", "nowhere", "--out", "c.png"]).await;
    run.expect(2).says("nowhere");
    let run = generate(&fake, path, &["template.xml", "--wildcards", "words", "--out", "c.png"]).await;
    run.expect(2).says("--expand");
}

#[tokio::test]
async fn several_prompts_are_drawn_into_a_folder_and_continued() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    write(path, "template.txt", "1girl, {a|b|c|d|e|f|g|h}_hair");
    let fake = Fake::playing(job(1, &[b"png"])).await;
    let arguments = ["template.txt", "--expand=3", "--jobs", "1", "--out", "many"];
    let run = generate(&fake, path, &arguments).await;
    run.expect(0).says("many: 3 jobs drawn").says("[3/3] many/0002.png  16x32").says("note: seed ");
    assert_eq!(names(&path.join("many")), ["0000.png", "0001.png", "0002.png", "sakuga-jobs.jsonl"]);
    let sent = fake.requests();
    let variations: Vec<u32> = sent.iter().map(|(request, _)| request.expansion.as_ref().unwrap().variation).collect();
    assert_eq!(variations, [0, 1, 2]);
    assert!(sent.iter().all(|(request, _)| request.preview.unwrap().method() == PreviewMethod::None));

    // The seed of the first time is kept, so nothing changes.
    generate(&fake, path, &arguments).await.expect(0).says("many: 0 jobs drawn, 3 already there");
    std::fs::write(path.join("many/0001.png"), "damaged").unwrap();
    generate(&fake, path, &arguments).await.expect(0).says("many: 1 job drawn, 2 already there");
    let again = fake.requests();
    assert_eq!((again.len(), &again[3].0), (4, &sent[1].0));
    assert_eq!(std::fs::read(path.join("many/0001.png")).unwrap(), b"png");
    // Other settings are other pictures.
    let other = ["template.txt", "--expand=3", "--steps", "9", "--out", "many", "--json", "--quiet"];
    let summary = generate(&fake, path, &other).await.expect(0).json();
    assert_eq!((&summary["status"], &summary["drawn"], &summary["kept"]), (&"completed".into(), &3.into(), &0.into()));
    assert_eq!(summary["jobs"][2]["files"][0]["sha256"], sha256_hex(b"png"));

    write(path, "file", "");
    let run = generate(&fake, path, &["template.txt", "--expand=2", "--out", "file"]).await;
    run.expect(6).says("not a folder");
    let run = generate(&fake, path, &["template.txt", "--expand=2", "--out", "x", "--events", "e.jsonl"]).await;
    run.expect(2).says("--events is for one job");
}

#[tokio::test]
async fn a_batch_draws_what_it_can_and_waits_for_a_busy_server() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let rows = "name,prompt,negative,seed,steps\nfox,\"a fox, snow\",lowres,1,5\nbad,<character_1>,,,\ncat,1girl,,,x\ndog,1girl,,2,\n";
    write(path, "rows.csv", rows);
    let mut busy = ErrorDetails::with_error_info("QUEUE_FULL", "sakuga.dev", []);
    busy.set_retry_info(Some(Duration::from_millis(60)));
    let busy = Status::with_error_details(Code::ResourceExhausted, "as many jobs wait as may", busy);
    let fake = Fake::busy_at_first(vec![busy.clone(), busy], job(1, &[b"png"])).await;
    let run = generate(&fake, path, &["--batch", "rows.csv", "--out", "out", "--steps", "3"]).await;
    run.expect(1)
        .says("out: 2 jobs drawn, 2 failed")
        .says("bad failed: the prompt is not valid")
        .says("cat failed: steps: `x` is not a whole number")
        .says("the same command draws what is missing");
    assert_eq!(names(&path.join("out")), ["dog.png", "fox.png", "sakuga-jobs.jsonl"]);
    let mut sent: Vec<GenerateRequest> = fake.requests().into_iter().map(|(request, _)| request).collect();
    assert_eq!(sent.len(), 4, "two were refused at first");
    sent.sort_by_key(|request| request.seed);
    sent.dedup();
    let steps = |request: &GenerateRequest| request.sampling.as_ref().unwrap().steps;
    assert_eq!(sent.len(), 2);
    assert_eq!((text(&sent[0]), sent[0].seed, steps(&sent[0])), ("a fox, snow", Some(1), 5));
    assert_eq!((text(&sent[1]), sent[1].seed, steps(&sent[1])), ("1girl", Some(2), 3));
    assert_eq!(sent[0].negative, Some(Negative::NegativeText("lowres".to_owned())));
    assert_eq!(sent[1].negative, None);

    let run = generate(&fake, path, &["--batch", "rows.csv", "--out", "other", "--fail-fast"]).await;
    run.expect(1).says("other: 0 jobs drawn");
    assert_eq!(fake.requests().len(), 4, "nothing was sent");

    write(path, "prompts/b.txt", "1girl, solo");
    write(path, "prompts/a.xml", PROMPT);
    write(path, "prompts/notes.md", "no");
    generate(&fake, path, &["--batch", "prompts", "--out", "folder", "--images", "1"]).await.expect(0);
    assert_eq!(names(&path.join("folder")), ["a.png", "b.png", "sakuga-jobs.jsonl"]);
    let run = generate(&fake, path, &["--batch", "nowhere.csv", "--out", "folder"]).await;
    run.expect(2).says("nowhere.csv");
}

/// Rows are often alike: a finding is printed with the first row that has it, and the others are counted.
#[tokio::test]
async fn findings_of_a_batch_are_printed_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    write(
        path,
        "rows.csv",
        "prompt\n\"1girl, <lora:style:1>\"\n\"1girl, <lora:style:1>\"\n\"1girl\nNegative prompt: lowres\"\n",
    );
    let fake = Fake::playing(job(1, &[b"png"])).await;
    let run = generate(&fake, path, &["--batch", "rows.csv", "--out", "out"]).await;
    let run = run.expect(0).says("rows.csv, row 1").says("rows.csv, row 3").says("1 further finding");
    assert_eq!(run.stderr.matches("warning[foreign-syntax]").count(), 1, "{run:#?}");
    let run = generate(&fake, path, &["--batch", "rows.csv", "--out", "quiet", "--quiet"]).await;
    assert!(!run.expect(0).stderr.contains("lora:style"), "{run:#?}");
}

#[tokio::test]
async fn a_server_that_refuses_everything_fails_each_row_and_a_missing_one_stops() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    write(path, "rows.csv", "prompt\n1girl\n1boy\n");
    let fake = Fake::start(Some(Status::invalid_argument("no such size")), vec![]).await;
    let run = generate(&fake, path, &["--batch", "rows.csv", "--out", "out", "--json"]).await;
    let summary = run.expect(3).json();
    assert_eq!((&summary["failed"], &summary["jobs"][1]["status"]), (&2.into(), &"failed".into()));
    assert_eq!(fake.requests().len(), 2);
}

#[tokio::test]
async fn a_matrix_draws_every_combination_and_a_sheet() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    write(path, "fox.txt", "1girl, red_hair");
    let file = picture();
    let fake = Fake::playing(job(1, &[&file])).await;
    let arguments =
        ["fox.txt", "--matrix", "steps=5,9", "--matrix", "text:red=blue,green", "--jobs", "1", "--out", "grid"];
    let run = generate(&fake, path, &arguments).await;
    run.expect(0).says("grid: 4 jobs drawn").says("contact sheet: grid/sheet.png");
    assert_eq!(
        names(&path.join("grid")),
        [
            "000_steps-5_blue.png",
            "001_steps-9_blue.png",
            "002_steps-5_green.png",
            "003_steps-9_green.png",
            "sakuga-jobs.jsonl",
            "sheet.png"
        ]
    );
    let sheet = image::load_from_memory(&std::fs::read(path.join("grid/sheet.png")).unwrap()).unwrap();
    assert!(sheet.width() > 100 && sheet.height() > 50, "{}x{}", sheet.width(), sheet.height());
    let sent: Vec<GenerateRequest> = fake.requests().into_iter().map(|(request, _)| request).collect();
    let what: Vec<(u32, &str)> =
        sent.iter().map(|request| (request.sampling.as_ref().unwrap().steps, text(request))).collect();
    let expected =
        [(5, "1girl, blue_hair"), (9, "1girl, blue_hair"), (5, "1girl, green_hair"), (9, "1girl, green_hair")];
    assert_eq!(what, expected);
    assert!(sent[0].seed.is_some() && sent.iter().all(|request| request.seed == sent[0].seed), "one noise for all");
    generate(&fake, path, &arguments).await.expect(0).says("grid: 0 jobs drawn, 4 already there");

    for (matrix, part) in [
        ("steps=1,x", "steps: `x`"),
        ("mood=1", "there is no setting `mood`"),
        ("text:purple=blue", "`purple` does not occur in the prompt"),
    ] {
        let run = generate(&fake, path, &["fox.txt", "--matrix", matrix, "--out", "wrong"]).await;
        run.expect(2).says(part);
    }
    assert_eq!(fake.requests().len(), 4);
}
