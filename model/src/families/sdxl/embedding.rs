//! Textual inversion: vectors that stand for a name in a prompt (Gal et al. 2022, <https://arxiv.org/abs/2208.01618>).
//!
//! A file for this family has `clip_l` and `clip_g`, `[vectors, width]` each. One with `emb_params` alone was trained for CLIP-L
//! only; ComfyUI's rules read it, AUTOMATIC1111's do not offer it. An adapter may hold the vectors of its words, as
//! `bundle_emb.NAME.clip_l` and `bundle_emb.NAME.clip_g`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use burn::tensor::{Device, Tensor};

use crate::checkpoint::adapters::{AdapterContent, BUNDLED};
use crate::checkpoint::{SafetensorsFile, TensorEntry, decode_f32};
use crate::error::LoadError;

/// One of the two text encoders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoder {
    /// CLIP-L.
    L = 0,
    /// CLIP-G.
    G = 1,
}

/// The tensors of each encoder's vectors.
const KEYS: [(&str, Encoder); 3] = [("clip_l", Encoder::L), ("emb_params", Encoder::L), ("clip_g", Encoder::G)];
/// The most vectors of one file: a chunk has 75 places.
const VECTORS_MAX: usize = 75;

/// Name, number and width of each encoder's vectors, if every tensor has those of an embedding.
pub(crate) fn vectors_of(entries: &BTreeMap<String, TensorEntry>) -> Option<Vec<(&str, usize, usize)>> {
    let vectors = |(key, entry): (&'_ String, &TensorEntry)| {
        let (name, _) = KEYS.iter().find(|(name, _)| name == key)?;
        match entry.shape[..] {
            [count, width] if (1..=VECTORS_MAX).contains(&count) => Some((*name, count, width)),
            _ => None,
        }
    };
    let found: Vec<_> = entries.iter().map(vectors).collect::<Option<_>>()?;
    (!found.is_empty()).then_some(found)
}

/// Embeddings by name, and the vectors of all of them.
#[derive(Debug, Clone, Default)]
pub struct Embeddings {
    /// The vectors of each encoder, as indices into `vectors`.
    names: BTreeMap<String, [Option<Range<usize>>; 2]>,
    vectors: [Vec<Tensor<2>>; 2],
    counts: [usize; 2],
}

impl Embeddings {
    /// Adds the vectors of a file under a name. `widths` are the widths of CLIP-L and CLIP-G.
    ///
    /// # Errors
    ///
    /// The file cannot be read, has other tensors, vectors of another width, too many, or none.
    #[doc(hidden)]
    pub fn add(&mut self, name: &str, path: &Path, widths: [usize; 2], device: &Device) -> Result<(), LoadError> {
        let file = SafetensorsFile::open(path)?;
        self.add_entries(
            name,
            &file,
            path,
            file.entries().iter().map(|(key, entry)| (key.as_str(), entry)),
            widths,
            device,
        )
    }

    /// Adds the embeddings that an adapter holds, under their names. Names that are known already keep their vectors, so that the
    /// first of several adapters decides.
    ///
    /// # Errors
    ///
    /// As for [`add`](Self::add).
    pub(crate) fn add_bundled(
        &mut self,
        content: &AdapterContent,
        widths: [usize; 2],
        device: &Device,
    ) -> Result<(), LoadError> {
        let mut words: BTreeMap<&str, Vec<(&str, &TensorEntry)>> = BTreeMap::new();
        for (key, entry) in content.file().entries() {
            let Some(bundled) = key.strip_prefix(BUNDLED) else { continue };
            let (word, part) = bundled.rsplit_once('.').unwrap_or((bundled, ""));
            words.entry(word).or_default().push((part, entry));
        }
        for (word, entries) in words {
            if !self.has(word) {
                self.add_entries(word, content.file(), content.path(), entries, widths, device)?;
            }
        }
        Ok(())
    }

