//! Rooms.

use super::air::{cloud, sky};
use super::{SIDE, band};
use crate::attributes::TimeOfDay;
use crate::canvas::Canvas;
use crate::palette::Rgb;
use crate::rng::Rng;
use crate::shape::Shape;

/// A classroom: windows, a blackboard, desks.
pub(super) fn classroom(canvas: &mut Canvas, time: TimeOfDay, rng: &mut Rng) {
    sky(canvas, time, 190.0, rng);
    cloud(canvas, (rng.between(30.0, 60.0), 92.0), 0.7, time);
    cloud(canvas, (rng.between(196.0, 226.0), 78.0), 0.7, time);
    let room = |color: u32| match time {
        TimeOfDay::Day => Rgb::hex(color),
        TimeOfDay::Sunset => Rgb::hex(color).mix(Rgb::hex(0xf59a5c), 0.3),
        TimeOfDay::Night => Rgb::hex(color).mix(Rgb::hex(0x2a2f6b), 0.42),
    };
    let wall = room(0xf7ecd6);
    for (left, top, right, bottom) in [
        (-1.0, -1.0, 257.0, 30.0),
        (-1.0, 29.0, 10.0, 140.0),
        (76.0, 29.0, 180.0, 140.0),
        (246.0, 29.0, 257.0, 140.0),
        (-1.0, 139.0, 257.0, 206.0),
    ] {
        canvas.fill(&Shape::rect(left, top, right, bottom), wall);
    }
    let frame = room(0xffffff);
    for left in [10.0, 180.0] {
        for x in [left, left + 31.0, left + 62.0] {
            canvas.fill(&Shape::rect(x, 28.0, x + 4.0, 142.0), frame);
        }
        for y in [27.0, 80.0, 138.0] {
            canvas.fill(&Shape::rect(left, y, left + 66.0, y + 4.0), frame);
        }
    }
    canvas.fill(&Shape::rect(80.0, 44.0, 176.0, 132.0), room(0xa97c54));
    canvas.fill(&Shape::rect(85.0, 49.0, 171.0, 126.0), room(0x3f7d63));
    for y in [64.0, 76.0, 88.0] {
        let length = rng.between(26.0, 44.0);
        canvas.fill(&Shape::taper((94.0, y), (94.0 + length / 2.0, y - 1.0), (94.0 + length, y), 1.3), room(0xe3f2e6));
    }
    band(canvas, 176.0, 206.0, room(0xdcb98c), room(0xd2ab7d));
    band(canvas, 205.0, SIDE + 1.0, room(0xc99868), room(0xe0b583));
    for index in 0..7 {
        let x = index as f32 * 44.0 - 4.0;
        canvas.fill(
            &Shape::polygon(&[
                (128.0 + (x - 128.0) * 0.8, 206.0),
                (128.0 + (x - 128.0) * 0.8 + 1.2, 206.0),
                (x + 1.6, 257.0),
                (x, 257.0),
            ]),
            room(0xb0825a),
        );
    }
    for left in [-22.0, 214.0] {
        canvas.fill(&Shape::rect(left + 4.0, 192.0, left + 8.0, 238.0), room(0x7d7f8c));
        canvas.fill(&Shape::rect(left + 56.0, 192.0, left + 60.0, 238.0), room(0x7d7f8c));
        canvas.fill(
            &Shape::polygon(&[(left + 4.0, 180.0), (left + 60.0, 180.0), (left + 66.0, 192.0), (left - 2.0, 192.0)]),
            room(0xd79f66),
        );
        canvas.fill(&Shape::rect(left - 2.0, 191.5, left + 66.0, 197.0), room(0xb57f4d));
    }
}
