//! Clothes: what each outfit draws behind, over the legs, over the torso and over the arms.

mod everyday;
mod fantasy;
mod school;

use super::Parts;
use crate::attributes::Outfit;
use crate::canvas::Canvas;
use crate::palette::{Ramp, thing};
use crate::shape::{Shape, k, s};

/// What legs and feet wear.
pub(super) struct LegStyle {
    /// Socks, stockings or trousers, and the height at which they begin.
    pub stocking: Option<(Ramp, f32)>,
    pub shoes: Ramp,
}

/// What an arm wears.
pub(super) struct Sleeve {
    /// The share of the arm that is covered.
    pub length: f32,
    pub cloth: Ramp,
    /// Half its width at the wrist end.
    pub cuff_half_width: f32,
    /// A band at its end.
    pub cuff: Option<Ramp>,
}

/// Draws what hangs behind the body.
pub(super) fn behind(canvas: &mut Canvas, parts: &Parts<'_>) {
    match parts.figure.outfit {
        Outfit::Armor => fantasy::cape(canvas, parts),
        Outfit::Hoodie => everyday::hood(canvas, parts),
        Outfit::Maid => everyday::apron_bow(canvas),
        _ => {}
    }
}

/// What legs and feet wear.
pub(super) fn legs(parts: &Parts<'_>) -> LegStyle {
    let (stocking, shoes) = match parts.figure.outfit {
        Outfit::Serafuku => (Some((thing::DARK, 106.0)), thing::LEATHER),
        Outfit::Blazer if parts.is_boy => (Some((thing::NAVY, 84.0)), thing::LEATHER),
        Outfit::Blazer => (Some((thing::DARK, 98.0)), thing::LEATHER),
        Outfit::Dress => (Some((thing::WHITE, 112.0)), parts.cloth),
        Outfit::Hoodie if parts.is_boy => (Some((thing::NAVY, 84.0)), thing::WHITE),
        Outfit::Hoodie => (Some((thing::DARK, 101.0)), thing::WHITE),
        Outfit::Kimono => (Some((thing::WHITE, 114.0)), thing::RED),
        Outfit::Maid => (Some((thing::WHITE, 98.0)), thing::DARK),
        Outfit::TShirt => (Some((thing::WHITE, 113.0)), thing::RED),
        Outfit::Sweater if parts.is_boy => (Some((thing::DARK, 84.0)), thing::LEATHER),
        Outfit::Sweater => (Some((thing::DARK, 84.0)), thing::LEATHER),
        Outfit::Armor => (Some((thing::STEEL, 101.0)), thing::STEEL),
        Outfit::Robe => (None, thing::LEATHER),
        Outfit::Overalls => (Some((thing::WHITE, 114.0)), thing::GOLD),
    };
    LegStyle { stocking, shoes }
}

/// What the arms wear.
pub(super) fn sleeve(parts: &Parts<'_>) -> Sleeve {
    let cloth = parts.cloth;
    let (length, cloth, cuff_half_width, cuff) = match parts.figure.outfit {
        Outfit::Serafuku => (0.9, thing::WHITE, 5.8, Some(cloth)),
        Outfit::Blazer => (0.92, cloth, 5.6, Some(thing::WHITE)),
        Outfit::Dress => (0.42, cloth, 8.2, Some(thing::WHITE)),
        Outfit::Hoodie => (0.94, cloth, 6.6, Some(Ramp { base: cloth.shadow, ..cloth })),
        Outfit::Kimono => (0.95, cloth, 11.0, None),
        Outfit::Maid => (0.45, cloth, 8.4, Some(thing::WHITE)),
        Outfit::TShirt => (0.48, cloth, 7.2, None),
        Outfit::Sweater => (0.98, cloth, 6.2, Some(Ramp { base: cloth.base.mix(cloth.shadow, 0.4), ..cloth })),
        Outfit::Armor => (0.92, thing::STEEL, 5.8, Some(thing::GOLD)),
        Outfit::Robe => (0.95, cloth, 10.4, Some(thing::GOLD)),
        Outfit::Overalls => (0.5, thing::WHITE, 7.0, None),
    };
    Sleeve { length, cloth, cuff_half_width, cuff }
}

/// Draws the clothes of the torso, and skirts and shorts.
pub(super) fn torso(canvas: &mut Canvas, parts: &Parts<'_>) {
    match parts.figure.outfit {
        Outfit::Serafuku => school::serafuku(canvas, parts),
        Outfit::Blazer => school::blazer(canvas, parts),
        Outfit::Dress => everyday::dress(canvas, parts),
        Outfit::Hoodie => everyday::hoodie(canvas, parts),
        Outfit::Kimono => fantasy::kimono(canvas, parts),
        Outfit::Maid => everyday::maid(canvas, parts),
        Outfit::TShirt => everyday::t_shirt(canvas, parts),
        Outfit::Sweater => everyday::sweater(canvas, parts),
        Outfit::Armor => fantasy::armor(canvas, parts),
        Outfit::Robe => fantasy::robe(canvas, parts),
        Outfit::Overalls => everyday::overalls(canvas, parts),
    }
}

