//! Backdrops without a place.

use super::{SIDE, band};
use crate::attributes::Plain;
use crate::canvas::Canvas;
use crate::palette::Rgb;
use crate::shape::Shape;

/// Draws a colour with a little light in the middle, or a pattern.
pub(super) fn draw(canvas: &mut Canvas, kind: Plain) {
    match kind {
        Plain::White => even(canvas, 0xffffff, 0xf7f5fa),
        Plain::Pink => even(canvas, 0xffd3e2, 0xffb7cf),
        Plain::Blue => even(canvas, 0xbfe0ff, 0x97c6f7),
        Plain::Yellow => even(canvas, 0xfff0b3, 0xffe08a),
        Plain::Green => even(canvas, 0xcaefc6, 0xa4dca6),
        Plain::Purple => even(canvas, 0xdccbf8, 0xc2aaee),
        Plain::PolkaDot => {
            even(canvas, 0xfff7ec, 0xffeedd);
            for row in 0..9 {
                for column in 0..9 {
                    let x = column as f32 * 34.0 + if row % 2 == 0 { 0.0 } else { 17.0 };
                    let color = if (row + column) % 2 == 0 { Rgb::hex(0xffb3c7) } else { Rgb::hex(0xa9dcf5) };
                    canvas.fill(&Shape::circle((x, row as f32 * 31.0 + 4.0), 7.5), color);
                }
            }
        }
        Plain::Gradient => {
            band(canvas, -1.0, 128.5, Rgb::hex(0x8fd3f4), Rgb::hex(0xe7c6f5));
            band(canvas, 128.0, SIDE + 1.0, Rgb::hex(0xe7c6f5), Rgb::hex(0xffb199));
        }
    }
}

fn even(canvas: &mut Canvas, top: u32, bottom: u32) {
    band(canvas, -1.0, SIDE + 1.0, Rgb::hex(top), Rgb::hex(bottom));
}
