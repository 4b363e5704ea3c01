//! Reads the backdrop: coarse blocks outside of the figures, against the means over several seeds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::matching::Observation;
use crate::attributes::{Backdrop, Place, Plain, Style, TimeOfDay};
use crate::canvas::Canvas;
use crate::draw;
use crate::layer::Layer;
use crate::size::Size;

/// The side of a block in pixels of a halved picture.
const BLOCK: usize = 8;
/// Number of drawings of which a template is the mean, since places of clouds and trees vary.
const SEEDS: u64 = 8;

/// The backdrop alone.
fn layer(backdrop: Backdrop, seed: u64, size: Size) -> Layer {
    let mut canvas = Canvas::new(size, Style::Anime);
    let (origin, scale) = size.cover();
    canvas.set_view(origin, scale);
    draw::backdrop::draw(&mut canvas, backdrop, seed);
    canvas.into_layer()
}

/// The same backdrop with several seeds.
pub(super) fn layers(backdrop: Backdrop, size: Size) -> Vec<Layer> {
    (1..=SEEDS).map(|seed| layer(backdrop, seed, size)).collect()
}

/// A word for reports.
pub(super) fn name(backdrop: Backdrop) -> &'static str {
    const TIMES: usize = TimeOfDay::ALL.len();
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    match backdrop {
        Backdrop::Plain(plain) => plain.tag(),
        Backdrop::Place(place, time) => {
            let names = NAMES.get_or_init(|| {
                let pairs = Place::ALL.iter().flat_map(|place| TimeOfDay::ALL.iter().map(move |time| (place, time)));
                pairs.map(|(place, time)| format!("{} {}", place.tag(), time.tag())).collect()
            });
            names.get(place as usize * TIMES + time as usize).map_or(place.tag(), String::as_str)
        }
    }
}

/// The backdrop that is nearest to what is seen.
pub(super) struct Choice {
    pub backdrop: Backdrop,
    /// How much nearer it is than the next one, 0 to 1.
    pub confidence: f32,
}

/// Finds the backdrop around the figures.
pub(super) fn nearest(seen: &Observation, size: Size, figures: &[Layer]) -> Choice {
    let templates = templates(size);
    let width = size.width_px as usize;
    let blocks = block_means(
        size,
        |x, y| seen.pixel(x, y),
        |x, y| figures.iter().all(|layer| layer.pixels[y * width + x][3] == 0),
    );
    let mut errors: Vec<(f32, Backdrop)> = templates
        .iter()
        .map(|(backdrop, means)| {
            let distance = |seen: &[f32; 4], mean: &[f32; 4]| -> f32 {
                seen.iter().zip(mean).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().min(3.0 * 60.0 * 60.0)
            };
            let error =
                blocks.iter().zip(means).filter_map(|(block, mean)| Some(distance(block.as_ref()?, mean))).sum();
            (error, *backdrop)
        })
        .collect();
    errors.sort_by(|a, b| a.0.total_cmp(&b.0));
    match errors.as_slice() {
        [best, next, ..] => Choice { backdrop: best.1, confidence: (next.0 - best.0) / (next.0 + best.0).max(1e-3) },
        _ => Choice { backdrop: Backdrop::Plain(Plain::White), confidence: 0.0 },
    }
}

type Templates = Arc<Vec<(Backdrop, Vec<[f32; 4]>)>>;

/// The templates of every backdrop at one size, made once.
fn templates(size: Size) -> Templates {
    static MADE: Mutex<BTreeMap<(u32, u32), Templates>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let all = || Arc::new(Backdrop::all().into_iter().map(|backdrop| (backdrop, template(backdrop, size))).collect());
    Arc::clone(made.entry((size.width_px, size.height_px)).or_insert_with(all))
}

fn template(backdrop: Backdrop, size: Size) -> Vec<[f32; 4]> {
    let width = size.width_px as usize;
    let mut sums = vec![[0.0; 4]; width / BLOCK * (size.height_px as usize / BLOCK)];
    for layer in layers(backdrop, size) {
        let color = |x: usize, y: usize| {
            let [red, green, blue, _] = layer.pixels[y * width + x];
            [red, green, blue]
        };
        for (sum, mean) in sums.iter_mut().zip(block_means(size, color, |_, _| true)) {
            let mean = mean.unwrap_or_default();
            for channel in 0..4 {
                sum[channel] += mean[channel] / SEEDS as f32;
            }
        }
    }
    sums
}

/// The mean colour of each block and how much it varies inside of it, `None` where less than a third of it is free.
///
/// The fourth number is the standard deviation of brightness: a field of flowers has the mean of a lawn, but not its
/// calm.
fn block_means(
    size: Size,
    color: impl Fn(usize, usize) -> [u8; 3],
    is_free: impl Fn(usize, usize) -> bool,
) -> Vec<Option<[f32; 4]>> {
    let (columns, rows) = (size.width_px as usize / BLOCK, size.height_px as usize / BLOCK);
    (0..columns * rows)
        .map(|block| {
            let (left, top) = (block % columns * BLOCK, block / columns * BLOCK);
            let (mut sum, mut squares, mut count) = ([0.0_f32; 4], 0.0_f32, 0.0_f32);
            for y in top..top + BLOCK {
                for x in (left..left + BLOCK).filter(|&x| is_free(x, y)) {
                    let [red, green, blue] = color(x, y).map(f32::from);
                    let brightness = (red + green + blue) / 3.0;
                    for (sum, value) in sum.iter_mut().zip([red, green, blue, brightness]) {
                        *sum += value;
                    }
                    squares += brightness * brightness;
                    count += 1.0;
                }
            }
            (3.0 * count >= (BLOCK * BLOCK) as f32).then(|| {
                let [red, green, blue, brightness] = sum.map(|value| value / count);
                [red, green, blue, (squares / count - brightness * brightness).max(0.0).sqrt()]
            })
        })
        .collect()
}
