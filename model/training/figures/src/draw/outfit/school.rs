//! School uniforms.

use super::{Parts, bow, pleated_skirt, shade_torso, top};
use crate::canvas::Canvas;
use crate::palette::thing;
use crate::shape::{Shape, k, s};

/// A sailor blouse: white, with collar, ribbon and skirt in the colour.
pub(super) fn serafuku(canvas: &mut Canvas, parts: &Parts<'_>) {
    let cloth = &parts.cloth;
    pleated_skirt(canvas, cloth, 99.0);
    let blouse = top(83.0, 17.4);
    canvas.part(&[&blouse], &thing::WHITE);
    shade_torso(canvas, &blouse, &thing::WHITE);
    canvas.line(&Shape::taper((-7.0, 82.0), (-8.0, 78.0), (-6.0, 74.0), 0.8), thing::WHITE.shadow);
    for side in [-1.0, 1.0] {
        let collar = Shape::sided(
            side,
            &[k(7.6, 50.5), s(15.0, 52.6), k(21.6, 59.0), s(17.0, 66.0), k(0.4, 75.0), s(5.0, 63.0)],
        );
        canvas.part(&[&collar], cloth);
        let fold = Shape::sided(side, &[k(6.8, 50.0), s(5.4, 60.0), k(0.4, 75.0), s(7.6, 66.0), k(10.0, 52.0)]);
        canvas.shade(&collar, &[&fold], cloth.base.mix(cloth.shadow, 0.8));
        let stripe = Shape::curve(&[k(19.0 * side, 59.4), s(14.8 * side, 64.4), k(2.8 * side, 71.4)]);
        let stripe_color = if cloth.base.0 > 240 && cloth.base.2 > 240 { thing::NAVY.base } else { thing::WHITE.base };
        canvas.stroke(&stripe, stripe_color, 1.0);
    }
    let ribbon = &thing::RED;
    for side in [-1.0, 1.0] {
        let tail = Shape::sided(side, &[k(0.0, 71.0), s(4.6, 76.0), k(8.4, 83.0), k(4.6, 82.4), k(2.2, 84.6)]);
        canvas.part(&[&tail], ribbon);
    }
    bow(canvas, (0.0, 71.0), 0.82, ribbon);
}

/// A blazer in the colour over a white shirt, with a plaid skirt or trousers.
pub(super) fn blazer(canvas: &mut Canvas, parts: &Parts<'_>) {
    let cloth = &parts.cloth;
    if parts.is_boy {
        super::shorts(canvas, &thing::NAVY, 112.0);
    } else {
        pleated_skirt(canvas, &thing::NAVY, 99.0);
        for y in [89.0, 95.0] {
            let stripe = Shape::curve(&[
                k(-20.0 - (y - 89.0) * 0.3, y - 1.0),
                s(0.0, y + 2.0),
                k(20.0 + (y - 89.0) * 0.3, y - 1.0),
            ]);
            canvas.stroke(&stripe, thing::RED.light, 0.8);
        }
    }
    let jacket = top(89.0, 19.4);
    canvas.part(&[&jacket], cloth);
    shade_torso(canvas, &jacket, cloth);
    let shirt = Shape::symmetric(&[k(0.0, 52.0), k(8.4, 52.0), s(6.4, 64.0), k(0.0, 76.5)]);
    canvas.part(&[&shirt], &thing::WHITE);
    canvas.shade(&shirt, &[&Shape::ellipse((0.0, 51.0), 14.0, 7.0)], thing::WHITE.shadow);
    for side in [-1.0, 1.0] {
        let lapel = Shape::sided(
            side,
            &[
                k(8.0, 51.5),
                s(12.6, 54.0),
                k(13.8, 61.0),
                k(11.4, 62.6),
                k(13.0, 64.6),
                s(8.0, 71.0),
                k(0.2, 77.5),
                s(5.8, 64.0),
            ],
        );
        canvas.part(&[&lapel], cloth);
        canvas.shade(
            &lapel,
            &[&Shape::sided(side, &[k(7.0, 52.0), k(6.0, 64.0), k(0.0, 78.0), k(8.0, 66.0), k(10.0, 53.0)])],
            cloth.shadow,
        );
    }
    canvas.line(&Shape::taper((0.0, 77.0), (0.6, 83.0), (0.0, 90.0), 0.9), cloth.line);
    for y in [80.5, 85.5] {
        canvas.fill(&Shape::circle((3.0, y), 1.2), thing::GOLD.base);
    }
    let pocket = Shape::taper((8.0, 70.6), (11.0, 70.2), (14.4, 70.6), 0.9);
    canvas.line(&pocket, cloth.line);
    if parts.is_boy {
        let tie = Shape::symmetric(&[k(0.0, 56.0), k(2.6, 56.4), k(1.6, 59.6), k(3.6, 71.0), k(0.0, 75.4)]);
        canvas.part(&[&tie], &thing::RED);
    } else {
        bow(canvas, (0.0, 59.4), 0.72, &thing::RED);
    }
}
