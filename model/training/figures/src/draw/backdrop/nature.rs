//! Places outdoors.

use super::air::{clouds, sky as draw_sky};
use super::{SIDE, band, lit};
use crate::attributes::TimeOfDay;
use crate::canvas::Canvas;
use crate::palette::Rgb;
use crate::rng::Rng;
use crate::shape::{Knot, Shape, k, s};

/// A hilly ground from about `top` down.
fn hills(canvas: &mut Canvas, top: f32, height: f32, color: Rgb, rng: &mut Rng) {
    let mut knots: Vec<Knot> = vec![k(-10.0, SIDE + 10.0)];
    knots.extend((0..=5).map(|index| s(index as f32 * 55.0 - 10.0, top + rng.between(-height, height))));
    knots.push(k(SIDE + 10.0, SIDE + 10.0));
    canvas.fill(&Shape::spline(&knots), color);
}

/// A wide sky with heap clouds over a green hill.
pub(super) fn sky(canvas: &mut Canvas, time: TimeOfDay, rng: &mut Rng) {
    draw_sky(canvas, time, 240.0, rng);
    clouds(canvas, 2, (34.0, 66.0), 1.0, time, rng);
    clouds(canvas, 3, (120.0, 176.0), 1.35, time, rng);
    hills(canvas, 216.0, 5.0, lit(0x8fd07a, time), rng);
    hills(canvas, 232.0, 4.0, lit(0x72bd68, time), rng);
}

/// Conifers behind round trees, grass in front.
pub(super) fn forest(canvas: &mut Canvas, time: TimeOfDay, rng: &mut Rng) {
    draw_sky(canvas, time, 216.0, rng);
    for index in 0..8 {
        let x = index as f32 * 36.0 + rng.between(-10.0, 10.0);
        conifer(canvas, (x, 205.0), rng.between(110.0, 150.0), lit(0x7fbf9a, time));
    }
    for index in 0..6 {
        let x = index as f32 * 52.0 + rng.between(-12.0, 12.0);
        let trunk = Shape::polygon(&[(x - 5.0, 225.0), (x - 3.5, 110.0), (x + 3.5, 110.0), (x + 6.0, 225.0)]);
        canvas.fill(&trunk, lit(0x7a5643, time));
        let y = rng.between(62.0, 96.0);
        for (dx, dy, radius) in [(-18.0, 10.0, 23.0), (17.0, 8.0, 24.0), (0.0, -8.0, 28.0)] {
            canvas.fill(&Shape::circle((x + dx, y + dy), radius), lit(0x3f8f5a, time));
        }
        for (dx, dy, radius) in [(-19.0, 4.0, 16.0), (13.0, 2.0, 16.0), (-4.0, -16.0, 18.0)] {
            canvas.fill(&Shape::circle((x + dx, y + dy), radius), lit(0x5aad68, time));
        }
    }
    hills(canvas, 204.0, 5.0, lit(0x5fae5f, time), rng);
    hills(canvas, 228.0, 4.0, lit(0x4a9955, time), rng);
}

fn conifer(canvas: &mut Canvas, foot: (f32, f32), height: f32, color: Rgb) {
    let (x, y) = foot;
    let half = height * 0.2;
    let shape = Shape::polygon(&[
        (x, y - height),
        (x + half * 0.6, y - height * 0.62),
        (x + half * 0.3, y - height * 0.62),
        (x + half * 0.85, y - height * 0.3),
        (x + half * 0.45, y - height * 0.3),
        (x + half, y),
        (x - half, y),
        (x - half * 0.45, y - height * 0.3),
        (x - half * 0.85, y - height * 0.3),
        (x - half * 0.3, y - height * 0.62),
        (x - half * 0.6, y - height * 0.62),
    ]);
    canvas.fill(&shape, color);
}

/// Sea, sand and a palm.
pub(super) fn beach(canvas: &mut Canvas, time: TimeOfDay, rng: &mut Rng) {
    draw_sky(canvas, time, 134.0, rng);
    clouds(canvas, 2, (48.0, 92.0), 0.85, time, rng);
    band(canvas, 132.0, 214.0, lit(0x2f93d8, time), lit(0x7fe0e0, time));
    for _ in 0..9 {
        let (x, y) = (rng.between(0.0, SIDE), rng.between(140.0, 184.0));
        let length = rng.between(10.0, 24.0);
        canvas.fill(&Shape::taper((x - length, y), (x, y - 1.5), (x + length, y), 1.1), lit(0xe6fbff, time));
    }
    let sand = Shape::spline(&[
        k(-10.0, 270.0),
        k(-10.0, 200.0),
        s(50.0, 193.0),
        s(120.0, 200.0),
        s(190.0, 192.0),
        k(270.0, 199.0),
        k(270.0, 270.0),
    ]);
    canvas.stroke(&sand, lit(0xf4ffff, time), 5.0);
    canvas.fill_gradient(&sand, (0.0, 192.0), (0.0, 256.0), lit(0xf3dcae, time), lit(0xfbeccb, time));
    let side = if rng.chance(0.5) { -1.0 } else { 1.0 };
    palm(canvas, side, time);
}

