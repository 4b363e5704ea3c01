//! The grammar and the chunks of ComfyUI.
//!
//! `(x:1.3)` sets the weight, whatever brackets are around it, and `(x)` multiplies it by 1.1. `\(` and `\)` are literal; other
//! backslashes and square brackets are text. What follows the last colon must be a number, else the colon is text.
//!
//! Each part is tokenized by itself. A part of fewer than 8 tokens is not split between chunks. The rest of a chunk is filled
//! with the encoder's padding. `embedding:NAME` stands for the vectors of an embedding; an encoder for which it has none
//! reads nothing.

use super::Part;
use super::chunk::{Chunk, Place, PromptChunks};
use crate::families::sdxl::embedding::{Embeddings, Encoder};
use crate::networks::clip_text::TextToken;
use crate::tokenizer::TextTokenizer;

/// The factor of a bracket without a number.
const FACTOR: f64 = 1.1;
/// Parts of at least this number of tokens may be split between chunks.
const LONG_PART: usize = 8;
/// What begins the name of an embedding.
const EMBEDDING: &str = "embedding:";
/// Stand for `\)` and `\(` while brackets are read; no text has them, since they are removed from it.
const ESCAPED: [(&str, &str, &str); 2] = [("\\)", "\0\u{1}", ")"), ("\\(", "\0\u{2}", "(")];

/// Splits a prompt into texts with weights by ComfyUI's rules.
pub(super) fn parts(text: &str) -> Vec<Part> {
    let mut escaped = text.replace('\0', "");
    for (escape, mark, _) in ESCAPED {
        escaped = escaped.replace(escape, mark);
    }
    let mut parts = Vec::new();
    read(&escaped, 1.0, &mut parts);
    for part in &mut parts {
        for (_, mark, plain) in ESCAPED {
            part.text = part.text.replace(mark, plain);
        }
    }
    parts
}

/// Reads brackets from the outside to the inside, with a list of what is still to be read instead of recursion: nesting is the
/// user's.
fn read(text: &str, weight: f64, parts: &mut Vec<Part>) {
    let mut open = vec![(text.to_owned(), weight)];
    while let Some((text, weight)) = open.pop() {
        let mut inner = Vec::new();
        let pieces = pieces(&text);
        let is_plain = matches!(pieces.as_slice(), [piece] if bracketed(piece).is_none());
        if is_plain {
            parts.push(Part { text, weight });
            continue;
        }
        for piece in pieces {
            match bracketed(&piece) {
                Some(inside) => inner.push(weighted(inside, weight)),
                None => inner.push((piece, weight)),
            }
        }
        open.extend(inner.into_iter().rev());
    }
}

/// What is inside a pair of brackets around a piece.
fn bracketed(piece: &str) -> Option<&str> {
    piece.strip_prefix('(')?.strip_suffix(')')
}

/// The inside of a bracket and its weight.
fn weighted(inside: &str, outer: f64) -> (String, f64) {
    let number = inside.rfind(':').filter(|&at| at > 0).and_then(|at| {
        let weight = inside[at + 1..].trim().parse().ok().filter(|weight: &f64| weight.is_finite())?;
        Some((inside[..at].to_owned(), weight))
    });
    number.unwrap_or_else(|| (inside.to_owned(), outer * FACTOR))
}

/// Outermost brackets and what is between them.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut current = String::new();
    let mut depth = 0_i64;
    for c in text.chars() {
        match c {
            '(' => {
                if depth == 0 && !current.is_empty() {
                    pieces.push(std::mem::take(&mut current));
                }
                depth += 1;
                current.push(c);
            }
            ')' => {
                depth -= 1;
                current.push(c);
                if depth == 0 {
                    pieces.push(std::mem::take(&mut current));
                }
            }
            _ => current.push(c),
        }
    }
    if !current.is_empty() {
        pieces.push(current);
    }
    pieces
}

/// The chunks of a text.
pub(super) fn chunks(
    tokenizers: [&TextTokenizer; 2],
    embeddings: &Embeddings,
    text: &str,
    length: usize,
) -> PromptChunks {
    let parts = parts(text);
    let of = |tokenizer: &TextTokenizer, encoder: Encoder| {
        let groups = parts.iter().flat_map(|part| groups(tokenizer, embeddings, encoder, part));
        pack(tokenizer, groups.collect(), length)
    };
    PromptChunks { l: of(tokenizers[0], Encoder::L), g: of(tokenizers[1], Encoder::G), lost: 0 }
}

