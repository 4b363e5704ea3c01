//! Texts of a scene as people write them: what training reads, so that a prompt need not be complete, canonical or tidy.
//!
//! Half of the texts are XML, the other half plain tags and captions in equal parts, so that the comparison between the
//! forms is fair. In all of them some attributes are left out, some tags have other names, and words are added
//! that say nothing about the figures; in XML and in plain tags the order varies as well. Half of the texts also have words
//! that the figures do not know (`unknown`).

mod unknown;

use sakuga_schema::{Prompt, TagList};

use crate::attributes::{Attribute, AttributeSet};
use crate::prompt::plain_tags;
use crate::rng::Rng;
use crate::scene::Scene;

/// Other names of tags, as galleries and other tools have them.
const SYNONYMS: &[(&str, &[&str])] = &[
    ("left", &["center_left", "left_side"]),
    ("right", &["center_right", "right_side"]),
    ("center", &["middle"]),
    ("grey_hair", &["silver_hair", "gray_hair"]),
    ("blonde_hair", &["yellow_hair", "blond_hair"]),
    ("aqua_hair", &["cyan_hair", "light_blue_hair"]),
    ("grey_eyes", &["gray_eyes"]),
    ("yellow_eyes", &["golden_eyes"]),
    ("purple_eyes", &["violet_eyes"]),
    ("tan", &["tanned_skin", "tan_skin"]),
    ("bob_cut", &["short_hair, bob_cut"]),
    ("twintails", &["long_hair, twintails", "twin_tails"]),
    ("ponytail", &["long_hair, ponytail"]),
    ("twin_braids", &["long_hair, twin_braids"]),
    ("serafuku", &["school_uniform, serafuku", "sailor_uniform"]),
    ("blazer", &["school_uniform, blazer"]),
    ("maid", &["maid_outfit"]),
    ("kimono", &["japanese_clothes"]),
    ("open_mouth", &["happy, open_mouth", "laughing"]),
    ("one_eye_closed", &["wink"]),
    ("crying", &["tears"]),
    ("v", &["peace_sign"]),
    ("holding_flower", &["holding, flower"]),
    ("holding_book", &["holding, book"]),
    ("hands_on_own_hips", &["hands_on_hips"]),
    ("waving", &["waving_hand"]),
    ("hair_bow", &["red_bow, hair_bow"]),
    ("rabbit_ears", &["bunny_ears"]),
    ("mini_crown", &["crown"]),
    ("star_hair_ornament", &["hairclip"]),
    ("cloud", &["blue_sky, cloud"]),
    ("cherry_blossoms", &["cherry_blossom", "petals, cherry_blossoms"]),
    ("city", &["street, city"]),
    ("beach", &["ocean, beach"]),
    ("snow", &["winter, snow"]),
    ("night", &["night_sky", "starry_night"]),
    ("sunset", &["evening"]),
    ("day", &["daylight"]),
    ("chibi", &["chibi, cute"]),
    ("anime_coloring", &["anime_style"]),
];

/// Words that say nothing about a figure, by the element of `<general_tags>` they stand in.
pub(crate) const ASIDES: &[(&str, &[&str])] = &[
    ("artists", &["artist:someone", "artist:unknown"]),
    ("style", &["anime_style", "official_art", "illustration", "digital_art"]),
    ("perspective", &["straight-on", "from_front", "looking_at_viewer"]),
    ("atmosphere", &["cozy", "peaceful", "cheerful", "dreamy", "lively", "calm", "romantic"]),
    ("lighting", &["soft_lighting", "warm_lighting", "natural_lighting", "cinematic_lighting"]),
    ("quality", &["masterpiece", "best_quality", "very_aesthetic", "absurdres", "highres", "high_quality"]),
    ("resolution", &["max_high_resolution", "high_resolution"]),
    ("other", &["cute", "height_difference", "looking_at_viewer", "detailed", "no_text"]),
];

/// The other names of a tag that are tags themselves.
pub(crate) fn other_names(tag: &str) -> impl Iterator<Item = &'static str> {
    let names = SYNONYMS.iter().filter(move |(name, _)| *name == tag).flat_map(|(_, others)| others.iter());
    names.flat_map(|others| others.split(", "))
}

const NAMES: &[&str] = &["original_character", "original", "unnamed", "hero", "heroine", "friend"];

