//! The image that a request begins from.

use std::sync::Arc;

use crate::image::row_bytes;
use crate::{Area, Mask, Rgb8};

/// The image that a request starts from. Noise of an intermediate time is added to its latents, and only the rest of the schedule
/// is computed (SDEdit, Meng et al. 2022, arXiv:2108.01073).
///
/// Of `n` steps, `k = floor(n * strength)` are computed. A flow-matching model starts at the time `t` of point `n - k` of the
/// shifted grid, from `x = t * latents + (1 - t) * noise`; a diffusion model at the same point of its schedule, from the
/// latents with the noise of that level.
#[derive(Clone, Debug, PartialEq)]
pub struct InitImage {
    /// The image. It has the size of the first pass.
    pub image: Arc<Rgb8>,
    /// The share of the schedule that is computed, above 0 and at most 1. See [`computed_steps`](crate::computed_steps).
    pub strength: f32,
    /// Which pixels to change, with the same size; `None` changes all.
    pub mask: Option<Arc<Mask>>,
    /// The larger image that `image` was cut from; `None` if `image` is the whole image.
    pub region: Option<Region>,
}

/// A part of an image that is generated alone and pasted back.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// The whole image.
    pub whole: Arc<Rgb8>,
    /// Which pixels of `whole` to change; it has the size of `whole`.
    pub mask: Arc<Mask>,
    /// The part of `whole` that is generated.
    pub area: Area,
}

impl InitImage {
    /// Bytes of its pixels and masks.
    pub fn bytes(&self) -> usize {
        let mask = |mask: &Arc<Mask>| mask.levels().len();
        let region = self.region.as_ref().map_or(0, |region| region.whole.pixels.len() + mask(&region.mask));
        self.image.pixels.len() + self.mask.as_ref().map_or(0, mask) + region
    }

    /// Pastes the generated image into the initial one. Pixels that the mask keeps are bit for bit those of the initial image.
    ///
    /// `drawn` must have the size of [`image`](Self::image).
    pub fn composed(&self, drawn: Rgb8) -> Rgb8 {
        let whole_area =
            |mask: &Mask| Area { left_px: 0, top_px: 0, width_px: mask.width_px(), height_px: mask.height_px() };
        match (&self.region, &self.mask) {
            (Some(region), _) => {
                let part = drawn.resampled(region.area.width_px, region.area.height_px);
                mixed(&region.whole, &part, &region.mask, &region.area)
            }
            (None, Some(mask)) => mixed(&self.image, &drawn, mask, &whole_area(mask)),
            (None, None) => drawn,
        }
    }
}

/// `whole` with `part` pasted into `area`, blended by the mask.
fn mixed(whole: &Rgb8, part: &Rgb8, mask: &Mask, area: &Area) -> Rgb8 {
    let mut mixed = whole.clone();
    for (y, part) in area.rows().zip(part.pixels.chunks_exact(3 * area.width_px as usize)) {
        let levels = &mask.levels()[y * whole.width_px as usize..][area.columns()];
        let row = &mut mixed.pixels[row_bytes(whole.width_px, y, &area.columns())];
        for ((pixel, drawn), level) in row.chunks_exact_mut(3).zip(part.chunks_exact(3)).zip(levels) {
            for (value, drawn) in pixel.iter_mut().zip(drawn) {
                let level = u32::from(*level);
                *value = ((u32::from(*value) * (255 - level) + u32::from(*drawn) * level + 127) / 255) as u8;
            }
        }
    }
    mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(width_px: u32, height_px: u32, level: u8) -> Rgb8 {
        Rgb8 { width_px, height_px, pixels: vec![level; 3 * (width_px * height_px) as usize] }
    }

    fn init(image: Rgb8, mask: Option<Mask>, region: Option<Region>) -> InitImage {
        InitImage { image: Arc::new(image), strength: 0.5, mask: mask.map(Arc::new), region }
    }

    #[test]
    fn what_the_mask_keeps_is_the_initial_image() {
        let mut mask = Mask::empty(12, 4);
        mask.mark(&Area { left_px: 8, top_px: 0, width_px: 4, height_px: 4 });
        let mixed = init(plain(12, 4, 7), Some(mask.feathered(2)), None).composed(plain(12, 4, 201));
        let row: Vec<u8> = mixed.pixels[..36].iter().step_by(3).copied().collect();
        assert_eq!((&row[..6], &row[8..]), (&[7; 6][..], &[201; 4][..]));
        assert!(row[6] > 7 && row[7] < 201, "{row:?}");
        assert_eq!(init(plain(12, 4, 7), None, None).composed(plain(12, 4, 201)), plain(12, 4, 201));
    }

    #[test]
    fn a_region_is_put_back_where_it_was() {
        let area = Area { left_px: 4, top_px: 2, width_px: 6, height_px: 3 };
        let mut mask = Mask::empty(12, 8);
        mask.mark(&Area { left_px: 5, top_px: 3, width_px: 2, height_px: 1 });
        let region = Region { whole: Arc::new(plain(12, 8, 7)), mask: Arc::new(mask.clone()), area };
        let mixed = init(plain(24, 12, 9), None, Some(region)).composed(plain(24, 12, 201));
        let expected: Vec<u8> = mask.levels().iter().flat_map(|level| [if *level > 0 { 201 } else { 7 }; 3]).collect();
        assert_eq!((mixed.width_px, mixed.height_px, mixed.pixels), (12, 8, expected));
    }
}
