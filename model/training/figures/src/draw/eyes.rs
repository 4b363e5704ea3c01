//! Eyes and brows.

use super::Parts;
use crate::attributes::Expression;
use crate::canvas::Canvas;
use crate::palette::{self, Rgb};
use crate::shape::{Knot, Point, Shape, k, s};

/// The middle of the eye on the viewer's right.
const EYE: Point = (19.5, 18.5);

/// A shape given around the middle of the right eye, outwards to the right, placed on one side of the face.
fn around_eye(side: f32, knots: &[Knot]) -> Shape {
    let placed: Vec<Knot> = knots.iter().map(|knot| knot.shifted(EYE.0, EYE.1).on(side)).collect();
    Shape::spline(&placed)
}

fn at(side: f32, x: f32, y: f32) -> Point {
    ((EYE.0 + x) * side, EYE.1 + y)
}

/// Draws both eyes as the expression has them.
pub(super) fn draw(canvas: &mut Canvas, parts: &Parts<'_>) {
    for side in [-1.0, 1.0] {
        match parts.figure.expression {
            Expression::ClosedEyes => closed(canvas, parts, side),
            Expression::Scrunched => scrunched(canvas, parts, side),
            Expression::Wink if side > 0.0 => closed(canvas, parts, side),
            _ if parts.is_boy => canvas.squeezed(0.84, EYE.1 + 3.0, |canvas| open(canvas, parts, side)),
            _ => open(canvas, parts, side),
        }
    }
}

/// The colour of lashes: nearly the hair's line colour, never quite black.
fn lash_color(parts: &Parts<'_>) -> Rgb {
    parts.hair.line.mix(Rgb::hex(0x2a1420), 0.72)
}

fn open(canvas: &mut Canvas, parts: &Parts<'_>, side: f32) {
    let expression = parts.figure.expression;
    let iris = palette::iris(parts.figure.eye_color);
    let lash = lash_color(parts);
    // How far the upper lid hangs down: 0 is wide open.
    let droop: f32 = match expression {
        Expression::Expressionless => 8.6,
        Expression::Sad | Expression::Crying => 3.0,
        Expression::Angry => 2.4,
        Expression::Surprised => -1.6,
        _ => 0.0,
    };
    let (outer_drop, inner_drop): (f32, f32) = match expression {
        Expression::Sad | Expression::Crying => (2.6, -0.5),
        Expression::Angry => (-1.4, 2.8),
        Expression::Expressionless => (0.6, 1.2),
        _ => (0.0, 0.0),
    };
    let top = -13.6 + droop;
    let white = around_eye(
        side,
        &[
            k(-9.8, -3.0 + inner_drop.max(droop * 0.55)),
            s(-4.5, top + 1.6 + inner_drop * 0.4),
            s(3.0, top + 0.2),
            k(10.2, -4.6 + outer_drop + droop * 0.45),
            s(10.6, 2.0),
            s(7.6, 10.6),
            s(0.5, 13.0),
            s(-6.4, 10.4),
            s(-9.6, 3.6),
        ],
    );
    canvas.fill(&white, Rgb::hex(0xfffdfd));
    canvas.clipped(&white, |canvas| {
        canvas.fill_faded(&Shape::ellipse(at(side, 0.4, top + 0.8), 13.0, 5.4), Rgb::hex(0xb9b4d4), 0.75);
        iris_inside(canvas, parts, side, &iris);
    });
    // The upper lash: a crescent that grows outwards and ends in a wing.
    let wing = if parts.is_boy { 0.35 } else { 1.0 };
    let upper = around_eye(
        side,
        &[
            k(-11.2, -2.2 + inner_drop + droop * 0.5),
            s(-7.4, top + 3.8 + inner_drop * 0.6),
            s(0.8, top - 1.5),
            s(7.4, top + 1.6 + outer_drop * 0.5 + droop * -0.1),
            k(11.0 + 3.2 * wing, -6.4 - 2.2 * wing + outer_drop + droop * 0.5),
            s(12.2, -3.4 + outer_drop + droop * 0.5),
            k(11.2, 1.2 + outer_drop * 0.5 + droop * 0.3),
            s(9.0, -5.0 + outer_drop * 0.7 + droop * 0.55),
            s(1.0, top + 3.0),
            s(-6.0, top + 5.4 + inner_drop * 0.6),
        ],
    );
    canvas.fill(&upper, lash);
    let crease_y = top - 3.4;
    canvas.line(
        &Shape::taper(
            at(side, -5.6, crease_y + 2.2 + inner_drop * 0.4),
            at(side, 1.5, crease_y - 2.4),
            at(side, 9.0, crease_y + 2.6 + outer_drop * 0.5),
            0.9,
        ),
        parts.skin.line.mix(parts.skin.shadow, 0.35),
    );
    if parts.is_boy {
        return;
    }
    canvas.fill(
        &Shape::taper(at(side, -4.6, 12.2), at(side, 2.4, 15.0), at(side, 8.0, 10.6), 1.0),
        lash.mix(parts.skin.line, 0.4),
    );
}

