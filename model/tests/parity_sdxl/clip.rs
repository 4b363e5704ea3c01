//! The two text encoders: ids of the checkpoint's tokenizer, every hidden state, the features of the U-Net, the pooled text.

use burn::tensor::Tensor;
use sakuga_model::networks::clip_text::{ClipText, Encoded};
use sakuga_model::tokenizer::TextTokenizer;
use serde_json::Value;

use crate::harness::{Part, for_each_set};
use crate::load::{self, names, tokens};

#[test]
fn the_text_encoders_match_their_reference() {
    for_each_set("clip", check);
}

fn check(part: &mut Part) {
    let model = part.set.join("model");
    let (l, g) = (load::clip(&model.join("text_encoder")), load::clip(&model.join("text_encoder_2")));
    let tokenizers = ["tokenizer", "tokenizer_2"]
        .map(|dir| TextTokenizer::clip(&model.join(dir)).unwrap_or_else(|error| panic!("{error}")));
    for case in part.cases() {
        let (name, owner) = names(&case);
        if owner == name {
            check_ids(part, &case, &name, &tokenizers);
        }
        let [(ids_l, _), (ids_g, ends)] =
            ["input_ids_l", "input_ids_g"].map(|input| texts(part, &format!("{owner}.{input}"), &tokenizers[1]));
        let encoded = [run(&l, &ids_l), run(&g, &ids_g)];
        let layer = case["layer"].as_i64().map_or(2, |layer| layer.unsigned_abs() as usize);
        compare(part, &name, &encoded, layer);
        let pooled = g.pool(&encoded[1], &ends).expect("CLIP-G has a projection");
        let tolerance = part.tolerance("hidden_states_pooled_prompt_embeds");
        part.compare("model", &name, "pooled", pooled, None, tolerance);
        assert!(l.pool(&encoded[0], &ends).is_none(), "CLIP-L has no projection");
    }
}

fn compare(part: &mut Part, name: &str, [l, g]: &[Encoded; 2], layer: usize) {
    let tolerance = part.tolerance("hidden_states_pooled_prompt_embeds");
    let features = Tensor::cat(vec![l.state_from_end(layer), g.state_from_end(layer)], 2);
    part.compare("model", name, "prompt_embeds", features, None, tolerance);
    for (encoder, encoded) in [("l", l), ("g", g)] {
        for (i, state) in encoded.hidden_states.iter().enumerate() {
            part.compare("model", name, &format!("{encoder}.hidden_states.{i}"), state.clone(), None, tolerance);
        }
        part.compare("model", name, &format!("{encoder}.last_hidden_state"), encoded.last.clone(), None, tolerance);
    }
}

/// Rows of ids, and the position of the first end token of each.
pub(crate) fn texts(
    part: &Part,
    name: &str,
    tokenizer: &TextTokenizer,
) -> (Vec<Vec<sakuga_model::networks::clip_text::TextToken>>, Vec<usize>) {
    let width = part.tensors.shape(name)[1];
    let ids = part.tensors.i64s(name);
    let end = i64::from(tokenizer.end_id().expect("CLIP has an end token"));
    let first = |row: &[i64]| row.iter().position(|&id| id == end).expect("every text ends");
    (tokens(&ids, width), ids.chunks(width).map(first).collect())
}

fn run(encoder: &ClipText, texts: &[Vec<sakuga_model::networks::clip_text::TextToken>]) -> Encoded {
    encoder.encode(texts, None)
}

/// The ids of the case's texts, cut and padded.
fn check_ids(part: &mut Part, case: &Value, name: &str, tokenizers: &[TextTokenizer; 2]) {
    let texts = case["texts"].as_array().cloned().unwrap_or_default();
    for (tokenizer, input) in tokenizers.iter().zip(["input_ids_l", "input_ids_g"]) {
        let input = format!("{name}.{input}");
        let width = part.tensors.shape(&input)[1];
        let expected = part.tensors.i64s(&input);
        for (text, expected) in texts.iter().zip(expected.chunks(width)) {
            let text = text.as_str().expect("a text");
            let mut ids = tokenizer.encode(text, width).ids;
            ids.resize(width, tokenizer.pad_id());
            let ids: Vec<i64> = ids.into_iter().map(i64::from).collect();
            if ids != expected {
                part.fail(format!("{input} of {text:?} is {expected:?}, but the tokenizer gives {ids:?}"));
            }
        }
    }
}
