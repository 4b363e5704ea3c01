//! Text to token ids by a checkpoint's `tokenizer.json` or by CLIP's vocabulary, with an account of what a length limit cuts
//! off.

mod clip;
mod expansion;

use std::path::Path;

use tokenizers::Tokenizer;

use crate::bounded::{TOKENIZER_BYTES_MAX, read_bounded};
use crate::error::LoadError;

/// The most characters of the lost text that are quoted.
const QUOTE_CHARS: usize = 40;

/// A tokenizer as one text encoder uses it. It needs no device and is shared between threads.
#[derive(Debug, Clone)]
pub struct TextTokenizer {
    tokenizer: Tokenizer,
    /// Id before every text.
    begin: u32,
    /// Id after every text, if the encoder expects one; it survives truncation.
    end: Option<u32>,
    pad: u32,
}

/// A tokenized text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The ids, begin and end included, at most as many as the limit.
    pub ids: Vec<u32>,
    /// How many ids the whole text has.
    pub total: usize,
    /// Whether the limit cut the text.
    pub truncated: bool,
    /// The first words that were cut off, at most 40 characters.
    pub first_lost: Option<String>,
}

impl TextTokenizer {
    /// Gemma's: `<bos>` before the text, nothing after it, `<pad>`.
    ///
    /// # Errors
    /// When the file cannot be read, is not a `tokenizer.json`, or lacks these tokens.
    pub fn gemma(path: &Path) -> Result<Self, LoadError> {
        Self::open(path, "<bos>", None, "<pad>")
    }

    /// Jina CLIP's (XLM-R): `<s>` before and `</s>` after the text, `<pad>`.
    ///
    /// # Errors
    /// As [`TextTokenizer::gemma`].
    pub fn jina(path: &Path) -> Result<Self, LoadError> {
        Self::open(path, "<s>", Some("</s>"), "<pad>")
    }

    /// CLIP's of a folder with `vocab.json`, `merges.txt` and `tokenizer_config.json`: `<|startoftext|>` before and
    /// `<|endoftext|>` after the text, and the padding that the folder names.
    ///
    /// # Errors
    /// When a file cannot be read, is malformed, or lacks these tokens or the entry of a byte.
    pub fn clip(dir: &Path) -> Result<Self, LoadError> {
        clip::from_folder(dir)
    }

    /// CLIP's with the vocabulary of the published models, padding with `<|endoftext|>` as CLIP-L does.
    pub fn clip_l() -> Self {
        clip::built_in(clip::END).expect("the built-in vocabulary is complete")
    }

    /// As [`clip_l`](Self::clip_l), padding with `!`, whose id is 0, as CLIP-G does.
    pub fn clip_g() -> Self {
        clip::built_in(clip::ZERO).expect("the built-in vocabulary is complete")
    }

    fn open(path: &Path, begin: &str, end: Option<&str>, pad: &str) -> Result<Self, LoadError> {
        let fail = |reason: String| LoadError::Tokenizer { path: path.to_owned(), reason };
        let bytes = read_bounded(path, TOKENIZER_BYTES_MAX)?;
        expansion::check_steps(&bytes).map_err(fail)?;
        let mut tokenizer = Tokenizer::from_bytes(bytes)
            .map_err(|error| fail(format!("it is not a usable tokenizer.json: {error}")))?;
        expansion::check_characters(&tokenizer).map_err(fail)?;
        // The caller sets limits and padding; a file may have those of an earlier run.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|error| fail(error.to_string()))?;
        let id = |token: &str| {
            tokenizer
                .token_to_id(token)
                .ok_or_else(|| fail(format!("it has no `{token}` token; it belongs to another model")))
        };
        // A vocabulary without an unknown token fails on what it lacks; better here than in the middle of a prompt.
        tokenizer
            .encode("\u{10fffd}", false)
            .map_err(|error| fail(format!("it cannot tokenize arbitrary text: {error}")))?;
        let (begin, end, pad) = (id(begin)?, end.map(id).transpose()?, id(pad)?);
        Ok(Self { tokenizer, begin, end, pad })
    }

    /// The id before every text.
    pub fn begin_id(&self) -> u32 {
        self.begin
    }

    /// The id after every text, if the encoder expects one.
    pub fn end_id(&self) -> Option<u32> {
        self.end
    }

    /// The ids of the text alone.
    pub fn ids(&self, text: &str) -> Vec<u32> {
        self.pieces(text).into_iter().map(|(id, _)| id).collect()
    }

    /// The id that pads short texts.
    pub fn pad_id(&self) -> u32 {
        self.pad
    }

    /// How many ids a text has, begin and end included.
    pub fn count(&self, text: &str) -> usize {
        self.pieces(text).len() + 1 + usize::from(self.end.is_some())
    }