/// The tokens of a part, in groups of text and of embeddings.
fn groups(tokenizer: &TextTokenizer, embeddings: &Embeddings, encoder: Encoder, part: &Part) -> Vec<Vec<Place>> {
    let weight = part.weight as f32;
    let ids = |text: &str| -> Vec<Place> {
        tokenizer.ids(text).into_iter().map(|id| Place { token: TextToken::Id(id), weight }).collect()
    };
    let mut groups = Vec::new();
    for (index, word) in words(&part.text).into_iter().enumerate() {
        let name = word.strip_prefix(EMBEDDING).filter(|_| index > 0 || part.text.starts_with(EMBEDDING));
        let found = name.and_then(|name| {
            let name = name.trim_start();
            let (name, rest) = name.split_once(char::is_whitespace).unwrap_or((name, ""));
            let known = [name, name.trim_matches(',')].into_iter().find(|name| embeddings.has(name))?;
            let after = name.get(known.len()..).unwrap_or_default();
            let rest = if after.is_empty() { rest.to_owned() } else { format!("{after} {rest}") };
            let vectors = embeddings.vectors(known, encoder).into_iter().flatten();
            Some((vectors.map(|vector| Place { token: TextToken::Vector(vector), weight }).collect::<Vec<_>>(), rest))
        });
        match found {
            Some((vectors, rest)) => {
                groups.push(vectors);
                groups.push(ids(&rest));
            }
            None => groups.push(ids(word)),
        }
    }
    groups
}

/// A text cut before each ` embedding:`.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text;
    let mut from = 0;
    while let Some(at) = rest[from..].find(EMBEDDING).map(|at| from + at) {
        match rest[..at].strip_suffix([' ', '\n']) {
            Some(before) => {
                words.push(before);
                rest = &rest[at..];
                from = EMBEDDING.len();
            }
            None => from = at + EMBEDDING.len(),
        }
    }
    words.push(rest);
    words.retain(|word| !word.is_empty());
    words
}

/// Fills chunks of `length` tokens in order. A group shorter than [`LONG_PART`] stays in one chunk; a longer one may be
/// split.
fn pack(tokenizer: &TextTokenizer, groups: Vec<Vec<Place>>, length: usize) -> Vec<Chunk> {
    let room = length - 2;
    let mut chunks = Vec::new();
    let mut open: Vec<Place> = Vec::new();
    let mut end = |open: &mut Vec<Place>| {
        chunks.push(Chunk::new(tokenizer, open, length, tokenizer.pad_id()));
        open.clear();
    };
    for group in groups {
        let is_long = group.len() >= LONG_PART;
        let mut rest = group.as_slice();
        while open.len() + rest.len() > room {
            if is_long {
                let (fits, more) = rest.split_at(room - open.len());
                open.extend_from_slice(fits);
                rest = more;
            }
            end(&mut open);
        }
        open.extend_from_slice(rest);
    }
    end(&mut open);
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Vec<(String, f64)> {
        parts(text).into_iter().map(|part| (part.text, (part.weight * 1e6).round() / 1e6)).collect()
    }

    #[test]
    fn brackets_and_numbers() {
        for (text, expected) in [
            ("a (b:1.2) c", &[("a ", 1.0), ("b", 1.2), (" c", 1.0)][..]),
            ("((a))", &[("a", 1.21)]),
            ("((a:1.2) b:2)", &[("a", 1.2), (" b", 2.0)]),
            ("[a:1.3]", &[("[a:1.3]", 1.0)]),
            ("(a:b)", &[("a:b", 1.1)]),
            (r"(\(a\):1.5)", &[("(a)", 1.5)]),
            (r"a\b", &[(r"a\b", 1.0)]),
        ] {
            let expected: Vec<(String, f64)> =
                expected.iter().map(|(text, weight)| ((*text).to_owned(), *weight)).collect();
            assert_eq!(read_text(text), expected, "{text}");
        }
        assert_eq!(parts(""), []);
    }

    #[test]
    fn deep_nesting_is_read_in_a_loop() {
        let text = format!("{}a{}", "(".repeat(20_000), ")".repeat(20_000));
        assert_eq!(parts(&text).len(), 1);
    }

    #[test]
    fn short_parts_stay_together() {
        let (l, g) = (TextTokenizer::clip_l(), TextTokenizer::clip_g());
        let text = format!("{}(one two three:1.2)", "cat ".repeat(73));
        let chunks = chunks([&l, &g], &Embeddings::default(), &text, 77);
        assert_eq!((chunks.l.len(), chunks.l[0].end, chunks.l[1].end), (2, 74, 4));
    }
}
