//! The loose texts that training reads: never false, in the promised shares, and XML whenever they look like it.

use sakuga_figures::attributes::{ClothColor, EyeColor, HairColor, Position};
use sakuga_figures::rng::Rng;
use sakuga_figures::training::shuffle_children;
use sakuga_figures::{Constraints, Figure, HeldOut, Scene};
use sakuga_schema::{Character, CheckOptions, Prompt, check};

fn texts(count: u64) -> impl Iterator<Item = (Scene, String)> {
    let constraints = Constraints { figures: None, held_out: HeldOut::Never };
    (0..count).map(move |index| {
        let mut rng = Rng::for_stream(7, index);
        let scene = Scene::random(&mut rng, &constraints);
        let text = scene.to_training_text(&mut rng);
        (scene, text)
    })
}

fn is_xml(text: &str) -> bool {
    text.starts_with("<character_1>")
}

fn read(text: &str) -> Prompt {
    let checked = check(text, &CheckOptions::default());
    assert!(checked.is_valid(), "{:?} in\n{text}", checked.diagnostics);
    checked.prompt.expect("a valid text has a prompt")
}

#[test]
fn half_of_the_texts_are_xml_and_a_quarter_each_tags_and_captions() {
    let count = 4000;
    let (mut xml, mut captions) = (0, 0);
    for (_, text) in texts(count) {
        xml += u32::from(is_xml(&text));
        captions +=
            u32::from(!is_xml(&text) && ["An anime ", "A flat color anime"].iter().any(|start| text.contains(start)));
    }
    let share = |number: u32| f64::from(number) / count as f64;
    // Four standard deviations.
    assert!((share(xml) - 0.5).abs() < 0.032, "{xml} of {count}");
    assert!((share(captions) - 0.25).abs() < 0.028, "{captions} of {count}");
}

#[test]
fn no_text_says_anything_false() {
    for (scene, text) in texts(1500).filter(|(_, text)| is_xml(text)) {
        let prompt = read(&text);
        assert_eq!(prompt.characters.len(), scene.figures.len(), "{text}");
        for (figure, character) in scene.figures.iter().zip(&prompt.characters) {
            assert_eq!(character.gender, Some(figure.gender), "{text}");
            agrees(figure, character, &text);
        }
    }
}

/// Colours and places are those of the figure wherever a text mentions them.
fn agrees(figure: &Figure, character: &Character, text: &str) {
    let tags = |list: &sakuga_schema::TagList| list.iter().map(|tag| tag.replace(' ', "_")).collect::<Vec<_>>();
    for tag in tags(&character.appearance) {
        assert!(HairColor::from_tag(&tag).is_none_or(|color| color == figure.hair_color), "{tag} in\n{text}");
        assert!(EyeColor::from_tag(&tag).is_none_or(|color| color == figure.eye_color), "{tag} in\n{text}");
    }
    for tag in tags(&character.clothing) {
        let colored = tag.split_once('_').filter(|(_, garment)| *garment == figure.outfit.garment());
        let color = colored.and_then(|(color, _)| ClothColor::from_tag(color));
        assert!(color.is_none_or(|color| color == figure.cloth_color), "{tag} in\n{text}");
    }
    let wrong: &[&str] = match figure.position {
        Position::Left => &["right", "middle", "center"],
        Position::Center => &["left", "right"],
        Position::CenterLeft | Position::CenterRight => &["middle"],
        Position::Right => &["left", "middle", "center"],
    };
    for tag in tags(&character.position) {
        assert!(!wrong.contains(&tag.trim_start_matches("center_").trim_end_matches("_side")), "{tag} in\n{text}");
    }
}

#[test]
fn held_out_scenes_can_be_recognised_in_the_texts() {
    // The texts above come from scenes without held-out combinations; this is what those scenes would look like.
    let constraints = Constraints { figures: Some(1), held_out: HeldOut::Always };
    let scene = Scene::random(&mut Rng::new(3), &constraints);
    assert!(scene.is_held_out());
    assert!(texts(1500).all(|(scene, _)| !scene.is_held_out()));
}

#[test]
fn shuffled_children_say_the_same_in_another_order() {
    let mut changed = 0;
    for (index, (scene, _)) in (0..).zip(texts(200)) {
        let text = scene.to_prompt().to_model_text();
        let shuffled = shuffle_children(&text, &mut Rng::for_stream(9, index));
        assert_eq!(read(&shuffled), read(&text), "{shuffled}");
        changed += u32::from(shuffled != text);
    }
    assert!(changed > 190, "{changed}");
}

#[test]
fn texts_vary_in_what_they_mention_and_how() {
    let scene = Scene::random(&mut Rng::new(5), &Constraints { figures: Some(2), held_out: HeldOut::Never });
    let mut rng = Rng::new(6);
    let texts: Vec<String> = (0..300).map(|_| scene.to_training_text(&mut rng)).collect();
    let distinct: std::collections::HashSet<&String> = texts.iter().collect();
    assert!(distinct.len() > 200, "{}", distinct.len());
    let tag = scene.figures[0].hair_color.tag();
    let mentions = texts.iter().filter(|text| is_xml(text) && text.contains(tag)).count();
    let xml = texts.iter().filter(|text| is_xml(text)).count();
    assert!(mentions < xml && mentions > xml / 2, "{mentions} of {xml}");
}
