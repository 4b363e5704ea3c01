//! `sakuga show`.

use sakuga_client::picture;
use sakuga_client::proto::digest::sha256_hex;
use sakuga_client::proto::generation::v1::generate_request::{Negative, Prompt};
use sakuga_client::proto::generation::v1::{
    Box as MaskBox, GenerateRequest, ImageMetadata, ImageSource, InitImage, Mask, Sampling, SecondPass, Solver,
    image_source,
};
use sakuga_client::proto::json;

use crate::GOOD;
use crate::support::run;

fn png(record: Option<&str>) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 2, 2);
    encoder.set_color(png::ColorType::Rgb);
    if let Some(record) = record {
        encoder.add_itxt_chunk(picture::KEYWORD.to_owned(), record.to_owned()).unwrap();
    }
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&[9; 12]).unwrap();
    writer.finish().unwrap();
    file
}

fn record() -> ImageMetadata {
    ImageMetadata {
        version: 1,
        software: "sakuga-server 0.1.0".to_owned(),
        request: Some(GenerateRequest {
            prompt: Some(Prompt::Xml(GOOD.to_owned())),
            negative: Some(Negative::NegativeText("<caption>blurry</caption>".to_owned())),
            sampling: Some(Sampling {
                solver: Solver::Dpm.into(),
                steps: 12,
                guidance_scale: Some(5.5),
                guidance_until: Some(0.25),
                shift: Some(6.0),
                ..Sampling::default()
            }),
            images: 2,
            negative_system_prompt: Some("You are bad. ".to_owned()),
            seed: Some(42),
            ..GenerateRequest::default()
        }),
        image_index: 1,
        seed: 42,
        device: "cpu".to_owned(),
        model: "newbie@abc".to_owned(),
        model_text: "\u{1b}[2J".to_owned(),
        ..ImageMetadata::default()
    }
}

#[test]
fn images_and_the_second_pass_are_shown_with_what_is_needed_again() {
    let directory = tempfile::tempdir().unwrap();
    let asset = image_source::Source::Asset("ab".repeat(32));
    let mut record = record();
    let request = record.request.as_mut().unwrap();
    request.init = Some(InitImage {
        image: Some(ImageSource { source: Some(asset) }),
        strength: Some(0.6),
        ..InitImage::default()
    });
    let area = MaskBox { left: 1, top: 2, width: 3, height: 4 };
    request.mask = Some(Mask { boxes: vec![area], feather: 5, ..Mask::default() });
    request.second_pass =
        Some(SecondPass { factor: Some(1.5), strength: Some(0.5), steps: 9, ..SecondPass::default() });
    std::fs::write(directory.path().join("a.png"), png(Some(&json::to_string(&record).unwrap()))).unwrap();
    run(directory.path(), &["show", "a.png"], b"")
        .expect(0)
        .says(&format!("an image, SHA-256 {}, strength 0.6", "ab".repeat(32)))
        .says("1,2,3,4, feather 5")
        .says("1.5 times as large by lanczos, strength 0.5 of 9 steps")
        .says("--from 'a.png' --out again.png --init FILE");
}

#[test]
fn the_request_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    let file = png(Some(&json::to_string(&record()).unwrap()));
    std::fs::write(directory.path().join("a.png"), &file).unwrap();
    let run = run(directory.path(), &["show", "a.png"], b"");
    run.expect(0)
        .says("a.png  2x2")
        .says("newbie@abc")
        .says("cpu")
        .says("42, picture 2 of 2")
        .says("dpm, 12 steps, guidance 5.5 while t < 0.25, shift 6")
        .says("<appearance>long_hair, blue_eyes</appearance>")
        .says("<caption>blurry</caption>")
        .says("System prompt of the negative prompt\nYou are bad.")
        .says(&sha256_hex(&file))
        .says(&sha256_hex(&[9; 12]))
        .says("sakuga generate --from 'a.png'");
    assert!(!run.stdout.contains('\u{1b}'));
}

#[test]
fn json_holds_the_record() {
    let directory = tempfile::tempdir().unwrap();
    let file = png(Some(&json::to_string(&record()).unwrap()));
    let object = run(directory.path(), &["show", "-", "--json"], &file).expect(0).json();
    assert_eq!(object["sha256"], sha256_hex(&file));
    assert_eq!(object["metadata"]["request"]["xml"], GOOD);
    assert_eq!(object["metadata"]["request"]["sampling"]["solver"], "SOLVER_DPM");
    let again: ImageMetadata = json::from_str(&object["metadata"].to_string(), json::UnknownFields::Refuse).unwrap();
    assert_eq!(again, record());
}

#[test]
fn a_seed_of_0_is_in_the_json() {
    let directory = tempfile::tempdir().unwrap();
    let request = GenerateRequest { seed: Some(0), ..record().request.unwrap() };
    let metadata = ImageMetadata { seed: 0, request: Some(request), ..record() };
    let file = png(Some(&json::to_string(&metadata).unwrap()));
    let object = run(directory.path(), &["show", "-", "--json"], &file).expect(0).json();
    assert_eq!((&object["metadata"]["seed"], &object["metadata"]["request"]["seed"]), (&"0".into(), &"0".into()));
    let again: ImageMetadata = json::from_str(&object["metadata"].to_string(), json::UnknownFields::Refuse).unwrap();
    assert_eq!(again, metadata);
}

#[test]
fn files_without_a_record_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let show = |file: &[u8]| run(directory.path(), &["show", "-"], file);
    show(&png(None)).expect(2).says("holds no record of a request");
    show(b"hello").expect(2).says("not a PNG");
    show(&png(Some("{"))).expect(2).says("cannot be read");
    show(&png(Some(r#"{"version":7}"#))).expect(2).says("version 7");
    let mut broken = png(Some(r#"{"version":1,"request":{}}"#));
    broken.truncate(broken.len() - 20);
    show(&broken).expect(2).says("damaged");
    run(directory.path(), &["show", "no.png"], b"").expect(2).says("cannot read no.png");
}
