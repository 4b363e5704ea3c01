//! The head without its hair: ears, face, blush, nose.

use super::{Parts, bangs_outline};
use crate::attributes::Expression;
use crate::canvas::Canvas;
use crate::palette::Rgb;
use crate::shape::{Shape, k, s};

/// The outline of the face.
pub(super) fn face() -> Shape {
    Shape::symmetric(&[
        s(0.0, -42.0),
        s(31.0, -32.0),
        s(41.0, -6.0),
        s(41.5, 14.0),
        s(36.0, 29.5),
        s(19.0, 42.0),
        s(0.0, 48.0),
    ])
}

/// Draws ears and face with the shadow of the bangs, blush and nose.
pub(super) fn draw(canvas: &mut Canvas, parts: &Parts<'_>) {
    let skin = &parts.skin;
    for side in [-1.0, 1.0] {
        let ear = Shape::sided(side, &[s(39.0, 9.0), s(46.0, 8.0), s(48.0, 16.0), s(44.5, 25.0), s(38.5, 26.0)]);
        canvas.part(&[&ear], skin);
        canvas.line(&Shape::taper((44.5 * side, 12.0), (46.5 * side, 17.0), (42.0 * side, 22.0), 1.0), skin.shadow);
    }
    let face = face();
    canvas.part(&[&face], skin);
    // The light comes from the upper left: the right cheek and the chin's underside turn away from it.
    let cheek = Shape::spline(&[
        k(44.0, -10.0),
        s(38.5, 12.0),
        s(32.0, 28.0),
        s(14.0, 41.0),
        k(-6.0, 47.5),
        k(20.0, 52.0),
        k(50.0, 30.0),
    ]);
    canvas.shade(&face, &[&cheek], skin.base.mix(skin.shadow, 0.38));
    canvas.cast(&face, &bangs_outline(parts.figure.bangs), (0.8, 4.2), skin.base.mix(skin.shadow, 0.85));
    blush(canvas, parts);
    canvas.fill(&Shape::taper((0.4, 29.4), (2.0, 31.0), (-0.8, 31.8), 1.0), skin.shadow.mix(skin.line, 0.35));
}

fn blush(canvas: &mut Canvas, parts: &Parts<'_>) {
    let is_blushing = parts.figure.expression == Expression::Blush;
    let color = Rgb::hex(0xff7f8e).mix(parts.skin.shadow, 0.15);
    for side in [-1.0, 1.0] {
        let center = (27.5 * side, 33.0);
        if is_blushing {
            canvas.fill_faded(&Shape::ellipse(center, 10.0, 6.0), color, 0.75);
            for index in 0..3 {
                let x = center.0 - 5.0 + 5.0 * index as f32;
                let slash = Shape::taper((x + 1.6, 29.6), (x, 33.0), (x - 1.6, 36.4), 1.3);
                canvas.fill(&slash, Rgb::hex(0xd83a55));
            }
        } else {
            let strength = if parts.is_boy { 0.16 } else { 0.44 };
            canvas.fill_faded(&Shape::ellipse(center, 7.5, 4.2), color, strength * 0.6);
            canvas.fill_faded(&Shape::ellipse(center, 5.4, 2.9), color, strength * 0.8);
        }
    }
    if is_blushing {
        let bridge = Shape::ellipse((0.0, 30.0), 14.0, 3.4);
        canvas.fill_faded(&bridge, color, 0.45);
    }
}
