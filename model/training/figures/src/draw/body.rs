//! The body: neck, legs with their shoes, arms with their gestures.

use super::{Parts, outfit};
use crate::attributes::Action;
use crate::canvas::Canvas;
use crate::palette::{Ramp, Rgb, thing};
use crate::shape::{Point, Shape, bezier, k, s};

/// Draws the neck with the shadow of the chin.
pub(super) fn neck(canvas: &mut Canvas, parts: &Parts<'_>) {
    let neck = Shape::symmetric(&[k(7.0, 40.0), s(7.0, 49.0), s(12.0, 55.0), k(12.0, 60.0), k(0.0, 64.0)]);
    canvas.part(&[&neck], &parts.skin);
    canvas.shade(&neck, &[&Shape::ellipse((0.0, 46.0), 13.0, 7.5)], parts.skin.shadow);
}

/// Draws both legs down to the soles.
pub(super) fn legs(canvas: &mut Canvas, parts: &Parts<'_>) {
    let style = outfit::legs(parts);
    for side in [-1.0, 1.0] {
        let leg = Shape::limb((8.8 * side, 82.0), (9.6 * side, 100.0), (9.0 * side, 120.0), 7.2, 5.4);
        canvas.part(&[&leg], &parts.skin);
        canvas.shade(&leg, &[&Shape::rect(-20.0, 80.0, 20.0, 104.0)], parts.skin.base.mix(parts.skin.shadow, 0.7));
        if let Some((cloth, top)) = style.stocking {
            let upper = Shape::spline(&[
                k(1.4 * side, top),
                k(17.4 * side, top),
                s(16.0 * side, 112.0),
                k(15.0 * side, 122.0),
                k(3.0 * side, 122.0),
            ]);
            canvas.part(&[&upper], &cloth);
            let far = Shape::rect(
                10.5 * side.max(0.0) - 5.2 * (-side).max(0.0),
                top,
                10.5 * side.max(0.0) - 5.2 * (-side).max(0.0) + 12.0,
                124.0,
            );
            canvas.shade(&upper, &[&far], cloth.base.mix(cloth.shadow, 0.6));
        }
        let shoe = Shape::sided(
            side,
            &[k(2.0, 125.6), s(1.6, 119.6), s(7.6, 115.2), s(14.6, 117.4), s(18.4, 122.6), k(17.8, 125.6)],
        );
        canvas.part(&[&shoe], &style.shoes);
        let sole = Shape::sided(side, &[k(0.0, 122.9), k(20.0, 122.9), k(20.0, 127.0), k(0.0, 127.0)]);
        canvas.shade(&shoe, &[&sole], style.shoes.shadow);
        canvas.fill(&Shape::ellipse((7.0 * side + 0.8, 118.6), 2.4, 1.2), style.shoes.light);
    }
}

/// Shoulder, elbow as a control point, hand: the arm on the viewer's right.
type Arm = (Point, Point, Point);

const DOWN: Arm = ((16.5, 58.5), (24.0, 68.0), (25.5, 84.0));

/// Left arm, right arm, and whether each is raised next to the head.
fn arms(action: Action) -> [(Arm, bool); 2] {
    let up = ((17.0, 59.0), (43.0, 66.0), (51.0, 42.0));
    match action {
        Action::Standing => [(DOWN, false); 2],
        Action::Waving => [(DOWN, false), (((17.0, 59.0), (40.0, 68.0), (53.0, 44.0)), true)],
        Action::ArmsUp => [(((16.5, 58.5), (44.0, 60.0), (54.0, 28.0)), true); 2],
        Action::HandsOnHips => [(((16.5, 58.5), (43.0, 70.0), (19.0, 81.0)), false); 2],
        Action::Victory => [(DOWN, false), (up, true)],
        Action::HoldingFlower => [(((16.5, 58.5), (38.0, 74.0), (29.0, 71.0)), true), (DOWN, false)],
        Action::HandsTogether => [(((16.5, 58.5), (31.0, 80.0), (3.8, 67.0)), false); 2],
        Action::HoldingBook => [(((16.5, 58.5), (34.0, 76.0), (14.0, 76.0)), false); 2],
    }
}

