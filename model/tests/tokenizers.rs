//! Token ids against golden files: the synthetic checkpoint's tokenizers always, the published ones where they exist.
//!
//! `SAKUGA_TOKENIZERS` names a directory with `gemma3/tokenizer.json` and `jina_clip/tokenizer.json`; the published
//! golden ids are `tokenizer_golden.json` in it, or in `../shared/tokenizers` next to the repository.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use sakuga_model::families::newbie::synthetic::{self, Preset};
use sakuga_model::tokenizer::TextTokenizer;
use serde_json::Value;

/// More tokens than any golden text has.
const UNLIMITED: usize = 1 << 20;

/// Writes past the test harness' capture, so that a skipped test is seen to be skipped.
fn say(message: &str) {
    let _ = writeln!(std::io::stderr(), "tokenizers: {message}");
}

fn json(path: &Path) -> Value {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Compares a tokenizer with the ids under `key` of every case; returns how many there were.
fn check(tokenizer: &TextTokenizer, golden: &Value, key: &str) -> usize {
    let cases = golden["cases"].as_object().expect("a golden file has cases");
    for (name, case) in cases {
        let text = case["text"].as_str().expect("a case has a text");
        let expected: Vec<u32> = serde_json::from_value(case[key].clone()).expect("a case has ids");
        let encoded = tokenizer.encode(text, UNLIMITED);
        assert_eq!(encoded.ids, expected, "{key}: case `{name}`");
        assert_eq!((encoded.total, encoded.truncated), (expected.len(), false), "{key}: case `{name}`");
        assert_eq!(tokenizer.count(text), expected.len(), "{key}: case `{name}`");
        let half = expected.len().div_ceil(2).max(2);
        let cut = tokenizer.encode(text, half);
        assert_eq!(cut.ids.len(), half.min(expected.len()), "{key}: case `{name}` cut to {half}");
        assert_eq!(cut.truncated, expected.len() > half, "{key}: case `{name}` cut to {half}");
        assert_eq!(cut.ids.first(), expected.first());
    }
    cases.len()
}

#[test]
fn the_synthetic_checkpoints_tokenizers() {
    let dir = tempfile::tempdir().unwrap();
    synthetic::write(dir.path(), &Preset::tiny(), 1).unwrap();
    let golden = json(&Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/tokenizer_golden.json"));
    let gemma = TextTokenizer::gemma(&dir.path().join("text_encoder/tokenizer.json")).unwrap();
    let jina = TextTokenizer::jina(&dir.path().join("clip_model/tokenizer.json")).unwrap();
    assert!(check(&gemma, &golden, "gemma3") >= 5);
    assert!(check(&jina, &golden, "xlmr") >= 5);
}

#[test]
fn the_published_tokenizers() {
    let Some(dir) = std::env::var_os("SAKUGA_TOKENIZERS").map(PathBuf::from) else {
        say("published tokenizers skipped: SAKUGA_TOKENIZERS is not set");
        return;
    };
    let given = dir.join("tokenizer_golden.json");
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/tokenizers/tokenizer_golden.json");
    let Some(golden) = [given, shared].into_iter().find(|path| path.is_file()) else {
        say("published tokenizers skipped: there is no tokenizer_golden.json");
        return;
    };
    let golden = json(&golden);
    for (part, key) in [("gemma3", "gemma3"), ("jina_clip", "xlmr")] {
        let path = dir.join(part).join("tokenizer.json");
        if !path.is_file() {
            say(&format!("{part} skipped: {} is not there", path.display()));
            continue;
        }
        let tokenizer = if part == "gemma3" { TextTokenizer::gemma(&path) } else { TextTokenizer::jina(&path) };
        let count = check(&tokenizer.unwrap_or_else(|error| panic!("{error}")), &golden, key);
        say(&format!("{part}: {count} cases equal"));
    }
}