fn iris_inside(canvas: &mut Canvas, parts: &Parts<'_>, side: f32, iris: &palette::Ramp) {
    let is_surprised = parts.figure.expression == Expression::Surprised;
    let center = at(side, 0.2, 0.8);
    let (rx, ry) = if is_surprised { (6.2, 8.4) } else { (9.2, 12.6) };
    canvas.fill(&Shape::ellipse(center, rx, ry), iris.shadow.mix(iris.line, 0.4));
    let inner = Shape::ellipse(center, rx - 1.0, ry - 1.0);
    canvas.fill_gradient(
        &inner,
        (center.0, center.1 - ry * 0.85),
        (center.0, center.1 + ry * 0.3),
        iris.shadow,
        iris.base,
    );
    // Light that falls through the lens lands at the bottom.
    canvas
        .fill(&Shape::ellipse((center.0, center.1 + ry * 0.52), rx * 0.68, ry * 0.38), iris.base.mix(iris.light, 0.55));
    canvas.fill(&Shape::ellipse((center.0, center.1 + ry * 0.64), rx * 0.44, ry * 0.2), iris.light);
    canvas.fill(&Shape::ellipse((center.0, center.1 - ry * 0.04), rx * 0.36, ry * 0.34), iris.line);
    let size = if is_surprised { 0.8 } else { 1.0 };
    canvas.fill(&Shape::ellipse((center.0 - 3.0 * size, center.1 - 5.2 * size), 3.1 * size, 3.9 * size), Rgb::WHITE);
    canvas.fill(&Shape::circle((center.0 + 3.6 * size, center.1 + 4.6 * size), 1.7 * size), Rgb::WHITE);
    if matches!(parts.figure.expression, Expression::Crying | Expression::Sad) {
        canvas.fill_faded(&Shape::ellipse((center.0, center.1 + ry * 0.8), rx * 0.9, 2.6), Rgb::hex(0xe9f8ff), 0.85);
    }
}

fn closed(canvas: &mut Canvas, parts: &Parts<'_>, side: f32) {
    let lash = lash_color(parts);
    let arc = around_eye(
        side,
        &[
            k(-11.0, 6.6),
            s(-6.6, 0.4),
            s(0.4, -2.6),
            s(7.2, 0.0),
            k(13.4, 3.4),
            k(11.8, 7.2),
            s(6.4, 3.2),
            s(0.2, 0.8),
            s(-6.2, 3.2),
        ],
    );
    canvas.fill(&arc, lash);
    for (x, y) in [(10.4, 6.2), (7.0, 4.4)] {
        canvas.fill(
            &Shape::taper(at(side, x - 0.6, y - 1.8), at(side, x + 1.4, y), at(side, x + 2.6, y + 2.4), 1.0),
            lash,
        );
    }
}

fn scrunched(canvas: &mut Canvas, parts: &Parts<'_>, side: f32) {
    let lash = lash_color(parts);
    let arrow = around_eye(
        side,
        &[k(10.4, -6.6), k(12.0, -4.0), k(-3.0, 3.0), k(12.0, 9.6), k(10.4, 12.4), k(-9.6, 4.2), k(-9.6, 1.8)],
    );
    canvas.fill(&arrow, lash);
}

/// Draws the brows, over the bangs as anime does.
pub(super) fn brows(canvas: &mut Canvas, parts: &Parts<'_>) {
    let weight = if parts.is_boy { 3.1 } else { 1.6 };
    let color = parts.hair.line.mix(parts.hair.shadow, 0.35);
    // Inner end, middle, outer end: heights above the middle of the eye.
    let (inner, middle, outer) = match parts.figure.expression {
        Expression::Angry => (-13.5, -19.5, -22.0),
        Expression::Sad | Expression::Crying => (-24.5, -23.0, -16.5),
        Expression::Surprised => (-24.0, -30.5, -24.0),
        Expression::Blush => (-22.5, -23.5, -18.0),
        Expression::Scrunched => (-12.5, -16.5, -18.0),
        Expression::Expressionless => (-18.0, -18.5, -18.0),
        _ => (-19.5, -25.5, -19.0),
    };
    for side in [-1.0, 1.0] {
        let lift = if parts.figure.expression == Expression::Wink && side > 0.0 { 4.0 } else { 0.0 };
        let brow = Shape::taper(
            at(side, -8.5, inner + lift),
            at(side, 0.5, middle + lift),
            at(side, 9.5, outer + lift),
            weight,
        );
        canvas.fill(&brow, color);
    }
    if parts.figure.expression == Expression::Angry {
        let mark: Vec<Shape> = (0..4).map(anger_stroke).collect();
        for stroke in &mark {
            canvas.stroke(stroke, Rgb::hex(0xffe3df), 3.0);
        }
        for stroke in &mark {
            canvas.fill(stroke, Rgb::hex(0xd3263a));
        }
    }
}

/// One of the four strokes of the swollen vein that anime draws for anger.
fn anger_stroke(quarter: i32) -> Shape {
    let (x, y) = (31.0, -25.0);
    let (ux, uy) = [(1.0, 1.0), (-1.0, 1.0), (-1.0, -1.0), (1.0, -1.0)][quarter.rem_euclid(4) as usize];
    Shape::taper((x + ux * 1.8, y + uy * 8.0), (x + ux * 2.2, y + uy * 2.2), (x + ux * 8.0, y + uy * 1.8), 2.2)
}