/// Draws the arms that hang or lie before the body.
pub(super) fn lowered_arms(canvas: &mut Canvas, parts: &Parts<'_>) {
    if parts.figure.action == Action::HoldingBook {
        book(canvas);
    }
    draw_arms(canvas, parts, false);
    if parts.figure.action == Action::HandsTogether {
        // Folded in front of the chest: fingers up.
        let hands = Shape::symmetric(&[s(0.0, 59.4), s(3.4, 61.4), s(5.8, 66.6), s(4.6, 71.6), s(0.0, 73.0)]);
        canvas.part(&[&hands], &parts.skin);
        canvas.line(&Shape::taper((0.0, 60.0), (0.3, 66.0), (0.0, 72.4), 0.9), parts.skin.line);
        canvas.line(&Shape::taper((2.4, 64.0), (3.8, 66.0), (5.0, 67.0), 0.7), parts.skin.shadow);
    }
}

/// Draws the arms that are raised next to the head, and what they hold.
pub(super) fn raised_arms(canvas: &mut Canvas, parts: &Parts<'_>) {
    draw_arms(canvas, parts, true);
}

fn draw_arms(canvas: &mut Canvas, parts: &Parts<'_>, is_raised: bool) {
    for (side, (arm, raised)) in [-1.0, 1.0].into_iter().zip(arms(parts.figure.action)) {
        if raised == is_raised {
            draw_arm(canvas, parts, side, arm);
        }
    }
}

fn draw_arm(canvas: &mut Canvas, parts: &Parts<'_>, side: f32, (shoulder, elbow, hand): Arm) {
    let on_side = |(x, y): Point| (x * side, y);
    let (shoulder, elbow, hand) = (on_side(shoulder), on_side(elbow), on_side(hand));
    let skin = &parts.skin;
    let sleeve = outfit::sleeve(parts);
    if parts.figure.action == Action::HoldingFlower && side < 0.0 {
        flower(canvas, (hand.0 - 3.0, hand.1));
    }
    hand_shape(canvas, parts, side, hand, elbow);
    let arm = Shape::limb(shoulder, elbow, hand, 5.4, 4.2);
    canvas.part(&[&arm], skin);
    canvas.fill(&Shape::circle(hand, 4.4), skin.base);
    // The sleeve is the part of the same curve between the shoulder and where it ends.
    let end = bezier(shoulder, elbow, hand, sleeve.length);
    let control =
        (shoulder.0 + (elbow.0 - shoulder.0) * sleeve.length, shoulder.1 + (elbow.1 - shoulder.1) * sleeve.length);
    let cloth = Shape::limb(shoulder, control, end, 6.8, sleeve.cuff_half_width);
    let cap = Shape::circle((shoulder.0, shoulder.1 - 0.2), 6.6);
    canvas.part(&[&cap, &cloth], &sleeve.cloth);
    canvas.fill(&cap, sleeve.cloth.base);
    let shadow_side = Shape::limb(
        (shoulder.0 + 3.6, shoulder.1 + 3.0),
        (control.0 + 3.4, control.1 + 3.2),
        (end.0 + 3.4, end.1 + 2.8),
        4.0,
        sleeve.cuff_half_width * 0.7,
    );
    canvas.shade(&cloth, &[&shadow_side], sleeve.cloth.base.mix(sleeve.cloth.shadow, 0.75));
    if let Some(cuff) = sleeve.cuff {
        let from = bezier(shoulder, elbow, hand, (sleeve.length - 0.13).max(0.0));
        let band = Shape::limb(
            from,
            ((from.0 + end.0) / 2.0, (from.1 + end.1) / 2.0),
            end,
            sleeve.cuff_half_width + 0.3,
            sleeve.cuff_half_width + 0.3,
        );
        canvas.part(&[&band], &cuff);
    }
}

fn hand_shape(canvas: &mut Canvas, parts: &Parts<'_>, side: f32, hand: Point, elbow: Point) {
    let skin = &parts.skin;
    let palm = Shape::circle(hand, 5.0);
    let fingers: Vec<Shape> = match parts.figure.action {
        Action::Waving if side > 0.0 => {
            [(-3.4, -7.6), (0.4, -9.0), (4.2, -7.6)].map(|(x, y)| finger(hand, x, y)).to_vec()
        }
        Action::Victory if side > 0.0 => [(-4.6, -12.0), (4.4, -12.0)].map(|(x, y)| finger(hand, x, y)).to_vec(),
        Action::ArmsUp => [(-3.2, -7.0), (0.4, -8.4), (4.0, -7.0)].map(|(x, y)| finger(hand, x * side, y)).to_vec(),
        _ => Vec::new(),
    };
    let mut shapes: Vec<&Shape> = fingers.iter().collect();
    shapes.push(&palm);
    canvas.part(&shapes, skin);
    if !fingers.is_empty() {
        let thumb = finger(hand, if elbow.0 * side > hand.0 * side { 6.0 } else { -6.0 } * side, -2.4);
        canvas.part(&[&thumb], skin);
        canvas.fill(&palm, skin.base);
    }
}

