//! Properties of every text: no panic, places inside the text, fixes that apply, and a stable canonical form.

use proptest::prelude::*;
use sakuga_schema::{
    Character, CheckOptions, Envelope, Gender, GeneralTags, NegativePrompt, Prompt, Severity, TagList, apply_fixes,
    check, check_bytes, check_negative, check_typed, rules, settle,
};

#[path = "invariants/mod.rs"]
mod invariants;

use invariants::{BOTH, holds_for, places_are_sound};

/// Pieces of prompts, whole and broken.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "<character_1>",
        "</character_1>",
        "<character_2>",
        "</character_2>",
        "<character 1>",
        "<character_17>",
        "<n>",
        "</n>",
        "<n/>",
        "<name>",
        "</name>",
        "<gender>",
        "</gender>",
        "1girl",
        "1boy",
        "girl",
        "<appearance>",
        "</appearance>",
        "<apperance>",
        "blue_hair",
        "red hair",
        ", ",
        ",",
        "<clothing>",
        "</clothing>",
        "<general_tags>",
        "</general_tags>",
        "<count>",
        "</count>",
        "2girls",
        "solo",
        "<style>",
        "</style>",
        "<other>",
        "</other>",
        "<caption>",
        "</caption>",
        "A girl. ",
        "<img>",
        "</img>",
        "<document>",
        "</document>",
        "<miku>",
        "</miku>",
        "<prompt>",
        "</prompt>",
        "<Prompt Start>",
        "You are an assistant. ",
        "{",
        "}",
        "{\"tags\": \"",
        "\"}",
        "\"",
        "\\n",
        "\\\"",
        "\\u732b",
        "\\u0000",
        "caption: ",
        "<",
        ">",
        "&",
        "&lt;",
        "&#65;",
        "&nbsp;",
        "]]>",
        "<![CDATA[",
        "<!--",
        "-->",
        "<!DOCTYPE p>",
        "<?a b?>",
        "<?xml version=\"1.0\"?>",
        "\n",
        " ",
        "\r\n",
        "猫",
        "(tag:1.2)",
        "\\(a\\)",
        "lnog_hair",
        "<danbooru_tags>",
        "</danbooru_tags>",
        " number=\"1\"",
        " a='b'",
        "/>",
        "\u{FEFF}",
        "\u{8}",
        "\u{200B}",
        "\u{A0}",
        "<think>",
        "</think>",
        "```",
        "```xml\n",
        "\n```\n",
        "\n\n",
        "Here is the prompt:\n",
        "Negative prompt: ",
        "\nNegative: ",
        "\nPositive: ",
        "\nSteps: 20, Sampler: Euler a, Seed: 1",
        " --no ",
        "<negative_prompt>",
        "</negative_prompt>",
        "<negative>",
        "</negative>",
        "<resolution>low_resolution</resolution>",
        "，",
        "；",
        ";",
        "\n- ",
        " | ",
        "&lt;caption&gt;",
        "&lt;/caption&gt;",
        "&amp;lt;",
        "&eacute;",
        "&shy;",
        "&#8203;",
        ">\\n<",
        "{\"characters\": [{\"n\": \"",
        "{\"general_tags\": {\"style\": [\"",
        "\", \"",
        "\"]",
        "}}",
        "}]}",
        "\", \"negative\": \"",
        "\ncharacter_1:\n",
        "\ngender: ",
        "<lora:a:1>",
        "{a|b}",
        "__a__",
        "[a:b:0.5]",
        "**",
        "`",
        " BREAK ",
        "\n--no lowres",
        "\nNegative - lowres",
        "(blue_hair, red_eyes:1.3)",
        "x_(y:1.2)",
        "-1::hat::",
        "<random:a,b>",
        "<br>",
        "<b>",
        "</b>",
        "[hair color]",
        "...",
        " / ",
        "。",
        "<s>",
        "</s>",
        "[INST]",
        "[/INST]",
        "1. ",
        "Ã©",
        "\u{FFFD}",
        "Here is the prompt: ",
        "＜caption＞",
        "\\u003ccaption\\u003e",
        "\"\"",
        "“",
        "”",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// A valid prompt with a few bytes cut out, doubled or replaced.
