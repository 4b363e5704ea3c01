//! The built-in vocabulary of CLIP against ids of the reference.

use std::path::Path;

use sakuga_model::tokenizer::TextTokenizer;
use serde_json::Value;

use crate::harness::{json, say, sets};

#[test]
fn the_built_in_vocabulary_gives_the_published_ids() {
    let sets = sets();
    if sets.is_empty() {
        say("tokenizer skipped: no fixture set");
    }
    for set in sets {
        check(&set.join("tokenizer/golden.json"));
    }
}

fn check(path: &Path) {
    let golden = json(path);
    let (l, g) = (TextTokenizer::clip_l(), TextTokenizer::clip_g());
    assert_eq!(golden["bos"].as_u64(), Some(u64::from(l.begin_id())));
    assert_eq!(golden["eos"].as_u64(), l.end_id().map(u64::from));
    let cases = golden["cases"].as_array().expect("a list of cases");
    let mut failures = Vec::new();
    for case in cases {
        let text = case["text"].as_str().expect("a text");
        let mut differs = |kind: &str, found: Vec<u32>| {
            let expected: Vec<u32> = list(&case[kind]);
            if found != expected {
                failures.push(format!("{kind} of {text:?} is {expected:?}, not {found:?}"));
            }
        };
        differs("ids", l.encode(text, usize::MAX).ids);
        for (kind, tokenizer) in [("padded_l", &l), ("padded_g", &g)] {
            let width = list(&case[kind]).len();
            let mut ids = tokenizer.encode(text, width).ids;
            ids.resize(width, tokenizer.pad_id());
            differs(kind, ids);
        }
        assert_eq!(case["count_with_specials"].as_u64(), Some(l.count(text) as u64), "{text:?}");
    }
    say(&format!("tokenizer of {}: {} texts, {} differ", path.display(), cases.len(), failures.len()));
    assert!(!cases.is_empty() && failures.is_empty(), "{}", failures.join("\n"));
}

fn list(value: &Value) -> Vec<u32> {
    let ids = value.as_array().expect("a list of ids");
    ids.iter().map(|id| u32::try_from(id.as_u64().expect("an id")).expect("an id")).collect()
}
