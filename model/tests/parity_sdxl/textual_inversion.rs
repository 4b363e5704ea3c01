//! Textual inversion: vectors in the place of tokens, and prompts that name them.

use burn::tensor::{Device, Tensor};
use sakuga_model::families::sdxl::embedding::{Embeddings, Encoder};
use sakuga_model::families::sdxl::prompt::{Chunk, PromptRules};
use sakuga_model::families::sdxl::text::{STATE_FROM_END, TextEncoders};
use sakuga_model::networks::clip_text::TextToken;
use serde_json::Value;

use crate::harness::{Part, device, for_each_set};
use crate::load::tokens;
use crate::prompt::{encoders, id};

#[test]
fn embeddings_match_their_references() {
    for_each_set("textual_inversion", check);
}

/// An embedding of a set under a name.
pub(crate) fn embeddings(part: &Part, file: &str, name: &str, encoders: &TextEncoders) -> Embeddings {
    let l = encoders.l.as_ref().expect("the base model has CLIP-L");
    let widths = [l.config().hidden_size, encoders.g.config().hidden_size];
    let device: Device = device();
    let mut embeddings = Embeddings::default();
    let path = part.set.join("textual_inversion").join(file);
    embeddings.add(name, &path, widths, &device).unwrap_or_else(|error| panic!("{error}"));
    embeddings
}

fn check(part: &mut Part) {
    let mut encoders = encoders(&part.set.join("model"));
    for case in part.cases() {
        let name = case["name"].as_str().expect("a case has a name").to_owned();
        let file = case["file"].as_str().expect("a case has a file").to_owned();
        let stem = file.trim_end_matches(".safetensors").to_owned();
        match case["kind"].as_str() {
            Some("ids") => {
                encoders.embeddings = embeddings(part, &file, &stem, &encoders);
                check_ids(part, &case, &name, &encoders);
            }
            Some("a1111") => {
                let embedding = case["embedding_name"].as_str().expect("a name");
                encoders.embeddings = embeddings(part, &file, embedding, &encoders);
                let text = case["text"].as_str().expect("a text");
                compare(part, &name, &encoders, PromptRules::A1111, text);
            }
            Some("diffusers") => {
                let token = case["token"].as_str().expect("a token");
                encoders.embeddings = embeddings(part, &file, token, &encoders);
                check_diffusers(part, &case, &name, &encoders);
            }
            other => part.fail(format!("{name}: unknown kind {other:?}")),
        }
    }
}

fn compare(part: &mut Part, name: &str, encoders: &TextEncoders, rules: PromptRules, text: &str) {
    let tolerance = part.tolerance("prompt_embeds_pooled");
    let features = encoders.encode(rules, text, STATE_FROM_END);
    part.compare("model", name, "prompt_embeds", features.context, None, tolerance);
    part.compare("model", name, "pooled", features.pooled, None, tolerance);
}

fn check_ids(part: &mut Part, case: &Value, name: &str, encoders: &TextEncoders) {
    let text = case["text_comfyui"].as_str().expect("a text");
    let chunks = encoders.chunks(PromptRules::ComfyUi, text);
    for (input, chunks) in [("ids_l", &chunks.l), ("ids_g", &chunks.g)] {
        let found: Vec<i64> = chunks.iter().flat_map(Chunk::tokens).map(id).collect();
        let expected = part.tensors.i64s(&format!("{name}.{input}"));
        if found != expected {
            part.fail(format!("{name}.{input}: {found:?} instead of {expected:?}"));
        }
    }
    compare(part, name, encoders, PromptRules::ComfyUi, text);
}

/// The library puts the vectors after the vocabulary and pools at the largest id.
fn check_diffusers(part: &mut Part, case: &Value, name: &str, encoders: &TextEncoders) {
    let tolerance = part.tolerance("prompt_embeds_pooled");
    let l = encoders.l.as_ref().expect("the base model has CLIP-L");
    let mut states = Vec::new();
    for (encoder, network, input) in
        [(Encoder::L, l, "ids_l_of_diffusers"), (Encoder::G, &encoders.g, "ids_g_of_diffusers")]
    {
        let input = format!("{name}.{input}");
        let ids = part.tensors.i64s(&input);
        let width = part.tensors.shape(&input)[1];
        let vocabulary = network.config().vocab_size as i64;
        let vectors: Vec<i64> = ids.iter().map(|&id| if id < vocabulary { id } else { vocabulary - id - 1 }).collect();
        let encoded = network.encode(&tokens(&vectors, width), encoders.embeddings.table(encoder).as_ref());
        states.push(encoded.state_from_end(STATE_FROM_END));
        let largest = ids.iter().max().expect("there are ids");
        let at = ids.iter().position(|id| id == largest).expect("it is one of them");
        if let Some(pooled) = network.pool(&encoded, &[at]) {
            part.compare("model", name, "pooled_at_the_largest_id", pooled, None, tolerance);
        }
    }
    part.compare("model", name, "prompt_embeds", Tensor::cat(states, 2), None, tolerance);
    // The same text through our own rules has the same features, and is pooled at its end.
    let text = case["text"].as_str().expect("a text");
    let chunks = encoders.chunks(PromptRules::Plain, text);
    assert!(chunks.l[0].tokens().iter().any(|token| matches!(token, TextToken::Vector(_))));
    let features = encoders.encode(PromptRules::Plain, text, STATE_FROM_END);
    part.compare("plain", name, "prompt_embeds", features.context, None, tolerance);
    let same = case["same_as"].as_str().expect("a case with the same text");
    part.compare("plain", same, "pooled", features.pooled, None, tolerance);
}