fn mutated() -> impl Strategy<Value = String> {
    let change = (
        any::<prop::sample::Index>(),
        0..24_usize,
        prop::sample::select(vec!["", "<", ">", "&", "/", "x", "猫", "\""]),
    );
    (prompts(), prop::collection::vec(change, 1..6)).prop_map(|(prompt, changes)| {
        let mut text = prompt.to_xml();
        for (index, length, replacement) in changes {
            if text.is_empty() {
                break;
            }
            let start = text.floor_char_boundary(index.index(text.len()));
            let end = text.ceil_char_boundary((start + length).min(text.len()));
            text.replace_range(start..end, replacement);
        }
        text
    })
}

fn tags() -> impl Strategy<Value = TagList> {
    let tag = prop_oneof![
        "[a-z_ <>&:()0-9]{1,12}",
        "[^,\\x00-\\x1F\u{FFFE}\u{FFFF}]{1,6}",
        Just("blue_hair".to_owned()),
        Just("]]>".to_owned()),
    ];
    // Trimmed, not empty, blanks within single: what a tag is.
    let tag = tag.prop_map(|tag| tag.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "));
    let tag = tag.prop_map(|tag| tag.trim().to_owned()).prop_filter("not empty", |tag| !tag.is_empty());
    let tag = tag.prop_filter("no separator, nothing invisible", |tag| is_quiet(tag));
    prop::collection::vec(tag, 0..4).prop_map(TagList::new)
}

/// Whether a lenient check reads a tag as it is: no separator of another script, no invisible character, no label.
fn is_quiet(tag: &str) -> bool {
    let is_plain = |character: char| match character {
        // The last is a letter of Lisu.
        ';' | '|' | '/' | 'ꓹ' => false,
        // Invisible letters.
        '\u{7F}' | '\u{115F}' | '\u{1160}' | '\u{3164}' | '\u{FFA0}' | '\u{17B4}' | '\u{17B5}' => false,
        other => other.is_ascii() || other.is_alphanumeric(),
    };
    // What can be the mark of a list.
    let is_mark = |first: char| match first {
        '-' | '*' | '+' | '#' | '(' | '①'..='⑳' | '⑴'..='⒇' | '❶'..='❿' | '➀'..='➓' => true,
        other => other.is_ascii_digit(),
    };
    // The shortest label of a negative prompt, as in `UC: lowres`.
    let is_label = tag.to_lowercase().contains("uc");
    tag.chars().all(is_plain) && !tag.starts_with(is_mark) && !is_label
}

fn characters() -> impl Strategy<Value = Character> {
    let gender = prop::sample::select(Gender::ALL.to_vec());
    ("[a-z_$<&]{0,8}", gender, prop::collection::vec(tags(), 7)).prop_map(|(n, gender, lists)| {
        let mut character = Character { n, gender: Some(gender), ..Character::default() };
        let names: Vec<&str> = character.tag_lists().iter().map(|(name, _)| *name).collect();
        for (name, list) in names.into_iter().zip(lists) {
            *character.tag_list_mut(name).expect("it was listed") = list;
        }
        character
    })
}

fn generals() -> impl Strategy<Value = GeneralTags> {
    prop::collection::vec(tags(), 12).prop_map(|lists| {
        let mut general = GeneralTags::default();
        let names: Vec<&str> = general.tag_lists().iter().map(|(name, _)| *name).collect();
        for (name, list) in names.into_iter().zip(lists) {
            *general.tag_list_mut(name).expect("it was listed") = list;
        }
        general
    })
}

fn prompts() -> impl Strategy<Value = Prompt> {
    let caption = prop::option::of("[a-zA-Z<&][a-zA-Z <>&\n\r]{0,20}[a-z.]");
    (prop::collection::vec(characters(), 0..4), prop::option::of(generals()), caption)
        .prop_map(|(characters, general_tags, caption)| Prompt { characters, general_tags, caption })
}

proptest! {
    // Some random tags are not quiet and some prompts empty, and `PROPTEST_CASES` may ask for many more cases.
    #![proptest_config(ProptestConfig {
        cases: 400,
        max_local_rejects: 10_000_000,
        max_global_rejects: 1_000_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn nothing_breaks_on_any_text(text in any::<String>()) {
        holds_for(&text);
    }

    #[test]
    fn nothing_breaks_on_pieces_of_prompts(text in pieces()) {
        holds_for(&text);
    }

    #[test]
    fn what_surrounds_a_prompt_does_not_change_it(prompt in prompts(), kinds in decorations()) {
        prop_assume!(prompt != Prompt::default());
        let mut text = prompt.to_xml();
        let mut has_negative = false;
        // An element around everything is the outermost decoration.
        let mut kinds = kinds;
        kinds.sort_by_key(|kind| *kind == 5);
        for kind in kinds {
            has_negative |= kind == 3;
            text = decorated(&text, kind);
        }
        let checked = check(&text, &CheckOptions::default());
        // Two negative prompts are an error, and so is one inside of something else.
        if checked.is_valid() {
            prop_assert_eq!(checked.prompt.as_ref(), Some(&prompt), "{}", text);
            let negative = checked.negative.map(|negative| negative.to_model_text());
            prop_assert_eq!(negative.as_deref(), has_negative.then_some("lowres, blurry"), "{}", text);
        }
        fixes_keep_the_reading(&text);
    }

    #[test]
    fn a_negative_inside_is_never_drawn(prompt in prompts(), name in negative_names(), at in any::<prop::sample::Index>()) {
        let mut text = prompt.to_xml();
        let places = outside_of_tags(&text);
        let at = places[at.index(places.len())];
        text.insert_str(at, &format!("<{name}>zzqzz</{name}>"));
        let checked = check(&text, &CheckOptions::default());
        if checked.is_valid() {
            let drawn = checked.prompt.map(|prompt| prompt.to_model_text()).unwrap_or_default();
            prop_assert!(!drawn.contains("zzqzz"), "{text}\n{drawn}");
        }
    }

    #[test]
    fn fixes_keep_the_meaning_of_mutated_prompts(text in mutated()) {
        fixes_keep_the_reading(&text);
    }

    #[test]
    fn fixing_pieces_twice_is_fixing_them_once(text in pieces()) {
        fixing_twice_is_fixing_once(&text);
    }

    #[test]
    fn fixing_a_mutated_prompt_twice_is_fixing_it_once(text in mutated()) {
        fixing_twice_is_fixing_once(&text);
    }

    #[test]
    fn nothing_breaks_on_mutated_prompts(text in mutated()) {
        holds_for(&text);
    }

    #[test]
    fn nothing_breaks_on_any_bytes(bytes in any::<Vec<u8>>()) {
        let checked = check_bytes(&bytes, &CheckOptions::default());
        prop_assert_eq!(checked.is_valid(), checked.prompt.is_some() && checked.diagnostics.iter().all(|found| found.severity < Severity::Error));
    }

    #[test]
    fn a_prompt_is_read_back_as_it_was(prompt in prompts()) {
        let xml = prompt.to_xml();
        for strictness in BOTH {
            let checked = check(&xml, &CheckOptions { strictness, ..CheckOptions::default() });
            prop_assert!(checked.is_valid(), "{xml}\n{:#?}", checked.diagnostics);
            prop_assert_eq!(checked.prompt.as_ref(), Some(&prompt), "{}", xml);
        }
        let typed = check_typed(&prompt, &CheckOptions::default());
        prop_assert!(typed.is_valid(), "{xml}\n{:#?}", typed.diagnostics);
        prop_assert_eq!(typed.prompt.as_ref(), Some(&prompt));
    }
}

/// Elements that are a negative prompt.
fn negative_names() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "negative",
        "negative_prompt",
        "neg",
        "Negative-Tags",
        "negetive_prompt",
        "danbooru_tags",
    ])
}

