//! Pictures of scenes: the same everywhere, and each attribute to be seen in them.

use sakuga_figures::attributes::{
    Accessory, Action, Backdrop, Bangs, ClothColor, Expression, EyeColor, Framing, HairColor, HairStyle, Outfit, Plain,
    Position, Skin, Style,
};
use sakuga_figures::rng::Rng;
use sakuga_figures::{Constraints, Figure, HeldOut, Image, Scene, Size, render, render_at, render_batch, render_sized};
use sakuga_schema::Gender;

fn random_scene(index: u64) -> Scene {
    Scene::random(&mut Rng::for_stream(7, index), &Constraints::default())
}

/// FNV-1a, 64 bits.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

fn plain_scene(figure: Figure) -> Scene {
    Scene {
        figures: vec![figure],
        backdrop: Backdrop::Plain(Plain::Green),
        style: Style::Anime,
        framing: Framing::FullBody,
        seed: 0,
    }
}

/// How many pixels differ clearly.
fn difference(a: &Image, b: &Image) -> usize {
    let pairs = a.rgb.chunks_exact(3).zip(b.rgb.chunks_exact(3));
    pairs.filter(|(a, b)| a.iter().zip(*b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0) > 24).count()
}

#[test]
fn the_same_scene_is_the_same_picture() {
    for index in 0..4 {
        let scene = random_scene(index);
        let picture = render(&scene);
        assert_eq!((picture.width_px, picture.height_px, picture.rgb.len()), (256, 256, 3 * 256 * 256));
        assert_eq!(hash(&picture.rgb), hash(&render(&scene).rgb));
        let other = Scene { seed: scene.seed ^ 1, ..scene };
        assert_ne!(hash(&picture.rgb), hash(&render(&other).rgb));
    }
}

#[test]
fn scenes_follow_from_their_seed() {
    assert_eq!(random_scene(3), random_scene(3));
    assert_ne!(random_scene(3), random_scene(4));
    let described: Vec<String> = (0..3).map(|index| random_scene(index).to_plain_tags()).collect();
    assert_eq!(described, DESCRIBED);
}

/// Written down once: a change here changes every data set.
const DESCRIBED: [&str; 3] = [
    "1girl, 1boy, chibi, anime_coloring, classroom, indoors, full_body, night, 1girl, blue_hair, wavy_hair, \
     blunt_bangs, grey_eyes, pale_skin, orange_robe, expressionless, holding_book, left, 1boy, white_hair, ponytail, crossed_bangs, \
     brown_eyes, pale_skin, orange_overalls, halo, sad, own_hands_together, right",
    "2girls, chibi, anime_coloring, simple_background, white_background, full_body, 1girl, red_hair, hair_bun, \
     hair_between_eyes, purple_eyes, pale_skin, maid, red_dress, hair_flower, expressionless, waving, right, 1girl, \
     black_hair, twin_braids, crossed_bangs, green_eyes, dark_skin, t-shirt, green_shirt, mini_crown, one_eye_closed, \
     own_hands_together, left",
    "1girl, solo, chibi, anime_coloring, forest, outdoors, full_body, day, 1girl, white_hair, twin_braids, \
     hair_between_eyes, yellow_eyes, pale_skin, maid, red_dress, hair_bow, blush, hands_on_own_hips, center",
];

#[test]
fn a_batch_is_the_pictures_one_by_one() {
    let scenes: Vec<Scene> = (0..5).map(random_scene).collect();
    let batch = render_batch(&scenes, Size::SQUARE);
    assert_eq!(batch.len(), 5);
    for (scene, picture) in scenes.iter().zip(&batch) {
        assert!(render(scene) == *picture);
    }
}

#[test]
fn every_size_of_training_is_filled() {
    for size in Size::TRAINED {
        for index in 0..3 {
            let scene = Scene::random_for(&mut Rng::for_stream(8, index), size, HeldOut::Never);
            let picture = render_sized(&scene, size);
            assert_eq!((picture.width_px, picture.height_px), (size.width_px, size.height_px));
            assert!(scene.figures.len() <= size.max_figures());
            // No transparent corner is left: the backdrop covers the picture.
            let corner = &picture.rgb[picture.rgb.len() - 3..];
            assert_ne!(corner, [0, 0, 0], "{size}: {scene:?}");
        }
    }
}

