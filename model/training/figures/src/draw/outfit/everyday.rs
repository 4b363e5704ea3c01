//! Dresses, knitwear, shirts and what goes with them.

use super::{Parts, bow, pleated_skirt, shade_torso, shorts, top};
use crate::canvas::Canvas;
use crate::palette::{Ramp, thing};
use crate::shape::{Shape, k, s};

/// A wide skirt with a scalloped hem.
fn gown(canvas: &mut Canvas, cloth: &Ramp, bottom: f32) {
    let frill = Shape::symmetric(&[
        k(0.0, bottom - 8.0),
        k(25.0, bottom - 8.0),
        s(30.4, bottom - 1.0),
        s(27.0, bottom + 2.6),
        k(22.6, bottom),
        s(19.0, bottom + 4.4),
        k(13.6, bottom + 1.4),
        s(9.4, bottom + 5.2),
        k(4.4, bottom + 2.0),
        s(0.0, bottom + 5.4),
    ]);
    canvas.part(&[&frill], &thing::WHITE);
    let skirt = Shape::symmetric(&[
        k(0.0, 74.0),
        k(15.0, 75.0),
        s(22.0, 85.0),
        k(29.0, bottom - 3.6),
        s(24.8, bottom - 1.2),
        k(20.6, bottom - 2.6),
        s(15.8, bottom + 0.8),
        k(11.0, bottom - 1.6),
        s(5.4, bottom + 1.8),
        k(0.0, bottom - 0.8),
    ]);
    canvas.part(&[&skirt], cloth);
    let folds = [
        Shape::spline(&[k(9.0, 74.0), s(15.0, 88.0), k(20.0, bottom + 2.0), k(40.0, bottom + 2.0), k(20.0, 74.0)]),
        Shape::polygon(&[(-3.0, 78.0), (-7.0, bottom + 2.0), (-1.5, bottom + 2.0), (-1.8, 78.0)]),
        Shape::polygon(&[(-11.0, 78.0), (-20.0, bottom + 2.0), (-15.5, bottom + 2.0), (-9.6, 78.0)]),
    ];
    canvas.shade(&skirt, &[&folds[0], &folds[1], &folds[2]], cloth.base.mix(cloth.shadow, 0.75));
    for x in [-16.0, -6.0, 6.0, 17.0] {
        canvas.line(
            &Shape::taper((x * 0.55, 79.0), (x * 0.7, 88.0), (x * 1.15, bottom - 3.0), 0.8),
            cloth.line.mix(cloth.shadow, 0.5),
        );
    }
}

/// A frilled dress with a sash.
pub(super) fn dress(canvas: &mut Canvas, parts: &Parts<'_>) {
    let cloth = &parts.cloth;
    gown(canvas, cloth, 103.0);
    let bodice = top(77.0, 15.6);
    canvas.part(&[&bodice], cloth);
    shade_torso(canvas, &bodice, cloth);
    for side in [-1.0, 1.0] {
        let collar = Shape::sided(
            side,
            &[k(0.0, 58.0), s(4.0, 52.6), k(9.6, 51.4), s(14.4, 55.0), s(12.0, 61.0), s(6.6, 62.4), k(0.0, 59.6)],
        );
        canvas.part(&[&collar], &thing::WHITE);
    }
    let sash = Shape::symmetric(&[k(0.0, 75.0), k(15.8, 74.4), k(16.4, 79.0), k(0.0, 80.4)]);
    canvas.part(&[&sash], &Ramp { base: cloth.shadow, ..*cloth });
    bow(canvas, (0.0, 61.8), 0.72, &Ramp { base: cloth.shadow, ..*cloth });
}

/// The big bow of an apron, behind the body.
pub(super) fn apron_bow(canvas: &mut Canvas) {
    bow(canvas, (0.0, 76.0), 2.5, &thing::WHITE);
}

