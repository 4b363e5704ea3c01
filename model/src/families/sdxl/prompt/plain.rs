//! A text without grammar, as diffusers reads it: one chunk. Names of embeddings stand for their vectors wherever they occur.

use super::chunk::{Chunk, Place, PromptChunks};
use crate::families::sdxl::embedding::{Embeddings, Encoder};
use crate::networks::clip_text::TextToken;
use crate::tokenizer::TextTokenizer;

pub(super) fn chunks(
    tokenizers: [&TextTokenizer; 2],
    embeddings: &Embeddings,
    text: &str,
    length: usize,
) -> PromptChunks {
    let mut lost = 0;
    let [l, g] = [(tokenizers[0], Encoder::L), (tokenizers[1], Encoder::G)].map(|(tokenizer, encoder)| {
        let mut inside = places(tokenizer, embeddings, text, encoder);
        let room = length.saturating_sub(2);
        lost = lost.max(inside.len().saturating_sub(room));
        inside.truncate(room);
        vec![Chunk::new(tokenizer, &inside, length, tokenizer.pad_id())]
    });
    PromptChunks { l, g, lost }
}

fn places(tokenizer: &TextTokenizer, embeddings: &Embeddings, text: &str, encoder: Encoder) -> Vec<Place> {
    let place = |token| Place { token, weight: 1.0 };
    let ids = |text: &str| tokenizer.ids(text).into_iter().map(|id| place(TextToken::Id(id))).collect::<Vec<_>>();
    let mut rest = text;
    let mut all = Vec::new();
    while let Some((at, name, vectors)) = embeddings.first_in(rest, encoder) {
        all.extend(ids(&rest[..at]));
        all.extend(vectors.map(|vector| place(TextToken::Vector(vector))));
        rest = &rest[at + name.len()..];
    }
    all.extend(ids(rest));
    all
}
