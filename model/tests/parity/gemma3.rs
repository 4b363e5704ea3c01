//! Gemma 3: every hidden state and the caption features, under every layout and form of configuration.

use sakuga_model::networks::gemma3::{Gemma3, Gemma3Config};
use serde_json::Value;

use crate::harness::{Part, for_each_set, token_batch};

#[test]
fn gemma3_matches_its_reference() {
    for_each_set("gemma3", check);
}

fn check(part: &mut Part) {
    let tolerance = part.tolerance("hidden_states");
    for layout in part.layouts() {
        let config = Gemma3Config::from_json(&layout.config).unwrap_or_else(|error| panic!("{}: {error}", layout.name));
        let last = config.layers.len();
        let whole = layout.load("text_encoder", |reader| Gemma3::load_whole(&config, reader));
        let encoder = layout.load("text_encoder", |reader| Gemma3::load(&config, reader));
        for case in part.cases() {
            let name = case["name"].as_str().expect("a case has a name");
            let ids_name = format!("{}.input_ids", owner(&case, name));
            let width = part.tensors.shape(&ids_name)[1];
            let mask = part.tensors.i64s(&format!("{}.attention_mask", owner(&case, name)));
            let visible: Vec<bool> = mask.into_iter().map(|flag| flag != 0).collect();
            let tokens = token_batch(&part.tensors.i64s(&ids_name), width, &visible, 0);

            let mut states = Vec::new();
            whole
                .each_hidden_state(&tokens, |_, state| states.push(state.clone()))
                .expect("the ids are in the vocabulary");
            assert_eq!(states.len(), last + 1);
            part.compare(&layout.name, name, "last_hidden_state", states[last].clone(), Some(&visible), tolerance);
            for (index, state) in states.into_iter().enumerate() {
                part.compare(&layout.name, name, &format!("hidden_states.{index}"), state, Some(&visible), tolerance);
            }
            let features = encoder.hidden_states(&tokens).expect("the ids are in the vocabulary");
            part.compare(&layout.name, name, "cap_feats", features, Some(&visible), tolerance);
        }
    }
}

/// The case whose inputs a case uses.
fn owner<'a>(case: &'a Value, name: &'a str) -> &'a str {
    case["inputs_from"].as_str().unwrap_or(name)
}