/// A maid's dress with a white apron.
pub(super) fn maid(canvas: &mut Canvas, parts: &Parts<'_>) {
    let cloth = &parts.cloth;
    let white = &thing::WHITE;
    gown(canvas, cloth, 103.0);
    let bodice = top(77.0, 15.6);
    canvas.part(&[&bodice], cloth);
    shade_torso(canvas, &bodice, cloth);
    let apron = Shape::symmetric(&[
        k(0.0, 76.0),
        k(13.0, 76.0),
        s(17.6, 86.0),
        s(17.0, 94.0),
        s(13.4, 97.6),
        k(9.6, 96.2),
        s(5.0, 100.0),
        k(0.0, 97.4),
    ]);
    canvas.part(&[&apron], white);
    let far = Shape::spline(&[k(6.0, 76.0), s(9.0, 88.0), k(9.0, 104.0), k(24.0, 104.0), k(24.0, 76.0)]);
    canvas.shade(&apron, &[&far], white.base.mix(white.shadow, 0.8));
    let bib = Shape::symmetric(&[k(0.0, 61.5), k(8.6, 60.6), s(9.2, 69.0), k(8.4, 77.0), k(0.0, 77.6)]);
    canvas.part(&[&bib], white);
    for side in [-1.0, 1.0] {
        let frill = Shape::sided(
            side,
            &[
                k(8.0, 77.0),
                k(9.0, 60.0),
                k(11.0, 53.0),
                s(16.0, 50.8),
                s(20.4, 54.6),
                s(17.6, 60.0),
                s(18.6, 64.6),
                s(14.6, 67.4),
                s(14.6, 72.0),
                k(10.6, 77.0),
            ],
        );
        canvas.part(&[&frill], white);
        canvas.line(&Shape::taper((11.0 * side, 60.0), (13.0 * side, 59.0), (17.0 * side, 58.6), 0.7), white.shadow);
        canvas.line(&Shape::taper((10.4 * side, 68.0), (12.0 * side, 67.0), (15.0 * side, 66.4), 0.7), white.shadow);
    }
    let band = Shape::symmetric(&[k(0.0, 75.6), k(15.2, 75.0), k(15.8, 78.6), k(0.0, 79.6)]);
    canvas.part(&[&band], white);
    bow(canvas, (0.0, 58.6), 0.7, &thing::RED);
}

/// The hood that lies on the back.
pub(super) fn hood(canvas: &mut Canvas, parts: &Parts<'_>) {
    let hood = Shape::symmetric(&[s(0.0, 41.0), s(18.0, 43.0), s(27.0, 51.0), s(22.0, 61.0), s(0.0, 64.0)]);
    canvas.part(&[&hood], &Ramp { base: parts.cloth.base.mix(parts.cloth.shadow, 0.6), ..parts.cloth });
}

/// A hoodie with strings and a pouch.
pub(super) fn hoodie(canvas: &mut Canvas, parts: &Parts<'_>) {
    let cloth = &parts.cloth;
    shorts(canvas, &thing::NAVY, if parts.is_boy { 112.0 } else { 98.0 });
    let body = Shape::symmetric(&[
        k(0.0, 57.0),
        k(9.0, 52.5),
        s(18.0, 54.5),
        k(22.0, 60.0),
        s(20.6, 74.0),
        s(22.0, 86.0),
        k(20.0, 91.0),
        s(0.0, 93.0),
    ]);
    canvas.part(&[&body], cloth);
    shade_torso(canvas, &body, cloth);
    let hem = Shape::symmetric(&[k(0.0, 88.4), k(21.4, 86.4), k(20.0, 91.6), k(0.0, 93.4)]);
    canvas.part(&[&hem], &Ramp { base: cloth.base.mix(cloth.shadow, 0.5), ..*cloth });
    let pouch = Shape::symmetric(&[k(0.0, 75.4), k(10.0, 75.4), k(14.6, 86.6), k(0.0, 87.4)]);
    canvas.part(&[&pouch], &Ramp { base: cloth.base.mix(cloth.shadow, 0.28), ..*cloth });
    for side in [-1.0, 1.0] {
        let rim = Shape::sided(
            side,
            &[k(0.0, 64.0), s(7.6, 59.6), k(11.4, 50.6), s(17.6, 51.0), s(17.0, 60.0), s(9.0, 66.4), k(0.0, 67.4)],
        );
        canvas.part(&[&rim], cloth);
        canvas.shade(
            &rim,
            &[&Shape::sided(
                side,
                &[k(0.0, 63.0), s(8.0, 58.4), k(11.0, 48.0), k(13.8, 50.0), s(11.6, 60.0), k(0.0, 66.0)],
            )],
            cloth.shadow,
        );
        let string = Shape::curve(&[k(5.4 * side, 65.0), s(6.2 * side, 69.0), k(5.6 * side, 73.6)]);
        canvas.stroke(&string, thing::WHITE.base, 1.5);
        canvas.fill(&Shape::ellipse((5.6 * side, 74.4), 1.1, 1.6), thing::GOLD.base);
    }
}

/// A T-shirt with a star, and shorts.
pub(super) fn t_shirt(canvas: &mut Canvas, parts: &Parts<'_>) {
    let cloth = &parts.cloth;
    shorts(canvas, &thing::NAVY, 99.0);
    let shirt = top(86.0, 18.6);
    canvas.part(&[&shirt], cloth);
    shade_torso(canvas, &shirt, cloth);
    let collar =
        Shape::symmetric(&[k(0.0, 58.6), s(6.4, 56.6), k(9.6, 51.6), k(11.8, 52.6), s(7.6, 59.2), k(0.0, 61.4)]);
    canvas.part(&[&collar], &Ramp { base: cloth.shadow, ..*cloth });
    let emblem = if cloth.base.0 > 240 && cloth.base.1 > 190 { thing::RED.base } else { thing::GOLD.light };
    canvas.fill(&Shape::star((0.0, 72.4), 7.6, 3.5, 5), emblem);
    canvas.line(&Shape::taper((14.0, 84.0), (11.0, 80.0), (14.6, 75.0), 0.8), cloth.shadow.mix(cloth.line, 0.4));
}

