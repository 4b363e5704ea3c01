//! What is behind the figures. The view is in pixels of a 256 px picture.

mod air;
mod indoors;
mod nature;
mod plain;
mod town;

use crate::attributes::{Backdrop, Place, TimeOfDay};
use crate::canvas::Canvas;
use crate::palette::Rgb;
use crate::rng::Rng;
use crate::shape::Shape;

/// The side of the view.
const SIDE: f32 = 256.0;

/// Draws a backdrop; what the seed decides are places of clouds, stars, trees and petals.
pub(crate) fn draw(canvas: &mut Canvas, backdrop: Backdrop, seed: u64) {
    let mut rng = Rng::for_stream(seed, 0xbac4);
    match backdrop {
        Backdrop::Plain(kind) => plain::draw(canvas, kind),
        Backdrop::Place(place, time) => {
            let rng = &mut rng;
            match place {
                Place::Sky => nature::sky(canvas, time, rng),
                Place::Forest => nature::forest(canvas, time, rng),
                Place::Beach => nature::beach(canvas, time, rng),
                Place::City => town::city(canvas, time, rng),
                Place::CherryBlossoms => nature::cherry_blossoms(canvas, time, rng),
                Place::Snow => nature::snow(canvas, time, rng),
                Place::FlowerField => nature::flower_field(canvas, time, rng),
                Place::Classroom => indoors::classroom(canvas, time, rng),
            }
        }
    }
}

/// The colour of a thing in the light of a time of day.
fn lit(color: u32, time: TimeOfDay) -> Rgb {
    let color = Rgb::hex(color);
    match time {
        TimeOfDay::Day => color,
        TimeOfDay::Sunset => color.mix(Rgb::hex(0xf07a52), 0.34),
        TimeOfDay::Night => color.mix(Rgb::hex(0x252f7c), 0.56),
    }
}

/// A horizontal band with a vertical gradient.
fn band(canvas: &mut Canvas, top: f32, bottom: f32, from: Rgb, to: Rgb) {
    canvas.fill_gradient(&Shape::rect(-1.0, top, SIDE + 1.0, bottom), (0.0, top), (0.0, bottom), from, to);
}
