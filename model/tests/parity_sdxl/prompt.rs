//! Prompt rules: grammars, chunks, weights and both ways of applying them.

use std::path::Path;

use sakuga_model::families::sdxl::embedding::Embeddings;
use sakuga_model::families::sdxl::prompt::{Chunk, PromptRules};
use sakuga_model::families::sdxl::text::{STATE_FROM_END, TextEncoders};
use sakuga_model::networks::clip_text::TextToken;
use sakuga_model::tokenizer::TextTokenizer;
use serde_json::Value;

use crate::harness::{Part, for_each_set, json};
use crate::load;

/// The name of each program in the fixtures.
const PROGRAMS: [(&str, PromptRules); 2] = [("a1111", PromptRules::A1111), ("comfyui", PromptRules::ComfyUi)];

#[test]
fn prompts_match_their_references() {
    for_each_set("prompt", check);
}

/// The text encoders of the folder `model`.
pub(crate) fn encoders(model: &Path) -> TextEncoders {
    let tokenizer = |name: &str| TextTokenizer::clip(&model.join(name)).unwrap_or_else(|error| panic!("{error}"));
    let has_l = model.join("text_encoder/config.json").is_file();
    let second = tokenizer("tokenizer_2");
    TextEncoders {
        l: has_l.then(|| load::clip(&model.join("text_encoder"))),
        g: load::clip(&model.join("text_encoder_2")),
        tokenizers: [if has_l { tokenizer("tokenizer") } else { second.clone() }, second],
        embeddings: Embeddings::default(),
    }
}

fn check(part: &mut Part) {
    check_grammar(part);
    let encoders = encoders(&part.set.join("model"));
    for case in part.cases() {
        let name = case["name"].as_str().expect("a case has a name").to_owned();
        let text = case["text"].as_str().expect("a case has a text");
        let chunks = encoders.chunks(PromptRules::A1111, text);
        compare_chunks(part, &format!("{name}.a1111.ids"), Some(&format!("{name}.a1111.weights")), &chunks.l);
        let chunks = encoders.chunks(PromptRules::ComfyUi, text);
        compare_chunks(part, &format!("{name}.comfy.ids_l"), Some(&format!("{name}.comfy.weights")), &chunks.l);
        compare_chunks(part, &format!("{name}.comfy.ids_g"), None, &chunks.g);
        let tolerance = part.tolerance("context_and_pooled");
        for (program, rules) in [
            ("a1111", PromptRules::A1111),
            ("a1111_no_norm", PromptRules::A1111NoNorm),
            ("comfy", PromptRules::ComfyUi),
        ] {
            let features = encoders.encode(rules, text, STATE_FROM_END);
            part.compare("model", &name, &format!("{program}.context"), features.context, None, tolerance);
            part.compare("model", &name, &format!("{program}.pooled"), features.pooled, None, tolerance);
        }
    }
}

fn compare_chunks(part: &mut Part, ids: &str, weights: Option<&str>, chunks: &[Chunk]) {
    let found: Vec<i64> = chunks.iter().flat_map(Chunk::tokens).map(id).collect();
    let expected = part.tensors.i64s(ids);
    part.count();
    if found != expected {
        part.fail(format!("{ids}: {found:?} instead of {expected:?}"));
    }
    let Some(name) = weights else { return };
    let limit = part.number("/weights/rel");
    let expected = part.tensors.f32s(name);
    let found: Vec<f32> = chunks.iter().flat_map(Chunk::weights).collect();
    part.count();
    let near =
        |(found, expected): (&f32, &f32)| f64::from((found - expected).abs()) <= limit * f64::from(expected.abs());
    if found.len() != expected.len() || !found.iter().zip(&expected).all(near) {
        part.fail(format!("{name}: {found:?} instead of {expected:?}"));
    }
}

/// An id; vectors as the fixtures count them, -1 and below.
pub(crate) fn id(token: TextToken) -> i64 {
    match token {
        TextToken::Id(id) => i64::from(id),
        TextToken::Vector(vector) => -(vector as i64) - 1,
    }
}

fn check_grammar(part: &mut Part) {
    let limit = part.number("/grammar_weights/rel");
    let grammar = json(&part.dir.join("grammar.json"));
    for case in grammar["grammar"].as_array().expect("a list of texts") {
        let text = case["text"].as_str().expect("a text");
        for (program, rules) in PROGRAMS {
            let expected: Vec<(&str, f64)> =
                case[program].as_array().expect("a list of parts").iter().map(pair).collect();
            let found = rules.parts(text);
            part.count();
            let same = found.len() == expected.len()
                && found.iter().zip(&expected).all(|(found, (text, weight))| {
                    found.text == *text && (found.weight - weight).abs() <= limit * weight.abs()
                });
            if !same {
                part.fail(format!("{program} reads {text:?} as {expected:?}, not {found:?}"));
            }
        }
    }
}

fn pair(value: &Value) -> (&str, f64) {
    (value[0].as_str().expect("a text"), value[1].as_f64().expect("a weight"))
}
