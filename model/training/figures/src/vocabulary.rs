//! The `vocabulary.json` of a checkpoint that was trained on figures: tags by element, sizes, and the number of characters.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::attributes::{
    Accessory, Action, Bangs, ClothColor, Expression, EyeColor, Framing, HairColor, HairStyle, Outfit, Place, Plain,
    Position, Skin, Style, TimeOfDay,
};
use crate::scene::MAX_FIGURES;
use crate::size::Size;
use crate::training;

/// What is beyond the attributes in the texts of all scenes.
const FURTHER: &[(&str, &[&str])] = &[
    ("style", &["chibi", "scenery"]),
    ("background", &["simple_background", "sky"]),
    ("environment", &["indoors", "outdoors"]),
];

/// The file's contents: every tag that [`Scene::to_prompt`](crate::Scene::to_prompt) writes, its other names in training, and
/// the words without meaning that training adds to every second text.
#[must_use]
pub fn vocabulary() -> Value {
    let mut tags: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (element, tag) in attribute_tags() {
        add(&mut tags, element, &tag);
        training::other_names(&tag).for_each(|name| add(&mut tags, element, name));
    }
    for &(element, words) in FURTHER.iter().chain(training::ASIDES) {
        words.iter().for_each(|word| add(&mut tags, element, word));
    }
    let mut sizes: Vec<[u32; 2]> = Size::TRAINED.iter().map(|size| [size.width_px, size.height_px]).collect();
    sizes.sort_unstable();
    sizes.dedup();
    json!({"tags": tags, "sizes_px": sizes, "characters_max": MAX_FIGURES})
}

fn add<'e>(tags: &mut BTreeMap<&'e str, Vec<String>>, element: &'e str, tag: &str) {
    let list = tags.entry(element).or_default();
    if list.iter().all(|known| known != tag) {
        list.push(tag.to_owned());
    }
}

/// Every tag of an attribute with its element, in the order of the attributes.
fn attribute_tags() -> Vec<(&'static str, String)> {
    let mut all: Vec<(&str, String)> = Vec::new();
    let mut extend = |element, tags: &mut dyn Iterator<Item = &'static str>| {
        all.extend(tags.map(|tag| (element, tag.to_owned())));
    };
    extend("appearance", &mut HairColor::ALL.iter().map(|color| color.tag()));
    extend("appearance", &mut HairStyle::ALL.iter().map(|style| style.tag()));
    extend("appearance", &mut Bangs::ALL.iter().map(|bangs| bangs.tag()));
    extend("appearance", &mut EyeColor::ALL.iter().map(|color| color.tag()));
    extend("appearance", &mut Skin::ALL.iter().map(|skin| skin.tag()));
    let (grown, worn): (Vec<Accessory>, Vec<Accessory>) =
        Accessory::ALL.iter().partition(|accessory| accessory.is_grown());
    extend("appearance", &mut grown.iter().map(|accessory| accessory.tag()));
    extend("clothing", &mut worn.iter().map(|accessory| accessory.tag()));
    extend("clothing", &mut Outfit::ALL.iter().map(|outfit| outfit.tag()));
    extend("expression", &mut Expression::ALL.iter().map(|expression| expression.tag()));
    extend("action", &mut Action::ALL.iter().map(|action| action.tag()));
    extend("position", &mut Position::ALL.iter().map(|position| position.tag()));
    extend("style", &mut Style::ALL.iter().map(|style| style.tag()));
    extend("perspective", &mut Framing::ALL.iter().map(|framing| framing.tag()));
    extend("background", &mut Plain::ALL.iter().map(|plain| plain.tag()));
    extend("background", &mut Place::ALL.iter().map(|place| place.tag()));
    extend("lighting", &mut TimeOfDay::ALL.iter().map(|time| time.tag()));
    extend("count", &mut ["solo", "no_humans", "1girl", "1boy"].into_iter());
    for number in 2..=MAX_FIGURES {
        all.extend(["girls", "boys"].map(|kind| ("count", format!("{number}{kind}"))));
    }
    for outfit in Outfit::ALL {
        all.extend(ClothColor::ALL.iter().map(|color| ("clothing", format!("{}_{}", color.tag(), outfit.garment()))));
    }
    all
}

#[cfg(test)]
mod tests {
    use sakuga_schema::{Character, GeneralTags};

    use super::*;
    use crate::rng::Rng;
    use crate::{Constraints, Scene};

    #[test]
    fn every_tag_of_a_prompt_is_in_the_vocabulary() {
        let vocabulary = vocabulary();
        for index in 0..300 {
            let scene = Scene::random(&mut Rng::for_stream(7, index), &Constraints::default());
            let prompt = scene.to_prompt();
            let general = prompt.general_tags.iter().flat_map(GeneralTags::tag_lists);
            let lists = prompt.characters.iter().flat_map(Character::tag_lists).chain(general);
            for (element, tags) in lists {
                for tag in tags {
                    let known = vocabulary["tags"][element].as_array().is_some_and(|list| list.contains(&json!(tag)));
                    assert!(known, "{tag} in {element}");
                }
            }
        }
    }

    #[test]
    fn the_file_of_the_embedded_checkpoint_is_the_vocabulary() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../embedded/vocabulary.json");
        let text = std::fs::read_to_string(file).expect("the embedded checkpoint has a vocabulary");
        let written: Value = serde_json::from_str(&text).expect("JSON");
        assert!(written == vocabulary(), "write it again: sakuga-figures vocabulary > model/embedded/vocabulary.json");
    }
}
