//! Streets.

use super::air::{clouds, sky};
use super::{SIDE, band, lit};
use crate::attributes::TimeOfDay;
use crate::canvas::Canvas;
use crate::palette::Rgb;
use crate::rng::Rng;
use crate::shape::Shape;

/// A skyline in two layers over a street.
pub(super) fn city(canvas: &mut Canvas, time: TimeOfDay, rng: &mut Rng) {
    sky(canvas, time, 207.0, rng);
    clouds(canvas, 2, (26.0, 50.0), 0.7, time, rng);
    let far = lit(0xa9bedb, time);
    let mut x = -8.0;
    while x < SIDE {
        let width = rng.between(20.0, 34.0);
        canvas.fill(&Shape::rect(x, rng.between(70.0, 122.0), x + width, 210.0), far);
        x += width;
    }
    let walls = [0xe9d8cb, 0xc9cfe0, 0xd9b7a8, 0xb8c7d6, 0xe6dcc0];
    let mut x = rng.between(-24.0, -6.0);
    let mut index = 0;
    while x < SIDE {
        let width = rng.between(38.0, 54.0);
        let top = rng.between(96.0, 150.0);
        building(canvas, (x, top, x + width), lit(walls[index % walls.len()], time), time, rng);
        x += width + 2.0;
        index += 1;
    }
    band(canvas, 205.0, 216.0, lit(0xc9c4cc, time), lit(0xdcd8de, time));
    band(canvas, 215.0, SIDE + 1.0, lit(0x8f90a2, time), lit(0x7b7c90, time));
    for index in 0..5 {
        let x = index as f32 * 62.0 - 12.0;
        canvas.fill(
            &Shape::polygon(&[(x, 233.0), (x + 28.0, 233.0), (x + 24.0, 238.0), (x - 4.0, 238.0)]),
            lit(0xf4f2ea, time),
        );
    }
}

fn building(canvas: &mut Canvas, (left, top, right): (f32, f32, f32), wall: Rgb, time: TimeOfDay, rng: &mut Rng) {
    canvas.fill(&Shape::rect(left, top, right, 210.0), wall);
    canvas.fill_faded(&Shape::rect(right - 7.0, top, right, 210.0), Rgb::hex(0x2a2c55), 0.16);
    canvas.fill(&Shape::rect(left - 1.0, top - 3.0, right + 1.0, top + 2.0), wall.mix(Rgb::hex(0x2a2c55), 0.25));
    let is_lit_up = time != TimeOfDay::Day;
    let columns = ((right - left - 10.0) / 11.0) as usize;
    for column in 0..columns {
        for row in 0..((200.0 - top) / 16.0) as usize {
            let (x, y) = (left + 6.0 + 11.0 * column as f32, top + 8.0 + 16.0 * row as f32);
            let glass = if is_lit_up && rng.chance(0.55) { Rgb::hex(0xffe08a) } else { lit(0x86b4d8, time) };
            canvas.fill(&Shape::rect(x, y, x + 6.5, y + 9.0), glass);
        }
    }
}
