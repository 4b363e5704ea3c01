//! Words that no figure shows and that training never adds: tags, names and sentences, in English and Japanese.

use sakuga_figures::rng::Rng;
use sakuga_schema::{Prompt, TagList};

const TAGS: &[&str] = &[
    "monocle",
    "parasol",
    "abacus",
    "sextant",
    "trombone",
    "harmonica",
    "typewriter",
    "telescope",
    "cobblestone",
    "chandelier",
    "greenhouse",
    "submarine",
    "hedgehog",
    "penguin",
    "octopus",
    "dandelion",
    "pumpkin",
    "waffle",
    "ramen",
    "teapot",
    "chessboard",
    "hourglass",
    "snow_globe",
    "kite",
    "surfboard",
    "rollerblades",
    "suspenders",
    "poncho",
    "sarong",
    "epaulettes",
    "ascot",
    "dimples",
    "stitched_face",
    "yawning",
    "juggling",
    "knitting",
    "whistling",
    "cartwheel",
    "cel_shading",
    "stained_glass",
    "linocut",
    "fisheye",
    "tilt_shift",
    "aurora",
    "tornado",
    "volcano",
    "oasis",
    "observatory",
    "arcade",
    "laundromat",
];
const NAMES: &[&str] =
    &["Marguerite", "tsukimi_yae", "Captain Oswald", "quillon_(starfall)", "千代田つむぎ", "Ilse van Houten"];
const SENTENCES: &[&str] = &[
    "Far below the cliffs, whales call to each other.",
    "Someone has left a half-written postcard on the counter.",
    "This reminds the viewer of a Sunday in late October.",
    "Her grandfather once sailed across the Baltic with nothing but a compass.",
    "The composition borrows from posters of the nineteen twenties.",
    "Before dawn, the bakery already smells of cinnamon.",
    "遠くの汽笛が朝の霧に消えていく。",
    "誰も知らない約束を胸に抱いて旅は続く。",
    "図書室の隅で古い地図を見つけた。",
];

/// Adds two tags to each character and three to the picture, names, and one sentence; what was there stays.
pub fn add_unknown_words(prompt: &mut Prompt, rng: &mut Rng) {
    let mut words = TAGS.to_vec();
    rng.shuffle(&mut words);
    let mut words = words.into_iter();
    for character in &mut prompt.characters {
        character.n = one(rng, NAMES).to_owned();
        extend(&mut character.appearance, words.next());
        extend(&mut character.clothing, words.next());
    }
    if let Some(general) = &mut prompt.general_tags {
        extend(&mut general.objects, words.next());
        extend(&mut general.style, words.next());
        extend(&mut general.other, words.next());
    }
    prompt.caption = Some(one(rng, SENTENCES).to_owned());
}

fn one<'a>(rng: &mut Rng, items: &[&'a str]) -> &'a str {
    rng.pick(items).copied().unwrap_or_default()
}

fn extend(tags: &mut TagList, tag: Option<&str>) {
    *tags = TagList::new(tags.iter().map(String::as_str).chain(tag));
}
