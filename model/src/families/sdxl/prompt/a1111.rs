//! The grammar and the chunks of AUTOMATIC1111's web UI.
//!
//! `(x)` multiplies the weight by 1.1, `[x]` divides it, `(x:1.3)` multiplies it by 1.3; factors of nested brackets multiply. A
//! backslash makes the next bracket or backslash literal and disappears before anything else. A bracket that is not closed
//! counts to the end, a closing one without a partner is text, and `[x:1.3]` is not a weight. Neighbours of equal weight are
//! joined. BREAK as a separate word ends a chunk; in a weighted bracket it is text with the weight -1 times the factor, which
//! is what that program does. Digits that are not a number, such as `1.2.3`, are text here; there they are an error.
//!
//! A chunk is filled with end tokens. If it is full and a comma is among its last 20 tokens, what follows the comma moves to the
//! next chunk. CLIP-G reads zeros after the first end token.

use super::Part;
use super::chunk::{Chunk, Place, PromptChunks};
use crate::families::sdxl::embedding::{Embeddings, Encoder};
use crate::networks::clip_text::TextToken;
use crate::tokenizer::TextTokenizer;

/// The factor of a bracket without a number.
const FACTOR: f64 = 1.1;
/// The word that ends a chunk.
const BREAK: &str = "BREAK";
/// The weight that marks the word, until a bracket changes it.
const BREAK_WEIGHT: f64 = -1.0;
/// How far before the end of a full chunk a comma is looked for.
const COMMA_REACH: usize = 20;

/// Splits a prompt into texts with weights by AUTOMATIC1111's rules.
pub(super) fn parts(text: &str) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let (mut round, mut square) = (Vec::new(), Vec::new());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let mut taken = first.len_utf8();
        match first {
            '\\' => {
                let next = rest[taken..].chars().next().filter(|next| "()[]\\".contains(*next));
                taken += next.map_or(0, char::len_utf8);
                parts.push(Part { text: next.map(String::from).unwrap_or_default(), weight: 1.0 });
            }
            '(' => round.push(parts.len()),
            '[' => square.push(parts.len()),
            ')' if !round.is_empty() => multiply(&mut parts, round.pop(), FACTOR),
            ']' if !square.is_empty() => multiply(&mut parts, square.pop(), 1.0 / FACTOR),
            ':' => match weight(rest) {
                Some((length, weight)) if !round.is_empty() => {
                    taken = length;
                    multiply(&mut parts, round.pop(), weight);
                }
                Some((length, _)) => {
                    taken = length;
                    add_text(&mut parts, &rest[..length]);
                }
                None => add_text(&mut parts, ":"),
            },
            ')' | ']' => add_text(&mut parts, &rest[..taken]),
            _ => {
                taken = rest.find(['\\', '(', ')', '[', ']', ':']).unwrap_or(rest.len());
                add_text(&mut parts, &rest[..taken]);
            }
        }
        rest = &rest[taken..];
    }
    for at in round {
        multiply(&mut parts, Some(at), FACTOR);
    }
    for at in square {
        multiply(&mut parts, Some(at), 1.0 / FACTOR);
    }
    joined(parts)
}

/// Parts of equal weight as one; the empty text is one part.
fn joined(parts: Vec<Part>) -> Vec<Part> {
    let mut joined: Vec<Part> = Vec::new();
    for part in parts {
        match joined.last_mut().filter(|last| last.weight == part.weight) {
            Some(last) => last.text.push_str(&part.text),
            None => joined.push(part),
        }
    }
    if joined.is_empty() {
        joined.push(Part { text: String::new(), weight: 1.0 });
    }
    joined
}

fn multiply(parts: &mut [Part], from: Option<usize>, factor: f64) {
    parts.iter_mut().skip(from.unwrap_or(usize::MAX)).for_each(|part| part.weight *= factor);
}

/// `: 1.3 )` at the beginning of a text: its length and the number.
fn weight(text: &str) -> Option<(usize, f64)> {
    let number = text[1..].trim_start();
    let digits = number.strip_prefix(['+', '-']).unwrap_or(number);
    let end = digits.find(|c: char| c != '.' && !c.is_ascii_digit())?;
    let length = number.len() - digits.len() + end;
    let weight = number[..length].parse().ok().filter(|weight: &f64| weight.is_finite() && end > 0)?;
    let rest = number[length..].trim_start().strip_prefix(')')?;
    Some((text.len() - rest.len(), weight))
}

