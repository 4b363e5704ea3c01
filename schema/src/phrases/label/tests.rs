//! Labels of negatives and of other parts, in many forms and languages.

use super::*;

#[test]
fn labels_are_read_in_many_forms() {
    for (line, label, content) in [
        ("Negative prompt: lowres", Label::Negative, "lowres"),
        ("**Negative prompt:** lowres", Label::Negative, "lowres"),
        ("**Negative Prompt**: lowres", Label::Negative, "lowres"),
        ("### Negative", Label::Negative, ""),
        ("[Negative]", Label::Negative, ""),
        ("Negative prompt", Label::Negative, ""),
        ("负面提示词", Label::Negative, ""),
        ("“Negative”: lowres", Label::Negative, "lowres"),
        ("parameters: 1girl", Label::Prompt, "1girl"),
        ("[Negative] lowres", Label::Negative, "lowres"),
        ("Negative - lowres", Label::Negative, "lowres"),
        ("negative prompt – lowres", Label::Negative, "lowres"),
        ("不要：模糊", Label::Negative, "模糊"),
        ("/imagine prompt: a fox", Label::Prompt, "a fox"),
        ("NEGATIVE: lowres", Label::Negative, "lowres"),
        ("负面提示词：模糊", Label::Negative, "模糊"),
        ("【反向提示词】", Label::Negative, ""),
        ("ネガティブプロンプト：低画質", Label::Negative, "低画質"),
        ("Prompt négatif : flou", Label::Negative, "flou"),
        ("Positive prompt: 1girl", Label::Prompt, "1girl"),
        ("2. Negative: lowres", Label::Negative, "lowres"),
        ("🚫 Negative: lowres", Label::Negative, "lowres"),
        ("Negativt prompt: lowres", Label::Negative, "lowres"),
        ("Promptul negativ: lowres", Label::Negative, "lowres"),
        ("Негативный prompt: lowres", Label::Negative, "lowres"),
        ("ネガティブ・プロンプト：低画質", Label::Negative, "低画質"),
        ("マイナスプロンプト：低画質", Label::Negative, "低画質"),
        ("負向提示詞：模糊", Label::Negative, "模糊"),
        ("negative-prompt: lowres", Label::Negative, "lowres"),
        ("Negative prompt → lowres", Label::Negative, "lowres"),
        ("Negative prompt﹕lowres", Label::Negative, "lowres"),
        ("提示词：1girl", Label::Prompt, "1girl"),
    ] {
        let found = heading(line).map(|(label, end)| (label, &line[end..]));
        assert_eq!(found, Some((label, content)), "{line}");
    }
    for line in [
        "negative_space, 1girl",
        "negative space",
        "negative-space - night",
        "1girl, solo",
        "prompt",
        "",
        "neglected garden: night",
        "negative space: a white wall",
        "2. A negative of a photo: old",
        "マイナスイオン：森",
        "negation: none",
    ] {
        assert_eq!(heading(line), None, "{line}");
    }
}

#[test]
fn the_long_label_is_found_within_a_line() {
    let line = "1girl, solo. Negative prompt: lowres";
    assert_eq!(inline_negative(line).map(|label| &line[label.end..]), Some("lowres"));
    let line = "1girl, solo; Negative: lowres";
    assert_eq!(inline_negative(line).map(|label| &line[label.end..]), Some("lowres"));
    for line in ["a negative prompt without colon", "a photo negative: old"] {
        assert_eq!(inline_negative(line), None, "{line}");
    }
}

#[test]
fn other_labels_are_noticed() {
    for (text, label) in [("Lighting: soft", "Lighting"), ("- **Mood**: calm", "Mood"), ("光：柔らかい", "光")] {
        assert_eq!(any_label(text), Some(label), "{text}");
    }
    for text in
        ["re:zero", "artist:name, rain", ":3", ">:(", "16:9", "rain, night", "", "A girl walks in the rain: home"]
    {
        assert_eq!(any_label(text), None, "{text}");
    }
}

#[test]
fn names_of_negatives_are_known() {
    for name in
        ["negative_prompt", "negative", "NegativePrompt", "neg", "negative-tags", "prompt_negative", "负面提示词"]
    {
        assert!(is_negative_name(name), "{name}");
    }
    for name in ["n", "negotiation", "style", "danbooru_tags", "general_tags"] {
        assert!(!is_negative_name(name), "{name}");
    }
}