/// The offsets of a canonical text that are not inside a tag: every `<` of a text is escaped there.
fn outside_of_tags(text: &str) -> Vec<usize> {
    let mut is_inside = false;
    let mut places = vec![0];
    for (at, character) in text.char_indices() {
        match character {
            '<' => is_inside = true,
            '>' => is_inside = false,
            _ => {}
        }
        if !is_inside {
            places.push(at + character.len_utf8());
        }
    }
    places
}

/// Some of the decorations, each once.
fn decorations() -> impl Strategy<Value = Vec<usize>> {
    prop::sample::subsequence((0..10).collect::<Vec<usize>>(), 1..4).prop_shuffle()
}

/// A prompt with decorations of other tools.
fn decorated(text: &str, kind: usize) -> String {
    match kind {
        0 => format!("```xml\n{text}\n```"),
        1 => format!("Here is the prompt:\n\n{text}\n\nLet me know if you want to change the prompt."),
        2 => format!("<think>Maybe <character_1>?</think>\n{text}"),
        3 => format!("{text}\nNegative prompt: lowres, blurry"),
        4 => format!("{text}\nSteps: 20, Sampler: Euler a, Seed: 1"),
        5 => format!("<answer>\n{text}\n</answer>"),
        6 => serde_json::json!({ "tags": text }).to_string(),
        7 => text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"),
        8 => text.replace(", ", "，").replace("lowres，", "lowres, ").replace("20，Sampler", "20, Sampler"),
        _ => text.replace('>', ">\u{200B}"),
    }
}

