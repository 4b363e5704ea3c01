//! Recognises the family of a checkpoint: of a folder by `_class_name` in its `model_index.json`, of a single safetensors
//! file by the names and shapes of its tensors.

use std::fmt::{self, Display};
use std::path::Path;

use serde_json::Value;

use crate::checkpoint::{ModelFolder, SafetensorsFile};
use crate::error::{FamilyError, LoadError};

/// A kind of checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// NewBie-image: a Next-DiT conditioned on Gemma 3 and Jina CLIP v2.
    NewBie,
    /// Stable Diffusion XL: a U-Net conditioned on two CLIP text encoders.
    StableDiffusionXl,
    /// The refiner of Stable Diffusion XL: a U-Net conditioned on CLIP-G and an aesthetic score.
    StableDiffusionXlRefiner,
}

impl Family {
    /// All families that are recognised.
    pub const ALL: [Self; 3] = [Self::NewBie, Self::StableDiffusionXl, Self::StableDiffusionXlRefiner];

    /// The name in texts for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NewBie => "NewBie",
            Self::StableDiffusionXl => "Stable Diffusion XL",
            Self::StableDiffusionXlRefiner => "Stable Diffusion XL refiner",
        }
    }

    /// The values of `_class_name` in `model_index.json`. Base and refiner of Stable Diffusion XL share a pipeline for images
    /// to images, which the base model's folder does not name.
    const fn class_names(self) -> &'static [&'static str] {
        match self {
            Self::NewBie => &["NewbiePipeline"],
            Self::StableDiffusionXl => &["StableDiffusionXLPipeline", "StableDiffusionXLInpaintPipeline"],
            Self::StableDiffusionXlRefiner => &["StableDiffusionXLImg2ImgPipeline"],
        }
    }

    /// The tensors by which a single file is recognised: alternatives, each a list of which all must be there. `None`
    /// stands for any length.
    const fn signatures(self) -> &'static [&'static [Signature]] {
        match self {
            // The transformer. Its caption embedder alone would also be that of other Next-DiT models; the projection of the
            // pooled text is NewBie's.
            Self::NewBie => &[&[
                ("cap_embedder.1.weight", &[None, None]),
                ("clip_text_pooled_proj.1.weight", &[None, None]),
                ("x_embedder.weight", &[None, None]),
                ("final_layer.linear.weight", &[None, None]),
            ]],
            // Size and pooled text have 6 x 256 + 1280 values in the base model and 5 x 256 + 1280 in the refiner. The first
            // form is that of the authors' files, the second that of a U-Net from a diffusers folder.
            Self::StableDiffusionXl => &[
                &[
                    ("input_blocks.0.0.weight", &[Some(320), None, Some(3), Some(3)]),
                    ("label_emb.0.0.weight", &[Some(1280), Some(2816)]),
                ],
                &[
                    ("conv_in.weight", &[Some(320), None, Some(3), Some(3)]),
                    ("add_embedding.linear_1.weight", &[Some(1280), Some(2816)]),
                    ("conv_out.weight", &[Some(4), None, Some(3), Some(3)]),
                ],
            ],
            Self::StableDiffusionXlRefiner => &[
                &[
                    ("input_blocks.0.0.weight", &[Some(384), None, Some(3), Some(3)]),
                    ("label_emb.0.0.weight", &[Some(1536), Some(2560)]),
                ],
                &[
                    ("conv_in.weight", &[Some(384), None, Some(3), Some(3)]),
                    ("add_embedding.linear_1.weight", &[Some(1536), Some(2560)]),
                    ("conv_out.weight", &[Some(4), None, Some(3), Some(3)]),
                ],
            ],
        }
    }
}

impl Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A tensor's name, without a prefix of [`PREFIXES`], and its shape.
type Signature = (&'static str, &'static [Option<usize>]);

/// Prefixes of the denoiser's tensors in files that hold other parts too.
const PREFIXES: [&str; 3] = ["", "model.diffusion_model.", "diffusion_model."];

fn known() -> String {
    Family::ALL.map(Family::name).join(", ")
}

/// The family of the checkpoint at `path`. Only `model_index.json` or the header of the file is read.
///
/// # Errors
///
/// The path cannot be read, a file is not of the safetensors format, or the family is unknown.
pub fn recognise(path: &Path) -> Result<Family, LoadError> {
    if path.is_file() {
        let file = SafetensorsFile::open(path)?;
        let shape = |name: &str| file.entries().get(name).map(|entry| entry.shape.as_slice());
        let tensors = file.entries().len();
        return of_tensors(&shape)
            .ok_or_else(|| FamilyError::UnknownTensors { path: path.to_owned(), tensors, known: known() }.into());
    }
    of_index(path, ModelFolder::open(path)?.index())
}

