//! Sizes of the tower and the adapter to merge, from `config.json`.

use std::ops::RangeInclusive;

use serde_json::Value;

use crate::checkpoint::ConfigFields;
use crate::error::ConfigError;

const WIDTHS: RangeInclusive<usize> = 1..=1 << 17;

/// Configuration of Jina CLIP v2's text tower.
#[derive(Debug, Clone, PartialEq)]
pub struct JinaClipConfig {
    /// Rows of the embedding table.
    pub vocab_size: usize,
    /// Width of the hidden states.
    pub hidden_size: usize,
    /// Number of layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width inside the MLP.
    pub intermediate_size: usize,
    /// Rows of the token-type table; only the first is used.
    pub type_vocab_size: usize,
    /// Epsilon of every norm.
    pub layer_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rotary_emb_base: f64,
    /// The id that is masked and left out of the mean.
    pub pad_token_id: u32,
    /// Names of the adapters that the file stacks, in its order.
    pub adapters: Vec<String>,
    /// The adapter to merge; `None` for the original weights.
    pub adapter: Option<TaskAdapter>,
    /// `lora_alpha / lora_rank`.
    adapter_scale: f32,
}

/// An adapter of the file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TaskAdapter {
    /// Position on the first axis of the stacked factors.
    pub index: usize,
    /// Factor on the product of the two factors.
    pub scale: f32,
}

impl JinaClipConfig {
    /// Reads `config.json` of the CLIP model. The published file names another repository for the tower's sizes; where
    /// `text_config.hf_model_config_kwargs` does not give them they are those of jina-embeddings-v3.
    ///
    /// # Errors
    /// One error with every invalid field.
    pub fn from_json(config: &Value) -> Result<Self, ConfigError> {
        let top = ConfigFields::new(config);
        let text = if top.has("text_config") { top.section("text_config") } else { top.clone() };
        let name = "hf_model_config_kwargs";
        let fields = if text.has(name) { text.section(name) } else { text.clone() };
        let adapters = adapters(&fields);
        let rank = fields.number_or("lora_rank", 4.0, 1.0..=65536.0);
        let alpha = fields.number_or("lora_alpha", rank, -1e6..=1e6);
        let mut config = Self {
            vocab_size: fields.count_or("vocab_size", 250_002, 1..=1 << 24),
            hidden_size: fields.count_or("hidden_size", 1024, WIDTHS),
            layers: fields.count_or("num_hidden_layers", 24, 1..=1024),
            heads: fields.count_or("num_attention_heads", 16, 1..=1024),
            intermediate_size: fields.count_or("intermediate_size", 4096, WIDTHS),
            type_vocab_size: fields.count_or("type_vocab_size", 1, 1..=1024),
            layer_norm_eps: fields.number_or("layer_norm_eps", 1e-5, 0.0..=1.0),
            rotary_emb_base: fields.number_or("rotary_emb_base", 20_000.0, 1.0..=1e12),
            pad_token_id: fields.count_or("pad_token_id", 1, 0..=1 << 24) as u32,
            adapters,
            adapter: None,
            adapter_scale: (alpha / rank) as f32,
        };
        if !config.hidden_size.is_multiple_of(2 * config.heads) {
            fields.reject(format!(
                "`hidden_size` {} does not split into {} heads of an even width",
                config.hidden_size, config.heads
            ));
        }
        for (field, supported) in [("hidden_act", "gelu"), ("position_embedding_type", "rotary")] {
            let found = fields.text_or(field, supported);
            if found != supported {
                fields.reject(format!("`{field}` is `{found}`; only {supported} is supported"));
            }
        }
        // An explicit null switches adapters off in the original code; a missing key leaves the default, the first one.
        match text.task() {
            Task::Named(task) => match config.clone().with_task(Some(&task)) {
                Ok(selected) => config = selected,
                Err(error) => text.reject(error),
            },
            Task::Off => {}
            Task::Unsaid => config.adapter = (!config.adapters.is_empty()).then(|| config.adapter_at(0)),
        }
        fields.finish().map(|()| config)
    }

    /// The same configuration with another adapter, or none.
    ///
    /// # Errors
    /// The file has no adapter of this name.
    #[doc(hidden)]
    pub fn with_task(mut self, task: Option<&str>) -> Result<Self, ConfigError> {
        self.adapter = match task {
            None => None,
            Some(task) => match self.adapters.iter().position(|name| name == task) {
                Some(index) => Some(self.adapter_at(index)),
                None => {
                    return Err(ConfigError::new(format!(
                        "`default_lora_task` is `{task}`, but `lora_adaptations` has {:?}",
                        self.adapters
                    )));
                }
            },
        };
        Ok(self)
    }

    fn adapter_at(&self, index: usize) -> TaskAdapter {
        TaskAdapter { index, scale: self.adapter_scale }
    }
}

enum Task {
    Named(String),
    Off,
    Unsaid,
}

impl ConfigFields<'_> {
    fn task(&self) -> Task {
        match (self.is_null("default_lora_task"), self.has("default_lora_task")) {
            (true, _) => Task::Off,
            (false, true) => Task::Named(self.text_or("default_lora_task", "")),
            (false, false) => Task::Unsaid,
        }
    }
}

fn adapters(fields: &ConfigFields<'_>) -> Vec<String> {
    let Some(value) = fields.get("lora_adaptations") else { return vec!["retrieval.query".to_owned()] };
    let names = value.as_array().and_then(|names| names.iter().map(|name| name.as_str().map(str::to_owned)).collect());
    names.unwrap_or_else(|| {
        fields.reject("`lora_adaptations` must be a list of names");
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_published_file_has_no_sizes() {
        let config = JinaClipConfig::from_json(&json!({"text_config": {"default_lora_task": "retrieval.query",
            "hf_model_config_kwargs": {"lora_adaptations": ["retrieval.query"], "lora_alpha": 4, "lora_rank": 4}}}))
        .unwrap();
        assert_eq!((config.hidden_size, config.layers, config.heads, config.vocab_size), (1024, 24, 16, 250_002));
        assert_eq!(config.adapter, Some(TaskAdapter { index: 0, scale: 1.0 }));
    }

    #[test]
    fn the_task_selects_the_adapter() {
        let with = |task: Value| {
            JinaClipConfig::from_json(&json!({"text_config": {"default_lora_task": task,
                "hf_model_config_kwargs": {"lora_adaptations": ["a", "b"], "lora_alpha": 2, "lora_rank": 8}}}))
        };
        assert_eq!(with(json!("b")).unwrap().adapter, Some(TaskAdapter { index: 1, scale: 0.25 }));
        assert_eq!(with(Value::Null).unwrap().adapter, None);
        assert!(with(json!("c")).unwrap_err().to_string().contains("`c`"));
        assert_eq!(with(json!("a")).unwrap().with_task(None).unwrap().adapter, None);
    }

    #[test]
    fn faults_are_collected() {
        let error =
            JinaClipConfig::from_json(&json!({"hidden_size": 30, "num_attention_heads": 4, "hidden_act": "relu",
            "lora_adaptations": "x", "layer_norm_eps": -1}))
            .unwrap_err();
        assert_eq!(error.problems.len(), 4, "{error}");
    }
}
