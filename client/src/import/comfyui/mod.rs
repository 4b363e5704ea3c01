//! ComfyUI's graphs: the sampler is found, and its inputs are followed to texts, numbers and names.

mod graph;
mod second_pass;

use std::collections::HashSet;

use serde_json::Value;

use super::json_value::{number, shown, whole};
use super::settings::Settings;
use super::{ImportError, Program, reason};
use graph::{DEPTH, Graph, Input, Node};

/// Inputs that lead from one conditioning to the one that it is made of.
const CONDITIONINGS: &[&str] =
    &["conditioning", "conditioning_1", "conditioning_2", "conditioning_to", "conditioning_from", "cond1", "cond2"];

/// Inputs that hold a text, in nodes for texts of any maker.
const TEXTS: &[&str] = &[
    "text",
    "text_g",
    "prompt",
    "string",
    "value",
    "text_positive",
    "text_a",
    "text_b",
    "string_a",
    "string_b",
    "text1",
    "text2",
];

/// Reads the API form, the editor's form, or a request to ComfyUI's server that holds the first.
pub(super) fn read(text: &str) -> Result<Settings, ImportError> {
    // Some nodes write NaN, which is not JSON, where a widget was never set.
    let text = text.replace("NaN", "null");
    let value: Value = serde_json::from_str(&text).map_err(|error| ImportError::unreadable(Program::ComfyUi, error))?;
    let graph = Graph::new(&value).ok_or_else(|| ImportError::unreadable(Program::ComfyUi, "it is not a graph"))?;
    let samplers = samplers(&graph);
    let Some(sampler) = samplers.first().copied() else {
        return Err(ImportError::unreadable(Program::ComfyUi, "the graph has no sampler"));
    };
    let mut settings = Settings::default();
    let guider = graph.follow(sampler, "guider");
    let conditioned = if sampler.input("positive").is_some() { sampler } else { guider.unwrap_or(sampler) };
    let positive = ["positive", "conditioning"].iter().find_map(|name| graph.follow(conditioned, name));
    settings.prompt = positive.map(|node| conditioning(&graph, node)).unwrap_or_default();
    settings.negative =
        graph.follow(conditioned, "negative").map(|node| conditioning(&graph, node)).unwrap_or_default();
    if settings.prompt.is_empty() {
        return Err(ImportError::unreadable(Program::ComfyUi, "no text leads to the sampler"));
    }
    let scheduler = graph.follow(sampler, "sigmas").unwrap_or(sampler);
    let noise = graph.follow(sampler, "noise").unwrap_or(sampler);
    settings.steps = whole(graph.find(scheduler, &["steps", "value", "int"]).as_ref());
    settings.schedule = graph.find(scheduler, &["scheduler"]).map(|name| shown(&name));
    settings.guidance_scale = number(graph.find(conditioned, &["cfg", "value", "float"]).as_ref());
    settings.seed = whole(graph.find(noise, &["seed", "noise_seed", "value"]).as_ref());
    let select = graph.follow(sampler, "sampler").unwrap_or(sampler);
    settings.sampler = graph.find(select, &["sampler_name"]).map(|name| shown(&name));
    latent(&graph, sampler, &mut settings);
    model(&graph, conditioned, &mut settings);
    let denoise = number(graph.find(scheduler, &["denoise"]).as_ref());
    if let Some(denoise) = denoise.filter(|denoise| *denoise < 1.0) {
        settings.leave_out("denoise", denoise, reason::NO_INIT_IMAGE);
    }
    for other in &samplers[1..] {
        match second_pass::read(&graph, sampler, other, &settings).filter(|_| settings.second.is_none()) {
            Some(second) => settings.second = Some(second),
            None => settings.leave_out("sampler", &other.class, reason::OTHER_PASS),
        }
    }
    Ok(settings)
}

/// The samplers, those that begin from an empty latent image first.
fn samplers(graph: &Graph) -> Vec<&Node> {
    let is_sampler = |node: &&Node| {
        let is_conditioned = node.input("positive").is_some() || node.input("guider").is_some();
        is_conditioned && (node.class.contains("Sampler") || node.input("latent_image").is_some())
    };
    let mut found: Vec<&Node> = graph.nodes().filter(is_sampler).collect();
    found.sort_by_key(|node| graph.follow(node, "latent_image").is_none_or(|latent| latent.input("width").is_none()));
    found
}

/// The texts that a conditioning is made of.
fn conditioning(graph: &Graph, node: &Node) -> String {
    let mut texts = Vec::new();
    collect(graph, node, &mut HashSet::new(), DEPTH, &mut texts);
    texts.join(", ")
}

fn collect(graph: &Graph, node: &Node, seen: &mut HashSet<String>, depth: usize, texts: &mut Vec<String>) {
    if depth == 0 || !seen.insert(node.id.clone()) {
        return;
    }
    let before = texts.len();
    let mut add = |text: &str| {
        let text = text.trim();
        if !text.is_empty() && !texts.iter().any(|other| other == text) {
            texts.push(text.to_owned());
        }
    };
    let mut links = Vec::new();
    for name in TEXTS {
        match node.input(name) {
            Some(Input::Value(Value::String(text))) => add(text),
            Some(Input::Link(_)) => links.extend(graph.follow(node, name)),
            _ => {}
        }
    }
    links.extend(CONDITIONINGS.iter().filter_map(|name| graph.follow(node, name)));
    if links.is_empty() && texts.len() == before {
        // A node that is not known by its inputs: one that passes a conditioning on, such as ControlNet's.
        links.extend(["positive", "any", "source"].iter().filter_map(|name| graph.follow(node, name)));
    }
    for link in links {
        collect(graph, link, seen, depth - 1, texts);
    }
}

fn latent(graph: &Graph, sampler: &Node, settings: &mut Settings) {
    let Some(latent) = graph.follow(sampler, "latent_image") else { return };
    settings.width = whole(graph.find(latent, &["width", "value", "int"]).as_ref());
    settings.height = whole(graph.find(latent, &["height", "value", "int"]).as_ref());
    if latent.input("width").is_none() {
        settings.leave_out("latent image", &latent.class, reason::NO_LATENT_IMAGE);
    }
}

/// The chain from the sampler's model to the checkpoint.
fn model(graph: &Graph, conditioned: &Node, settings: &mut Settings) {
    let mut node = graph.follow(conditioned, "model");
    for _ in 0..DEPTH {
        let Some(current) = node else { return };
        if let Some(Input::Value(name)) = current.input("lora_name") {
            let strength = graph.find(current, &["strength_model"]).map(|strength| format!(":{strength}"));
            settings.leave_out("lora", shown(name) + strength.as_deref().unwrap_or_default(), reason::OTHER_ADAPTER);
        }
        let checkpoint = ["ckpt_name", "unet_name", "model_name"].iter().find_map(|name| current.input(name));
        if let Some(Input::Value(name)) = checkpoint {
            settings.leave_out("model", shown(name), reason::OTHER_MODEL);
            return;
        }
        node = graph.follow(current, "model");
    }
}
