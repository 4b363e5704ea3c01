//! Selects the files of a published folder that are read. Weights in other formats and precisions, training states and
//! pictures are skipped.

use std::collections::BTreeSet;

use crate::checkpoint::{SHARD_INDEX, WeightNames};
use crate::error::LoadError;

/// A directory of a published folder, and which of its files are read.
pub(super) struct FolderPart {
    name: &'static str,
    /// Files that are read besides the weights.
    files: &'static [&'static str],
    has_weights: bool,
    is_optional: bool,
}

/// The files of a published folder, divided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderFiles {
    /// Those that are read, `model_index.json` included.
    pub read: Vec<String>,
    /// All others.
    pub skipped: Vec<String>,
}

impl FolderPart {
    /// The small decoder of previews, or a linear map in its place.
    pub(super) const PREVIEW_DECODER: Self =
        Self { name: "preview_decoder", files: &["config.json", "linear.json"], has_weights: true, is_optional: true };

    /// A network: `config.json` and weights.
    pub(super) const fn network(name: &'static str) -> Self {
        Self { name, files: &["config.json"], has_weights: true, is_optional: false }
    }

    /// Files alone, all of which are needed.
    pub(super) const fn files(name: &'static str, files: &'static [&'static str]) -> Self {
        Self { name, files, has_weights: false, is_optional: false }
    }

    /// A network with its tokenizer, `tokenizer.json`.
    pub(super) const fn with_tokenizer(self) -> Self {
        Self { files: &["config.json", "tokenizer.json"], ..self }
    }

    /// The same as a part that may be absent.
    pub(super) const fn optional(self) -> Self {
        Self { is_optional: true, ..self }
    }

    /// The directory, if it has weights.
    pub(super) fn network_name(&self) -> Option<&'static str> {
        self.has_weights.then_some(self.name)
    }

    /// The names that are read among those of the directory's files.
    fn select(&self, names: &BTreeSet<String>) -> Result<Vec<String>, String> {
        let mut read: Vec<String> = Vec::new();
        for file in self.files {
            if names.contains(*file) {
                read.push((*file).to_owned());
            } else if !self.is_optional {
                return Err(format!("`{file}` is missing"));
            }
        }
        if self.has_weights {
            match WeightNames::among(&without_variants(names)) {
                Ok(WeightNames::File(file)) => read.push(file),
                Ok(WeightNames::Shards(index)) => {
                    let stem = index.trim_end_matches(SHARD_INDEX);
                    let is_shard = |name: &&String| {
                        let rest = name.strip_prefix(stem).and_then(|rest| rest.strip_prefix('-'));
                        rest.is_some_and(|rest| rest.ends_with(".safetensors"))
                    };
                    read.extend(names.iter().filter(is_shard).cloned());
                    read.push(index);
                }
                Err(_) if self.is_optional => {}
                Err(reason) => return Err(reason),
            }
        }
        Ok(read)
    }
}

/// The names without those of a variant, such as `model.fp16.safetensors`, unless only variants have weights.
fn without_variants(names: &BTreeSet<String>) -> BTreeSet<String> {
    let is_weights = |name: &str| name.ends_with(".safetensors") || name.ends_with(SHARD_INDEX);
    let is_plain = |name: &&String| {
        let stem = name.trim_end_matches(SHARD_INDEX).trim_end_matches(".safetensors");
        is_weights(name) && !stem.contains('.')
    };
    let plain: BTreeSet<String> = names.iter().filter(is_plain).cloned().collect();
    if plain.is_empty() { names.clone() } else { plain }
}

/// Divides the files of a folder.
///
/// # Errors
///
/// Every part that has no usable files, in one error.
pub(super) fn select(parts: &[FolderPart], paths: &[String]) -> Result<FolderFiles, LoadError> {
    let mut read = BTreeSet::from(["model_index.json".to_owned()]);
    let mut faults = Vec::new();
    for part in parts {
        let within = |path: &String| {
            let name = path.strip_prefix(part.name)?.strip_prefix('/')?;
            (!name.contains('/')).then(|| name.to_owned())
        };
        let names: BTreeSet<String> = paths.iter().filter_map(within).collect();
        match part.select(&names) {
            Ok(files) => read.extend(files.into_iter().map(|file| format!("{}/{file}", part.name))),
            Err(_) if names.is_empty() => faults.push(LoadError::layout(part.name, "the part is missing")),
            Err(reason) => faults.push(LoadError::layout(part.name, reason)),
        }
    }
    if let Some(error) = LoadError::all(faults) {
        return Err(error);
    }
    let skipped = paths.iter().filter(|path| !read.contains(*path)).cloned().collect();
    Ok(FolderFiles { read: read.into_iter().collect(), skipped })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::families::files_of_folder;

    fn paths(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn what_the_loader_reads_is_chosen_and_the_rest_is_listed() {
        let index = json!({ "_class_name": "NewbiePipeline" });
        let needed = "clip_model/config.json clip_model/model.safetensors clip_model/tokenizer.json model_index.json \
                      text_encoder/config.json text_encoder/model-00001-of-00002.safetensors \
                      text_encoder/model-00002-of-00002.safetensors text_encoder/model.safetensors.index.json \
                      text_encoder/tokenizer.json transformer/config.json \
                      transformer/diffusion_pytorch_model.safetensors vae/config.json \
                      vae/diffusion_pytorch_model.safetensors";
        let others = ".gitattributes README.md model.safetensors text_encoder/model.fp16.safetensors \
                      transformer/diffusion_pytorch_model.bin transformer/diffusion_pytorch_model.fp16.safetensors \
                      transformer/old/config.json vae/model.onnx x.ckpt";
        let mut all = paths(needed);
        all.extend(paths(others));
        let files = files_of_folder(&index, &all).expect("a whole folder");
        assert_eq!(files.read, paths(needed));
        assert_eq!(files.skipped, paths(others));
    }

    #[test]
    fn every_missing_part_is_named_before_anything_is_fetched() {
        let index = json!({ "_class_name": "StableDiffusionXLPipeline" });
        let some = "model_index.json unet/config.json unet/diffusion_pytorch_model.bin vae/config.json \
                    vae/a.fp16.safetensors text_encoder_2/config.json text_encoder_2/model.safetensors";
        let error = files_of_folder(&index, &paths(some)).expect_err("parts are missing").to_string();
        for part in
            ["unet: there is `diffusion_pytorch_model.bin`", "text_encoder: the part is missing", "scheduler: the"]
        {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(!error.contains("vae") && !error.contains("tokenizer"), "{error}");
        let error = files_of_folder(&json!({ "_class_name": "FluxPipeline" }), &[]).expect_err("refused").to_string();
        assert!(error.contains("unknown kind"), "{error}");
    }

    #[test]
    fn of_a_refiner_the_u_net_and_its_text_encoder_are_read() {
        let index = json!({ "_class_name": "StableDiffusionXLImg2ImgPipeline" });
        let all = paths(
            "model_index.json text_encoder_2/config.json text_encoder_2/model.safetensors unet/config.json \
             unet/diffusion_pytorch_model.safetensors vae/config.json vae/diffusion_pytorch_model.safetensors",
        );
        let files = files_of_folder(&index, &all).expect("a whole folder");
        assert_eq!(files.skipped, paths("vae/config.json vae/diffusion_pytorch_model.safetensors"));
    }
}
