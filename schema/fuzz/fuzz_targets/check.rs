//! Feeds bytes to the checker and asserts what holds for every text: no panic, places inside the text, fixes that
//! apply, and a canonical form that reads back as it was.
//!
//! `cargo +nightly fuzz run check` from `schema`, or see `README.md` in the crate's folder for a way without cargo-fuzz.

#![no_main]

#[path = "../../tests/invariants/mod.rs"]
mod invariants;

use libfuzzer_sys::fuzz_target;
use sakuga_schema::{CheckOptions, check_bytes, check_typed};

fuzz_target!(|bytes: &[u8]| {
    let checked = check_bytes(bytes, &CheckOptions::default());
    let Ok(text) = std::str::from_utf8(bytes) else {
        assert!(!checked.is_valid(), "bytes that are not text are accepted");
        return;
    };
    invariants::holds_for(text);
    if let Some(prompt) = checked.prompt.as_ref().filter(|_| checked.is_valid()) {
        let typed = check_typed(prompt, &CheckOptions::default());
        assert!(typed.is_valid(), "{text:?}: {:#?}", typed.diagnostics);
    }
});