/// Adds text, with the word BREAK as parts of its own.
fn add_text(parts: &mut Vec<Part>, text: &str) {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = text;
    let mut from = 0;
    while let Some(at) = rest[from..].find(BREAK).map(|at| from + at) {
        let end = at + BREAK.len();
        if rest[..at].chars().next_back().is_some_and(is_word) || rest[end..].chars().next().is_some_and(is_word) {
            from = end;
            continue;
        }
        parts.push(Part { text: rest[..at].trim_end().to_owned(), weight: 1.0 });
        parts.push(Part { text: BREAK.to_owned(), weight: BREAK_WEIGHT });
        rest = rest[end..].trim_start();
        from = 0;
    }
    parts.push(Part { text: rest.to_owned(), weight: 1.0 });
}

/// Collects places and ends chunks.
struct Builder<'a> {
    tokenizers: [&'a TextTokenizer; 2],
    length: usize,
    comma: Option<u32>,
    /// Places of the open chunk, with vectors of both encoders.
    open: Vec<Both>,
    last_comma: Option<usize>,
    chunks: PromptChunks,
}

/// A place in both encoders.
#[derive(Clone, Copy)]
struct Both {
    tokens: [TextToken; 2],
    weight: f32,
}

impl Builder<'_> {
    fn room(&self) -> usize {
        self.length - 2
    }

    fn end_chunk(&mut self) {
        let open = std::mem::take(&mut self.open);
        self.last_comma = None;
        let [l, g] = [0, 1].map(|encoder: usize| {
            let inside: Vec<Place> =
                open.iter().map(|both| Place { token: both.tokens[encoder], weight: both.weight }).collect();
            let tokenizer = self.tokenizers[encoder];
            let pad = if encoder == 0 { tokenizer.end_id() } else { None };
            let mut chunk = Chunk::new(tokenizer, &inside, self.length, pad.unwrap_or(tokenizer.pad_id()));
            // An end token that the text has itself ends the chunk for the pooled vector and for the zeros of CLIP-G.
            let end = tokenizer.end_id().map(TextToken::Id);
            if let Some(first) = chunk.places.iter().position(|place| Some(place.token) == end) {
                chunk.end = first;
                if encoder == 1 {
                    chunk.places[first + 1..]
                        .iter_mut()
                        .for_each(|place| place.token = TextToken::Id(tokenizer.pad_id()));
                }
            }
            chunk
        });
        self.chunks.l.push(l);
        self.chunks.g.push(g);
    }

    fn push_id(&mut self, id: u32, weight: f32) {
        if Some(id) == self.comma {
            self.last_comma = Some(self.open.len());
        } else if let Some(comma) = self.last_comma.filter(|comma| self.open.len() - comma <= COMMA_REACH)
            && self.open.len() == self.room()
        {
            let moved = self.open.split_off(comma + 1);
            self.end_chunk();
            self.open = moved;
        }
        if self.open.len() == self.room() {
            self.end_chunk();
        }
        self.open.push(Both { tokens: [TextToken::Id(id); 2], weight });
    }

    fn push_vectors(&mut self, vectors: &[[TextToken; 2]], weight: f32) {
        if self.open.len() + vectors.len() > self.room() {
            self.end_chunk();
        }
        let room = self.room();
        self.open.extend(vectors.iter().take(room).map(|&tokens| Both { tokens, weight }));
    }
}

