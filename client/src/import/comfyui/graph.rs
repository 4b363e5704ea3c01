//! A graph of nodes, from either of ComfyUI's forms.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

/// The most nodes that are read.
const MOST_NODES: usize = 10_000;

/// The longest chain of nodes that is followed.
pub(super) const DEPTH: usize = 32;

/// An input of a node.
#[derive(Clone, Debug)]
pub(super) enum Input {
    Value(Value),
    /// The node whose output it is.
    Link(String),
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) id: String,
    pub(super) class: String,
    inputs: HashMap<String, Input>,
}

impl Node {
    pub(super) fn input(&self, name: &str) -> Option<&Input> {
        self.inputs.get(name)
    }
}

/// All nodes that are switched on.
#[derive(Debug)]
pub(super) struct Graph(BTreeMap<String, Node>);

impl Graph {
    /// Reads either form; `None` if the value is neither.
    pub(super) fn new(value: &Value) -> Option<Self> {
        let object = value.as_object()?;
        if let Some(nodes) = object.get("nodes").and_then(Value::as_array) {
            return Some(editor_form(nodes, object.get("links")));
        }
        // What is sent to the server: `{"prompt": {...}, "client_id": ...}`.
        let object = object.get("prompt").and_then(Value::as_object).unwrap_or(object);
        let nodes: BTreeMap<String, Node> =
            object.iter().take(MOST_NODES).filter_map(|(id, node)| Some((id.clone(), api_node(id, node)?))).collect();
        (!nodes.is_empty()).then_some(Self(nodes))
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.0.values()
    }

    /// A value of a node, or of the node that it comes from.
    pub(super) fn find(&self, node: &Node, names: &[&str]) -> Option<Value> {
        let mut node = node;
        for _ in 0..DEPTH {
            let (name, input) = names.iter().find_map(|name| Some((name, node.input(name)?)))?;
            match input {
                Input::Value(value) => return Some(value.clone()),
                Input::Link(_) => node = self.follow(node, name)?,
            }
        }
        None
    }

    /// The node behind an input; nodes that only pass a value on are skipped.
    pub(super) fn follow(&self, node: &Node, name: &str) -> Option<&Node> {
        let mut name = name;
        let mut node = node;
        for _ in 0..DEPTH {
            let Input::Link(id) = node.input(name)? else { return None };
            let next = self.0.get(id)?;
            if next.class != "Reroute" {
                return Some(next);
            }
            (node, name) = (next, "");
        }
        None
    }
}

/// `{"class_type": "KSampler", "inputs": {"seed": 7, "model": ["4", 0]}}`
fn api_node(id: &str, node: &Value) -> Option<Node> {
    let class = node.get("class_type")?.as_str()?.to_owned();
    let is_reroute = class == "Reroute";
    let inputs = node.get("inputs").and_then(Value::as_object).cloned().unwrap_or_default();
    let input = |(name, value): (String, Value)| {
        let name = if is_reroute { String::new() } else { name };
        match link(&value) {
            Some(id) => (name, Input::Link(id)),
            None => (name, Input::Value(value)),
        }
    };
    Some(Node { id: id.to_owned(), class, inputs: inputs.into_iter().map(input).collect() })
}

/// `["4", 0]`: the first output of node 4.
fn link(value: &Value) -> Option<String> {
    match value.as_array()?.as_slice() {
        [id, Value::Number(_)] => name_of(id),
        _ => None,
    }
}

fn name_of(id: &Value) -> Option<String> {
    id.as_str().map(str::to_owned).or_else(|| id.as_u64().map(|id| id.to_string()))
}

/// What the widgets of a node are called, in their order. The editor's form does not say it.
fn widgets(class: &str) -> &'static [&'static str] {
    match class {
        "KSampler" => &["seed", "", "steps", "cfg", "sampler_name", "scheduler", "denoise"],
        "KSamplerAdvanced" => &["", "noise_seed", "", "steps", "cfg", "sampler_name", "scheduler"],
        "SamplerCustom" => &["", "noise_seed", "", "cfg"],
        "RandomNoise" => &["noise_seed"],
        "BasicScheduler" => &["scheduler", "steps", "denoise"],
        "KSamplerSelect" => &["sampler_name"],
        "CFGGuider" => &["cfg"],
        "CheckpointLoaderSimple" | "CheckpointLoader" => &["ckpt_name"],
        "UNETLoader" => &["unet_name"],
        "LatentUpscaleBy" | "ImageScaleBy" => &["upscale_method", "scale_by"],
        "LatentUpscale" | "ImageScale" => &["upscale_method", "width", "height"],
        "LoraLoader" => &["lora_name", "strength_model", "strength_clip"],
        "LoraLoaderModelOnly" => &["lora_name", "strength_model"],
        name if name.starts_with("Empty") && name.contains("Latent") => &["width", "height", "batch_size"],
        "CLIPTextEncodeSDXL" => &["", "", "", "", "", "", "text_g", "text_l"],
        // A text is the first widget of nearly every node for texts.
        name if name.contains("Text") || name.contains("String") || name.contains("Prompt") => &["text"],
        "PrimitiveNode" | "PrimitiveInt" | "PrimitiveFloat" | "INTConstant" => &["value"],
        _ => &[],
    }
}

fn editor_form(nodes: &[Value], links: Option<&Value>) -> Graph {
    // [link, from node, from output, to node, to input, type]; newer versions write objects.
    let source = |link: &Value| match link {
        Value::Array(parts) => Some((parts.first()?.as_u64()?, name_of(parts.get(1)?)?)),
        Value::Object(parts) => Some((parts.get("id")?.as_u64()?, name_of(parts.get("origin_id")?)?)),
        _ => None,
    };
    let links = links.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let sources: HashMap<u64, String> = links.iter().filter_map(source).collect();
    let nodes = nodes.iter().take(MOST_NODES).filter_map(|node| {
        let node = editor_node(node.as_object()?, &sources)?;
        Some((node.id.clone(), node))
    });
    Graph(nodes.collect())
}

fn editor_node(node: &Map<String, Value>, sources: &HashMap<u64, String>) -> Option<Node> {
    // Modes 2 and 4: muted and bypassed.
    if node.get("mode").and_then(Value::as_u64).is_some_and(|mode| mode == 2 || mode == 4) {
        return None;
    }
    let id = name_of(node.get("id")?)?;
    let class = node.get("type")?.as_str()?.to_owned();
    let mut inputs = HashMap::new();
    match node.get("widgets_values") {
        Some(Value::Array(values)) => {
            let named = widgets(&class).iter().zip(values).filter(|(name, _)| !name.is_empty());
            inputs.extend(named.map(|(name, value)| ((*name).to_owned(), Input::Value(value.clone()))));
        }
        Some(Value::Object(values)) => {
            inputs.extend(values.iter().map(|(name, value)| (name.clone(), Input::Value(value.clone()))));
        }
        _ => {}
    }
    for input in node.get("inputs").and_then(Value::as_array).into_iter().flatten() {
        let source = input.get("link").and_then(Value::as_u64).and_then(|link| sources.get(&link));
        if let (Some(source), Some(name)) = (source, input.get("name").and_then(Value::as_str)) {
            inputs
                .insert(if class == "Reroute" { String::new() } else { name.to_owned() }, Input::Link(source.clone()));
        }
    }
    Some(Node { id, class, inputs })
}
