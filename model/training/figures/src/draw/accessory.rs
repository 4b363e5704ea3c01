//! Ears, hats, ribbons and the rest.

use super::{Parts, body, outfit};
use crate::attributes::Accessory;
use crate::canvas::Canvas;
use crate::palette::{Ramp, Rgb, thing};
use crate::shape::{Shape, k, s};

/// Draws what lies behind the head.
pub(super) fn behind(canvas: &mut Canvas, parts: &Parts<'_>) {
    match parts.figure.accessory {
        Some(Accessory::RabbitEars) => rabbit_ears(canvas),
        Some(Accessory::Halo) => canvas.fill_faded(&Shape::ellipse((0.0, -70.0), 34.0, 12.0), Rgb::hex(0xfff3b0), 0.35),
        _ => {}
    }
}

/// Draws what lies round the neck, over the clothes.
pub(super) fn round_neck(canvas: &mut Canvas, parts: &Parts<'_>) {
    if parts.figure.accessory == Some(Accessory::Scarf) {
        scarf(canvas);
    }
}

/// Draws what lies on the face but under the bangs.
pub(super) fn under_bangs(canvas: &mut Canvas, parts: &Parts<'_>) {
    if parts.figure.accessory == Some(Accessory::Glasses) {
        glasses(canvas);
    }
}

/// Draws what lies on the hair.
pub(super) fn on_head(canvas: &mut Canvas, parts: &Parts<'_>) {
    let Some(accessory) = parts.figure.accessory else { return };
    match accessory {
        Accessory::CatEars => pointed_ears(canvas, &parts.hair, 1.0),
        Accessory::FoxEars => pointed_ears(canvas, &parts.hair, 1.32),
        Accessory::HairBow => outfit::bow(canvas, (0.0, -53.0), 2.5, &thing::RED),
        Accessory::WitchHat => witch_hat(canvas),
        Accessory::Beret => beret(canvas),
        Accessory::Headphones => headphones(canvas),
        Accessory::Hairclip => canvas.part(&[&Shape::star((30.0, -17.0), 12.5, 5.8, 5)], &thing::GOLD),
        Accessory::Halo => halo(canvas),
        Accessory::HairFlower => {
            body::blossom(canvas, (-34.0, -22.0), 12.0, &thing::PETAL);
        }
        Accessory::Crown => crown(canvas),
        Accessory::Horns => horns(canvas),
        Accessory::RabbitEars | Accessory::Glasses | Accessory::Scarf => {}
    }
}

fn pointed_ears(canvas: &mut Canvas, hair: &Ramp, length: f32) {
    let inner_skin = Rgb::hex(0xffb8b4);
    for side in [-1.0, 1.0] {
        let tip = (41.0 + 4.0 * (length - 1.0), -46.0 - 27.0 * length);
        let ear = Shape::sided(
            side,
            &[
                k(15.0, -49.5),
                s(25.0, -60.0 * length.sqrt()),
                k(tip.0, tip.1),
                s(46.0, -50.0),
                k(43.0, -29.0),
                s(28.0, -42.0),
            ],
        );
        canvas.part(&[&ear], hair);
        let inside = Shape::sided(
            side,
            &[
                k(23.0, -49.0),
                s(30.0, -58.0 * length.sqrt()),
                k(tip.0 - 1.6, tip.1 + 7.0),
                s(42.0, -48.0),
                k(40.0, -36.0),
                s(31.0, -42.0),
            ],
        );
        canvas.fill(&inside, inner_skin);
        canvas.shade(
            &inside,
            &[&Shape::sided(side, &[k(34.0, -70.0 * length), k(50.0, -60.0 * length), k(48.0, -30.0), k(38.0, -34.0)])],
            Rgb::hex(0xf08f96),
        );
        // A tuft of hair grows in front of the ear.
        let tuft = Shape::sided(
            side,
            &[
                k(17.0, -46.0),
                s(22.0, -52.0),
                k(25.0, -60.0),
                s(28.0, -52.0),
                k(33.0, -52.0),
                s(32.0, -44.0),
                k(41.0, -34.0),
                s(28.0, -36.0),
            ],
        );
        canvas.fill(&tuft, hair.base);
        if length > 1.1 {
            let dark = Shape::sided(side, &[k(33.0, -64.0), k(tip.0, tip.1), k(43.8, -62.0), s(39.0, -66.0)]);
            canvas.shade(&ear, &[&dark], hair.line.mix(hair.shadow, 0.3));
        }
    }
}

