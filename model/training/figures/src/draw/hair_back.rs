//! The hair behind the body, and the tails and braids that lie over the shoulders.

use super::Parts;
use crate::attributes::HairStyle;
use crate::canvas::Canvas;
use crate::palette::{Ramp, thing};
use crate::shape::{Knot, Point, Shape, bezier, bezier_direction, k, s};

/// Draws what hangs behind head and body.
pub(super) fn draw(canvas: &mut Canvas, parts: &Parts<'_>) {
    let hair = &parts.hair;
    match parts.figure.hair_style {
        HairStyle::Long => curtain(canvas, hair, LONG),
        HairStyle::Wavy => curtain(canvas, hair, WAVY),
        HairStyle::Bob => curtain(canvas, hair, BOB),
        HairStyle::Short if parts.is_boy => curtain(canvas, hair, CROPPED),
        HairStyle::Short => curtain(canvas, hair, SHORT),
        HairStyle::Spiked => spikes(canvas, hair),
        HairStyle::Twintails => {
            nape(canvas, hair);
            for side in [-1.0, 1.0] {
                twintail(canvas, hair, side);
            }
        }
        HairStyle::Drills => {
            nape(canvas, hair);
            for side in [-1.0, 1.0] {
                drill(canvas, hair, side);
            }
        }
        HairStyle::Ponytail => {
            ponytail(canvas, hair);
            nape(canvas, hair);
        }
        HairStyle::SidePonytail | HairStyle::TwinBraids => nape(canvas, hair),
        HairStyle::Bun => {
            bun(canvas, hair, (0.0, -59.0), 18.0);
            nape(canvas, hair);
        }
        HairStyle::DoubleBun => {
            for side in [-1.0, 1.0] {
                bun(canvas, hair, (36.0 * side, -47.0), 16.0);
            }
            nape(canvas, hair);
        }
    }
}

/// Draws what lies in front of the body but behind the face.
pub(super) fn over_shoulders(canvas: &mut Canvas, parts: &Parts<'_>) {
    match parts.figure.hair_style {
        HairStyle::TwinBraids => {
            for side in [-1.0, 1.0] {
                braid(canvas, &parts.hair, ((38.0 * side, 24.0), (44.0 * side, 58.0), (33.0 * side, 88.0)));
            }
        }
        HairStyle::SidePonytail => side_ponytail(canvas, &parts.hair),
        _ => {}
    }
}

/// Right halves of the hair behind the head, top to bottom.
const LONG: &[Knot] = &[
    s(0.0, -50.0),
    s(34.0, -42.0),
    s(49.0, -8.0),
    s(54.0, 30.0),
    s(57.0, 70.0),
    k(60.0, 96.0),
    s(52.0, 93.0),
    k(47.0, 105.0),
    s(40.0, 98.0),
    k(31.0, 107.0),
    s(24.0, 99.0),
    k(13.0, 106.0),
    s(6.0, 99.0),
    k(0.0, 104.0),
];
const WAVY: &[Knot] = &[
    s(0.0, -52.0),
    s(36.0, -44.0),
    s(51.0, -14.0),
    s(52.0, 4.0),
    s(60.0, 22.0),
    s(55.0, 36.0),
    s(64.0, 54.0),
    s(57.0, 68.0),
    s(63.0, 84.0),
    k(55.0, 95.0),
    s(47.0, 87.0),
    k(36.0, 97.0),
    s(27.0, 88.0),
    k(14.0, 97.0),
    s(7.0, 90.0),
    k(0.0, 94.0),
];
const BOB: &[Knot] = &[
    s(0.0, -50.0),
    s(34.0, -42.0),
    s(49.5, -8.0),
    s(55.5, 20.0),
    s(54.0, 42.0),
    k(43.0, 53.0),
    s(30.0, 51.5),
    s(14.0, 50.0),
    s(0.0, 50.0),
];
const SHORT: &[Knot] = &[
    s(0.0, -50.0),
    s(34.0, -42.0),
    s(49.0, -8.0),
    s(49.0, 16.0),
    s(49.0, 30.0),
    k(57.0, 41.0),
    s(46.0, 39.0),
    k(46.5, 50.0),
    s(35.0, 43.0),
    k(24.0, 50.0),
    s(12.0, 44.0),
    k(0.0, 48.0),
];
const CROPPED: &[Knot] = &[
    s(0.0, -52.0),
    s(34.0, -44.0),
    s(48.5, -12.0),
    s(48.5, 4.0),
    k(54.0, 15.0),
    s(46.5, 16.0),
    k(49.0, 29.0),
    s(40.0, 29.0),
    k(36.0, 40.0),
    s(20.0, 40.0),
    s(0.0, 40.0),
];

