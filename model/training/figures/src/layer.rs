//! Pixels with opacity: what a canvas draws on.

use tiny_skia_path::{Path, Transform};

use crate::palette::Rgb;
use crate::raster::{Bounds, Rasterizer};

/// A picture with premultiplied alpha.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    width: usize,
    height: usize,
    /// Red, green, blue, alpha of each pixel, rows top to bottom.
    pub pixels: Vec<[u8; 4]>,
    /// All pixels outside are transparent.
    pub drawn: Bounds,
}

/// How much of each pixel may be drawn on, from 0 to 255.
#[derive(Clone, Debug)]
pub(crate) struct Clip {
    width: usize,
    bounds: Bounds,
    coverage: Vec<u8>,
}

/// Where a fill takes its colour from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    /// One colour.
    Solid(Rgb, f32),
    /// Two colours; `axis` (a, b, c) gives the share of the second one at (x, y) as a x + b y + c.
    Linear { axis: (f32, f32, f32), from: (Rgb, f32), to: (Rgb, f32) },
}

impl Layer {
    /// A transparent layer.
    pub(crate) fn new(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![[0; 4]; width * height], drawn: Bounds::EMPTY }
    }

    /// Pixels in a row, and rows.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Fills a path.
    pub(crate) fn fill(
        &mut self,
        rasterizer: &mut Rasterizer,
        path: &Path,
        view: Transform,
        source: Source,
        clip: Option<&Clip>,
    ) {
        let width = self.width;
        let pixels = &mut self.pixels;
        let window = clip.map_or_else(|| rasterizer.everything(), |clip| clip.bounds);
        let bounds = rasterizer.rasterize(path, view, window, |y, x, count, coverage| {
            let row = &mut pixels[y * width + x..y * width + x + count];
            let clip_row = clip.map(|clip| clip.row(y, x, count));
            match source {
                Source::Solid(color, opacity) => fill_span(row, clip_row, color, coverage * opacity),
                Source::Linear { axis: (a, b, c), from, to } if a.abs() < 1e-6 => {
                    let share = (b * (y as f32 + 0.5) + c).clamp(0.0, 1.0);
                    let opacity = from.1 + (to.1 - from.1) * share;
                    fill_span(row, clip_row, from.0.mix(to.0, share), coverage * opacity);
                }
                Source::Linear { axis: (a, b, c), from, to } => {
                    for (index, pixel) in row.iter_mut().enumerate() {
                        let share = (a * ((x + index) as f32 + 0.5) + b * (y as f32 + 0.5) + c).clamp(0.0, 1.0);
                        let opacity = coverage * (from.1 + (to.1 - from.1) * share);
                        let limit = clip_row.map_or(255, |limits| u32::from(limits[index]));
                        blend(pixel, from.0.mix(to.0, share), div_255(alpha(opacity) * limit));
                    }
                }
            }
        });
        self.drawn = self.drawn.union(bounds);
    }

    /// Lays another layer of the same size over this one.
    pub(crate) fn compose(&mut self, over: &Self) {
        if over.size() != self.size() || over.drawn.is_empty() {
            return;
        }
        let bounds = over.drawn;
        for y in bounds.top..bounds.bottom {
            let range = y * self.width + bounds.left..y * self.width + bounds.right;
            for (pixel, above) in self.pixels[range.clone()].iter_mut().zip(&over.pixels[range]) {
                let keep = 255 - u32::from(above[3]);
                for (channel, &added) in pixel.iter_mut().zip(above) {
                    *channel = (u32::from(added) + div_255(u32::from(*channel) * keep)).min(255) as u8;
                }
            }
        }
        self.drawn = self.drawn.union(bounds);
    }
}

impl Clip {
    /// The inside of a path.
    pub(crate) fn new(rasterizer: &mut Rasterizer, path: &Path, view: Transform) -> Self {
        let everything = rasterizer.everything();
        let width = everything.right;
        let mut coverage = vec![0; width * everything.bottom];
        let bounds = rasterizer.rasterize(path, view, everything, |y, x, count, value| {
            coverage[y * width + x..y * width + x + count].fill(alpha(value) as u8);
        });
        Self { width, bounds, coverage }
    }

    fn row(&self, y: usize, x: usize, count: usize) -> &[u8] {
        &self.coverage[y * self.width + x..y * self.width + x + count]
    }
}

fn alpha(coverage: f32) -> u32 {
    (coverage * 255.0 + 0.5) as u32
}

fn div_255(value: u32) -> u32 {
    let rounded = value + 128;
    (rounded + (rounded >> 8)) >> 8
}

fn fill_span(row: &mut [[u8; 4]], clip_row: Option<&[u8]>, color: Rgb, opacity: f32) {
    let alpha = alpha(opacity);
    match clip_row {
        None if alpha == 255 => row.fill([color.0, color.1, color.2, 255]),
        None => row.iter_mut().for_each(|pixel| blend(pixel, color, alpha)),
        Some(limits) => {
            for (pixel, &limit) in row.iter_mut().zip(limits) {
                blend(pixel, color, div_255(alpha * u32::from(limit)));
            }
        }
    }
}

#[inline]
fn blend(pixel: &mut [u8; 4], color: Rgb, alpha: u32) {
    match alpha {
        0 => {}
        255 => *pixel = [color.0, color.1, color.2, 255],
        _ => {
            let keep = 255 - alpha;
            for (channel, source) in pixel.iter_mut().zip([color.0, color.1, color.2, 255]) {
                *channel = div_255(u32::from(source) * alpha + u32::from(*channel) * keep) as u8;
            }
        }
    }
}