/// The family of a folder with this `model_index.json`. `path` names it in errors.
///
/// # Errors
///
/// The family is unknown.
pub(crate) fn of_index(path: &Path, index: &Value) -> Result<Family, LoadError> {
    let class_name = index["_class_name"].as_str();
    let family =
        class_name.and_then(|name| Family::ALL.into_iter().find(|family| family.class_names().contains(&name)));
    family.ok_or_else(|| {
        let class_name = class_name.map(str::to_owned);
        FamilyError::UnknownClass { path: path.to_owned(), class_name, known: known() }.into()
    })
}

/// The family whose signature the tensors have. `shape` looks up a tensor's shape by its name.
fn of_tensors<'s>(shape: &impl Fn(&str) -> Option<&'s [usize]>) -> Option<Family> {
    let is_there = |prefix: &str, (name, lengths): &Signature| {
        shape(&format!("{prefix}{name}")).is_some_and(|found| {
            found.len() == lengths.len()
                && found.iter().zip(*lengths).all(|(found, length)| length.is_none_or(|length| length == *found))
        })
    };
    let has = |family: &Family, prefix: &str| {
        family.signatures().iter().any(|signature| signature.iter().all(|tensor| is_there(prefix, tensor)))
    };
    Family::ALL.into_iter().find(|family| PREFIXES.iter().any(|prefix| has(family, prefix)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::{Map, json};

    use super::*;

    /// A safetensors file with these tensors, of 8-bit values that are all 0.
    fn file(tensors: &[(&str, &[usize])]) -> tempfile::NamedTempFile {
        let mut header = Map::new();
        let mut end = 0;
        for (name, shape) in tensors {
            let begin = end;
            end += shape.iter().product::<usize>();
            header.insert((*name).to_owned(), json!({"dtype": "U8", "shape": shape, "data_offsets": [begin, end]}));
        }
        let header = Value::Object(header).to_string();
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + end, 0);
        raw(&bytes)
    }

    fn raw(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        fs::write(file.path(), bytes).expect("writable");
        file
    }

    fn folder(index: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::write(dir.path().join("model_index.json"), index).expect("writable");
        dir
    }

    const NEWBIE: [(&str, &[usize]); 4] = [
        ("cap_embedder.1.weight", &[4, 8]),
        ("clip_text_pooled_proj.1.weight", &[2, 2]),
        ("x_embedder.weight", &[4, 64]),
        ("final_layer.linear.weight", &[64, 4]),
    ];

    #[test]
    fn folders_are_recognised_by_their_class() {
        for (class_name, family) in [
            ("NewbiePipeline", Family::NewBie),
            ("StableDiffusionXLPipeline", Family::StableDiffusionXl),
            ("StableDiffusionXLImg2ImgPipeline", Family::StableDiffusionXlRefiner),
        ] {
            let dir = folder(&json!({ "_class_name": class_name }).to_string());
            assert_eq!(recognise(dir.path()).expect("known"), family);
        }
    }

    #[test]
    fn an_unknown_folder_lists_the_known_families() {
        for (index, complaint) in [
            (r#"{"_class_name": "FluxPipeline"}"#, "`FluxPipeline` is an unknown kind"),
            ("{}", "no `_class_name`"),
            (r#"{"_class_name": 3}"#, "no `_class_name`"),
            ("[]", "JSON object"),
            ("{", "not valid JSON"),
        ] {
            let error = recognise(folder(index).path()).expect_err("unknown").to_string();
            assert!(error.contains(complaint), "{error}");
            let lists = error.contains("the known families are NewBie, Stable Diffusion XL,");
            assert_eq!(lists, index.ends_with('}'), "{error}");
        }
        assert!(matches!(recognise(Path::new("/no/such/model")), Err(LoadError::Read { .. })));
    }

    #[test]
    fn single_files_are_recognised_by_names_and_shapes() {
        assert_eq!(recognise(file(&NEWBIE).path()).expect("known"), Family::NewBie);
        for prefix in ["model.diffusion_model.", "diffusion_model."] {
            let prefixed = NEWBIE.map(|(name, shape)| (format!("{prefix}{name}"), shape));
            let prefixed: Vec<(&str, &[usize])> =
                prefixed.iter().map(|(name, shape)| (name.as_str(), *shape)).collect();
            assert_eq!(recognise(file(&prefixed).path()).expect("known"), Family::NewBie);
        }
        for (conv, label, family) in [
            ([320, 4, 3, 3], [1280, 2816], Family::StableDiffusionXl),
            // Inpainting has 9 input channels.
            ([320, 9, 3, 3], [1280, 2816], Family::StableDiffusionXl),
            ([384, 4, 3, 3], [1536, 2560], Family::StableDiffusionXlRefiner),
        ] {
            let whole = file(&[
                ("model.diffusion_model.input_blocks.0.0.weight", &conv),
                ("model.diffusion_model.label_emb.0.0.weight", &label),
                ("first_stage_model.decoder.conv_in.weight", &[2, 4, 3, 3]),
            ]);
            assert_eq!(recognise(whole.path()).expect("known"), family);
            let unet = file(&[
                ("conv_in.weight", &conv),
                ("add_embedding.linear_1.weight", &label),
                ("conv_out.weight", &[4, 2, 3, 3]),
            ]);
            assert_eq!(recognise(unet.path()).expect("known"), family);
        }
    }

    #[test]
    fn a_single_file_of_another_model_lists_the_known_families() {
        let other_shape = [NEWBIE[0], ("clip_text_pooled_proj.1.weight", &[2][..]), NEWBIE[2], NEWBIE[3]];
        for tensors in [&[][..], &NEWBIE[..3], &other_shape, &[("label_emb.0.0.weight", &[1280, 2816])]] {
            let error = recognise(file(tensors).path()).expect_err("unknown").to_string();
            assert!(error.contains("the known families are NewBie, Stable Diffusion XL,"), "{error}");
        }
    }

    #[test]
    fn hostile_headers_are_refused() {
        let mut huge = (1u64 << 60).to_le_bytes().to_vec();
        huge.extend(b"{}");
        for bytes in [&b""[..], b"PK\x03\x04", &[0xff; 64], &huge] {
            let error = recognise(raw(bytes).path()).expect_err("no checkpoint");
            assert!(matches!(error, LoadError::Read { .. } | LoadError::Safetensors { .. }), "{error}");
        }
        let pickle = recognise(raw(b"PK\x03\x04").path()).expect_err("a pickle").to_string();
        assert!(pickle.contains("pickle") && pickle.contains("save_file"), "{pickle}");
        let overflow = br#"{"x_embedder.weight":{"dtype":"F64","shape":[2305843009213693951,9],"data_offsets":[0,8]}}"#;
        let mut bytes = (overflow.len() as u64).to_le_bytes().to_vec();
        bytes.extend(overflow);
        assert!(matches!(recognise(raw(&bytes).path()), Err(LoadError::Safetensors { .. })));
    }

    #[test]
    fn checkpoints_that_do_not_draw_by_themselves_are_refused() {
        use crate::device::OpenDevice;
        use crate::families::{LoadOptions, load};

        let refusal = |path: &Path| match load(path, LoadOptions::new(OpenDevice::cpu())) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("it was loaded"),
        };
        let refiner = file(&[
            ("model.diffusion_model.input_blocks.0.0.weight", &[384, 4, 3, 3]),
            ("model.diffusion_model.label_emb.0.0.weight", &[1536, 2560]),
        ]);
        let error = refusal(refiner.path());
        assert!(error.contains("it is a refiner") && error.contains("--refiner"), "{error}");
        let error = refusal(folder(r#"{"_class_name": "StableDiffusionXLImg2ImgPipeline"}"#).path());
        assert!(error.contains("it is a refiner") && error.contains("--refiner"), "{error}");
        let unet_alone = file(&[
            ("model.diffusion_model.input_blocks.0.0.weight", &[320, 4, 3, 3]),
            ("model.diffusion_model.label_emb.0.0.weight", &[1280, 2816]),
        ]);
        let error = refusal(unet_alone.path());
        assert!(error.contains("it has no tensors `conditioner.embedders.0.transformer.*`"), "{error}");
        let error = refusal(file(&NEWBIE).path());
        for part in [
            "only the transformer of a NewBie model; make a folder",
            "\n  model_index.json: missing (the text {\"_class_name\": \"NewbiePipeline\"})",
            "\n  transformer: missing (the Next-DiT: config.json and this file)",
            "\n  text_encoder: missing (Gemma 3 4B: config.json, tokenizer.json and its weights)",
            "\n  clip_model: missing (Jina CLIP v2: ",
            "\n  vae: missing (the autoencoder of FLUX.1: ",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}
