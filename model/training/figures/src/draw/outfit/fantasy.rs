//! Kimono, armour, robe.

use super::{Parts, shade_torso, top};
use crate::canvas::Canvas;
use crate::palette::{Ramp, thing};
use crate::shape::{Shape, k, s};

/// A kimono with a broad sash, patterned with blossoms.
pub(super) fn kimono(canvas: &mut Canvas, parts: &Parts<'_>) {
    let cloth = &parts.cloth;
    let gown = Shape::symmetric(&[
        k(0.0, 57.0),
        k(9.0, 52.5),
        s(18.0, 54.5),
        k(21.0, 60.0),
        s(18.6, 74.0),
        s(20.4, 92.0),
        k(21.6, 115.0),
        s(0.0, 117.0),
    ]);
    canvas.part(&[&gown], cloth);
    shade_torso(canvas, &gown, cloth);
    let flap = Shape::spline(&[k(-2.0, 84.0), s(4.0, 98.0), k(7.0, 116.4)]);
    canvas.line(&flap, cloth.line);
    canvas.line(&Shape::taper((-1.0, 84.0), (5.0, 98.0), (7.6, 116.0), 1.1), cloth.line);
    let petals = if cloth.base.0 > 230 && cloth.base.1 > 140 { thing::RED.base } else { thing::WHITE.base };
    for (x, y, r) in [
        (-12.0, 106.0, 3.2),
        (14.0, 98.0, 2.8),
        (-9.0, 93.0, 2.2),
        (13.0, 110.0, 2.2),
        (-14.0, 66.0, 2.4),
        (14.0, 66.0, 2.0),
    ] {
        canvas.fill(&Shape::star((x, y), r, r * 0.62, 5), petals);
    }
    let inner = Shape::spline(&[k(-8.6, 51.0), k(8.6, 51.0), k(1.0, 68.0)]);
    canvas.fill(&inner, parts.skin.base);
    canvas.shade(&inner, &[&Shape::ellipse((0.0, 51.0), 12.0, 6.5)], parts.skin.shadow);
    let under = Shape::spline(&[k(9.0, 51.4), k(11.4, 52.4), s(5.4, 64.0), k(-6.0, 76.0), k(-8.0, 74.0), s(2.4, 63.0)]);
    let over =
        Shape::spline(&[k(-9.0, 51.4), k(-13.4, 53.0), s(-6.4, 65.0), k(7.0, 77.0), k(10.0, 74.0), s(-2.4, 63.0)]);
    canvas.part(&[&under], &thing::WHITE);
    canvas.part(&[&over], &thing::WHITE);
    let sash_ramp = sash(cloth);
    let sash = Shape::symmetric(&[k(0.0, 72.4), k(19.6, 71.4), s(19.0, 78.0), k(20.0, 85.0), k(0.0, 86.4)]);
    canvas.part(&[&sash], &sash_ramp);
    canvas.shade(&sash, &[&Shape::rect(8.0, 68.0, 24.0, 90.0)], sash_ramp.base.mix(sash_ramp.shadow, 0.8));
    let cord = Shape::symmetric(&[k(0.0, 77.8), k(19.4, 76.8), k(19.4, 79.4), k(0.0, 80.6)]);
    canvas.fill(&cord, thing::RED.base);
    canvas.part(&[&Shape::circle((0.0, 79.2), 2.6)], &thing::RED);
}

/// The sash contrasts with the cloth.
fn sash(cloth: &Ramp) -> Ramp {
    let is_yellowish = cloth.base.0 > 220 && cloth.base.2 < 120;
    if is_yellowish { thing::DARK } else { thing::GOLD }
}

/// The cape behind the armour.
pub(super) fn cape(canvas: &mut Canvas, parts: &Parts<'_>) {
    let cloth = &parts.cloth;
    let cape = Shape::symmetric(&[
        s(0.0, 50.0),
        s(16.0, 52.0),
        s(27.0, 66.0),
        s(34.0, 90.0),
        k(38.0, 113.0),
        s(31.0, 110.0),
        k(24.0, 116.0),
        s(16.0, 111.0),
        k(8.0, 116.0),
        s(0.0, 112.0),
    ]);
    canvas.part(&[&cape], cloth);
    let inside = Shape::symmetric(&[k(0.0, 56.0), s(18.0, 70.0), s(24.0, 92.0), k(26.0, 120.0), k(0.0, 120.0)]);
    canvas.shade(&cape, &[&inside], cloth.base.mix(cloth.shadow, 0.85));
    for side in [-1.0, 1.0] {
        canvas.line(
            &Shape::taper((22.0 * side, 68.0), (29.0 * side, 88.0), (31.0 * side, 108.0), 1.0),
            cloth.line.mix(cloth.shadow, 0.5),
        );
    }
}