impl Scene {
    /// One text of this scene, drawn by `rng` from all that training reads.
    #[must_use]
    pub fn to_training_text(&self, rng: &mut Rng) -> String {
        let unknown = if rng.chance(0.5) { 1 + rng.below(3) } else { 0 };
        match rng.below(4) {
            0 => self.loose_tags(unknown, rng),
            1 => self.loose_caption(unknown, rng),
            _ => self.loose_xml(unknown, rng),
        }
    }

    /// The scene as models read it that know lists of tags alone: complete, in the order and spelling of the service.
    #[must_use]
    pub fn to_flat_tags(&self) -> String {
        self.to_prompt().to_tags()
    }

    /// One such list of this scene, drawn by `rng`: some attributes are left out, some tags have other names, and one in four
    /// has words that no figure knows.
    #[must_use]
    pub fn to_training_tags(&self, rng: &mut Rng) -> String {
        let unknown = usize::from(rng.chance(0.25));
        self.loose_prompt(unknown, rng).to_tags()
    }

    /// A complete text in one form with words among it that no figure knows: what the evaluation of such words asks for.
    #[must_use]
    pub fn with_unknown_words(&self, form: Form, rng: &mut Rng) -> String {
        let mut prompt = self.to_prompt();
        match form {
            Form::Caption => surrounded(self.to_caption_with(rng), 2, rng),
            Form::Tags => {
                add_unknown(&mut prompt, 2, rng);
                plain_tags(&prompt)
            }
            Form::Xml => {
                add_unknown(&mut prompt, 2, rng);
                prompt.characters.iter_mut().for_each(|character| character.n = unknown::name(rng));
                prompt.caption = Some(unknown::sentence(rng));
                prompt.to_model_text()
            }
        }
    }

    fn loose_caption(&self, unknown: usize, rng: &mut Rng) -> String {
        let caption = self.to_caption_with(rng);
        surrounded(caption, unknown, rng)
    }

    fn loose_xml(&self, unknown: usize, rng: &mut Rng) -> String {
        let mut prompt = self.loose_prompt(unknown, rng);
        for (index, character) in prompt.characters.iter_mut().enumerate() {
            character.n = match rng.below(4) {
                0 => format!("$character_{}$", index + 1),
                1 if unknown > 0 => unknown::name(rng),
                1 => (*rng.pick(NAMES).unwrap_or(&"")).to_owned(),
                _ => String::new(),
            };
        }
        if rng.chance(0.08) {
            prompt.caption = Some(self.loose_caption(unknown, rng));
        } else if unknown > 0 && rng.chance(0.4) {
            prompt.caption = Some((0..unknown).map(|_| unknown::sentence(rng)).collect::<Vec<_>>().join(" "));
        }
        let text = prompt.to_model_text();
        let text = if rng.chance(0.35) { shuffle_children(&text, rng) } else { text };
        spaced(text, rng)
    }

    fn loose_tags(&self, unknown: usize, rng: &mut Rng) -> String {
        let text = plain_tags(&self.loose_prompt(unknown, rng));
        let text = if unknown > 0 && rng.chance(0.2) { surrounded(text, 1, rng) } else { text };
        spaced(text, rng)
    }

    fn loose_prompt(&self, unknown: usize, rng: &mut Rng) -> Prompt {
        let mut mentioned = AttributeSet::ALL;
        if rng.chance(0.3) {
            let kept = if rng.chance(0.15) { 0.25 } else { 0.75 };
            let optional = Attribute::OF_FIGURE.iter().chain(Attribute::OF_SCENE).filter(|&&a| a != Attribute::Gender);
            mentioned = optional
                .filter(|_| rng.chance(kept))
                .fold(AttributeSet::NONE.with(Attribute::Gender), |set, &a| set.with(a));
        }
        let mut prompt = self.to_prompt_mentioning(mentioned);
        let is_renamed = rng.chance(0.4);
        for character in &mut prompt.characters {
            for name in character.tag_lists().map(|(name, _)| name) {
                let Some(list) = character.tag_list_mut(name) else { continue };
                // Four figures have positions whose names are the other names of fewer figures' positions.
                if is_renamed && !(name == "position" && self.figures.len() > 3) {
                    *list = renamed(list, rng);
                }
            }
        }
        if let Some(general) = &mut prompt.general_tags {
            for name in general.tag_lists().map(|(name, _)| name) {
                let Some(list) = general.tag_list_mut(name) else { continue };
                if is_renamed {
                    *list = renamed(list, rng);
                }
                if name == "lighting" && rng.chance(0.1) {
                    *list = TagList::default();
                }
            }
            if rng.chance(0.4) {
                for (name, words) in ASIDES {
                    let Some(list) = general.tag_list_mut(name) else { continue };
                    words.iter().filter(|_| rng.chance(0.25)).for_each(|&word| list.push(word));
                }
            }
            let is_girls = general.count.iter().any(|tag| tag.ends_with("girls"));
            if self.figures.len() > 1 && rng.chance(0.4) {
                general.count.push(if is_girls { "multiple_girls" } else { "group" });
            }
        }
        add_unknown(&mut prompt, unknown, rng);
        prompt
    }
}

