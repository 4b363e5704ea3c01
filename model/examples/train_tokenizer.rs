//! Trains the small tokenizer of the random checkpoints and writes `assets/tokenizer.json`.
//!
//! ```text
//! cargo run -p sakuga-model --example train_tokenizer
//! ```
//!
//! Byte-level BPE over `assets/tokenizer_corpus.txt`, which was written for this. The result is a function of the
//! corpus: running it again must change nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer};

/// Tokens, special ones included.
const VOCABULARY: usize = 1800;
/// Special tokens at the ids 0 to 3, in Gemma's order.
const SPECIAL: [&str; 4] = ["<pad>", "<eos>", "<bos>", "<unk>"];

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
    let corpus = fs::read_to_string(assets.join("tokenizer_corpus.txt"))?;
    // Each distinct word once more, so that the vocabulary holds whole tags and not only what sentences repeat.
    let words: BTreeSet<String> = corpus
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.len() > 2)
        .map(|word| format!(" {word}"))
        .collect();

    let mut tokenizer = Tokenizer::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    let mut trainer: TrainerWrapper = BpeTrainerBuilder::new()
        .vocab_size(VOCABULARY)
        .min_frequency(2)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(SPECIAL.map(|token| AddedToken::from(token, true)).to_vec())
        .build()
        .into();
    let texts = corpus.lines().map(str::to_owned).chain(words);
    tokenizer.train(&mut trainer, texts)?;
    fs::write(assets.join("tokenizer.json"), tokenizer.to_string(false)?)?;
    println!("{} tokens", tokenizer.get_vocab_size(true));
    Ok(())
}
