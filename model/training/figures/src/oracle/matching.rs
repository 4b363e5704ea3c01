//! How near a drawing is to a picture, and where in the picture it fits best.

use crate::image::Image;
use crate::layer::Layer;
use crate::layout::Placement;
use crate::raster::Bounds;
use crate::size::Size;

/// Differences beyond this (squared, summed over the channels) count no more: a stray cloud is as wrong as a stray line.
const ERROR_CAP: i64 = 3 * 90 * 90;

/// Pixels at which the drawings differ less than this in every channel say nothing about which one is right.
const MIN_SPREAD: u8 = 18;

/// A picture at half its size.
pub(super) struct Observation {
    width: usize,
    height: usize,
    rgb: Vec<[u8; 3]>,
}

/// The drawing that is nearest to the picture.
pub(super) struct Choice {
    pub index: usize,
    /// How much nearer it is than the next one: 0 not at all, 1 infinitely.
    pub confidence: f32,
}

impl Observation {
    /// The means of two by two pixels.
    pub(crate) fn halved(image: &Image) -> Self {
        let row = image.width_px as usize;
        let (width, height) = (row / 2, image.height_px as usize / 2);
        let mean = |x: usize, y: usize, channel: usize| {
            let at = |dx: usize, dy: usize| u32::from(image.rgb[3 * ((2 * y + dy) * row + 2 * x + dx) + channel]);
            ((at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1) + 2) / 4) as u8
        };
        let rgb = (0..width * height)
            .map(|index| [0, 1, 2].map(|channel| mean(index % width, index / width, channel)))
            .collect();
        Self { width, height, rgb }
    }

    /// The size of the picture before it was halved.
    pub(crate) fn full_size(&self) -> Size {
        Size::new(2 * self.width as u32, 2 * self.height as u32)
    }

    /// A transparent layer of the same size.
    pub(crate) fn blank(&self) -> Layer {
        Layer::new(self.width, self.height)
    }

    /// The colour of a pixel.
    pub(crate) fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        self.rgb[y * self.width + x]
    }

    /// Which drawing is nearest, judged by the pixels at which they differ: each is a layer over the ground.
    pub(crate) fn nearest(&self, ground: &Ground, drawings: &[Layer]) -> Choice {
        let drawn = drawings.iter().fold(Bounds::EMPTY, |bounds, drawing| bounds.union(drawing.drawn));
        let mut errors = vec![0_i64; drawings.len()];
        let mut colors = vec![[0_u8; 3]; drawings.len()];
        let rows = if drawn.is_empty() { 0..0 } else { drawn.top..drawn.bottom };
        for index in rows.flat_map(|y| y * self.width + drawn.left..y * self.width + drawn.right) {
            let (mut low, mut high) = ([255_u8; 3], [0_u8; 3]);
            let below = ground.color(index);
            for (color, drawing) in colors.iter_mut().zip(drawings) {
                *color = over(ground.above.pixels[index], over(drawing.pixels[index], below));
                for channel in 0..3 {
                    low[channel] = low[channel].min(color[channel]);
                    high[channel] = high[channel].max(color[channel]);
                }
            }
            if (0..3).all(|channel| high[channel] - low[channel] < MIN_SPREAD) {
                continue;
            }
            for ((error, &color), drawing) in errors.iter_mut().zip(&colors).zip(drawings) {
                *error += if drawing.pixels[index][3] == 0 {
                    ground.errors[index]
                } else {
                    squared_distance(self.rgb[index], color).min(ERROR_CAP)
                };
            }
        }
        let index = (0..errors.len()).min_by_key(|&index| errors[index]).unwrap_or(0);
        let best = errors.get(index).copied().unwrap_or(0);
        let next = errors
            .iter()
            .enumerate()
            .filter(|&(other, _)| other != index)
            .map(|(_, &error)| error)
            .min()
            .unwrap_or(best);
        let confidence = (next - best) as f32 / (next + best).max(1) as f32;
        Choice { index, confidence }
    }

    /// The place near `nominal` at which `draw` fits best over the ground.
    pub(crate) fn register(&self, ground: &Ground, nominal: Placement, draw: impl Fn(Placement) -> Layer) -> Placement {
        let zoom = 0.5;
        let (mut best, mut best_error) = (nominal, i64::MAX);
        for size in [0.98, 1.0, 1.02] {
            let place = Placement { scale: nominal.scale * size, ..nominal };
            let layer = draw(place);
            let error = |dx: isize, dy: isize| self.error_shifted(ground, &layer, dx, dy);
            let (mut at, mut here): ((isize, isize), i64) = ((0, 0), error(0, 0));
            // Steepest descent over whole pixels; the error is smooth at this size.
            for _ in 0..2 * REACH_PX {
                let steps = [(1, 0), (-1, 0), (0, 1), (0, -1)].map(|(dx, dy)| (at.0 + dx, at.1 + dy));
                let reachable = steps.into_iter().filter(|step| step.0.abs().max(step.1.abs()) <= REACH_PX);
                let Some((step, there)) =
                    reachable.map(|step| (step, error(step.0, step.1))).min_by_key(|&(_, error)| error)
                else {
                    break;
                };
                if there >= here {
                    break;
                }
                (at, here) = (step, there);
            }
            if here < best_error {
                best_error = here;
                let x = at.0 as f32 + vertex(error(at.0 - 1, at.1), here, error(at.0 + 1, at.1));
                let y = at.1 as f32 + vertex(error(at.0, at.1 - 1), here, error(at.0, at.1 + 1));
                best = Placement { x_px: nominal.x_px + x / zoom, y_px: nominal.y_px + y / zoom, ..place };
            }
        }
        best
    }

    /// The error of `layer` moved by whole pixels over the ground, inside of a box that does not move.
    fn error_shifted(&self, ground: &Ground, layer: &Layer, dx: isize, dy: isize) -> i64 {
        let (width, height) = (self.width as isize, self.height as isize);
        let margin = REACH_PX + 1;
        let bounds = layer.drawn;
        if bounds.is_empty() {
            return 0;
        }
        let clamp = |value: isize, end: isize| value.clamp(0, end);
        let mut error = 0;
        for y in clamp(bounds.top as isize - margin, height)..clamp(bounds.bottom as isize + margin, height) {
            for x in clamp(bounds.left as isize - margin, width)..clamp(bounds.right as isize + margin, width) {
                let index = (y * width + x) as usize;
                let (from_x, from_y) = (x - dx, y - dy);
                let is_inside = (0..width).contains(&from_x) && (0..height).contains(&from_y);
                let above = if is_inside { layer.pixels[(from_y * width + from_x) as usize] } else { [0; 4] };
                error += if above[3] == 0 {
                    ground.errors[index]
                } else {
                    let color = over(ground.above.pixels[index], over(above, ground.color(index)));
                    squared_distance(self.rgb[index], color).min(ERROR_CAP)
                };
            }
        }
        error
    }
}

