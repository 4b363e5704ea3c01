//! The hair in front of the face: crown, bangs, side locks, the ring of light.

use super::Parts;
use crate::attributes::{Bangs, HairStyle};
use crate::canvas::Canvas;
use crate::shape::{Knot, Point, Shape, k, s};

/// Where the strands meet.
const WHORL: Point = (0.0, -53.0);

/// The lower edge of the bangs, right temple to left temple.
fn edge(bangs: Bangs) -> &'static [Knot] {
    const BLUNT: &[Knot] = &[
        k(40.5, 6.0),
        s(30.0, 8.2),
        k(19.0, 8.6),
        k(17.0, -1.0),
        k(15.2, 8.9),
        s(0.0, 9.6),
        k(-12.2, 9.0),
        k(-14.0, -3.0),
        k(-15.8, 8.8),
        s(-30.0, 8.2),
        k(-40.5, 6.0),
    ];
    const SWEPT: &[Knot] = &[
        k(43.0, 12.0),
        s(40.5, -4.0),
        s(33.0, -20.0),
        k(21.0, -33.0),
        s(19.0, -19.0),
        s(11.0, -4.0),
        k(-6.0, 9.5),
        s(-3.0, 2.0),
        k(-2.0, -3.0),
        s(-10.0, 5.0),
        k(-24.0, 12.5),
        s(-20.5, 6.5),
        k(-19.5, 1.0),
        s(-28.0, 8.5),
        k(-41.0, 15.0),
    ];
    const PARTED: &[Knot] = &[
        k(42.0, 16.0),
        s(38.0, 9.0),
        k(36.0, 1.0),
        s(34.0, 7.0),
        k(31.0, 12.0),
        s(23.0, -1.0),
        s(11.0, -15.0),
        k(0.5, -37.0),
        s(-11.0, -15.0),
        s(-23.0, -1.0),
        k(-31.0, 12.0),
        s(-34.0, 7.0),
        k(-36.0, 1.0),
        s(-38.0, 9.0),
        k(-42.0, 16.0),
    ];
    const BETWEEN: &[Knot] = &[
        k(41.5, 13.0),
        s(37.5, 5.0),
        k(35.0, -5.0),
        s(32.0, 4.0),
        k(25.5, 11.0),
        s(22.0, 3.0),
        k(20.0, -8.0),
        s(16.0, -1.0),
        k(9.0, 6.0),
        k(9.5, -5.0),
        s(6.0, 10.0),
        k(-0.5, 25.0),
        s(-4.5, 10.0),
        k(-8.0, -6.0),
        s(-11.5, 2.0),
        k(-18.0, 9.0),
        s(-20.0, 1.0),
        k(-21.0, -7.0),
        s(-25.0, 5.0),
        k(-30.5, 11.0),
        s(-34.0, 4.0),
        k(-36.0, -4.0),
        s(-38.5, 6.0),
        k(-41.5, 13.0),
    ];
    const CROSSED: &[Knot] = &[
        k(42.0, 13.0),
        s(38.0, 5.0),
        k(36.0, -3.0),
        s(33.0, 5.0),
        k(27.0, 11.0),
        s(24.5, 2.0),
        k(20.0, -9.0),
        s(12.0, -3.0),
        k(0.0, 0.0),
        s(-12.0, -3.0),
        k(-20.0, -9.0),
        s(-24.5, 2.0),
        k(-27.0, 11.0),
        s(-33.0, 5.0),
        k(-36.0, -3.0),
        s(-38.0, 5.0),
        k(-42.0, 13.0),
    ];
    match bangs {
        Bangs::Blunt => BLUNT,
        Bangs::Swept => SWEPT,
        Bangs::Parted => PARTED,
        Bangs::BetweenEyes => BETWEEN,
        Bangs::Crossed => CROSSED,
    }
}

/// The outline of the crown with its bangs.
pub(super) fn crown(bangs: Bangs) -> Shape {
    const TOP: &[Knot] = &[
        k(-45.5, 8.0),
        s(-48.0, -10.0),
        s(-43.5, -32.0),
        s(-26.0, -49.5),
        s(0.0, -55.0),
        s(26.0, -49.5),
        s(43.5, -32.0),
        s(48.0, -10.0),
        k(45.5, 8.0),
    ];
    let knots: Vec<Knot> = TOP.iter().chain(edge(bangs)).copied().collect();
    Shape::spline(&knots)
}

/// Strands from between the locks up towards the whorl: lower ends.
fn strands(bangs: Bangs) -> &'static [Point] {
    match bangs {
        Bangs::Blunt => &[(17.0, -1.0), (-14.0, -3.0), (31.0, 6.0), (-30.0, 6.0), (3.0, 8.0)],
        Bangs::Swept => &[(-2.0, -3.0), (-19.5, 1.0), (-33.0, 8.0), (21.0, -33.0), (39.0, -6.0)],
        Bangs::Parted => &[(36.0, 1.0), (-36.0, 1.0), (25.0, 1.0), (-25.0, 1.0)],
        Bangs::BetweenEyes => &[(35.0, -5.0), (20.0, -8.0), (9.5, -5.0), (-8.0, -6.0), (-21.0, -7.0), (-36.0, -4.0)],
        Bangs::Crossed => &[(36.0, -3.0), (21.0, -10.0), (-21.0, -10.0), (-36.0, -3.0), (3.0, -14.0)],
    }
}

