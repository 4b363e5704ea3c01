//! The tokenizers of a random checkpoint: one small byte-level BPE with the special tokens of either encoder.
//!
//! The vocabulary was trained by `examples/train_tokenizer.rs` on `assets/tokenizer_corpus.txt`.

use serde_json::{Value, json};

/// Tokens of the vocabulary, special ones included.
pub(crate) const VOCABULARY: usize = 1800;

const BASE: &str = include_str!("../../../../assets/tokenizer.json");
/// The special tokens of [`BASE`], at the ids 0 to 3.
const BASE_SPECIAL: [&str; 4] = ["<pad>", "<eos>", "<bos>", "<unk>"];
/// Jina CLIP's, at the same ids.
const JINA_SPECIAL: [&str; 4] = ["<s>", "<pad>", "</s>", "<unk>"];

/// Gemma's `tokenizer.json`: `<bos>` before every text.
pub(crate) fn gemma() -> Value {
    with_special(BASE_SPECIAL, &["<bos>"], &[])
}

/// Jina CLIP's `tokenizer.json`: `<s>` before and `</s>` after every text.
pub(crate) fn jina() -> Value {
    with_special(JINA_SPECIAL, &["<s>"], &["</s>"])
}

fn with_special(special: [&str; 4], before: &[&str], after: &[&str]) -> Value {
    let mut tokenizer: Value = serde_json::from_str(BASE).expect("the embedded tokenizer is JSON");
    if let Some(tokens) = tokenizer["added_tokens"].as_array_mut() {
        for (token, name) in tokens.iter_mut().zip(special) {
            token["content"] = json!(name);
        }
    }
    if let Some(vocabulary) = tokenizer["model"]["vocab"].as_object_mut() {
        BASE_SPECIAL.iter().for_each(|name| drop(vocabulary.remove(*name)));
        vocabulary.extend(special.iter().enumerate().map(|(id, name)| ((*name).to_owned(), json!(id))));
    }
    let id = |name: &str| special.iter().position(|other| *other == name);
    let token = |name: &&str| json!({ "SpecialToken": { "id": name, "type_id": 0 } });
    let sequence = json!({ "Sequence": { "id": "A", "type_id": 0 } });
    let single: Vec<Value> =
        before.iter().map(token).chain(std::iter::once(sequence)).chain(after.iter().map(token)).collect();
    let used = before.iter().chain(after);
    let table = used.map(|name| ((*name).to_owned(), json!({ "id": name, "ids": [id(name)], "tokens": [name] })));
    tokenizer["post_processor"] = json!({
        "type": "TemplateProcessing",
        "single": single,
        "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 1 } }],
        "special_tokens": table.collect::<serde_json::Map<_, _>>(),
    });
    tokenizer
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenizers::Tokenizer;

    fn ids(tokenizer: &Value, text: &str) -> Vec<u32> {
        let bytes = tokenizer.to_string().into_bytes();
        let tokenizer = Tokenizer::from_bytes(bytes).expect("a tokenizer");
        assert_eq!(tokenizer.get_vocab_size(true), VOCABULARY);
        tokenizer.encode(text, true).expect("byte-level BPE reads everything").get_ids().to_vec()
    }

    #[test]
    fn special_tokens_stand_where_the_encoders_expect_them() {
        assert_eq!(ids(&gemma(), ""), [2]);
        assert_eq!(ids(&jina(), ""), [0, 2]);
        let (gemma, jina) = (ids(&gemma(), "<gender>1girl</gender>"), ids(&jina(), "<gender>1girl</gender>"));
        assert_eq!(gemma[1..], jina[1..jina.len() - 1]);
    }

    #[test]
    fn every_text_comes_back() {
        let tokenizer = Tokenizer::from_bytes(gemma().to_string()).expect("a tokenizer");
        for text in ["<n>$character_1$</n> ☃ 初音 \n\t x", "long hair, blue eyes"] {
            let encoding = tokenizer.encode(text, false).expect("readable");
            assert_eq!(tokenizer.decode(encoding.get_ids(), true).expect("decodable"), text);
        }
    }
}