    fn add_entries<'a>(
        &mut self,
        name: &str,
        file: &SafetensorsFile,
        path: &Path,
        entries: impl IntoIterator<Item = (&'a str, &'a TensorEntry)>,
        widths: [usize; 2],
        device: &Device,
    ) -> Result<(), LoadError> {
        let fail = |reason: String| LoadError::Safetensors { path: path.to_owned(), reason };
        if name.trim().is_empty() {
            return Err(fail("an embedding needs a name".to_owned()));
        }
        let mut found: [Option<Tensor<2>>; 2] = [None, None];
        for (key, entry) in entries {
            let Some((_, encoder)) = KEYS.iter().find(|(name, _)| *name == key) else {
                return Err(fail(format!(
                    "`{key}` is not a tensor of an embedding for this family (clip_l, clip_g, emb_params)"
                )));
            };
            let width = widths[*encoder as usize];
            match entry.shape[..] {
                [count, found_width] if found_width == width && (1..=VECTORS_MAX).contains(&count) => {
                    found[*encoder as usize] = Some(decode_f32(file, entry, [count, width], device));
                }
                _ => {
                    let shape = &entry.shape;
                    return Err(fail(format!(
                        "`{key}` has the shape {shape:?}, but this model needs 1 to {VECTORS_MAX} vectors of {width} values; \
                         the file belongs to another model"
                    )));
                }
            }
        }
        if found.iter().all(Option::is_none) {
            return Err(fail("it has no vectors".to_owned()));
        }
        let mut encoder = 0;
        let ranges = found.map(|vectors| {
            let range = vectors.map(|vectors| {
                let first = self.counts[encoder];
                self.counts[encoder] += vectors.dims()[0];
                self.vectors[encoder].push(vectors);
                first..self.counts[encoder]
            });
            encoder += 1;
            range
        });
        self.names.insert(name.to_owned(), ranges);
        Ok(())
    }

    /// The words that prompts use for the embeddings, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// Whether there is an embedding of this name.
    pub fn has(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// The indices of an embedding's vectors for an encoder; `None` if the file has none for it.
    pub fn vectors(&self, name: &str, encoder: Encoder) -> Option<Range<usize>> {
        self.names.get(name)?[encoder as usize].clone()
    }

    /// The first place of a text at which the name of an embedding stands, the name, and its vectors for an encoder.
    pub(super) fn first_in<'a>(&'a self, text: &str, encoder: Encoder) -> Option<(usize, &'a str, Range<usize>)> {
        let places = self.names().filter_map(|name| Some((text.find(name)?, name)));
        let (at, name) = places.min_by_key(|(at, name)| (*at, std::cmp::Reverse(name.len())))?;
        Some((at, name, self.vectors(name, encoder).unwrap_or(0..0)))
    }

    /// All vectors of an encoder, `[vectors, width]`, in the order of their indices.
    pub fn table(&self, encoder: Encoder) -> Option<Tensor<2>> {
        let vectors = &self.vectors[encoder as usize];
        (!vectors.is_empty()).then(|| Tensor::cat(vectors.clone(), 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::testing::{Stored, write_file};

    #[test]
    fn vectors_are_numbered_through_all_files_and_other_widths_are_refused() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let both = [Stored::f32("clip_l", &[2, 2], &[1.0; 4]), Stored::f32("clip_g", &[2, 3], &[2.0; 6])];
        let both = write_file(dir.path(), "both.safetensors", &both);
        let one = write_file(dir.path(), "one.safetensors", &[Stored::f32("emb_params", &[1, 2], &[3.0; 2])]);
        let wide = write_file(dir.path(), "wide.safetensors", &[Stored::f32("emb_params", &[1, 768], &[3.0; 768])]);
        let device = Device::flex();
        let mut embeddings = Embeddings::default();
        embeddings.add("style", &both, [2, 3], &device).expect("it fits");
        embeddings.add("old", &one, [2, 3], &device).expect("it fits");
        assert_eq!(embeddings.vectors("old", Encoder::L), Some(2..3));
        assert_eq!(
            (embeddings.vectors("old", Encoder::G), embeddings.vectors("style", Encoder::G)),
            (None, Some(0..2))
        );
        assert_eq!(embeddings.table(Encoder::L).expect("three vectors").dims(), [3, 2]);
        assert_eq!(embeddings.first_in("a style, old", Encoder::L), Some((2, "style", 0..2)));
        let bundled = [
            Stored::f32("bundle_emb.my.word.clip_l", &[1, 2], &[4.0; 2]),
            Stored::f32("bundle_emb.my.word.clip_g", &[1, 3], &[5.0; 3]),
            Stored::f32("bundle_emb.style.clip_l", &[1, 2], &[6.0; 2]),
            Stored::f32("lora_unet_x.alpha", &[1], &[1.0]),
        ];
        let bundled = AdapterContent::map(&write_file(dir.path(), "lora.safetensors", &bundled)).expect("it is a file");
        embeddings.add_bundled(&bundled, [2, 3], &device).expect("they fit");
        assert_eq!(embeddings.vectors("my.word", Encoder::L), Some(3..4));
        assert_eq!(embeddings.vectors("style", Encoder::L), Some(0..2), "the first one decides");
        let other = AdapterContent::map(&write_file(
            dir.path(),
            "other.safetensors",
            &[Stored::f32("bundle_emb.new.clip_l", &[1, 768], &[0.0; 768])],
        ));
        let error = embeddings.add_bundled(&other.expect("it is a file"), [2, 3], &device).expect_err("another width");
        assert!(error.to_string().contains("another model"), "{error}");
        let error = embeddings.add("wide", &wide, [2, 3], &device).expect_err("another width").to_string();
        assert!(error.contains("[1, 768]") && error.contains("another model"), "{error}");
    }
}
