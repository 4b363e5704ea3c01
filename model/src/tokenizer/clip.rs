//! The tokenizer of CLIP: byte-level pairs that are merged within words, each of which ends in `</w>`.
//!
//! A text is brought to NFC, runs of white space become one space, letters become lower case, words are cut by CLIP's
//! pattern (digits one by one), and the bytes of each word are merged (Radford et al. 2021,
//! <https://arxiv.org/abs/2103.00020>). There is no unknown token: each byte has an entry. This is the reading of
//! transformers' fast tokenizer. Older slow ones differ for ideographs, full-width letters, curly quotes and HTML entities.
//!
//! The vocabulary of every published model is built in, because single-file checkpoints carry none. `assets/clip_merges.bin`
//! has each of its 48894 merges as the ids of the two tokens, little-endian u16; the vocabulary follows from them.
//! `assets/clip_merges.LICENSE` has its licence.

use std::path::Path;

use serde_json::Value;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::normalizers::replace::ReplacePattern;
use tokenizers::normalizers::{Lowercase, NFC, Replace, Sequence as Normalizers};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

use super::TextTokenizer;
use crate::bounded::{CONFIG_BYTES_MAX, read_bounded};
use crate::checkpoint::read_json;
use crate::error::LoadError;

/// Ids of the two tokens of each merge of the published vocabulary, in order, as little-endian u16.
const MERGES: &[u8] = include_bytes!("../../assets/clip_merges.bin");
/// Token before every text.
const START: &str = "<|startoftext|>";
/// Token after every text. It also pads the texts of CLIP-L.
pub(crate) const END: &str = "<|endoftext|>";
/// The token that pads the texts of CLIP-G, id 0.
pub(crate) const ZERO: &str = "!";
/// Marks the last token of a word.
const WORD_END: &str = "</w>";
/// A piece of a text that is merged by itself.
const WORDS: &str = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";
/// Bytes that stand for the character of the same number; the others stand for the characters from 256 on.
const PRINTED: [std::ops::RangeInclusive<u8>; 3] = [33..=126, 161..=172, 174..=255];

/// The tokenizer of the folder `dir` with `vocab.json`, `merges.txt` and `tokenizer_config.json`, which names the padding.
pub(super) fn from_folder(dir: &Path) -> Result<TextTokenizer, LoadError> {
    let path = dir.join("vocab.json");
    let fail = |reason: String| LoadError::Tokenizer { path: path.clone(), reason };
    let vocabulary = read_json(&path)?;
    let entries = vocabulary.as_object().ok_or_else(|| fail("it is not a JSON object".to_owned()))?;
    let entry = |(token, id): (&String, &Value)| Some((token.clone(), u32::try_from(id.as_u64()?).ok()?));
    let vocabulary: Vocab = entries
        .iter()
        .map(entry)
        .collect::<Option<Vocab>>()
        .ok_or_else(|| fail("an entry is not the id of a token".to_owned()))?;
    let path = dir.join("merges.txt");
    let fail = |reason: String| LoadError::Tokenizer { path: path.clone(), reason };
    let text =
        String::from_utf8(read_bounded(&path, CONFIG_BYTES_MAX)?).map_err(|_| fail("it is not UTF-8".to_owned()))?;
    let lines = text.lines().filter(|line| !line.starts_with("#version") && !line.is_empty());
    let merges: Merges = lines
        .map(|line| line.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())))
        .collect::<Option<Merges>>()
        .ok_or_else(|| fail("a line is not two tokens and a space".to_owned()))?;
    let config = read_json(&dir.join("tokenizer_config.json"))?;
    let pad = &config["pad_token"];
    let pad = pad.as_str().or_else(|| pad["content"].as_str()).unwrap_or(END);
    assemble(vocabulary, merges, pad).map_err(fail)
}

/// The tokenizer of the published models, padding with `pad`.
pub(super) fn built_in(pad: &str) -> Result<TextTokenizer, String> {
    let (vocabulary, merges) = published();
    assemble(vocabulary, merges, pad)
}

