//! The oracle: right about what was drawn, and not right about what was not.

use rayon::prelude::*;
use sakuga_figures::attributes::{Attribute, ClothColor, Expression, EyeColor, HairColor};
use sakuga_figures::oracle::{self, Degradation, OracleError, Report, Tally};
use sakuga_figures::rng::Rng;
use sakuga_figures::{Constraints, HeldOut, Image, Scene, Size, render, render_sized};

fn scene(index: u64, figures: Option<usize>) -> Scene {
    Scene::random(&mut Rng::for_stream(2024, index), &Constraints { figures, held_out: HeldOut::Either })
}

#[test]
fn its_own_error_rate_is_at_most_half_a_percent() {
    // As drawn and as slightly spoilt in turn: each has its own shifts and sizes.
    let reports: Vec<Report> = (0..40_u64)
        .into_par_iter()
        .map(|index| {
            let scene = scene(index, [None, None, None, Some(4), Some(0)][index as usize % 5]);
            let size = if index % 4 == 0 { Size::TRAINED[index as usize / 4 % 8] } else { Size::SQUARE };
            let degradation = if index % 2 == 0 { Degradation::NONE } else { Degradation::SLIGHT };
            let image = degradation.apply(&render_sized(&scene, size), &mut Rng::new(index));
            oracle::examine(&image, &scene.to_prompt()).expect("a drawn scene")
        })
        .collect();
    let mut tally = Tally::default();
    reports.iter().for_each(|report| tally.add(report));
    let total = tally.total();
    assert!(total.asked > 700, "{total:?}");
    let wrong: Vec<_> = reports.iter().flat_map(Report::readings).filter(|reading| !reading.is_right).collect();
    assert!(1000 * (total.asked - total.right) <= 5 * total.asked, "{wrong:#?}");
}

/// Draws a scene changed by `change` and reads it as if it were what the unchanged one asks for.
fn read_changed(scene: &Scene, change: impl Fn(&mut Scene)) -> Report {
    let mut drawn = scene.clone();
    change(&mut drawn);
    oracle::examine(&render(&drawn), &scene.to_prompt()).expect("a scene")
}

fn read(report: &Report, figure: usize, attribute: Attribute) -> &'static str {
    report.figures[figure].iter().find(|reading| reading.attribute == attribute).map_or("", |reading| reading.read)
}

#[test]
fn what_was_drawn_instead_is_read() {
    let mut asked = scene(5, Some(1));
    asked.figures[0].expression = Expression::Smile;
    asked.figures[0].hair_color = HairColor::Blue;
    asked.figures[0].eye_color = EyeColor::Red;
    asked.figures[0].cloth_color = ClothColor::Red;
    let report = read_changed(&asked, |drawn| {
        drawn.figures[0].hair_color = HairColor::Green;
        drawn.figures[0].eye_color = EyeColor::Blue;
        drawn.figures[0].cloth_color = ClothColor::Yellow;
        drawn.figures[0].expression = Expression::Angry;
    });
    assert_eq!(read(&report, 0, Attribute::HairColor), "green_hair");
    assert_eq!(read(&report, 0, Attribute::EyeColor), "blue_eyes");
    assert_eq!(read(&report, 0, Attribute::ClothColor), "yellow");
    assert_eq!(read(&report, 0, Attribute::Expression), "angry");
    assert_eq!(report.figures[0].iter().filter(|reading| !reading.is_right).count(), 4, "{:#?}", report.figures[0]);
}

#[test]
fn attributes_that_changed_places_are_swaps() {
    let mut asked = scene(9, Some(2));
    (asked.figures[0].hair_color, asked.figures[1].hair_color) = (HairColor::Blue, HairColor::Pink);
    (asked.figures[0].cloth_color, asked.figures[1].cloth_color) = (ClothColor::Red, ClothColor::White);
    let report = read_changed(&asked, |drawn| {
        (drawn.figures[0].hair_color, drawn.figures[1].hair_color) = (HairColor::Pink, HairColor::Blue);
    });
    let swapped: Vec<(usize, Attribute)> = (0..2)
        .flat_map(|figure| {
            let swaps = report.figures[figure].iter().filter(|reading| reading.belongs_to.is_some());
            swaps.map(move |reading| (figure, reading.attribute))
        })
        .collect();
    assert_eq!(swapped, [(0, Attribute::HairColor), (1, Attribute::HairColor)]);
}

#[test]
fn a_picture_of_something_else_is_mostly_wrong() {
    let mut tally = Tally::default();
    for index in 0..6 {
        let asked = scene(index, Some(2));
        let image = render(&scene(index + 100, Some(2)));
        tally.add(&oracle::examine(&image, &asked.to_prompt()).expect("a scene"));
    }
    let count = tally.figures();
    assert!(2 * count.right < count.asked, "{count:?}");
}

#[test]
fn other_sizes_are_refused() {
    let error = oracle::examine(&Image::blank(128, 256), &scene(0, None).to_prompt()).unwrap_err();
    assert_eq!(error, OracleError::Size { width_px: 128, height_px: 256 });
    assert!(error.to_string().contains("128x256"), "{error}");
}