/// Rules whose fixes are left out here: those that change the text of the encoders by removing unintended marks, and
/// those that move elements, which changes the order of tags.
const CHANGING: &[&str] = &[
    "weight-syntax",
    "markdown",
    "foreign-syntax",
    "escaped-twice",
    "full-width",
    "mismatched-tag",
    "not-well-formed",
    "stray-text",
    "wrong-place",
    "duplicate-element",
    "unknown-element",
    "bad-encoding",
];

/// What `sakuga fmt --fix` does: all fixes of errors and warnings that do not touch, until there are none; those of
/// [`CHANGING`] rules stay out, also where another fix reveals their finding.
#[track_caller]
fn fixes_keep_the_reading(text: &str) {
    let options = CheckOptions::default();
    let before = check(text, &options);
    if !before.is_valid()
        || before.negative.is_some()
        || before.diagnostics.iter().any(|found| CHANGING.contains(&found.code))
    {
        return;
    }
    // A decoded entity can bring a label or a system prompt to light.
    if before.envelope == Envelope::Plain && text.contains('&') {
        return;
    }
    let keeping = |text: &str| {
        let found = check(text, &options).diagnostics.into_iter();
        found.filter(|found| !CHANGING.contains(&found.code)).collect()
    };
    let fixed = apply_fixes(text, keeping, |_| {});
    let after = check(&fixed, &options);
    assert!(after.is_valid(), "{text:?}\n{fixed:?}\n{:#?}", after.diagnostics);
    assert_eq!(after.prompt, before.prompt, "{text:?}\n{fixed:?}\n{:#?}", before.diagnostics);
}

/// A rule whose fix changes what the encoders read of its own bad example is in [`CHANGING`].
#[test]
fn rules_whose_fixes_change_the_reading_are_listed() {
    for rule in rules::all() {
        let options = CheckOptions { limits: rule.limits, ..CheckOptions::default() };
        let before = check(rule.bad, &options);
        let own = |text: &str| {
            let found = check(text, &options).diagnostics.into_iter();
            found.filter(|found| found.code == rule.code).collect()
        };
        let after = check(&apply_fixes(rule.bad, own, |_| {}), &options);
        if before.is_valid() && !CHANGING.contains(&rule.code) {
            assert_eq!(after.prompt, before.prompt, "{}", rule.code);
        }
    }
}

/// A sentence before and behind, and nothing but a digit of full width as a tag.
#[test]
fn a_single_wide_digit_is_kept_until_it_is_fixed() {
    let prompt = "<character_1>\n<gender>girl</gender>\n<appearance>０</appearance>\n</character_1>\n";
    let text = decorated(prompt, 1);
    let appearance = |text: &str| {
        let prompt = check(text, &CheckOptions::default()).prompt.expect("it is valid");
        prompt.characters[0].appearance.iter().map(ToString::to_string).collect::<Vec<String>>()
    };
    assert_eq!(appearance(&text), ["０"], "the encoders read what was written");
    fixes_keep_the_reading(&text);
    let fixed = apply_fixes(&text, |text| check(text, &CheckOptions::default()).diagnostics, |_| {});
    assert_eq!(appearance(&fixed), ["0"]);
}

