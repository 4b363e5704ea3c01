//! Resizes or places an image to the size of the picture.

use sakuga_model_core::{Area, Rgb8};

use super::ResizeMode;

/// How an image is fitted to the size of the picture. A mask of the same size is fitted in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ImageFit {
    /// As a whole; `None`: it had the size.
    Resized(Option<ResizeMode>),
    /// At its own size, within a larger picture.
    OnCanvas(Area),
}

impl ImageFit {
    /// The image as it lies in a picture of this size.
    pub(crate) fn of(self, image: &Rgb8, width_px: u32, height_px: u32) -> Rgb8 {
        match self {
            Self::Resized(None | Some(ResizeMode::Stretch)) => image.resampled(width_px, height_px),
            Self::Resized(Some(ResizeMode::Crop)) => {
                let (scaled_width, scaled_height) = scaled(image, width_px, height_px, f64::max);
                let (scaled_width, scaled_height) = (scaled_width.max(width_px), scaled_height.max(height_px));
                let (left_px, top_px) = ((scaled_width - width_px) / 2, (scaled_height - height_px) / 2);
                image.resampled(scaled_width, scaled_height).cropped(&Area { left_px, top_px, width_px, height_px })
            }
            Self::Resized(Some(ResizeMode::Pad)) => {
                let (scaled_width, scaled_height) = scaled(image, width_px, height_px, f64::min);
                let (scaled_width, scaled_height) = (scaled_width.min(width_px), scaled_height.min(height_px));
                let (left_px, top_px) = ((width_px - scaled_width) / 2, (height_px - scaled_height) / 2);
                image.resampled(scaled_width, scaled_height).extended(width_px, height_px, left_px, top_px)
            }
            Self::OnCanvas(area) => image.extended(width_px, height_px, area.left_px, area.top_px),
        }
    }
}

/// The size of an image scaled by the chosen one of the two ratios of the edges, each edge at least 1.
fn scaled(image: &Rgb8, width_px: u32, height_px: u32, choose: fn(f64, f64) -> f64) -> (u32, u32) {
    let (width, height) = (f64::from(image.width_px), f64::from(image.height_px));
    let ratio = choose(f64::from(width_px) / width, f64::from(height_px) / height);
    let edge = |length: f64| ((length * ratio).round() as u32).max(1);
    (edge(width), edge(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Columns of 0, 1, 2 and so on.
    fn columns(width_px: u32, height_px: u32) -> Rgb8 {
        let pixels = (0..height_px).flat_map(|_| (0..width_px).flat_map(|x| [x as u8; 3])).collect();
        Rgb8 { width_px, height_px, pixels }
    }

    fn row(image: &Rgb8) -> Vec<u8> {
        image.pixels[..3 * image.width_px as usize].iter().step_by(3).copied().collect()
    }

    #[test]
    fn each_mode_gives_the_size_and_keeps_what_it_says() {
        let wide = columns(8, 4);
        let crop = ImageFit::Resized(Some(ResizeMode::Crop)).of(&wide, 4, 4);
        assert_eq!(row(&crop), [2, 3, 4, 5]);
        let pad = ImageFit::Resized(Some(ResizeMode::Pad)).of(&columns(4, 4), 8, 4);
        assert_eq!(row(&pad), [0, 0, 0, 1, 2, 3, 3, 3]);
        let stretch = ImageFit::Resized(Some(ResizeMode::Stretch)).of(&wide, 4, 9);
        assert_eq!((stretch.width_px, stretch.height_px), (4, 9));
        assert_eq!(ImageFit::Resized(None).of(&wide, 8, 4), wide);
        let area = Area { left_px: 3, top_px: 1, width_px: 8, height_px: 4 };
        let canvas = ImageFit::OnCanvas(area).of(&wide, 16, 16);
        assert_eq!(canvas.cropped(&area), wide);
    }

    #[test]
    fn extreme_shapes_keep_at_least_a_pixel() {
        for mode in [ResizeMode::Crop, ResizeMode::Pad, ResizeMode::Stretch] {
            for (width_px, height_px) in [(1, 1), (250, 1), (1, 250), (3, 200)] {
                let placed = ImageFit::Resized(Some(mode)).of(&columns(width_px, height_px), 32, 16);
                assert_eq!((placed.width_px, placed.height_px, placed.pixels.len()), (32, 16, 3 * 32 * 16), "{mode:?}");
            }
        }
    }
}