    /// Tokenizes a text, keeping at most `max_len` ids (at least those before and after the text).
    pub fn encode(&self, text: &str, max_len: usize) -> Encoded {
        let mut pieces = self.pieces(text);
        let around = 1 + usize::from(self.end.is_some());
        let total = pieces.len() + around;
        let kept = pieces.len().min(max_len.saturating_sub(around));
        let first_lost = pieces.get(kept).map(|&(_, start)| quote(text, start));
        pieces.truncate(kept);
        let ids = std::iter::once(self.begin).chain(pieces.into_iter().map(|(id, _)| id)).chain(self.end).collect();
        Encoded { ids, total, truncated: first_lost.is_some(), first_lost }
    }

    /// Ids of the text alone with the byte at which each begins. The tokens around the text are not left to the file's
    /// post-processor, because not every copy of a tokenizer.json has one.
    fn pieces(&self, text: &str) -> Vec<(u32, usize)> {
        // Encoding fails only if a text has no id, and opening checked that every text has one.
        let Ok(encoding) = self.tokenizer.encode(text, false) else { return Vec::new() };
        encoding.get_ids().iter().copied().zip(encoding.get_offsets().iter().map(|&(start, _)| start)).collect()
    }
}

/// The text from byte `start` on, shortened.
fn quote(text: &str, start: usize) -> String {
    let start = (0..=start.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    text[start..].trim_start().chars().take(QUOTE_CHARS).collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A word-level tokenizer of ours: an id for each of a few words.
    const WORDS: &str = r#"{"version":"1.0","truncation":{"max_length":2,"strategy":"LongestFirst","stride":0,"direction":"Right"},
        "padding":null,"added_tokens":[],"normalizer":null,"pre_tokenizer":{"type":"Whitespace"},"post_processor":null,"decoder":null,
        "model":{"type":"WordLevel","vocab":{"<s>":0,"<pad>":1,"</s>":2,"<unk>":3,"<bos>":4,"red":5,"blue":6,"猫":7},"unk_token":"<unk>"}}"#;

    fn file(content: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    #[test]
    fn each_encoder_gets_its_own_tokens_around_the_text() {
        let file = file(WORDS);
        let (gemma, jina) = (TextTokenizer::gemma(file.path()).unwrap(), TextTokenizer::jina(file.path()).unwrap());
        assert_eq!(gemma.encode("red 猫 blue", 512).ids, [4, 5, 7, 6]);
        assert_eq!(jina.encode("red 猫 blue", 512).ids, [0, 5, 7, 6, 2]);
        assert_eq!((gemma.encode("", 512).ids, jina.encode("", 512).ids), (vec![4], vec![0, 2]));
        assert_eq!((gemma.count("red x"), jina.count("red x"), jina.pad_id()), (3, 4, 1));
    }

    #[test]
    fn a_limit_keeps_the_end_token_and_says_what_was_lost() {
        let file = file(WORDS);
        let jina = TextTokenizer::jina(file.path()).unwrap();
        let cut = jina.encode("red red 猫 blue", 4);
        assert_eq!((cut.ids, cut.total, cut.truncated), (vec![0, 5, 5, 2], 6, true));
        assert_eq!(cut.first_lost.as_deref(), Some("猫 blue"));
        let fits = jina.encode("red red 猫 blue", 6);
        assert_eq!((fits.truncated, fits.first_lost), (false, None));
        assert_eq!(jina.encode("red", 0).ids, [0, 2]);
    }

    #[test]
    fn a_file_whose_steps_expand_a_text_without_bound_is_refused() {
        let step = r#"{"type":"Replace","pattern":{"String":"a"},"content":"aaaaaaaaaaaaaaaa"}"#;
        let steps = [step; 12].join(",");
        let normalizer = format!(r#""normalizer":{{"type":"Sequence","normalizers":[{steps}]}}"#);
        let error = TextTokenizer::gemma(file(&WORDS.replace(r#""normalizer":null"#, &normalizer)).path()).unwrap_err();
        assert!(error.to_string().contains("times as long"), "{error}");
        let once = WORDS.replace(r#""normalizer":null"#, &format!(r#""normalizer":{step}"#));
        TextTokenizer::gemma(file(&once).path()).unwrap();
    }

    #[test]
    fn unusable_files_are_refused() {
        for (content, complaint) in
            [("{", "not a usable"), ("{}", "not a usable"), (&WORDS.replace("<bos>", "x"), "`<bos>`")]
        {
            let error = TextTokenizer::gemma(file(content).path()).unwrap_err().to_string();
            assert!(error.contains(complaint), "{error}");
        }
        assert!(matches!(TextTokenizer::gemma(Path::new("gone/tokenizer.json")), Err(LoadError::Read { .. })));
    }
}