/// The lock of hair next to the face: its length and its width.
fn side_lock(style: HairStyle, is_boy: bool) -> (f32, f32) {
    match style {
        HairStyle::Spiked => (20.0, 0.7),
        HairStyle::Short if is_boy => (22.0, 0.7),
        HairStyle::Short => (31.0, 0.9),
        HairStyle::Bob => (36.0, 1.1),
        HairStyle::Long => (60.0, 1.0),
        HairStyle::Wavy => (52.0, 1.05),
        HairStyle::Twintails | HairStyle::Drills => (46.0, 0.85),
        HairStyle::Ponytail | HairStyle::SidePonytail => (42.0, 0.85),
        HairStyle::TwinBraids => (34.0, 0.95),
        HairStyle::Bun | HairStyle::DoubleBun => (40.0, 0.75),
    }
}

/// Draws crown, bangs and side locks with their shading.
pub(super) fn draw(canvas: &mut Canvas, parts: &Parts<'_>) {
    let hair = &parts.hair;
    let bangs = parts.figure.bangs;
    let crown = crown(bangs);
    let (tip, width) = side_lock(parts.figure.hair_style, parts.is_boy);
    let inner = 47.0 - 13.0 * width;
    let locks = [-1.0, 1.0].map(|side| {
        let y = |part: f32| -8.0 + (tip + 8.0) * part;
        Shape::sided(
            side,
            &[
                k(46.5, -10.0),
                s(48.6, y(0.3)),
                s(48.0, y(0.62)),
                k(41.5, tip),
                s(inner + 2.6, y(0.72)),
                s(inner, y(0.42)),
                k(inner + 1.5, -8.0),
            ],
        )
    });
    for lock in &locks {
        canvas.part(&[lock], hair);
    }
    for (side, lock) in [-1.0, 1.0].into_iter().zip(&locks) {
        let under = Shape::sided(
            side,
            &[k(inner - 4.0, -12.0), k(48.0, -8.0), s(44.5, tip * 0.36), k(42.6, tip + 2.0), k(inner - 4.0, tip)],
        );
        canvas.shade(lock, &[&under], hair.base.mix(hair.shadow, 0.55));
        canvas.line(
            &Shape::taper((46.0 * side, -4.0), (46.5 * side, tip * 0.5), (42.0 * side, tip - 3.0), 0.8),
            hair.shadow,
        );
    }
    let crossing = (bangs == Bangs::Crossed).then(|| {
        [-1.0, 1.0].map(|side| {
            Shape::sided(
                side,
                &[
                    k(23.0, -30.0),
                    s(20.0, -8.0),
                    s(7.0, 8.0),
                    k(-17.0, 17.0),
                    s(-6.0, 5.0),
                    s(2.0, -8.0),
                    k(4.0, -34.0),
                ],
            )
        })
    });
    match &crossing {
        Some([left, right]) => {
            canvas.part(&[left], hair);
            let under = Shape::spline(&[k(26.0, -8.0), s(6.0, 3.0), k(-12.0, 4.0), k(-4.0, 22.0), k(30.0, 20.0)]);
            canvas.shade(left, &[&under], hair.base.mix(hair.shadow, 0.7));
            canvas.contour(&[&crown], hair.line);
            canvas.part(&[right], hair);
            canvas.fill(&crown, hair.base);
        }
        None => canvas.part(&[&crown], hair),
    }
    shade_crown(canvas, parts, &crown);
}

fn shade_crown(canvas: &mut Canvas, parts: &Parts<'_>, crown: &Shape) {
    let hair = &parts.hair;
    let soft_shadow = hair.base.mix(hair.shadow, 0.55);
    if canvas.has_shading() {
        // The far side of the skull and the tips of the bangs lie in shadow.
        let far = Shape::spline(&[
            k(30.0, -56.0),
            s(39.0, -34.0),
            s(41.5, -12.0),
            k(38.0, 14.0),
            k(56.0, 14.0),
            k(56.0, -56.0),
        ]);
        let tips =
            Shape::symmetric(&[s(0.0, 0.5), s(22.0, -0.5), s(38.0, -6.0), k(50.0, -12.0), k(50.0, 30.0), k(0.0, 30.0)]);
        canvas.shade(crown, &[&far, &tips], soft_shadow);
        ring(canvas, parts);
    }
    for &end in strands(parts.figure.bangs) {
        let start = (end.0 + (WHORL.0 - end.0) * 0.78, end.1 + (WHORL.1 - end.1) * 0.80);
        let control = (end.0 * 1.05, (end.1 + start.1) * 0.5 - 6.0);
        canvas.line(&Shape::taper(end, control, start, 1.0), hair.shadow.mix(hair.line, 0.35));
    }
    canvas.line(&Shape::taper((0.0, -54.5), (3.0, -48.0), (2.0, -41.0), 0.9), hair.line);
}

/// The ring of light round the crown, torn along the strands.
fn ring(canvas: &mut Canvas, parts: &Parts<'_>) {
    let band = Shape::spline(&[
        k(-38.0, -17.0),
        s(-33.0, -26.5),
        s(-19.0, -35.0),
        k(-9.0, -37.5),
        k(-7.5, -34.0),
        s(1.0, -38.0),
        s(12.0, -36.0),
        k(22.0, -32.0),
        k(23.0, -29.5),
        k(31.0, -24.0),
        k(25.5, -23.5),
        k(22.5, -20.0),
        k(17.0, -26.0),
        k(12.5, -22.5),
        k(8.0, -29.0),
        k(2.0, -25.5),
        k(-2.5, -30.0),
        k(-9.5, -24.5),
        k(-13.0, -29.0),
        k(-21.0, -21.0),
        k(-24.0, -25.5),
        k(-31.0, -16.5),
        k(-32.5, -20.0),
    ]);
    canvas.fill(&band, parts.hair.light);
    canvas.fill(&Shape::taper((-41.0, -12.0), (-39.5, -14.0), (-38.5, -17.0), 1.2), parts.hair.light);
}
