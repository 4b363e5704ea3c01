//! The page of a small set of results that was made up: its text as it was written down, its pictures as they must be.

use std::path::Path;

use image::{ImageFormat, Rgb, RgbImage};
use sakuga_eval::case::Case;
use sakuga_eval::form::Form;
use sakuga_eval::record::{Answer, FigureAnswers, Key, Record};
use sakuga_eval::report::{self, SHEET_BYTES_MAX};
use sakuga_eval::store::{Results, Session, Settings, Store, picture_path};
use sakuga_figures::attributes::Attribute;

const IMAGES_PER_CASE: u64 = 4;

/// All eleven attributes, asked for as `a`, or `b`, or `c` by the figure; the listed ones read as said.
fn figure(number: usize, position: &str, wrong: &[(Attribute, &str)]) -> FigureAnswers {
    let asked = ["a", "b", "c"][number];
    let answer = |&attribute: &Attribute| {
        let read = wrong.iter().find(|(wrong, _)| *wrong == attribute).map_or(asked, |(_, read)| read);
        Answer { attribute, asked: asked.to_owned(), read: read.to_owned() }
    };
    FigureAnswers { position: position.to_owned(), answers: Attribute::OF_FIGURE.iter().map(answer).collect() }
}

/// Models are usually worse at plain tags; this one is, too.
fn record(case: Case, form: Form, scene: u64) -> Record {
    let wrong: &[(Attribute, &str)] = match (form, scene) {
        (Form::Xml | Form::Shuffled, 1) => &[(Attribute::Accessory, "nothing")],
        (Form::Tags, 0..=2) => &[(Attribute::HairColor, "b"), (Attribute::Skin, "b")],
        _ => &[],
    };
    let figures = match case.characters() {
        1 => vec![figure(0, "center", wrong)],
        _ => vec![figure(0, "right", wrong), figure(1, "left", &[])],
    };
    let picture = |&attribute: &Attribute| Answer { attribute, asked: "x".to_owned(), read: "x".to_owned() };
    let noise = format!("{scene}{}", if form == Form::Tags { "tags" } else { "xml" });
    let is_drawn = form == Form::Drawn;
    Record {
        key: Key { case, scene, image: 0, form },
        seed: scene,
        sampling: if is_drawn { String::new() } else { "Euler, 20 steps, guidance 5".to_owned() },
        pixels_sha256: if is_drawn { String::new() } else { noise },
        figures,
        picture: Attribute::OF_SCENE.iter().map(picture).collect(),
    }
}

/// Colours that differ from place to place, as those of pictures do.
fn picture(seed: u32) -> RgbImage {
    let mix = |x: u32, y: u32| x.wrapping_mul(7919) ^ y.wrapping_mul(104_729) ^ seed.wrapping_mul(1_299_709);
    RgbImage::from_fn(256, 256, |x, y| {
        let [red, green, blue, _] = (mix(x / 9, y / 7).wrapping_mul(2_654_435_761)).to_be_bytes();
        Rgb([red / 2 + (x / 2) as u8, green / 2, blue / 2 + (y / 2) as u8])
    })
}

/// Results of two cases in a folder; the second stops half-way.
fn measure(folder: &Path, is_finished: bool) {
    let settings = Settings {
        model: "made-up".to_owned(),
        fingerprint: "f00d".to_owned(),
        notice: String::new(),
        seed: 7,
        images_per_request: 1,
        sampling_options: "--steps 20".to_owned(),
    };
    let session = Session {
        began: "2026-01-02T03:04:05Z".to_owned(),
        ended: None,
        device: "cpu".to_owned(),
        precision: "f32".to_owned(),
        server: "made-up 0.1.0".to_owned(),
    };
    let mut store = Store::open(folder, settings, IMAGES_PER_CASE, session).expect("the folder can be written");
    for (case, scenes) in [(Case::One, IMAGES_PER_CASE), (Case::TwoCrossed, if is_finished { 4 } else { 3 })] {
        for scene in 0..scenes {
            for &form in Form::ALL {
                let record = record(case, form, scene);
                if form != Form::Drawn {
                    let mut png = std::io::Cursor::new(Vec::new());
                    picture(scene as u32).write_to(&mut png, ImageFormat::Png).expect("memory takes everything");
                    store.keep_picture(&record.key, png.get_ref()).expect("the folder can be written");
                }
                store.add(record).expect("the folder can be written");
            }
        }
    }
    if is_finished {
        store.finish("2026-01-02T04:05:06Z".to_owned()).expect("the folder can be written");
    }
}

