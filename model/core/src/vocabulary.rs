//! [`ModelVocabulary`]: the tags and sizes that a model was trained with, if its folder lists them.

use std::collections::BTreeMap;

/// The tags and sizes that a model was trained with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelVocabulary {
    /// The tags, by the element of the prompt language in which they stand, such as `appearance`.
    pub tags: BTreeMap<String, Vec<String>>,
    /// Width and height of the training pictures in pixels; not empty.
    pub sizes_px: Vec<[u32; 2]>,
    /// The most characters in a training picture.
    pub characters_max: u32,
}

impl ModelVocabulary {
    /// Whether both edges and the area are between the smallest and the largest of the training sizes.
    pub fn covers_size(&self, width_px: u32, height_px: u32) -> bool {
        let is_between = |values: &mut dyn Iterator<Item = u64>, value: u64| {
            let (least, most) = values.fold((u64::MAX, 0), |(least, most), next| (least.min(next), most.max(next)));
            (least..=most).contains(&value)
        };
        let edges = || self.sizes_px.iter().flatten().map(|&edge| u64::from(edge));
        let areas = &mut self.sizes_px.iter().map(|&[width, height]| u64::from(width) * u64::from(height));
        is_between(&mut edges(), width_px.into())
            && is_between(&mut edges(), height_px.into())
            && is_between(areas, u64::from(width_px) * u64::from(height_px))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_covered_by_edges_and_area() {
        let sizes_px = vec![[256, 256], [320, 192], [192, 320], [384, 256], [256, 384]];
        let vocabulary = ModelVocabulary { sizes_px, ..ModelVocabulary::default() };
        for [width, height] in [[256, 256], [384, 256], [320, 256], [192, 320]] {
            assert!(vocabulary.covers_size(width, height), "{width}x{height}");
        }
        for [width, height] in [[384, 384], [192, 192], [1024, 256], [64, 64]] {
            assert!(!vocabulary.covers_size(width, height), "{width}x{height}");
        }
    }
}