/// The chunks of a text. Embeddings are found by the tokens of their names and need vectors for both encoders.
pub(super) fn chunks(
    tokenizers: [&TextTokenizer; 2],
    embeddings: &Embeddings,
    text: &str,
    length: usize,
) -> PromptChunks {
    let comma = match tokenizers[0].ids(",").as_slice() {
        [comma] => Some(*comma),
        _ => None,
    };
    let named: Vec<(Vec<u32>, Vec<[TextToken; 2]>)> = embeddings
        .names()
        .filter_map(|name| {
            let [l, g] = [Encoder::L, Encoder::G].map(|encoder| embeddings.vectors(name, encoder));
            let pairs = l?.zip(g?).map(|(l, g)| [TextToken::Vector(l), TextToken::Vector(g)]);
            Some((tokenizers[0].ids(name), pairs.collect()))
        })
        .collect();
    let chunks = PromptChunks { l: Vec::new(), g: Vec::new(), lost: 0 };
    let mut builder = Builder { tokenizers, length, comma, open: Vec::new(), last_comma: None, chunks };
    for Part { text, weight } in parts(text) {
        if text == BREAK && weight == BREAK_WEIGHT {
            builder.end_chunk();
            continue;
        }
        let ids = tokenizers[0].ids(&text);
        let mut rest = ids.as_slice();
        while let Some((&id, tail)) = rest.split_first() {
            let found = named.iter().filter(|(name, _)| !name.is_empty() && rest.starts_with(name));
            match found.max_by_key(|(name, _)| name.len()) {
                Some((name, vectors)) => {
                    builder.push_vectors(vectors, weight as f32);
                    rest = &rest[name.len()..];
                }
                None => {
                    builder.push_id(id, weight as f32);
                    rest = tail;
                }
            }
        }
    }
    if !builder.open.is_empty() || builder.chunks.l.is_empty() {
        builder.end_chunk();
    }
    builder.chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, f64)> {
        parts(text).into_iter().map(|part| (part.text, (part.weight * 1e6).round() / 1e6)).collect()
    }

    fn listed(parts: &[(&str, f64)]) -> Vec<(String, f64)> {
        parts.iter().map(|(text, weight)| ((*text).to_owned(), *weight)).collect()
    }

    #[test]
    fn brackets_and_numbers() {
        for (text, expected) in [
            ("", &[("", 1.0)][..]),
            ("a (b:1.2) c", &[("a ", 1.0), ("b", 1.2), (" c", 1.0)]),
            ("((a))[b]", &[("a", 1.21), ("b", 0.909_091)]),
            ("(a: +.5 )", &[("a", 0.5)]),
            ("(a:1.2.3)", &[("a:1.2.3", 1.1)]),
            ("a:1.2) b]", &[("a:1.2) b]", 1.0)]),
            ("[a:1.3]", &[("a:1.3", 0.909_091)]),
            ("(a", &[("a", 1.1)]),
            (r"a \(b\) \c", &[("a (b) c", 1.0)]),
            ("a BREAK b", &[("a", 1.0), ("BREAK", -1.0), ("b", 1.0)]),
            ("aBREAK", &[("aBREAK", 1.0)]),
            ("(BREAK:2)", &[("", 2.0), ("BREAK", -2.0), ("", 2.0)]),
        ] {
            assert_eq!(read(text), listed(expected), "{text}");
        }
    }

    #[test]
    fn a_comma_near_the_end_of_a_chunk_moves_what_follows_it() {
        let (l, g) = (TextTokenizer::clip_l(), TextTokenizer::clip_g());
        let none = Embeddings::default();
        let text = format!("{}, one two three four", "cat ".repeat(73).trim());
        let chunks = chunks([&l, &g], &none, &text, 77);
        assert_eq!((chunks.l.len(), chunks.l[0].end, chunks.l[1].end), (2, 75, 5));
        // Without a comma a chunk is filled.
        let full = self::chunks([&l, &g], &none, &"cat ".repeat(80), 77);
        assert_eq!((full.l.len(), full.l[0].end, full.l[1].end), (2, 76, 6));
        assert_eq!(full.g[1].places[7].token, TextToken::Id(0));
        assert_eq!(full.l[1].places[7].token, TextToken::Id(49407));
    }

    #[test]
    fn break_ends_a_chunk() {
        let (l, g) = (TextTokenizer::clip_l(), TextTokenizer::clip_g());
        let chunks = chunks([&l, &g], &Embeddings::default(), "red hat BREAK (blue hair:1.2)", 77);
        let ends: Vec<usize> = chunks.l.iter().map(|chunk| chunk.end).collect();
        assert_eq!((ends, chunks.l[1].places[1].weight), (vec![3, 3], 1.2));
    }
}