/// A mass of hair behind the head: lit at its edges, dark behind the neck.
fn curtain(canvas: &mut Canvas, hair: &Ramp, right_half: &[Knot]) {
    let mass = Shape::symmetric(right_half);
    canvas.part(&[&mass], hair);
    let inside = Shape::symmetric(&[
        s(0.0, -20.0),
        s(38.0, -10.0),
        s(43.0, 30.0),
        s(41.0, 60.0),
        s(36.0, 86.0),
        k(30.0, 112.0),
        k(0.0, 112.0),
    ]);
    canvas.shade(&mass, &[&inside], hair.base.mix(hair.shadow, 0.75));
    if canvas.has_shading() {
        canvas.clipped(&mass, |canvas| {
            canvas.fill_gradient_faded(&inside, ((0.0, 70.0), hair.shadow, 0.0), ((0.0, 20.0), hair.shadow, 1.0));
        });
    }
    canvas.clipped(&mass, |canvas| {
        for side in [-1.0, 1.0] {
            for (x, bottom) in [(49.0, 92.0), (43.5, 98.0), (33.0, 96.0), (23.0, 98.0)] {
                canvas.line(
                    &Shape::taper((side * (x - 5.0), 8.0), (side * (x + 2.0), 44.0), (side * (x + 1.0), bottom), 0.9),
                    hair.shadow.mix(hair.line, 0.3),
                );
            }
        }
    });
}

/// The short hair behind the neck of tied styles.
fn nape(canvas: &mut Canvas, hair: &Ramp) {
    let mass = Shape::symmetric(&[
        s(0.0, -50.0),
        s(36.0, -42.0),
        s(47.5, -8.0),
        s(45.0, 20.0),
        s(34.0, 38.0),
        s(16.0, 45.0),
        s(0.0, 46.0),
    ]);
    canvas.part(&[&mass], hair);
    let inside = Shape::ellipse((0.0, 24.0), 42.0, 30.0);
    canvas.shade(&mass, &[&inside], hair.shadow);
}

fn tie(canvas: &mut Canvas, center: Point, radius: f32) {
    let knot = Shape::ellipse(center, radius, radius * 1.1);
    canvas.part(&[&knot], &thing::RED);
    canvas.shade(
        &knot,
        &[&Shape::ellipse((center.0 + 1.5, center.1 + 2.5), radius * 0.8, radius * 0.7)],
        thing::RED.shadow,
    );
}

fn twintail(canvas: &mut Canvas, hair: &Ramp, side: f32) {
    let tail = Shape::sided(
        side,
        &[
            k(41.0, -31.0),
            s(51.0, -37.0),
            s(61.0, -25.0),
            s(65.0, 2.0),
            s(64.5, 34.0),
            s(63.0, 58.0),
            k(65.0, 84.0),
            s(57.5, 74.0),
            k(54.0, 90.0),
            s(49.5, 72.0),
            k(44.0, 78.0),
            s(47.0, 46.0),
            s(47.5, 14.0),
            s(45.0, -12.0),
        ],
    );
    canvas.part(&[&tail], hair);
    let inner = Shape::sided(
        side,
        &[k(40.0, -20.0), s(50.0, -4.0), s(53.5, 30.0), s(52.0, 60.0), k(54.0, 92.0), k(38.0, 92.0)],
    );
    canvas.shade(&tail, &[&inner], hair.base.mix(hair.shadow, 0.65));
    let shine = Shape::sided(
        side,
        &[
            k(52.0, -22.0),
            s(57.0, -20.0),
            k(62.0, -12.0),
            k(59.5, -14.0),
            k(57.5, -9.0),
            k(55.5, -15.0),
            k(53.5, -12.0),
        ],
    );
    canvas.shade(&tail, &[&shine], hair.light);
    for (x, y) in [(57.5, 72.0), (52.0, 70.0)] {
        canvas.line(
            &Shape::taper((side * 50.0, -28.0), (side * (x + 5.0), 20.0), (side * x, y), 1.0),
            hair.shadow.mix(hair.line, 0.3),
        );
    }
    tie(canvas, (45.5 * side, -29.0), 5.6);
}