#[test]
fn the_page_is_as_it_was_written_down() {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    measure(folder.path(), true);
    report::write(&Results::read(folder.path()).unwrap(), folder.path(), out.path()).unwrap();
    let page = std::fs::read_to_string(out.path().join(report::PAGE)).unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/RESULTS.md");
    if std::env::var_os("SAKUGA_EVAL_WRITE_GOLDEN").is_some() {
        std::fs::write(&golden, &page).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap();
    let different = page.lines().zip(expected.lines()).find(|(here, there)| here != there);
    assert!(page == expected, "{different:?}\n\nSAKUGA_EVAL_WRITE_GOLDEN=1 writes it again");
    // What the page shows is there.
    let shown = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let shown: Vec<&str> = shown.collect();
    assert_eq!(shown, ["right_and_swapped.svg", "one.png", "two-crossed.png"]);
    for name in shown {
        assert!(out.path().join(name).is_file(), "{name}");
    }
}

#[test]
fn an_unfinished_run_is_called_so() {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    measure(folder.path(), false);
    report::write(&Results::read(folder.path()).unwrap(), folder.path(), out.path()).unwrap();
    let page = std::fs::read_to_string(out.path().join(report::PAGE)).unwrap();
    for text in ["of a part only", "| 3 ⚠ |", "Fewer than the 4 pictures"] {
        assert!(page.contains(text), "{text}\n{page}");
    }
}

#[test]
fn sheets_are_small_and_mark_what_is_wrong() {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    measure(folder.path(), true);
    report::write(&Results::read(folder.path()).unwrap(), folder.path(), out.path()).unwrap();
    let png = std::fs::read(out.path().join("two-crossed.png")).unwrap();
    assert!(png.len() <= SHEET_BYTES_MAX, "{} bytes", png.len());
    let sheet = image::load_from_memory_with_format(&png, ImageFormat::Png).unwrap().into_rgb8();
    // Two rows of four pictures: shuffled XML made the same ones as XML.
    let frame = |row: u32, column: u32| {
        let (across, down) = ((sheet.width() - 5) / 4, (sheet.height() - 5) / 2);
        *sheet.get_pixel(5 + column * across + 1, 5 + row * down + 1)
    };
    let (grey, red) = (Rgb([205, 205, 205]), Rgb([220, 30, 30]));
    let rows = [0, 1].map(|row| [0, 1, 2, 3].map(|column| frame(row, column)));
    assert_eq!(rows, [[grey, red, grey, grey], [red, red, red, grey]]);
    // The swaps of the second row are marked as such.
    assert!(sheet.pixels().any(|&pixel| pixel == Rgb([120, 40, 220])));
}

#[test]
fn without_pictures_there_is_a_page_without_sheets() {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    measure(folder.path(), true);
    for record in Results::read(folder.path()).unwrap().records {
        let _ = std::fs::remove_file(picture_path(folder.path(), &record.key));
    }
    report::write(&Results::read(folder.path()).unwrap(), folder.path(), out.path()).unwrap();
    let page = std::fs::read_to_string(out.path().join(report::PAGE)).unwrap();
    assert!(page.contains("## Goals") && !page.contains("## Pictures"), "{page}");
    assert!(!out.path().join("one.png").exists());
}