/// What lies behind and before the figure in question, and how wrong it is at each pixel that the figure leaves free.
///
/// Where clouds, trees and petals are is not known, so a backdrop is as wrong as the nearest of several drawings of it.
pub(super) struct Ground {
    below: Layer,
    above: Layer,
    errors: Vec<i64>,
}

impl Ground {
    /// Drawings of the same backdrop, with the layers of the other figures over them: those behind, those before.
    pub(crate) fn new(seen: &Observation, backdrops: &[Layer], behind: &[&Layer], before: &[&Layer]) -> Self {
        let error = |index: usize, [red, green, blue, _]: [u8; 4]| {
            squared_distance(seen.rgb[index], [red, green, blue]).min(ERROR_CAP)
        };
        let mut below = backdrops.first().cloned().unwrap_or_else(|| seen.blank());
        behind.iter().for_each(|figure| below.compose(figure));
        let mut above = seen.blank();
        before.iter().for_each(|figure| above.compose(figure));
        let mut whole = below.clone();
        whole.compose(&above);
        let is_covered = |index: usize| behind.iter().chain(before).any(|figure| figure.pixels[index][3] > 0);
        let errors = (0..seen.rgb.len())
            .map(|index| {
                if is_covered(index) {
                    error(index, whole.pixels[index])
                } else {
                    backdrops.iter().map(|backdrop| error(index, backdrop.pixels[index])).min().unwrap_or(0)
                }
            })
            .collect();
        Self { below, above, errors }
    }

    fn color(&self, index: usize) -> [u8; 3] {
        let [red, green, blue, _] = self.below.pixels[index];
        [red, green, blue]
    }
}

fn over([red, green, blue, alpha]: [u8; 4], below: [u8; 3]) -> [u8; 3] {
    match alpha {
        0 => below,
        255 => [red, green, blue],
        _ => {
            let keep = 255 - u32::from(alpha);
            let channel = |above: u8, below: u8| (u32::from(above) + u32::from(below) * keep / 255).min(255) as u8;
            [channel(red, below[0]), channel(green, below[1]), channel(blue, below[2])]
        }
    }
}

/// How far a figure may be from its nominal place, in pixels of the halved picture.
const REACH_PX: isize = 5;

/// Where the parabola through three neighbouring errors is lowest, relative to the middle one.
fn vertex(before: i64, here: i64, after: i64) -> f32 {
    let curvature = (before + after - 2 * here) as f32;
    if curvature <= 0.0 { 0.0 } else { ((before - after) as f32 / (2.0 * curvature)).clamp(-0.5, 0.5) }
}

fn squared_distance(a: [u8; 3], b: [u8; 3]) -> i64 {
    (0..3).map(|channel| (i64::from(a[channel]) - i64::from(b[channel])).pow(2)).sum()
}