fn rabbit_ears(canvas: &mut Canvas) {
    let fur = &thing::WHITE;
    for side in [-1.0, 1.0] {
        let ear = Shape::sided(
            side,
            &[
                k(8.0, -46.0),
                s(9.0, -70.0),
                s(17.0, -92.0),
                s(27.0, -97.0),
                s(33.0, -86.0),
                s(31.0, -66.0),
                k(25.0, -42.0),
            ],
        );
        canvas.part(&[&ear], fur);
        canvas.shade(
            &ear,
            &[&Shape::sided(side, &[k(26.0, -98.0), s(28.6, -80.0), k(20.0, -40.0), k(40.0, -40.0), k(40.0, -98.0)])],
            fur.shadow,
        );
        let inside = Shape::sided(
            side,
            &[
                k(14.0, -48.0),
                s(15.0, -70.0),
                s(20.0, -87.0),
                s(26.0, -91.0),
                s(28.4, -83.0),
                s(26.4, -66.0),
                k(21.0, -46.0),
            ],
        );
        canvas.fill(&inside, Rgb::hex(0xffc0c6));
    }
}

fn glasses(canvas: &mut Canvas) {
    let frame = Rgb::hex(0x4a2436);
    for side in [-1.0, 1.0] {
        let lens = Shape::ellipse((19.8 * side, 19.6), 15.0, 14.4);
        canvas.fill_faded(&lens, Rgb::hex(0xd8f0ff), 0.22);
        canvas.stroke(&lens, frame, 2.3);
        let temple = Shape::curve(&[k(34.6 * side, 17.0), k(43.0 * side, 13.6)]);
        canvas.stroke(&temple, frame, 2.0);
    }
    let bridge = Shape::curve(&[k(-5.0, 18.4), s(0.0, 16.4), k(5.0, 18.4)]);
    canvas.stroke(&bridge, frame, 2.1);
}

fn witch_hat(canvas: &mut Canvas) {
    let cloth = &thing::DARK;
    let brim = Shape::spline(&[
        k(-66.0, -25.0),
        s(-40.0, -39.0),
        s(0.0, -45.0),
        s(40.0, -39.0),
        k(66.0, -25.0),
        s(42.0, -25.0),
        s(0.0, -30.0),
        s(-42.0, -25.0),
    ]);
    let cone = Shape::spline(&[
        k(-37.0, -38.0),
        s(-29.0, -60.0),
        s(-14.0, -84.0),
        s(4.0, -97.0),
        k(34.0, -92.0),
        s(20.0, -86.0),
        s(26.0, -68.0),
        s(33.0, -52.0),
        k(38.0, -38.0),
        s(0.0, -44.0),
    ]);
    canvas.part(&[&cone], cloth);
    let far = Shape::spline(&[k(10.0, -100.0), s(8.0, -76.0), k(16.0, -36.0), k(48.0, -36.0), k(48.0, -100.0)]);
    canvas.shade(&cone, &[&far], cloth.shadow);
    let band = Shape::spline(&[
        k(-37.6, -37.0),
        k(-33.4, -49.0),
        s(0.0, -55.0),
        k(34.4, -49.0),
        k(38.6, -37.0),
        s(0.0, -43.6),
    ]);
    canvas.part(
        &[&band],
        &Ramp {
            base: Rgb::hex(0x9a63d4),
            light: Rgb::hex(0xc49bf0),
            shadow: Rgb::hex(0x6f43a8),
            line: Rgb::hex(0x35205a),
        },
    );
    canvas.part(&[&brim], cloth);
    canvas.shade(
        &brim,
        &[&Shape::spline(&[
            k(-66.0, -24.0),
            s(-40.0, -31.0),
            s(0.0, -36.0),
            s(40.0, -31.0),
            k(66.0, -24.0),
            k(50.0, -16.0),
            k(-50.0, -16.0),
        ])],
        cloth.shadow,
    );
    canvas.part(&[&Shape::star((0.0, -48.0), 7.4, 3.4, 5)], &thing::GOLD);
}