/// In which form a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The XML of the prompt language.
    Xml,
    /// Tags in one line.
    Tags,
    /// Sentences.
    Caption,
}

/// Adds unknown tags to elements of a prompt, up to about six times `amount`.
fn add_unknown(prompt: &mut Prompt, amount: usize, rng: &mut Rng) {
    if amount == 0 {
        return;
    }
    let share = 0.12 * amount as f32;
    for character in &mut prompt.characters {
        for name in ["appearance", "clothing", "expression", "action", "interaction"] {
            let Some(list) = character.tag_list_mut(name) else { continue };
            insert_unknown(list, share, rng);
        }
    }
    if let Some(general) = &mut prompt.general_tags {
        for name in [
            "artists",
            "style",
            "background",
            "environment",
            "perspective",
            "atmosphere",
            "quality",
            "objects",
            "other",
        ] {
            let Some(list) = general.tag_list_mut(name) else { continue };
            insert_unknown(list, share, rng);
        }
    }
}

fn insert_unknown(list: &mut TagList, share: f32, rng: &mut Rng) {
    let mut tags: Vec<String> = list.iter().cloned().collect();
    for _ in 0..3 {
        if rng.chance(share) {
            let at = rng.below(tags.len() + 1);
            tags.insert(at, unknown::tag(rng));
        }
    }
    *list = TagList::new(tags);
}

/// Sentences before or behind a text.
fn surrounded(text: String, amount: usize, rng: &mut Rng) -> String {
    let mut parts = vec![text];
    for _ in 0..amount {
        let at = if rng.chance(0.5) { 0 } else { parts.len() };
        parts.insert(at, unknown::sentence(rng));
    }
    parts.join(" ")
}

/// The list with some tags under other names, and sometimes in another order.
fn renamed(list: &TagList, rng: &mut Rng) -> TagList {
    let mut tags: Vec<String> = list
        .iter()
        .flat_map(|tag| {
            let others = SYNONYMS.iter().find(|(name, _)| name == tag).map_or(&[][..], |(_, others)| *others);
            let tag = if rng.chance(0.4) { rng.pick(others).copied().unwrap_or(tag) } else { tag };
            tag.split(", ").map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    if rng.chance(0.3) {
        rng.shuffle(&mut tags);
    }
    TagList::new(tags)
}

/// The children of every block in another order. The text has one element a line, as the schema writes it.
#[must_use]
pub fn shuffle_children(text: &str, rng: &mut Rng) -> String {
    let blocks = text.split("\n\n").map(|block| {
        let mut lines: Vec<&str> = block.lines().collect();
        if let [_, inner @ .., _] = lines.as_mut_slice() {
            rng.shuffle(inner);
        }
        lines.join("\n")
    });
    blocks.collect::<Vec<_>>().join("\n\n")
}

/// Sometimes with spaces where Danbooru writes underscores; the names of elements keep theirs.
fn spaced(text: String, rng: &mut Rng) -> String {
    if !rng.chance(0.2) {
        return text;
    }
    let characters: Vec<char> = text.chars().collect();
    let is_word =
        |index: Option<usize>| index.and_then(|index| characters.get(index)).is_some_and(|c| c.is_alphanumeric());
    let mut is_markup = false;
    let spaced = characters.iter().enumerate().map(|(index, &character)| {
        match character {
            // `>_<` is a face.
            '<' => is_markup = is_word(Some(index + 1)) || characters.get(index + 1) == Some(&'/'),
            '>' => is_markup = false,
            _ => {}
        }
        let stands_between_words = is_word(index.checked_sub(1)) && is_word(Some(index + 1));
        if character == '_' && !is_markup && stands_between_words { ' ' } else { character }
    });
    spaced.collect()
}
