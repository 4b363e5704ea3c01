//! Helpers of several tests of this crate.
#![allow(dead_code, reason = "every test binary compiles this module and uses a part of it")]

use std::path::Path;
use std::{env, fs};

/// Fails unless the file of this crate holds `expected`; with `SAKUGA_REGENERATE` set it is written instead.
pub(crate) fn assert_up_to_date(file: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if env::var_os("SAKUGA_REGENERATE").is_some() {
        fs::write(&path, expected).unwrap_or_else(|error| panic!("{file}: {error}"));
        return;
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let mut lines = found.lines().zip(expected.lines()).zip(1..);
    let first = lines.find(|((found, expected), _)| found != expected).map(|(_, number)| number);
    assert!(
        found == expected,
        "schema/{file} is not what prompt.xsd gives{}; run `SAKUGA_REGENERATE=1 cargo test -p sakuga-schema` and commit it",
        first.map(|number| format!(" (first difference in line {number})")).unwrap_or_default()
    );
}

/// A small deterministic generator (SplitMix64), so that a corpus is the same on every machine.
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// The bytes of a text of `tests/table.txt`, whose escapes are described in `tests/table.rs`.
pub(crate) fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at + 1..];
        let (code, length) = match rest.as_bytes()[0] {
            b'n' => (u32::from(b'\n'), 1),
            b'r' => (u32::from(b'\r'), 1),
            b't' => (u32::from(b'\t'), 1),
            b'\\' => (u32::from(b'\\'), 1),
            b'x' => {
                let byte = u8::from_str_radix(&rest[1..3], 16).expect("two hexadecimal digits");
                bytes.push(byte);
                rest = &rest[3..];
                continue;
            }
            b'u' => {
                let end = rest.find('}').expect("`\\u{…}`");
                (u32::from_str_radix(&rest[2..end], 16).expect("hexadecimal digits"), end + 1)
            }
            _ => panic!("an unknown escape in {text}"),
        };
        let character = char::from_u32(code).expect("a character");
        bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = &rest[length..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}
