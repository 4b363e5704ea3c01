//! Prompts of scenes: each tag in its element, valid under the strict reading of the schema, and read back the same.

use std::collections::HashMap;

use sakuga_figures::attributes::{
    Accessory, Action, Attribute, AttributeSet, Backdrop, Bangs, ClothColor, Expression, EyeColor, Framing, HairColor,
    HairStyle, Outfit, Place, Plain, Position, Skin, Style, TimeOfDay,
};
use sakuga_figures::prompt::{FromPromptError, plain_tags};
use sakuga_figures::rng::Rng;
use sakuga_figures::{Constraints, Figure, HeldOut, Scene};
use sakuga_schema::{CheckOptions, Gender, Prompt, Severity, Strictness, check};

fn scenes(count: u64, held_out: HeldOut) -> impl Iterator<Item = Scene> {
    (0..count).map(move |index| {
        let figures = [Some(4), Some(0), None, None, None][index as usize % 5];
        Scene::random(&mut Rng::for_stream(42, index), &Constraints { figures, held_out })
    })
}

/// Element of every tag in prompts of random scenes.
fn elements_of_tags() -> HashMap<String, &'static str> {
    let mut elements = HashMap::new();
    for scene in scenes(3000, HeldOut::Either) {
        let prompt = scene.to_prompt();
        let general = prompt.general_tags.iter().flat_map(|general| general.tag_lists());
        for (element, tags) in prompt.characters.iter().flat_map(|character| character.tag_lists()).chain(general) {
            for tag in tags {
                let before = elements.insert(tag.clone(), element);
                assert!(before.is_none_or(|before| before == element), "`{tag}` stands in {before:?} and in {element}");
            }
        }
    }
    elements
}

#[test]
fn every_tag_of_every_attribute_appears_in_its_element() {
    let found = elements_of_tags();
    let mut expected: Vec<(String, &str)> = Vec::new();
    let mut expect = |element: &'static str, tags: Vec<&'static str>| {
        expected.extend(tags.into_iter().map(|tag| (tag.to_owned(), element)));
    };
    expect("appearance", HairColor::ALL.iter().map(|value| value.tag()).collect());
    expect("appearance", HairStyle::ALL.iter().map(|value| value.tag()).collect());
    expect("appearance", Bangs::ALL.iter().map(|value| value.tag()).collect());
    expect("appearance", EyeColor::ALL.iter().map(|value| value.tag()).collect());
    expect("appearance", Skin::ALL.iter().map(|value| value.tag()).collect());
    expect("appearance", vec!["cat_ears", "rabbit_ears", "fox_ears", "horns"]);
    expect(
        "clothing",
        Accessory::ALL.iter().filter(|accessory| !accessory.is_grown()).map(|value| value.tag()).collect(),
    );
    expect("expression", Expression::ALL.iter().map(|value| value.tag()).collect());
    expect("action", Action::ALL.iter().map(|value| value.tag()).collect());
    expect("position", Position::ALL.iter().map(|value| value.tag()).collect());
    expect("style", Style::ALL.iter().map(|value| value.tag()).collect());
    expect("perspective", Framing::ALL.iter().map(|value| value.tag()).collect());
    expect("background", Plain::ALL.iter().map(|value| value.tag()).collect());
    expect("background", Place::ALL.iter().map(|value| value.tag()).collect());
    expect("lighting", TimeOfDay::ALL.iter().map(|value| value.tag()).collect());
    for &outfit in Outfit::ALL {
        for &color in ClothColor::ALL {
            expected.push((format!("{}_{}", color.tag(), outfit.garment()), "clothing"));
        }
    }
    for (tag, element) in expected {
        assert_eq!(found.get(&tag), Some(&element), "`{tag}`");
    }
}

#[test]
fn variety_is_what_was_promised() {
    assert!(HairColor::ALL.len() >= 12 && HairStyle::ALL.len() >= 8 && EyeColor::ALL.len() >= 8);
    assert!(Expression::ALL.len() >= 8 && Outfit::ALL.len() >= 8 && ClothColor::ALL.len() >= 8);
    assert!(Accessory::ALL.len() >= 8 && Action::ALL.len() >= 4 && Backdrop::all().len() >= 8);
}