/// A breastplate with pauldrons and a skirt of plates; the collar of the cape shows its colour.
pub(super) fn armor(canvas: &mut Canvas, parts: &Parts<'_>) {
    let cloth = &parts.cloth;
    let steel = &thing::STEEL;
    let tunic = Shape::symmetric(&[k(0.0, 78.0), k(16.0, 78.0), s(19.0, 90.0), k(22.0, 102.0), s(0.0, 105.0)]);
    canvas.part(&[&tunic], cloth);
    shade_torso(canvas, &tunic, cloth);
    let plates = Shape::symmetric(&[
        k(0.0, 80.0),
        k(3.0, 80.0),
        k(17.0, 79.0),
        s(21.0, 86.0),
        k(23.4, 95.0),
        s(15.0, 98.6),
        k(6.0, 97.0),
    ]);
    canvas.part(&[&plates], steel);
    canvas.shade(
        &plates,
        &[&Shape::polygon(&[(10.0, 76.0), (13.0, 104.0), (30.0, 104.0), (24.0, 76.0)])],
        steel.base.mix(steel.shadow, 0.8),
    );
    canvas.fill(&Shape::polygon(&[(0.0, 82.0), (-4.6, 104.0), (4.6, 104.0)]), cloth.base);
    let breast = top(81.0, 16.6);
    canvas.part(&[&breast], steel);
    shade_torso(canvas, &breast, steel);
    canvas.line(&Shape::taper((0.0, 60.0), (0.8, 70.0), (0.0, 81.0), 0.9), steel.line);
    canvas.shade(&breast, &[&Shape::taper((-11.0, 60.0), (-13.4, 68.0), (-10.0, 77.0), 2.2)], steel.light);
    let belt = Shape::symmetric(&[k(0.0, 78.6), k(16.6, 77.6), k(17.2, 81.6), k(0.0, 83.0)]);
    canvas.part(&[&belt], &thing::GOLD);
    let collar =
        Shape::symmetric(&[s(0.0, 62.0), s(9.0, 58.0), k(13.4, 50.4), s(20.4, 54.0), s(14.0, 64.0), s(0.0, 68.4)]);
    canvas.part(&[&collar], cloth);
    canvas.shade(&collar, &[&Shape::ellipse((0.0, 53.0), 17.0, 8.0)], cloth.shadow);
    canvas.part(&[&Shape::circle((0.0, 66.0), 3.0)], &thing::GOLD);
    canvas.fill(&Shape::circle((0.0, 66.0), 1.6), thing::RED.base);
}

/// A floor-length robe with a golden hem and a capelet.
pub(super) fn robe(canvas: &mut Canvas, parts: &Parts<'_>) {
    let cloth = &parts.cloth;
    let gown = Shape::symmetric(&[
        k(0.0, 57.0),
        k(9.0, 52.5),
        s(18.0, 54.5),
        k(20.0, 60.0),
        s(17.6, 74.0),
        s(23.0, 94.0),
        k(30.0, 117.0),
        s(0.0, 121.0),
    ]);
    canvas.part(&[&gown], cloth);
    shade_torso(canvas, &gown, cloth);
    let hem = Shape::symmetric(&[
        k(0.0, 115.6),
        s(14.0, 114.6),
        k(28.6, 111.6),
        k(30.2, 117.4),
        s(14.0, 120.0),
        k(0.0, 121.0),
    ]);
    canvas.part(&[&hem], &thing::GOLD);
    for (x, y) in [(-9.0, 86.0), (8.0, 84.0)] {
        canvas.line(&Shape::taper((x, y), (x * 1.3, 98.0), (x * 1.7, 113.0), 1.0), cloth.line.mix(cloth.shadow, 0.4));
    }
    let front = Shape::symmetric(&[k(0.0, 62.0), k(2.6, 62.0), k(3.2, 117.0), k(0.0, 118.0)]);
    canvas.fill(&front, thing::GOLD.base);
    let belt = Shape::symmetric(&[k(0.0, 78.0), k(18.0, 76.6), k(18.6, 81.0), k(0.0, 83.0)]);
    canvas.part(&[&belt], &thing::LEATHER);
    canvas.part(&[&Shape::rect(-3.2, 77.6, 3.2, 83.4)], &thing::GOLD);
    let capelet = Shape::symmetric(&[
        k(0.0, 58.0),
        k(9.6, 50.6),
        s(19.0, 53.0),
        s(25.6, 62.0),
        k(26.6, 70.0),
        s(14.0, 74.6),
        k(0.0, 76.0),
    ]);
    canvas.part(&[&capelet], cloth);
    shade_torso(canvas, &capelet, cloth);
    let trim =
        Shape::symmetric(&[k(0.0, 73.4), s(14.0, 72.0), k(26.4, 67.4), k(26.8, 70.2), s(14.0, 75.0), k(0.0, 76.4)]);
    canvas.fill(&trim, thing::GOLD.base);
    canvas.part(&[&Shape::star((0.0, 62.4), 5.4, 2.4, 5)], &thing::GOLD);
}