fn palm(canvas: &mut Canvas, side: f32, time: TimeOfDay) {
    let x = |offset: f32| SIDE / 2.0 + side * (SIDE / 2.0 - offset);
    let trunk = Shape::limb((x(12.0), 208.0), (x(14.0), 120.0), (x(30.0), 62.0), 5.5, 3.4);
    canvas.fill(&trunk, lit(0x9a6f4c, time));
    for (dx, dy, bend) in
        [(-34.0, -6.0, -24.0), (-26.0, 22.0, -8.0), (34.0, -4.0, -24.0), (28.0, 24.0, -6.0), (2.0, -34.0, -14.0)]
    {
        let leaf = Shape::taper((x(30.0), 62.0), (x(30.0) + dx * 0.6, 62.0 + bend), (x(30.0) + dx, 62.0 + dy), 9.0);
        canvas.fill(&leaf, lit(if dx < 0.0 { 0x49a45c } else { 0x378a52 }, time));
    }
}

/// Blossoming trees and falling petals.
pub(super) fn cherry_blossoms(canvas: &mut Canvas, time: TimeOfDay, rng: &mut Rng) {
    draw_sky(canvas, time, 212.0, rng);
    hills(canvas, 196.0, 4.0, lit(0xb9dfa0, time), rng);
    for side in [-1.0, 1.0] {
        let x = |offset: f32| SIDE / 2.0 + side * (SIDE / 2.0 - offset);
        canvas.fill(&Shape::limb((x(14.0), 214.0), (x(26.0), 140.0), (x(2.0), 54.0), 9.0, 5.0), lit(0x6d4a48, time));
        canvas.fill(&Shape::limb((x(14.0), 134.0), (x(30.0), 100.0), (x(56.0), 66.0), 4.4, 2.0), lit(0x6d4a48, time));
        for layer in 0..3 {
            let color = [0xe98fb2, 0xf9b3cd, 0xffd6e4][layer];
            for (dx, dy) in
                [(2.0, 34.0), (30.0, 20.0), (60.0, 26.0), (86.0, 10.0), (16.0, 62.0), (46.0, 54.0), (4.0, 88.0)]
            {
                let radius = rng.between(20.0, 25.0) - 5.0 * layer as f32;
                let lift = 4.0 * layer as f32;
                canvas.fill(
                    &Shape::circle((x(dx + rng.between(-3.0, 3.0)), dy - lift + rng.between(-3.0, 3.0)), radius),
                    lit(color, time),
                );
            }
        }
    }
    hills(canvas, 222.0, 4.0, lit(0xf7c9d8, time), rng);
    for _ in 0..26 {
        let (x, y) = (rng.between(0.0, SIDE), rng.between(60.0, SIDE));
        let angle = rng.between(0.0, 180.0);
        canvas.turned(angle, (x, y), |canvas| {
            canvas.fill(&Shape::ellipse((x, y), 3.4, 1.9), lit(0xffc2d6, time));
        });
    }
}

/// Snowy firs and falling flakes.
pub(super) fn snow(canvas: &mut Canvas, time: TimeOfDay, rng: &mut Rng) {
    match time {
        TimeOfDay::Day => band(canvas, -1.0, 216.0, Rgb::hex(0xb9cfe6), Rgb::hex(0xeef5fb)),
        _ => draw_sky(canvas, time, 216.0, rng),
    }
    for index in 0..7 {
        let x = index as f32 * 42.0 + rng.between(-9.0, 9.0);
        let (foot, height) = (206.0 + rng.between(-4.0, 4.0), rng.between(90.0, 132.0));
        conifer(canvas, (x, foot), height, lit(0x6f97a0, time));
        conifer(canvas, (x - 2.0, foot - height * 0.34), height * 0.66, lit(0xf2f8fc, time));
        conifer(canvas, (x + 1.0, foot - height * 0.26), height * 0.58, lit(0x86aab2, time));
    }
    hills(canvas, 204.0, 5.0, lit(0xe3edf7, time), rng);
    hills(canvas, 228.0, 4.0, lit(0xfafcff, time), rng);
    for _ in 0..46 {
        let center = (rng.between(0.0, SIDE), rng.between(0.0, SIDE));
        canvas.fill_faded(&Shape::circle(center, rng.between(1.2, 3.2)), Rgb::WHITE, 0.92);
    }
}

/// A meadow full of flowers.
pub(super) fn flower_field(canvas: &mut Canvas, time: TimeOfDay, rng: &mut Rng) {
    draw_sky(canvas, time, 170.0, rng);
    clouds(canvas, 2, (40.0, 80.0), 0.9, time, rng);
    hills(canvas, 146.0, 9.0, lit(0xa6d8a0, time), rng);
    hills(canvas, 164.0, 5.0, lit(0x7fc673, time), rng);
    const PETALS: [u32; 5] = [0xff7f9f, 0xffd84f, 0xffffff, 0xc58cf0, 0xff9a5a];
    for row in 0..7 {
        let y = 172.0 + 14.0 * row as f32;
        let size = 2.2 + 0.62 * row as f32;
        for column in 0..(13 - row) {
            let step = SIDE / (12 - row) as f32;
            let x = step * column as f32 + rng.between(-6.0, 6.0);
            let y = y + rng.between(-4.0, 4.0);
            // Petals glow a little at dusk: half of the light of the hour.
            let color = PETALS[rng.below(PETALS.len())];
            let petal = Rgb::hex(color).mix(lit(color, time), 0.6);
            canvas.fill(&Shape::star((x, y), size * 1.5, size * 0.85, 5), petal);
            canvas.fill(&Shape::circle((x, y), size * 0.5), lit(0xffe680, time));
        }
    }
}
