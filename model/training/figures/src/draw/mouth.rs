//! Mouths, and the tears that run past them.

use super::Parts;
use crate::attributes::Expression;
use crate::canvas::Canvas;
use crate::palette::thing;
use crate::shape::{Shape, k, s};

/// Draws the mouth as the expression has it.
pub(super) fn draw(canvas: &mut Canvas, parts: &Parts<'_>) {
    let line = parts.skin.line;
    let arc = |canvas: &mut Canvas, y: f32, half: f32, bend: f32| {
        canvas.fill(&Shape::taper((-half, y), (0.0, y + bend), (half, y), 1.5), line);
    };
    match parts.figure.expression {
        Expression::Smile => arc(canvas, 36.2, 7.5, 6.4),
        Expression::ClosedEyes => arc(canvas, 35.6, 8.0, 7.0),
        Expression::OpenMouth => laugh(canvas, parts, 8.6, 9.0),
        Expression::Wink => laugh(canvas, parts, 6.2, 6.4),
        Expression::Scrunched => {
            let shape = Shape::symmetric(&[k(0.0, 35.6), s(5.6, 37.2), k(7.8, 42.0), s(3.6, 43.2), s(0.0, 43.4)]);
            opened(canvas, parts, &shape);
        }
        Expression::Surprised => {
            let shape = Shape::ellipse((0.0, 38.6), 3.9, 4.9);
            opened(canvas, parts, &shape);
        }
        Expression::Angry => {
            let shape = Shape::symmetric(&[s(0.0, 35.4), s(5.6, 36.4), k(8.2, 40.6), s(4.0, 41.0), s(0.0, 40.8)]);
            canvas.part(&[&shape], &palette_of_teeth(parts));
            canvas.line(&Shape::taper((-7.0, 38.6), (0.0, 37.8), (7.0, 38.6), 0.7), line);
        }
        Expression::Sad => arc(canvas, 39.6, 6.2, -6.0),
        Expression::Blush => {
            let wave = Shape::curve(&[k(-7.0, 37.6), s(-3.6, 35.8), s(0.0, 38.2), s(3.6, 35.8), k(7.0, 37.8)]);
            canvas.stroke(&wave, line, 1.7);
        }
        Expression::CatMouth => {
            let w = Shape::curve(&[
                k(-8.4, 34.8),
                s(-7.0, 38.0),
                s(-3.4, 38.6),
                k(0.0, 34.6),
                s(3.4, 38.6),
                s(7.0, 38.0),
                k(8.4, 34.8),
            ]);
            canvas.stroke(&w, line, 1.9);
        }
        Expression::Crying => {
            let shape = Shape::symmetric(&[s(0.0, 35.2), s(5.4, 36.4), s(8.0, 40.6), s(4.2, 42.2), s(0.0, 40.6)]);
            opened(canvas, parts, &shape);
            tears(canvas);
        }
        Expression::Expressionless => arc(canvas, 38.0, 5.4, 0.0),
    }
}

fn palette_of_teeth(parts: &Parts<'_>) -> crate::palette::Ramp {
    crate::palette::Ramp { line: parts.skin.line, ..thing::WHITE }
}

fn laugh(canvas: &mut Canvas, parts: &Parts<'_>, half: f32, depth: f32) {
    let top = 34.6;
    let shape =
        Shape::symmetric(&[s(0.0, top + 1.0), k(half, top), s(half * 0.78, top + depth * 0.66), s(0.0, top + depth)]);
    opened(canvas, parts, &shape);
}

fn opened(canvas: &mut Canvas, parts: &Parts<'_>, shape: &Shape) {
    canvas.stroke(shape, parts.skin.line, 2.2);
    canvas.fill(shape, thing::MOUTH);
    canvas.clipped(shape, |canvas| canvas.fill(&Shape::ellipse((0.0, 44.2), 6.0, 4.2), thing::TONGUE));
}

fn tears(canvas: &mut Canvas) {
    for side in [-1.0, 1.0] {
        let stream = Shape::sided(
            side,
            &[k(14.0, 30.0), k(25.0, 29.0), s(27.4, 34.0), s(26.6, 40.0), s(23.0, 43.6), s(18.6, 42.0), s(15.6, 37.0)],
        );
        canvas.stroke(&stream, thing::TEAR.shadow, 1.6);
        canvas.fill(&stream, thing::TEAR.base);
        canvas.fill(
            &Shape::sided(side, &[k(16.6, 31.0), k(19.4, 31.0), s(21.0, 36.0), s(20.4, 40.4), s(18.2, 37.0)]),
            thing::TEAR.light,
        );
    }
}