#[test]
fn other_sizes_show_the_same() {
    let scene = random_scene(1);
    let (small, large) = (render_at(&scene, 256), render_at(&scene, 512));
    let halved = Image {
        width_px: 256,
        height_px: 256,
        rgb: (0..256 * 256 * 3)
            .map(|index| {
                let (channel, x, y) = (index % 3, index / 3 % 256, index / 768);
                let at = |dx: usize, dy: usize| u32::from(large.rgb[3 * ((2 * y + dy) * 512 + 2 * x + dx) + channel]);
                ((at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1)) / 4) as u8
            })
            .collect(),
    };
    assert!(difference(&small, &halved) < 256 * 256 / 50, "{}", difference(&small, &halved));
}

/// Draws a figure with each value of one attribute and compares each pair.
fn assert_distinct<T: Copy + std::fmt::Debug>(values: &[T], min_pixels: usize, set: impl Fn(&mut Figure, T)) {
    let pictures: Vec<Image> = values
        .iter()
        .map(|&value| {
            let mut figure = Figure::plain(Position::Center);
            set(&mut figure, value);
            render(&plain_scene(figure))
        })
        .collect();
    for (index, picture) in pictures.iter().enumerate() {
        for (other, other_picture) in pictures.iter().enumerate().skip(index + 1) {
            let pixels = difference(picture, other_picture);
            assert!(pixels >= min_pixels, "{:?} and {:?} differ in {pixels} pixels", values[index], values[other]);
        }
    }
}

#[test]
fn each_value_of_each_attribute_looks_different() {
    assert_distinct(&[Gender::Girl, Gender::Boy], 80, |figure, value| figure.gender = value);
    assert_distinct(HairColor::ALL, 3000, |figure, value| figure.hair_color = value);
    assert_distinct(HairStyle::ALL, 700, |figure, value| figure.hair_style = value);
    assert_distinct(Bangs::ALL, 300, |figure, value| figure.bangs = value);
    assert_distinct(EyeColor::ALL, 200, |figure, value| figure.eye_color = value);
    assert_distinct(Skin::ALL, 1500, |figure, value| figure.skin = value);
    assert_distinct(Expression::ALL, 60, |figure, value| figure.expression = value);
    assert_distinct(Outfit::ALL, 700, |figure, value| figure.outfit = value);
    assert_distinct(ClothColor::ALL, 600, |figure, value| figure.cloth_color = value);
    assert_distinct(Action::ALL, 300, |figure, value| figure.action = value);
    let accessories: Vec<Option<Accessory>> =
        std::iter::once(None).chain(Accessory::ALL.iter().copied().map(Some)).collect();
    assert_distinct(&accessories, 250, |figure, value| figure.accessory = value);
}

#[test]
fn each_backdrop_style_and_framing_looks_different() {
    let scene = plain_scene(Figure::plain(Position::Center));
    let backdrops = Backdrop::all().into_iter().map(|backdrop| Scene { backdrop, ..scene.clone() });
    let styles = Style::ALL.iter().map(|&style| Scene { style, ..scene.clone() });
    let framings = Framing::ALL.iter().map(|&framing| Scene { framing, ..scene.clone() });
    for (scenes, min_pixels) in
        [(backdrops.collect::<Vec<_>>(), 4000), (styles.collect::<Vec<_>>(), 900), (framings.collect::<Vec<_>>(), 8000)]
    {
        let pictures = render_batch(&scenes, Size::SQUARE);
        for (index, picture) in pictures.iter().enumerate() {
            for (other, other_picture) in pictures.iter().enumerate().skip(index + 1) {
                let pixels = difference(picture, other_picture);
                assert!(
                    pixels >= min_pixels,
                    "{:?} and {:?}: {pixels}",
                    scenes[index].backdrop,
                    scenes[other].backdrop
                );
            }
        }
    }
}