fn beret(canvas: &mut Canvas) {
    let cloth = &Ramp {
        base: Rgb::hex(0xb5474f),
        light: Rgb::hex(0xdb7a78),
        shadow: Rgb::hex(0x88304a),
        line: Rgb::hex(0x521a32),
    };
    let cap = Shape::spline(&[
        s(-47.0, -30.0),
        s(-53.0, -44.0),
        s(-38.0, -62.0),
        s(-6.0, -70.0),
        s(26.0, -64.0),
        s(42.0, -48.0),
        s(38.0, -36.0),
        s(0.0, -44.0),
    ]);
    canvas.part(&[&cap], cloth);
    let low = Shape::spline(&[
        k(-56.0, -30.0),
        s(-36.0, -44.0),
        s(0.0, -52.0),
        s(26.0, -52.0),
        k(30.0, -70.0),
        k(54.0, -50.0),
        k(40.0, -24.0),
    ]);
    canvas.shade(&cap, &[&low], cloth.shadow);
    canvas.shade(&cap, &[&Shape::taper((-40.0, -52.0), (-26.0, -62.0), (-10.0, -63.0), 2.4)], cloth.light);
    let band = Shape::spline(&[
        k(-46.0, -28.0),
        s(-30.0, -38.0),
        s(0.0, -44.4),
        s(26.0, -41.0),
        k(40.0, -34.0),
        k(39.6, -38.0),
        s(26.0, -45.6),
        s(0.0, -49.0),
        s(-31.0, -43.0),
        k(-48.4, -32.6),
    ]);
    canvas.part(&[&band], &Ramp { base: cloth.shadow, ..*cloth });
    canvas.part(&[&Shape::ellipse((-7.0, -71.0), 2.4, 4.0)], cloth);
}

fn headphones(canvas: &mut Canvas) {
    let shell = &thing::STEEL;
    let band = Shape::curve(&[
        k(-49.5, 6.0),
        s(-50.5, -22.0),
        s(-31.0, -52.0),
        s(0.0, -61.0),
        s(31.0, -52.0),
        s(50.5, -22.0),
        k(49.5, 6.0),
    ]);
    canvas.stroke(&band, shell.line, 8.0);
    canvas.stroke(&band, shell.base, 5.2);
    for side in [-1.0, 1.0] {
        let cushion = Shape::ellipse((46.5 * side, 13.0), 7.5, 14.0);
        canvas.part(&[&cushion], &thing::DARK);
        let cup = Shape::ellipse((51.0 * side, 13.0), 7.6, 12.0);
        canvas.part(&[&cup], shell);
        canvas.shade(&cup, &[&Shape::ellipse((53.0 * side + 2.0, 18.0), 8.0, 11.0)], shell.shadow);
        canvas.fill(&Shape::ellipse((51.6 * side, 12.6), 3.4, 5.6), Rgb::hex(0x35c8e8));
    }
}

fn halo(canvas: &mut Canvas) {
    let ring = Shape::ellipse((0.0, -70.0), 27.0, 7.6);
    canvas.stroke(&ring, thing::GOLD.line, 6.6);
    canvas.stroke(&ring, thing::GOLD.base, 4.0);
    let glint = Shape::curve(&[k(-20.0, -74.4), s(-10.0, -76.8), k(2.0, -77.4)]);
    canvas.stroke(&glint, thing::GOLD.light, 1.6);
}