fn drill(canvas: &mut Canvas, hair: &Ramp, side: f32) {
    // A cone of four turns, each overlapping the one below.
    let turns = [
        (49.5, 66.0, 7.0, 9.0),
        (52.0, 48.0, 10.0, 11.0),
        (53.5, 28.0, 12.0, 12.5),
        (52.5, 7.0, 12.0, 13.0),
        (49.0, -13.0, 10.5, 12.0),
    ];
    let tip =
        Shape::sided(side, &[k(44.0, 68.0), s(50.0, 64.0), k(56.0, 66.0), s(52.0, 78.0), k(46.0, 87.0), s(47.0, 78.0)]);
    canvas.part(&[&tip], hair);
    for (x, y, rx, ry) in turns {
        canvas.turned(-16.0 * side, (x * side, y), |canvas| {
            let turn = Shape::ellipse((x * side, y), rx, ry);
            canvas.part(&[&turn], hair);
            let low = Shape::ellipse((x * side + 3.0, y + ry * 0.75), rx * 1.25, ry * 0.62);
            canvas.shade(&turn, &[&low], hair.base.mix(hair.shadow, 0.8));
            let shine = Shape::ellipse((x * side - rx * 0.25, y - ry * 0.38), rx * 0.5, ry * 0.2);
            canvas.shade(&turn, &[&shine], hair.light);
        });
    }
    tie(canvas, (45.0 * side, -28.0), 5.6);
}

fn ponytail(canvas: &mut Canvas, hair: &Ramp) {
    let tail = Shape::spline(&[
        k(6.0, -54.0),
        s(16.0, -68.0),
        s(36.0, -70.0),
        s(53.0, -53.0),
        s(61.0, -22.0),
        s(61.0, 16.0),
        s(57.0, 42.0),
        k(59.0, 66.0),
        s(50.0, 56.0),
        k(46.0, 72.0),
        s(42.0, 50.0),
        s(43.0, 10.0),
        s(38.0, -22.0),
        k(20.0, -40.0),
    ]);
    canvas.part(&[&tail], hair);
    let inner = Shape::spline(&[
        k(12.0, -46.0),
        s(34.0, -46.0),
        s(46.0, -24.0),
        s(50.0, 10.0),
        s(48.0, 40.0),
        k(50.0, 74.0),
        k(36.0, 74.0),
        k(30.0, -10.0),
    ]);
    canvas.shade(&tail, &[&inner], hair.base.mix(hair.shadow, 0.65));
    let shine = Shape::spline(&[
        k(38.0, -63.0),
        s(48.0, -55.0),
        k(55.0, -40.0),
        k(50.0, -44.0),
        k(48.5, -38.0),
        k(44.0, -49.0),
        k(40.0, -46.0),
    ]);
    canvas.shade(&tail, &[&shine], hair.light);
    for (cx, cy, x, y) in [(62.0, -40.0, 53.0, 52.0), (52.0, -44.0, 47.0, 60.0)] {
        canvas.line(&Shape::taper((22.0, -60.0), (cx, cy), (x, y), 1.1), hair.shadow.mix(hair.line, 0.3));
    }
    tie(canvas, (11.0, -56.0), 6.4);
}

fn side_ponytail(canvas: &mut Canvas, hair: &Ramp) {
    let tail = Shape::spline(&[
        k(38.0, 20.0),
        s(49.0, 17.0),
        s(59.0, 28.0),
        s(62.0, 50.0),
        s(58.0, 72.0),
        k(52.0, 94.0),
        s(47.0, 82.0),
        k(40.0, 90.0),
        s(40.0, 70.0),
        s(42.0, 46.0),
    ]);
    canvas.part(&[&tail], hair);
    let inner =
        Shape::spline(&[k(36.0, 24.0), s(46.0, 34.0), s(50.0, 56.0), s(47.0, 76.0), k(46.0, 96.0), k(34.0, 92.0)]);
    canvas.shade(&tail, &[&inner], hair.base.mix(hair.shadow, 0.65));
    let shine =
        Shape::spline(&[k(50.0, 34.0), s(55.0, 34.0), k(60.0, 40.0), k(57.5, 39.5), k(56.0, 44.0), k(53.0, 38.5)]);
    canvas.shade(&tail, &[&shine], hair.light);
    canvas.line(&Shape::taper((47.0, 24.0), (58.0, 50.0), (50.0, 84.0), 1.1), hair.shadow.mix(hair.line, 0.3));
    tie(canvas, (43.5, 21.0), 6.6);
}

