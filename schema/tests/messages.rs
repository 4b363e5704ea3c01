//! Every message that the checker says is documented at its rule, and every documented one is said.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sakuga_schema::{
    Character, CheckOptions, Diagnostic, GeneralTags, Limits, Prompt, RuleDoc, Severity, Strictness, TagList,
    check_bytes, check_negative, check_typed, rules,
};
use support::unescaped;

/// What is said of a typed prompt that is read as another one. No such prompt is known.
const SAFEGUARD: &str = "the prompt would not be read back as it is";

/// Whether a message is one of a documented form, in which `…` stands for any text.
fn has_form(message: &str, form: &str) -> bool {
    let mut parts = form.split('…');
    let Some(mut rest) = parts.next().and_then(|first| message.strip_prefix(first)) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(part) = last.replace(part) {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}

/// The texts of all tests of this crate, each with whether it is a negative prompt.
fn texts() -> Vec<(Vec<u8>, bool)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let read = |path: &Path| std::fs::read_to_string(path).expect("it can be read");
    let files = |name: &str| {
        let entries = std::fs::read_dir(folder.join(name)).expect("a folder");
        entries.map(|entry| entry.expect("it can be listed").path()).collect::<Vec<_>>()
    };
    let mut texts = Vec::new();
    for line in read(&folder.join("table.txt")).lines().filter(|line| line.starts_with([':', '~'])) {
        texts.push((unescaped(&line[2..]), line.starts_with('~')));
    }
    for file in files("cases") {
        let written = read(&file);
        let mut lines = written.lines();
        while let Some(line) = lines.next() {
            let info = line.trim_start_matches('`');
            let fence = &line[..line.len() - info.len()];
            if fence.len() >= 3 && !info.is_empty() {
                let body: Vec<&str> = lines.by_ref().take_while(|line| *line != fence).collect();
                if info.starts_with("prompt") || info.starts_with("negative") {
                    texts.push((body.join("\n").into_bytes(), info.starts_with("negative")));
                }
            }
        }
    }
    texts.extend(files("prompts").iter().map(|file| (std::fs::read(file).expect("it can be read"), false)));
    texts
}

/// What the checker says of all texts, leniently or strictly.
fn said(strictness: Strictness) -> Vec<Diagnostic> {
    let tags = BTreeMap::from([("appearance".to_owned(), vec!["blue_hair".to_owned(), "cat_ears".to_owned()])]);
    let mut said = Vec::new();
    let mut add = |text: &[u8], is_negative: bool, limits: Limits, model_tags| {
        let options = CheckOptions { strictness, limits, model_tags, ..CheckOptions::default() };
        match (is_negative, std::str::from_utf8(text)) {
            (true, Ok(text)) => said.extend(check_negative(text, &options).diagnostics),
            _ => {
                let checked = check_bytes(text, &options);
                said.extend(checked.diagnostics);
            }
        }
    };
    for (text, is_negative) in texts() {
        add(&text, is_negative, Limits::DEFAULT, None);
    }
    for rule in rules::all() {
        for text in [rule.bad, rule.good] {
            add(text.as_bytes(), false, rule.limits, Some(&tags));
        }
    }
    // Many tags of which the model knows none.
    let many: String = (0..40).map(|number| format!("tag{number}, ")).collect();
    let many = format!("<character_1><n></n><gender>1girl</gender><appearance>{many}</appearance></character_1>");
    add(many.as_bytes(), false, Limits::DEFAULT, Some(&tags));
    // More characters than the language has.
    let crowd: String = (1..=17)
        .map(|number| format!("<character_{number}><n></n><gender>1girl</gender></character_{number}>"))
        .collect();
    add(crowd.as_bytes(), false, Limits::DEFAULT, None);
    // Typed prompts are always checked strictly.
    let typed = if strictness == Strictness::Strict { typed_prompts() } else { Vec::new() };
    said.extend(typed.iter().flat_map(|prompt| check_typed(prompt, &CheckOptions::default()).diagnostics));
    said
}

/// Prompts of values that no text is read as.
fn typed_prompts() -> Vec<Prompt> {
    let character = |n: &str, tag: &str| Character {
        n: n.to_owned(),
        gender: Some("1girl".parse().expect("a gender")),
        appearance: TagList::new([tag]),
        ..Character::default()
    };
    let of_character = |n: &str, tag: &str| Prompt { characters: vec![character(n, tag)], ..Prompt::default() };
    let caption = |text: &str| Prompt { caption: Some(text.to_owned()), ..Prompt::default() };
    let count = GeneralTags { count: TagList::new(["1girl &lt; 2girls"]), ..GeneralTags::default() };
    vec![
        of_character("rem", ""),
        of_character("rem", "a, b"),
        of_character("rem", "a\nb"),
        of_character("re\nm", "a"),
        of_character("rem", "a\u{1}"),
        caption(" a"),
        caption(" "),
        caption("a\rb"),
        Prompt { general_tags: Some(count), ..Prompt::default() },
        Prompt { general_tags: Some(GeneralTags::default()), ..Prompt::default() },
    ]
}

fn rule_of(found: &Diagnostic) -> &'static RuleDoc {
    rules::all().iter().find(|rule| rule.code == found.code).expect("every code is that of a rule")
}

#[test]
fn every_message_is_documented_and_every_documented_one_is_said() {
    let lenient = said(Strictness::Lenient);
    let undocumented: BTreeSet<String> = lenient
        .iter()
        .filter(|found| {
            let is_of =
                |(severity, form): &(Severity, &str)| *severity == found.severity && has_form(&found.message, form);
            // What is left out of a list has the severity of what was left out.
            let is_sum = found.code == "too-many-findings";
            !rule_of(found)
                .messages
                .iter()
                .any(|message| is_of(message) || is_sum && has_form(&found.message, message.1))
        })
        .map(|found| format!("{} {} {:?}", found.code, found.severity, found.message))
        .collect();
    assert!(undocumented.is_empty(), "not documented:\n{}", undocumented.into_iter().collect::<Vec<_>>().join("\n"));
    let strict = said(Strictness::Strict);
    for found in &strict {
        let rule = rule_of(found);
        let is_known = rule.messages.iter().any(|(_, form)| has_form(&found.message, form));
        let is_raised = rule.strict_severity < Severity::Error || found.severity == Severity::Error;
        assert!(is_known && is_raised, "{found:#?}");
    }
    let mut never = Vec::new();
    for rule in rules::all() {
        for (_, form) in rule.messages {
            let mut said = lenient.iter().chain(&strict).filter(|found| found.code == rule.code);
            if *form != SAFEGUARD && !said.any(|found| has_form(&found.message, form)) {
                never.push(format!("{}: {form}", rule.code));
            }
        }
    }
    assert!(never.is_empty(), "no test makes the checker say:\n{}", never.join("\n"));
}

#[test]
fn forms_are_compared_part_by_part() {
    for (message, form, has) in [
        ("`a` stands here", "`…` stands here", true),
        ("`` stands here", "`…` stands here", true),
        ("`a` stands there", "`…` stands here", false),
        ("a b c", "a … c", true),
        ("a c", "a … c", false),
        ("the same", "the same", true),
        ("the same or not", "the same", false),
        ("`<a>` in `<b>` and `<c>`", "`<…>` in `<…>` and `<…>`", true),
    ] {
        assert_eq!(has_form(message, form), has, "{message} / {form}");
    }
}
