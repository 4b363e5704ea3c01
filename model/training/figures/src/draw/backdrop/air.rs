//! Skies: gradients, clouds, sun, moon and stars.

use super::{SIDE, band};
use crate::attributes::TimeOfDay;
use crate::canvas::Canvas;
use crate::palette::Rgb;
use crate::rng::Rng;
use crate::shape::{Point, Shape};

/// Draws the sky down to `horizon`, with the light of the time in it.
pub(super) fn sky(canvas: &mut Canvas, time: TimeOfDay, horizon: f32, rng: &mut Rng) {
    match time {
        TimeOfDay::Day => band(canvas, -1.0, horizon, Rgb::hex(0x5fb0f4), Rgb::hex(0xdcf3ff)),
        TimeOfDay::Sunset => {
            let middle = horizon * 0.55;
            band(canvas, -1.0, middle + 0.5, Rgb::hex(0x7d62b5), Rgb::hex(0xf58f86));
            band(canvas, middle, horizon, Rgb::hex(0xf58f86), Rgb::hex(0xffdf9c));
            let sun = (rng.between(40.0, 216.0), horizon - 26.0);
            canvas.fill_faded(&Shape::circle(sun, 44.0), Rgb::hex(0xffe7a6), 0.28);
            canvas.fill_faded(&Shape::circle(sun, 33.0), Rgb::hex(0xffefbe), 0.45);
            canvas.fill(&Shape::circle(sun, 24.0), Rgb::hex(0xfff6d8));
        }
        TimeOfDay::Night => {
            band(canvas, -1.0, horizon, Rgb::hex(0x161c48), Rgb::hex(0x47509b));
            stars(canvas, horizon, rng);
            let moon = (rng.between(28.0, 228.0), rng.between(24.0, 40.0));
            canvas.fill_faded(&Shape::circle(moon, 21.0), Rgb::hex(0xfff6cf), 0.16);
            canvas.fill(&Shape::circle(moon, 14.0), Rgb::hex(0xfff3c4));
            canvas.fill_faded(&Shape::circle((moon.0 + 4.0, moon.1 + 3.0), 3.4), Rgb::hex(0xe8d69a), 0.7);
            canvas.fill_faded(&Shape::circle((moon.0 - 5.0, moon.1 - 3.0), 2.4), Rgb::hex(0xe8d69a), 0.7);
        }
    }
}

fn stars(canvas: &mut Canvas, horizon: f32, rng: &mut Rng) {
    for _ in 0..26 {
        let center = (rng.between(0.0, SIDE), rng.between(0.0, horizon * 0.92));
        canvas.fill_faded(&Shape::circle(center, rng.between(0.7, 1.4)), Rgb::hex(0xf4f6ff), 0.9);
    }
    for _ in 0..5 {
        let center = (rng.between(8.0, SIDE - 8.0), rng.between(8.0, horizon * 0.75));
        canvas.fill(&Shape::star(center, rng.between(4.0, 6.0), 1.1, 4), Rgb::hex(0xfffbe0));
    }
}

/// A heap cloud around `center`: a lit top over a shaded base.
pub(super) fn cloud(canvas: &mut Canvas, center: Point, size: f32, time: TimeOfDay) {
    let (top, base) = match time {
        TimeOfDay::Day => (Rgb::WHITE, Rgb::hex(0xcfe4f6)),
        TimeOfDay::Sunset => (Rgb::hex(0xffd9c4), Rgb::hex(0xd98a98)),
        TimeOfDay::Night => (Rgb::hex(0x5f68ad), Rgb::hex(0x434b8c)),
    };
    let puffs = [(-26.0, 3.0, 14.0), (-11.0, -5.0, 17.0), (8.0, -8.0, 19.0), (25.0, 1.0, 15.0), (0.0, 5.0, 18.0)];
    for (dx, dy, radius) in puffs {
        canvas.fill(
            &Shape::ellipse((center.0 + dx * size, center.1 + (dy + 3.6) * size), radius * size, radius * 0.82 * size),
            base,
        );
    }
    for (dx, dy, radius) in puffs {
        canvas.fill(
            &Shape::ellipse(
                (center.0 + (dx - 1.5) * size, center.1 + dy * size),
                radius * 0.93 * size,
                radius * 0.74 * size,
            ),
            top,
        );
    }
}

/// Some clouds between `top` and `bottom`.
pub(super) fn clouds(
    canvas: &mut Canvas,
    count: usize,
    (top, bottom): (f32, f32),
    size: f32,
    time: TimeOfDay,
    rng: &mut Rng,
) {
    for index in 0..count {
        let slot = SIDE / count as f32;
        let x = slot * (index as f32 + rng.between(0.15, 0.85));
        cloud(canvas, (x, rng.between(top, bottom)), size * rng.between(0.75, 1.15), time);
    }
}
