//! The prompts: one character and two, each as XML and as text of the same meaning, and texts for the encoders alone.

use sakuga_proto::digest::sha256_hex;

use super::record::TextKind;

/// The seed of the first picture of every case.
pub const SEED: u64 = 20_250_826;

/// A prompt that is measured.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Its name in the record.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// The prompt as XML.
    pub prompt: &'static str,
}

/// Every case, in the order of the report. The PyTorch runner reads the same files.
pub const CASES: [Case; 4] = [
    Case { name: "one-xml", title: "one character, XML", prompt: include_str!("prompts/one.xml") },
    Case { name: "one-text", title: "one character, text", prompt: include_str!("prompts/one.txt") },
    Case { name: "two-xml", title: "two characters, XML", prompt: include_str!("prompts/two.xml") },
    Case { name: "two-text", title: "two characters, text", prompt: include_str!("prompts/two.txt") },
];

/// The case of a quick run.
pub const QUICK: Case = CASES[2];

/// The prompt that the encoders' texts are made from.
const TEXT: &str = QUICK.prompt;
/// The name that a new text changes: the first free word of the prompt.
const FIRST: &str = "$character_1$";
/// The last tag of the prompt.
const LAST: &str = "very_aesthetic";

/// A text for the encoders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// How much of it the encoders compute when the texts are sent in order.
    pub kind: TextKind,
    /// The prompt as the model reads it, without the system prompt.
    pub prompt: String,
    /// The system prompt; `None` for the model's own.
    pub system_prompt: Option<String>,
}

/// `repeats` texts of each kind, in the order to be sent. Their words are hashes of `salt`, so that no earlier run sent
/// them. The encoder reads the system prompt first, so a text is new only after a new system prompt.
pub fn texts(salt: &str, default_system_prompt: &str, repeats: u32) -> Vec<Text> {
    let mut texts = Vec::new();
    for repeat in 0..repeats {
        let word = |place: &str| new_word(salt, place, repeat);
        let system_prompt = new_system_prompt(&word("system"), default_system_prompt);
        let cold = TEXT.replace(FIRST, &word("first"));
        let prefix = cold.replace(LAST, &word("last"));
        let kinds = [(TextKind::Cold, cold), (TextKind::Prefix, prefix.clone()), (TextKind::Cached, prefix)];
        texts.extend(kinds.map(|(kind, prompt)| Text { kind, prompt, system_prompt: Some(system_prompt.clone()) }));
    }
    texts
}

/// `repeats` texts of a case of which the encoders have read no part, nor of each other: as for [`texts`], and a text without a
/// free word gets one in front.
pub fn new_texts(case: &Case, salt: &str, default_system_prompt: &str, repeats: u32) -> Vec<Text> {
    let text = |repeat: u32| {
        let word = |place: &str| new_word(salt, &format!("{} {place}", case.name), repeat);
        let prompt = match case.prompt.contains(FIRST) {
            true => case.prompt.replace(FIRST, &word("first")),
            false => format!("{}. {}", word("first"), case.prompt),
        };
        Text {
            kind: TextKind::Cold,
            prompt,
            system_prompt: Some(new_system_prompt(&word("system"), default_system_prompt)),
        }
    };
    (0..repeats).map(text).collect()
}

/// A word that no earlier text has.
fn new_word(salt: &str, place: &str, repeat: u32) -> String {
    format!("w{}", &sha256_hex(format!("{salt} {place} {repeat}").as_bytes())[..8])
}

/// The encoder reads the system prompt first, so a text is new only after a new one. A model without one keeps none.
fn new_system_prompt(word: &str, default: &str) -> String {
    if default.is_empty() { String::new() } else { format!("{word} {default}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sakuga_schema::{CheckOptions, check};

    #[test]
    fn every_prompt_is_valid_and_says_what_its_twin_says() {
        for case in CASES {
            let outcome = check(case.prompt, &CheckOptions::default());
            assert!(outcome.prompt.is_some(), "{}", case.name);
        }
        for (xml, text) in [(CASES[0], CASES[1]), (CASES[2], CASES[3])] {
            for word in ["chibi", "blue", "blunt", "kimono", "flower", "cherry", "full", "masterpiece"] {
                let has = |prompt: &str| prompt.to_lowercase().contains(word);
                assert!(has(xml.prompt) && has(text.prompt), "{word}");
            }
        }
    }

    #[test]
    fn a_new_text_shares_no_beginning_and_a_prefix_all_but_the_last_tag() {
        let texts = texts("salt", "You are an assistant.", 2);
        assert_eq!(texts.len(), 6);
        let shared = |a: &Text, b: &Text| a.prompt.bytes().zip(b.prompt.bytes()).take_while(|(a, b)| a == b).count();
        let kinds: Vec<_> = texts.iter().map(|text| text.kind).collect();
        assert_eq!(kinds, [TextKind::ALL, TextKind::ALL].concat());
        assert_eq!(texts[1], Text { kind: TextKind::Prefix, ..texts[2].clone() });
        assert_eq!(shared(&texts[0], &texts[1]), texts[0].prompt.find(LAST).unwrap());
        assert!(shared(&texts[0], &texts[3]) < 30);
        assert_ne!(texts[0].system_prompt, texts[3].system_prompt);
        assert_eq!(texts[0].system_prompt, texts[1].system_prompt);
        assert_ne!(super::texts("other", "", 1)[0].prompt, texts[0].prompt);
    }

    #[test]
    fn the_tags_that_other_programs_read_are_those_of_the_prompts() {
        for (case, tags) in [(CASES[0], include_str!("prompts/one.tags")), (CASES[2], include_str!("prompts/two.tags"))]
        {
            let prompt = check(case.prompt, &CheckOptions::default()).prompt.expect("it is valid");
            assert_eq!(prompt.to_tags(), tags.trim_end(), "{}", case.name);
        }
    }

    #[test]
    fn new_texts_of_a_case_share_no_beginning() {
        for case in CASES {
            let texts = new_texts(&case, "salt", "You are an assistant.", 2);
            let shared = texts[0].prompt.bytes().zip(texts[1].prompt.bytes()).take_while(|(a, b)| a == b).count();
            assert!(shared < 30 && texts[0].system_prompt != texts[1].system_prompt, "{texts:?}");
            assert!(check(&texts[0].prompt, &CheckOptions::default()).prompt.is_some(), "{}", case.name);
        }
    }

    #[test]
    fn a_model_without_a_system_prompt_keeps_none() {
        assert_eq!(texts("salt", "", 1)[0].system_prompt.as_deref(), Some(""));
    }
}