/// A ribbed turtleneck, with a skirt or trousers.
pub(super) fn sweater(canvas: &mut Canvas, parts: &Parts<'_>) {
    let cloth = &parts.cloth;
    if parts.is_boy {
        shorts(canvas, &thing::DARK, 112.0);
    } else {
        pleated_skirt(canvas, &thing::LEATHER, 99.0);
    }
    let body = Shape::symmetric(&[
        k(0.0, 56.0),
        k(9.0, 52.5),
        s(18.0, 54.5),
        k(21.6, 60.0),
        s(19.6, 74.0),
        s(20.6, 84.0),
        k(18.8, 90.0),
        s(0.0, 92.0),
    ]);
    canvas.part(&[&body], cloth);
    shade_torso(canvas, &body, cloth);
    for x in [-9.0, 0.0, 9.0] {
        for y in 0..4 {
            let y = 65.0 + 5.4 * y as f32;
            let stitch = Shape::curve(&[k(x - 2.8, y), k(x, y + 2.6), k(x + 2.8, y)]);
            canvas.stroke(&stitch, cloth.shadow, 0.9);
        }
    }
    let hem = Shape::symmetric(&[k(0.0, 87.4), k(20.2, 85.4), k(18.8, 90.4), k(0.0, 92.4)]);
    canvas.part(&[&hem], &Ramp { base: cloth.base.mix(cloth.shadow, 0.4), ..*cloth });
    let collar = Shape::symmetric(&[s(0.0, 45.6), k(11.0, 46.0), s(12.6, 52.0), k(12.2, 57.0), s(0.0, 60.0)]);
    canvas.part(&[&collar], cloth);
    canvas.shade(&collar, &[&Shape::ellipse((0.0, 46.0), 14.0, 5.6)], cloth.shadow);
    for x in [-7.5, -2.5, 2.5, 7.5] {
        canvas.line(&Shape::taper((x, 49.0), (x * 1.04, 53.0), (x * 1.08, 57.6), 0.6), cloth.shadow);
    }
}

/// Overalls over a white shirt.
pub(super) fn overalls(canvas: &mut Canvas, parts: &Parts<'_>) {
    let cloth = &parts.cloth;
    let shirt = top(82.0, 17.0);
    canvas.part(&[&shirt], &thing::WHITE);
    shade_torso(canvas, &shirt, &thing::WHITE);
    for y in [61.0, 66.0, 71.0] {
        let stripe = Shape::curve(&[k(-18.6, y), s(0.0, y + 1.6), k(18.6, y)]);
        canvas.clipped(&shirt, |canvas| canvas.stroke(&stripe, thing::RED.light, 1.6));
    }
    let trousers = Shape::symmetric(&[
        k(0.0, 78.0),
        k(18.0, 76.0),
        s(20.6, 88.0),
        s(20.4, 100.0),
        k(19.6, 110.0),
        k(1.8, 110.0),
        k(0.8, 94.0),
        k(0.0, 94.0),
    ]);
    canvas.part(&[&trousers], cloth);
    shade_torso(canvas, &trousers, cloth);
    for side in [-1.0, 1.0] {
        let turn_up = Shape::sided(side, &[k(1.4, 106.0), k(20.4, 106.0), k(20.0, 111.4), k(1.4, 111.4)]);
        canvas.part(&[&turn_up], &Ramp { base: cloth.light, ..*cloth });
        let strap = Shape::sided(side, &[k(8.0, 68.0), k(10.0, 52.6), k(14.4, 53.2), k(12.6, 69.0)]);
        canvas.part(&[&strap], cloth);
    }
    canvas.line(&Shape::taper((0.0, 90.0), (0.4, 96.0), (0.0, 104.0), 0.9), cloth.line);
    let bib = Shape::symmetric(&[k(0.0, 65.8), k(13.0, 65.0), s(14.6, 72.0), k(18.0, 79.0), k(0.0, 82.0)]);
    canvas.part(&[&bib], cloth);
    canvas.shade(
        &bib,
        &[&Shape::polygon(&[(8.0, 60.0), (10.0, 84.0), (22.0, 84.0), (22.0, 60.0)])],
        cloth.base.mix(cloth.shadow, 0.7),
    );
    let pocket = Shape::symmetric(&[k(0.0, 70.4), k(7.0, 70.0), s(6.2, 76.0), k(0.0, 78.4)]);
    canvas.part(&[&pocket], &Ramp { base: cloth.base.mix(cloth.light, 0.4), ..*cloth });
    for side in [-1.0, 1.0] {
        canvas.fill(&Shape::circle((10.4 * side, 67.6), 1.7), thing::GOLD.base);
    }
}