/// What `sakuga fmt --fix` writes is what it would write again.
#[track_caller]
fn fixing_twice_is_fixing_once(text: &str) {
    let Some(once) = formatted(text) else { return };
    let twice = formatted(&once);
    assert_eq!(twice.as_ref(), Some(&once), "{text:?}");
}

/// The canonical form of a text with all fixes applied, if it is valid then.
fn formatted(text: &str) -> Option<String> {
    let options = CheckOptions::default();
    let read = |text: &str| {
        let checked = check(text, &options);
        let canonical = checked.is_valid().then(|| checked.prompt.as_ref().map(Prompt::to_xml)).flatten();
        (checked.diagnostics, canonical)
    };
    let fixed = apply_fixes(text, |text| read(text).0, |_| {});
    read(&fixed).1.map(|canonical| settle(canonical, read))
}

#[test]
fn what_typed_data_can_get_wrong_is_an_error() {
    let character = Character { gender: Some(Gender::Girl), ..Character::default() };
    let with_tag = |tag: &str| {
        let character = Character { clothing: TagList::new([tag]), ..character.clone() };
        Prompt { characters: vec![character], ..Prompt::default() }
    };
    let faults = [
        ("a comma", with_tag("hat, coat"), "invalid-value", "character_1/clothing"),
        ("an empty tag", with_tag(""), "invalid-value", "character_1/clothing"),
        ("blanks", with_tag(" hat"), "invalid-value", "character_1/clothing"),
        ("a line break", with_tag("straw\nhat"), "invalid-value", "character_1/clothing"),
        ("a control character", with_tag("hat\u{1}"), "invalid-value", ""),
        (
            "no gender",
            Prompt { characters: vec![Character::default()], ..Prompt::default() },
            "missing-required",
            "character_1",
        ),
        (
            "no gender, though there is one answer",
            Prompt {
                characters: vec![Character::default()],
                general_tags: Some(GeneralTags { count: TagList::new(["1girl"]), ..GeneralTags::default() }),
                caption: None,
            },
            "missing-required",
            "character_1",
        ),
        (
            "a crowd",
            Prompt { characters: vec![character.clone(); 17], ..Prompt::default() },
            "too-many-characters",
            "character_17",
        ),
        ("a blank caption", Prompt { caption: Some("  ".to_owned()), ..Prompt::default() }, "empty-element", "caption"),
        (
            "a padded caption",
            Prompt { caption: Some(" a".to_owned()), ..Prompt::default() },
            "invalid-value",
            "caption",
        ),
        (
            "a name on two lines",
            Prompt { characters: vec![Character { n: "a\nb".to_owned(), ..character.clone() }], ..Prompt::default() },
            "invalid-value",
            "character_1/n",
        ),
    ];
    for (name, prompt, code, path) in faults {
        let checked = check_typed(&prompt, &CheckOptions::default());
        assert!(!checked.is_valid(), "{name} is accepted");
        let found = checked.diagnostics.iter().find(|found| found.code == code && found.severity == Severity::Error);
        let found = found.unwrap_or_else(|| panic!("{name}: {:#?}", checked.diagnostics));
        assert_eq!(found.path, path, "{name}");
        places_are_sound(&prompt.to_xml(), &checked.diagnostics);
        assert_eq!(checked.prompt, Some(prompt), "{name}");
    }
}

#[test]
fn a_negative_prompt_is_read_back_as_it_was() {
    let negative = NegativePrompt {
        danbooru_tags: TagList::new(["worst_quality", ">_<"]),
        e621_tags: TagList::new(["anthro"]),
        resolution: TagList::new(["low_resolution"]),
        caption: Some("A blurred photograph & a watermark.".to_owned()),
    };
    let checked = check_negative(&negative.to_xml(), &CheckOptions::default());
    assert_eq!(checked.negative, Some(negative));
    assert!(checked.diagnostics.is_empty(), "{:#?}", checked.diagnostics);
}