fn finger(hand: Point, dx: f32, dy: f32) -> Shape {
    let tip = (hand.0 + dx, hand.1 + dy);
    let (ux, uy) = (dx / dx.hypot(dy), dy / dx.hypot(dy));
    let half = 1.9;
    Shape::spline(&[
        k(hand.0 - uy * half, hand.1 + ux * half),
        s(tip.0 - uy * half, tip.1 + ux * half),
        s(tip.0 + ux * half, tip.1 + uy * half),
        s(tip.0 + uy * half, tip.1 - ux * half),
        k(hand.0 + uy * half, hand.1 - ux * half),
    ])
}

fn flower(canvas: &mut Canvas, hand: Point) {
    let head = (hand.0 - 8.0, hand.1 - 27.0);
    let stem = Shape::limb((hand.0 + 2.0, hand.1 + 12.0), (hand.0 - 1.0, hand.1 - 8.0), head, 1.3, 1.3);
    canvas.part(&[&stem], &thing::LEAF);
    let leaf = Shape::spline(&[
        k(hand.0, hand.1 + 8.0),
        s(hand.0 - 7.0, hand.1 + 2.0),
        k(hand.0 - 12.0, hand.1 + 3.0),
        s(hand.0 - 7.0, hand.1 + 9.0),
    ]);
    canvas.part(&[&leaf], &thing::LEAF);
    blossom(canvas, head, 7.4, &thing::RED);
}

/// A five-petalled flower.
pub(super) fn blossom(canvas: &mut Canvas, center: Point, radius: f32, petal: &Ramp) {
    let petals: Vec<Shape> = (0..5)
        .map(|index| {
            let angle = std::f32::consts::TAU * (index as f32 / 5.0 - 0.25);
            Shape::circle(
                (center.0 + angle.cos() * radius * 0.72, center.1 + angle.sin() * radius * 0.72),
                radius * 0.62,
            )
        })
        .collect();
    let all: Vec<&Shape> = petals.iter().collect();
    canvas.part(&all, petal);
    for petal_shape in &petals {
        canvas.shade(petal_shape, &[&Shape::circle(center, radius * 0.62)], petal.base.mix(petal.shadow, 0.6));
    }
    canvas.fill(&Shape::circle(center, radius * 0.38), thing::GOLD.base);
    canvas.fill(&Shape::circle((center.0 - 0.6, center.1 - 0.7), radius * 0.16), thing::GOLD.light);
}

fn book(canvas: &mut Canvas) {
    let cover = Shape::symmetric(&[k(0.0, 64.5), k(19.0, 61.5), k(19.0, 84.0), k(0.0, 87.0)]);
    canvas.part(
        &[&cover],
        &Ramp {
            base: Rgb::hex(0x3f6fb5),
            light: Rgb::hex(0x7da7e0),
            shadow: Rgb::hex(0x2d4f8f),
            line: Rgb::hex(0x1c2f5a),
        },
    );
    canvas.line(&Shape::taper((0.0, 65.0), (0.0, 76.0), (0.0, 87.0), 1.6), Rgb::hex(0x1c2f5a));
    canvas.fill(&Shape::star((-9.5, 73.6), 4.0, 1.8, 5), thing::GOLD.base);
    canvas.fill(&Shape::star((9.5, 73.6), 4.0, 1.8, 5), thing::GOLD.base);
    for side in [-1.0, 1.0] {
        let pages =
            Shape::sided(side, &[k(0.6, 62.6), s(9.0, 60.0), k(17.6, 59.6), k(17.6, 61.4), s(9.0, 62.2), k(0.6, 64.6)]);
        canvas.part(&[&pages], &thing::WHITE);
    }
}
