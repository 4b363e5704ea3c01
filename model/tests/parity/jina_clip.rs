//! Jina CLIP's text tower: every hidden state and the pooled vector, with adapters to merge and merged already.

use sakuga_model::networks::jina_clip::{JinaClip, JinaClipConfig};
use serde_json::Value;

use crate::harness::{Layout, Part, for_each_set, token_batch};

#[test]
fn jina_clip_matches_its_reference() {
    for_each_set("jina_clip", check);
}

fn check(part: &mut Part) {
    let (hidden, pooled) = (part.tolerance("hidden_states"), part.tolerance("pooled"));
    for layout in part.layouts() {
        let default =
            JinaClipConfig::from_json(&layout.config).unwrap_or_else(|error| panic!("{}: {error}", layout.name));
        let merged = is_merged(&layout);
        for case in part.cases() {
            let name = case["name"].as_str().expect("a case has a name");
            let config = match case.get("task") {
                None => default.clone(),
                Some(task) => default.clone().with_task(task.as_str()).expect("the file has this adapter"),
            };
            if merged && config.adapter != default.adapter {
                // A merged file has at most one adapter, which cannot be changed.
                continue;
            }
            let jina = layout.load("clip_model", |reader| JinaClip::load(&config, reader));
            let ids_name = format!("{}.input_ids", owner(&case, name));
            let width = part.tensors.shape(&ids_name)[1];
            let ids = part.tensors.i64s(&ids_name);
            let visible: Vec<bool> = ids.iter().map(|&id| id != i64::from(config.pad_token_id)).collect();
            let tokens = token_batch(&ids, width, &visible, config.pad_token_id);

            let mut states = Vec::new();
            let vectors = jina
                .pooled_with(&tokens, |_, state| states.push(state.clone()))
                .expect("the ids are in the vocabulary");
            part.compare(&layout.name, name, "pooled", vectors, None, pooled);
            let last = states.last().cloned().expect("there is at least the embedding");
            part.compare(&layout.name, name, "last_hidden_state", last, Some(&visible), hidden);
            for (index, state) in states.into_iter().enumerate() {
                part.compare(&layout.name, name, &format!("hidden_states.{index}"), state, Some(&visible), hidden);
            }
        }
    }
}

fn is_merged(layout: &Layout) -> bool {
    layout.load("clip_model", |reader| {
        reader.tolerate("*");
        !reader.names().iter().any(|name| name.contains(".parametrizations."))
    })
}

fn owner<'a>(case: &'a Value, name: &'a str) -> &'a str {
    case["inputs_from"].as_str().unwrap_or(name)
}
