//! Prompts with alternatives: `{long|short} hair, __colours__`.
//!
//! | written | becomes |
//! |---|---|
//! | `{a\|b\|}` | one of its alternatives, of which any may be empty; they may hold further ones |
//! | `__name__` | a line of `name.txt` in the folder of the wildcards; lines may hold further ones |
//! | `\{`, `\|`, `\}`, `\__` | the same without the backslash, as ordinary text |
//!
//! Braces without a `|` and single underscores are ordinary text, and so is any other backslash. In a file, blank lines and
//! lines that begin with `#` are left out.
//!
//! What is chosen depends on the seed, the variation and the text alone, see [`Draw`]. Work is bounded by [`MAX_BYTES`],
//! [`MAX_DEPTH`], [`MAX_CHOICES`] and the limits of [`Wildcards`]. Wildcards that name each other in a circle are refused when
//! the text is read, whatever would be chosen.

mod draw;
mod template;
mod wildcards;

pub use draw::Draw;
pub use template::Template;
pub use wildcards::Wildcards;

/// The longest text, before and after, in bytes: that of a prompt.
pub const MAX_BYTES: usize = 64 << 10;

/// The most braces and wildcards within each other.
pub const MAX_DEPTH: usize = 16;

/// The most choices in one text.
pub const MAX_CHOICES: usize = 256;

/// Why a text cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExpandError {
    /// The text, or what becomes of it, is longer than [`MAX_BYTES`].
    #[error("the text has more than {MAX_BYTES} bytes {when}")]
    TooLong {
        /// `before it is expanded` or `after it is expanded`.
        when: &'static str,
    },
    /// More braces and wildcards within each other than [`MAX_DEPTH`].
    #[error("more than {MAX_DEPTH} braces and wildcards are within each other")]
    TooDeep,
    /// More choices than [`MAX_CHOICES`].
    #[error("the text has more than {MAX_CHOICES} choices")]
    TooManyChoices,
    /// A form of another program.
    #[error("`{written}` is not supported: {instead}")]
    Unsupported {
        /// The beginning of it.
        written: String,
        /// What to write.
        instead: &'static str,
    },
    /// A wildcard, and no folder to look for it.
    #[error("`__{name}__` is a wildcard, and no folder of wildcards is named; `\\__{name}__` is ordinary text")]
    NoFolder {
        /// Name of the wildcard, without underscores.
        name: String,
    },
    /// A wildcard that cannot be read.
    #[error("the wildcard `__{name}__` cannot be used: {reason}")]
    Wildcard {
        /// Name of the wildcard, without underscores.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// Wildcards that name each other.
    #[error("wildcards name each other in a circle: {}", .names.join(" -> "))]
    Circle {
        /// From the first to the same one again.
        names: Vec<String>,
    },
}

/// A text with everything chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expanded {
    /// The text with every wildcard and choice replaced.
    pub text: String,
    /// What was chosen, in the order of the places where it stands, and an outer choice before those within it. That of a
    /// wildcard is written as `name: line`.
    pub choices: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str, seed: u64) -> Result<Expanded, ExpandError> {
        let mut wildcards = Wildcards::none();
        let template = wildcards.read(text)?;
        wildcards.expand(&template, &mut Draw::new(seed, 0))
    }

    fn text(text: &str, seed: u64) -> String {
        expand(text, seed).unwrap_or_else(|error| panic!("{text}: {error}")).text
    }

    #[test]
    fn one_alternative_is_chosen_and_recorded() {
        let seen: std::collections::BTreeSet<String> = (0..64).map(|seed| text("a {b|c|} d", seed)).collect();
        assert_eq!(seen, ["a  d", "a b d", "a c d"].map(str::to_owned).into());
        let nested = "{{long|short} {red|blue}|no} hair";
        let all: std::collections::BTreeSet<String> = (0..256).map(|seed| text(nested, seed)).collect();
        let expected = ["long red hair", "long blue hair", "short red hair", "short blue hair", "no hair"];
        assert_eq!(all, expected.map(str::to_owned).into());
        let seed = (0..).find(|seed| text(nested, *seed) == "short red hair").unwrap();
        assert_eq!(expand(nested, seed).unwrap().choices, ["short red", "short", "red"]);
    }

    #[test]
    fn the_documented_choices() {
        let of = |seed, variation| {
            let mut draw = Draw::new(seed, variation);
            (0..8).map(|_| draw.choose(10)).collect::<Vec<_>>()
        };
        assert_eq!(of(0, 0), [6, 7, 7, 4, 7, 5, 6, 6]);
        assert_eq!(of(42, 0), [1, 6, 9, 8, 7, 0, 0, 9]);
        assert_ne!(of(0, 0), of(0, 1));
        assert_ne!(of(0, 0), of(1, 0));
        // SHA-256 of `sakuga expand 1/7/2/0`, computed by another program.
        assert_eq!(Draw::new(7, 2).choose(1 << 32), FIRST_OF_7_2);
        assert!((0..100).all(|variation| Draw::new(1, variation).choose(3) < 3));
    }

    /// The first 32 bits of the digest.
    const FIRST_OF_7_2: usize = 0xc7ae_249f;

    #[test]
    fn what_is_no_choice_stays() {
        for plain in
            ["1girl, solo", "{tag}", "{{tag}}", "a } b | c", ">_<, |_|, ||_||", r"a\b \(c\)", "x__", "____", "__1__"]
        {
            assert_eq!(text(plain, 3), plain);
        }
        assert_eq!(text("{ unclosed | {a} __ {b", 1), "{ unclosed | {a} __ {b");
        assert_eq!(text(r#"{"a": "{x|x}", "b": [{}]}"#, 1), r#"{"a": "x", "b": [{}]}"#);
        assert_eq!(text(r"\{a\|b\} \__c__ {\||\|}", 1), "{a|b} __c__ |");
    }

    #[test]
    fn forms_of_other_programs_are_refused() {
        for (written, part) in [
            ("{2$$red|blue}", "one brace for each"),
            ("{1-2$$red|blue}", "one brace for each"),
            ("{3::red|blue}", "repeat"),
            ("{red|0.5::blue}", "repeat"),
            ("__hair*__", "one file"),
        ] {
            let error = expand(written, 1).unwrap_err();
            assert!(matches!(error, ExpandError::Unsupported { .. }), "{written}: {error}");
            assert!(error.to_string().contains(part), "{error}");
        }
        assert_eq!(text("{a::b|a::b}", 1), "a::b");
        assert!(expand("__hair__", 1).unwrap_err().to_string().contains("no folder"));
    }

    #[test]
    fn work_is_bounded() {
        let deep = |levels: usize| format!("{}x{}", "{a|".repeat(levels), "}".repeat(levels));
        assert!(expand(&deep(MAX_DEPTH), 1).is_ok());
        assert_eq!(expand(&deep(MAX_DEPTH + 1), 1), Err(ExpandError::TooDeep));
        assert!(expand(&"{a|b}".repeat(MAX_CHOICES), 1).is_ok());
        assert_eq!(expand(&"{a|b}".repeat(MAX_CHOICES + 1), 1), Err(ExpandError::TooManyChoices));
        assert!(matches!(expand(&"x".repeat(MAX_BYTES + 1), 1), Err(ExpandError::TooLong { .. })));
        for hostile in
            ["{".repeat(MAX_BYTES), "{|".repeat(MAX_BYTES / 2), "__a".repeat(MAX_BYTES / 3), "\\".repeat(MAX_BYTES)]
        {
            let begun = std::time::Instant::now();
            let _ = expand(&hostile, 1);
            assert!(begun.elapsed().as_secs() < 10);
        }
    }
}