/// A close-fitting top from the shoulders to `bottom`.
fn top(bottom: f32, hem_half_width: f32) -> Shape {
    Shape::symmetric(&[
        k(0.0, 57.0),
        k(9.0, 52.5),
        s(17.0, 54.5),
        k(20.5, 60.0),
        s(17.2, 70.0),
        s(16.4, 78.0),
        k(hem_half_width, bottom),
        s(0.0, bottom + 1.6),
    ])
}

/// The turned-away side of a torso, and the shadow that the head throws on the chest.
fn shade_torso(canvas: &mut Canvas, part: &Shape, cloth: &Ramp) {
    let far = Shape::spline(&[k(9.0, 60.0), s(8.6, 76.0), k(12.0, 126.0), k(40.0, 126.0), k(40.0, 48.0)]);
    let chin = Shape::ellipse((0.0, 50.0), 24.0, 8.0);
    canvas.shade(part, &[&far, &chin], cloth.base.mix(cloth.shadow, 0.7));
}

/// A pleated skirt from the waist to `bottom`.
fn pleated_skirt(canvas: &mut Canvas, cloth: &Ramp, bottom: f32) {
    let skirt = Shape::symmetric(&[
        k(0.0, 79.0),
        k(15.8, 78.5),
        s(20.5, 88.0),
        k(25.0, bottom - 2.0),
        k(18.0, bottom + 0.4),
        k(16.0, bottom - 0.8),
        k(9.0, bottom + 1.8),
        k(7.0, bottom + 0.6),
        k(0.0, bottom + 2.2),
    ]);
    canvas.part(&[&skirt], cloth);
    let pleats = [-17.0, -8.0, 1.0, 10.0, 19.0].map(|x: f32| {
        Shape::polygon(&[(x * 0.7, 79.0), (x + 0.6, bottom + 3.0), (x + 5.4, bottom + 3.0), (x * 0.7 + 1.4, 79.0)])
    });
    let all: Vec<&Shape> = pleats.iter().collect();
    canvas.shade(&skirt, &all, cloth.base.mix(cloth.shadow, 0.8));
    for x in [-17.0_f32, -8.0, 1.0, 10.0, 19.0] {
        canvas.line(
            &Shape::taper((x * 0.75, 81.0), (x * 0.88, 90.0), (x, bottom), 0.7),
            cloth.line.mix(cloth.shadow, 0.4),
        );
    }
}

/// Short trousers.
fn shorts(canvas: &mut Canvas, cloth: &Ramp, bottom: f32) {
    let shape = Shape::symmetric(&[
        k(0.0, 78.0),
        k(16.4, 78.0),
        s(18.6, 88.0),
        k(19.6, bottom),
        k(2.6, bottom + 0.6),
        k(0.8, 92.0),
        k(0.0, 92.0),
    ]);
    canvas.part(&[&shape], cloth);
    let far = Shape::polygon(&[(12.0, 76.0), (13.0, bottom + 2.0), (24.0, bottom + 2.0), (24.0, 76.0)]);
    let inner = Shape::polygon(&[(-6.0, 90.0), (-5.0, bottom + 2.0), (1.0, bottom + 2.0), (1.0, 86.0)]);
    canvas.shade(&shape, &[&far, &inner], cloth.base.mix(cloth.shadow, 0.8));
    canvas.line(&Shape::taper((0.0, 84.0), (0.3, 89.0), (0.0, 93.0), 0.8), cloth.line);
}

/// Two loops and a knot: a bow at `center`.
pub(super) fn bow(canvas: &mut Canvas, center: (f32, f32), size: f32, ramp: &Ramp) {
    let (x, y) = center;
    let loops = [-1.0, 1.0].map(|side: f32| {
        Shape::spline(&[
            k(x, y - 1.0 * size),
            s(x + side * 5.0 * size, y - 5.2 * size),
            k(x + side * 10.0 * size, y - 4.6 * size),
            s(x + side * 10.8 * size, y + 0.6 * size),
            k(x + side * 9.4 * size, y + 5.0 * size),
            s(x + side * 4.6 * size, y + 3.8 * size),
            k(x, y + 1.4 * size),
        ])
    });
    canvas.part(&[&loops[0], &loops[1]], ramp);
    for (side, shape) in [-1.0, 1.0].into_iter().zip(&loops) {
        let fold = Shape::taper(
            (x, y + 0.6 * size),
            (x + side * 5.0 * size, y + 3.4 * size),
            (x + side * 10.0 * size, y + 3.0 * size),
            2.6 * size,
        );
        canvas.shade(shape, &[&fold], ramp.shadow);
    }
    let knot = Shape::ellipse(center, 2.5 * size, 2.7 * size);
    canvas.part(&[&knot], ramp);
}