fn assemble(vocabulary: Vocab, merges: Merges, pad: &str) -> Result<TextTokenizer, String> {
    let id = |token: &str| {
        vocabulary.get(token).copied().ok_or_else(|| format!("it has no `{token}` token; it belongs to another model"))
    };
    let (begin, end, pad) = (id(START)?, id(END)?, id(pad)?);
    if let Some(missing) = byte_characters()
        .flat_map(|byte| [byte.to_string(), format!("{byte}{WORD_END}")])
        .find(|token| !vocabulary.contains_key(token))
    {
        return Err(format!("it has no entry `{missing}` for a byte; it belongs to another model"));
    }
    let fail = |error: tokenizers::Error| error.to_string();
    let model = BPE::builder()
        .vocab_and_merges(vocabulary, merges)
        .end_of_word_suffix(WORD_END.to_owned())
        .build()
        .map_err(fail)?;
    let mut tokenizer = Tokenizer::new(model);
    let spaces = Replace::new(ReplacePattern::Regex(r"\s+".to_owned()), " ").map_err(fail)?;
    let normalizers = Normalizers::new(vec![NFC.into(), spaces.into(), Lowercase.into()]);
    tokenizer.with_normalizer(Some(normalizers)).map_err(fail)?;
    let words =
        Split::new(SplitPattern::Regex(WORDS.to_owned()), SplitDelimiterBehavior::Removed, true).map_err(fail)?;
    let bytes = ByteLevel::new(false, true, false);
    tokenizer.with_pre_tokenizer(Some(PreTokenizers::new(vec![words.into(), bytes.into()])));
    let special = |token: &str| AddedToken::from(token, true).normalized(true);
    tokenizer.add_special_tokens([special(START), special(END)]).map_err(fail)?;
    Ok(TextTokenizer { tokenizer, begin, end: Some(end), pad })
}

/// The character of each byte, in the order of the vocabulary.
fn byte_characters() -> impl Iterator<Item = char> {
    let printed = PRINTED.into_iter().flatten().map(char::from);
    let others = (0..=u8::MAX).filter(|byte| !PRINTED.iter().any(|range| range.contains(byte)));
    printed.chain(others.enumerate().filter_map(|(i, _)| char::from_u32(256 + i as u32)))
}

/// Vocabulary and merges of the published models: the bytes, the bytes at the end of a word, what each merge gives, start
/// and end.
fn published() -> (Vocab, Merges) {
    let bytes: Vec<String> = byte_characters().map(String::from).collect();
    let mut tokens: Vec<String> =
        bytes.iter().cloned().chain(bytes.iter().map(|byte| format!("{byte}{WORD_END}"))).collect();
    let mut merges = Merges::new();
    for &[a, b, c, d] in MERGES.as_chunks::<4>().0 {
        let [first, second] = [[a, b], [c, d]].map(|id| tokens[usize::from(u16::from_le_bytes(id))].clone());
        tokens.push(format!("{first}{second}"));
        merges.push((first, second));
    }
    tokens.extend([START.to_owned(), END.to_owned()]);
    (tokens.into_iter().zip(0..).collect(), merges)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::sha256_hex;

    /// The digest of `first second` and a line feed for each merge, in the order of the published `merges.txt`.
    #[test]
    fn the_built_in_merges_are_those_of_the_published_file() {
        let (vocabulary, merges) = published();
        assert_eq!((vocabulary.len(), merges.len()), (49408, 48894));
        let text: String = merges.iter().map(|(first, second)| format!("{first} {second}\n")).collect();
        let digest = sha256_hex(text.as_bytes());
        assert_eq!(digest, "d308b7377a8ceaa9707a21614fe8c831b9196e197b7aeb69833359362907af02");
    }

    #[test]
    fn a_text_becomes_ids_between_start_and_end() {
        let tokenizer = built_in(END).expect("the built-in vocabulary is complete");
        // `a photo of a cat` in OpenAI's vocabulary.
        assert_eq!(tokenizer.encode("A  photo of a CAT", 77).ids, [49406, 320, 1125, 539, 320, 2368, 49407]);
        assert_eq!((tokenizer.pad_id(), built_in(ZERO).expect("complete").pad_id()), (49407, 0));
    }

    #[test]
    fn incomplete_folders_are_refused_by_file() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let complaint = || from_folder(dir.path()).expect_err("incomplete").to_string();
        assert!(complaint().contains("vocab.json"), "{}", complaint());
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("writable");
        write("vocab.json", r#"{"a": 0}"#);
        write("merges.txt", "#version: 0.2\nab\n");
        write("tokenizer_config.json", "{}");
        assert!(complaint().contains("merges.txt"), "{}", complaint());
        write("merges.txt", "#version: 0.2\n");
        assert!(complaint().contains(START), "{}", complaint());
    }
}