fn crown(canvas: &mut Canvas) {
    let gold = &thing::GOLD;
    let shape = Shape::symmetric(&[k(0.0, -77.0), k(6.0, -65.0), k(15.0, -74.0), k(17.5, -51.0), s(0.0, -47.5)]);
    canvas.part(&[&shape], gold);
    canvas.shade(
        &shape,
        &[&Shape::polygon(&[(5.0, -80.0), (8.0, -44.0), (24.0, -44.0), (24.0, -80.0)])],
        gold.base.mix(gold.shadow, 0.8),
    );
    canvas.part(&[&Shape::ellipse((0.0, -57.5), 3.0, 3.8)], &thing::RED);
    for (x, y) in [(0.0, -78.0), (15.4, -75.0), (-15.4, -75.0)] {
        canvas.part(&[&Shape::circle((x, y), 2.1)], gold);
    }
}

fn horns(canvas: &mut Canvas) {
    let bone = &Ramp {
        base: Rgb::hex(0x6a3d57),
        light: Rgb::hex(0xa57091),
        shadow: Rgb::hex(0x47263f),
        line: Rgb::hex(0x2a1428),
    };
    for side in [-1.0, 1.0] {
        let horn = Shape::sided(
            side,
            &[
                k(20.0, -47.0),
                s(27.0, -57.0),
                s(35.0, -66.0),
                k(35.0, -84.0),
                s(45.0, -72.0),
                s(45.0, -56.0),
                k(37.0, -38.0),
                s(28.0, -44.0),
            ],
        );
        canvas.part(&[&horn], bone);
        canvas.shade(
            &horn,
            &[&Shape::spline(&[
                k(37.0 * side + 1.0, -88.0),
                s(40.5 * side + 2.0, -62.0),
                k(30.0 * side + 4.0, -36.0),
                k(30.0 * side + 30.0, -36.0),
                k(30.0 * side + 30.0, -88.0),
            ])],
            bone.shadow,
        );
        for (x, y) in [(26.0, -51.0), (31.0, -58.5), (35.0, -66.0)] {
            canvas.fill(
                &Shape::taper((x * side, y), ((x + 6.0) * side, y + 4.0), ((x + 12.0) * side, y + 1.0), 1.2),
                bone.light,
            );
        }
    }
}

fn scarf(canvas: &mut Canvas) {
    let wool = &thing::RED;
    let tail =
        Shape::spline(&[k(7.0, 58.0), k(18.0, 57.0), s(21.0, 70.0), k(21.6, 84.0), k(11.0, 85.4), s(10.6, 72.0)]);
    canvas.part(&[&tail], wool);
    canvas.shade(&tail, &[&Shape::polygon(&[(6.0, 56.0), (24.0, 56.0), (24.0, 64.0), (8.0, 65.0)])], wool.shadow);
    for y in [74.0, 79.0] {
        let stripe = Shape::curve(&[k(11.0, y + 0.6), k(21.2, y - 0.6)]);
        canvas.stroke(&stripe, thing::WHITE.base, 1.7);
    }
    let wrap =
        Shape::symmetric(&[s(0.0, 44.0), s(16.0, 45.0), s(25.0, 51.0), s(23.0, 60.0), s(10.0, 65.0), s(0.0, 66.0)]);
    canvas.part(&[&wrap], wool);
    canvas.shade(&wrap, &[&Shape::ellipse((0.0, 46.0), 22.0, 8.0)], wool.shadow);
    canvas.line(&Shape::taper((-20.0, 57.0), (-4.0, 64.6), (12.0, 60.0), 1.0), wool.line);
    canvas.line(&Shape::taper((20.0, 53.6), (8.0, 60.0), (-4.0, 59.6), 0.9), wool.line);
}