fn braid(canvas: &mut Canvas, hair: &Ramp, (from, control, to): (Point, Point, Point)) {
    let tuft_root = to;
    let tuft = Shape::spline(&[
        k(tuft_root.0 - 4.5, tuft_root.1 - 2.0),
        k(tuft_root.0 + 4.5, tuft_root.1 - 2.0),
        s(tuft_root.0 + 7.0, tuft_root.1 + 8.0),
        k(tuft_root.0 + 1.0, tuft_root.1 + 15.0),
        s(tuft_root.0 - 6.5, tuft_root.1 + 8.0),
    ]);
    canvas.part(&[&tuft], hair);
    const LINKS: usize = 6;
    for index in (0..LINKS).rev() {
        let t = index as f32 / LINKS as f32;
        let (x, y) = bezier(from, control, to, t + 0.06);
        let (dx, dy) = bezier_direction(from, control, to, t);
        let angle = -dx.atan2(dy).to_degrees();
        let size = 1.0 - 0.22 * t;
        canvas.turned(angle, (x, y), |canvas| {
            for side in [-1.0, 1.0] {
                let link = Shape::spline(&[
                    k(x, y + 7.0 * size),
                    s(x + side * 6.6 * size, y + 3.6 * size),
                    s(x + side * 8.2 * size, y - 3.0 * size),
                    s(x + side * 4.0 * size, y - 6.4 * size),
                    k(x - side * 1.0, y - 3.0 * size),
                ]);
                canvas.part(&[&link], hair);
                let low = Shape::ellipse((x + side * 1.6 * size, y + 5.0 * size), 5.0 * size, 4.4 * size);
                canvas.shade(&link, &[&low], hair.base.mix(hair.shadow, 0.7));
            }
        });
    }
    tie(canvas, (to.0, to.1), 4.6);
}

fn bun(canvas: &mut Canvas, hair: &Ramp, center: Point, radius: f32) {
    let ball = Shape::circle(center, radius);
    canvas.part(&[&ball], hair);
    let low = Shape::ellipse((center.0 + radius * 0.35, center.1 + radius * 0.55), radius * 0.95, radius * 0.75);
    canvas.shade(&ball, &[&low], hair.base.mix(hair.shadow, 0.65));
    let (x, y, r) = (center.0, center.1, radius);
    for bend in [-0.9, -0.1, 0.7] {
        let strand = Shape::taper(
            (x - r * 0.75, y + r * 0.5),
            (x + r * bend * 0.6, y + r * bend),
            (x + r * 0.8, y + r * 0.35),
            0.9,
        );
        canvas.line(&strand, hair.shadow.mix(hair.line, 0.3));
    }
    let shine = Shape::spline(&[
        k(x - r * 0.7, y - r * 0.15),
        s(x - r * 0.4, y - r * 0.62),
        k(x + r * 0.25, y - r * 0.68),
        s(x - r * 0.1, y - r * 0.4),
    ]);
    canvas.shade(&ball, &[&shine], hair.light);
}

fn spikes(canvas: &mut Canvas, hair: &Ramp) {
    let mass = Shape::spline(&[
        k(-40.0, 38.0),
        s(-45.0, 28.0),
        k(-56.0, 27.0),
        s(-49.0, 15.0),
        k(-61.0, 3.0),
        s(-50.0, -6.0),
        k(-63.0, -24.0),
        s(-48.0, -27.0),
        k(-54.0, -50.0),
        s(-37.0, -42.0),
        k(-33.0, -68.0),
        s(-19.0, -51.0),
        k(-5.0, -76.0),
        s(5.0, -55.0),
        k(25.0, -72.0),
        s(25.0, -51.0),
        k(49.0, -58.0),
        s(40.0, -39.0),
        k(63.0, -33.0),
        s(50.0, -18.0),
        k(63.0, -4.0),
        s(50.0, 6.0),
        k(58.0, 20.0),
        s(46.0, 22.0),
        k(45.0, 36.0),
        s(0.0, 40.0),
    ]);
    canvas.part(&[&mass], hair);
    canvas.shade(&mass, &[&Shape::ellipse((4.0, 20.0), 44.0, 34.0)], hair.shadow);
    for (x, y, fx, fy) in [
        (-30.0, -60.0, -24.0, -46.0),
        (-3.0, -69.0, 0.0, -52.0),
        (22.0, -64.0, 17.0, -48.0),
        (44.0, -53.0, 33.0, -40.0),
        (-49.0, -45.0, -38.0, -35.0),
    ] {
        canvas.line(&Shape::taper((x, y), (x * 0.9, (y + fy) * 0.5), (fx, fy), 1.3), hair.shadow);
    }
}