#[test]
fn prompts_pass_the_strict_check_without_a_warning() {
    let options = CheckOptions { strictness: Strictness::Strict, ..CheckOptions::default() };
    for scene in scenes(300, HeldOut::Either) {
        let prompt = scene.to_prompt();
        let xml = prompt.to_xml();
        let checked = check(&xml, &options);
        let bad: Vec<_> = checked.diagnostics.iter().filter(|finding| finding.severity != Severity::Advice).collect();
        assert!(bad.is_empty(), "{bad:?} in\n{xml}");
        assert_eq!(checked.prompt.as_ref(), Some(&prompt), "{xml}");
        assert!(checked.is_valid());
    }
}

#[test]
fn a_scene_is_read_back_from_its_prompt() {
    for scene in scenes(500, HeldOut::Either) {
        let mut expected = scene.clone();
        expected.seed = 0;
        for figure in expected.figures.iter_mut().filter(|figure| figure.expression.hides_eyes()) {
            figure.eye_color = Figure::plain(Position::Center).eye_color;
        }
        assert_eq!(Scene::from_prompt(&scene.to_prompt()), Ok(expected));
    }
}

#[test]
fn what_cannot_be_drawn_is_refused() {
    let pair = scenes(50, HeldOut::Never).find(|scene| scene.figures.len() == 2);
    let prompt = pair.expect("a scene of two").to_prompt();
    assert_eq!(Scene::from_prompt(&Prompt::default()), Err(FromPromptError::Characters(0)));
    let mut unknown = prompt.clone();
    unknown.characters[0].appearance.push("fox_tail");
    let error = Scene::from_prompt(&unknown).unwrap_err().to_string();
    assert!(error.contains("`fox_tail`") && error.contains("<appearance>"), "{error}");
    let mut misplaced = prompt.clone();
    misplaced.characters[0].clothing.push("blue_eyes");
    assert!(matches!(Scene::from_prompt(&misplaced), Err(FromPromptError::UnknownTag { element: "clothing", .. })));
    let mut other = prompt.clone();
    other.characters[0].gender = Some(Gender::Other);
    assert_eq!(Scene::from_prompt(&other), Err(FromPromptError::Gender(1)));
    let mut twice = prompt;
    twice.characters[1] = twice.characters[0].clone();
    assert!(matches!(Scene::from_prompt(&twice), Err(FromPromptError::Positions(_))));
}

#[test]
fn a_partial_prompt_says_only_what_is_mentioned() {
    let mentioned: AttributeSet = [Attribute::HairColor, Attribute::Backdrop].into_iter().collect();
    for scene in scenes(50, HeldOut::Never) {
        let prompt = scene.to_prompt_mentioning(mentioned);
        for (figure, character) in scene.figures.iter().zip(&prompt.characters) {
            assert_eq!(character.appearance.to_string(), figure.hair_color.tag());
            assert!(character.clothing.is_empty() && character.expression.is_empty() && character.action.is_empty());
        }
        let general = prompt.general_tags.expect("general tags");
        assert!(!general.background.is_empty() && general.style.is_empty() && general.perspective.is_empty());
        assert!(!general.count.is_empty());
    }
}

#[test]
fn plain_tags_and_captions_say_the_same() {
    for scene in scenes(200, HeldOut::Either) {
        let tags = scene.to_plain_tags();
        assert_eq!(tags, plain_tags(&scene.to_prompt()));
        let caption = scene.to_caption();
        for figure in &scene.figures {
            assert!(tags.contains(figure.hair_color.tag()), "{tags}");
            let color = figure.hair_color.tag().trim_end_matches("_hair");
            assert!(caption.contains(color), "{color}: {caption}");
            assert!(caption.contains(figure.cloth_color.tag()), "{caption}");
            if !figure.expression.hides_eyes() {
                assert!(caption.contains(&figure.eye_color.tag().replace('_', " ")), "{caption}");
            }
        }
        assert!(!caption.contains('_') && caption.ends_with('.'), "{caption}");
    }
}
