//! Drawing a figure: which part lies over which.

mod accessory;
pub(crate) mod backdrop;
mod body;
mod eyes;
mod hair_back;
mod hair_front;
mod head;
mod mouth;
mod outfit;

use sakuga_schema::Gender;

use crate::attributes::{Action, Bangs};
use crate::canvas::Canvas;
use crate::figure::Figure;
use crate::palette::{self, Ramp};
use crate::shape::Shape;

/// What all parts of one figure need to know.
pub(crate) struct Parts<'a> {
    pub figure: &'a Figure,
    /// The colours of the hair.
    pub hair: Ramp,
    /// The colours of the skin.
    pub skin: Ramp,
    /// The colours of the clothes.
    pub cloth: Ramp,
    /// Whether the figure is drawn as a boy.
    pub is_boy: bool,
}

/// Degrees by which the head leans, clockwise: part of the gesture.
fn head_tilt(action: Action) -> f32 {
    match action {
        Action::Waving => -4.0,
        Action::Victory | Action::HoldingFlower => 4.0,
        _ => 0.0,
    }
}

/// Draws a figure on a canvas whose view is in figure units: the origin is the middle of the head, the chin is at
/// y = 47, the soles are at y = 126.
pub(crate) fn figure(canvas: &mut Canvas, figure: &Figure) {
    let parts = Parts {
        figure,
        hair: palette::hair(figure.hair_color),
        skin: palette::skin(figure.skin),
        cloth: palette::cloth(figure.cloth_color),
        is_boy: figure.gender == Gender::Boy,
    };
    let tilt = head_tilt(figure.action);
    let neck = (0.0, 44.0);
    canvas.fill_faded(&Shape::ellipse((0.0, 125.0), 27.0, 4.2), palette::Rgb::hex(0x2f2a55), 0.22);
    canvas.turned(tilt, neck, |canvas| {
        accessory::behind(canvas, &parts);
        hair_back::draw(canvas, &parts);
    });
    outfit::behind(canvas, &parts);
    body::legs(canvas, &parts);
    body::neck(canvas, &parts);
    outfit::torso(canvas, &parts);
    body::lowered_arms(canvas, &parts);
    accessory::round_neck(canvas, &parts);
    canvas.turned(tilt, neck, |canvas| {
        hair_back::over_shoulders(canvas, &parts);
        head::draw(canvas, &parts);
        eyes::draw(canvas, &parts);
        mouth::draw(canvas, &parts);
        accessory::under_bangs(canvas, &parts);
        hair_front::draw(canvas, &parts);
        eyes::brows(canvas, &parts);
        accessory::on_head(canvas, &parts);
    });
    body::raised_arms(canvas, &parts);
}

/// The shadow of the bangs needs to know their outline.
pub(crate) fn bangs_outline(bangs: Bangs) -> Shape {
    hair_front::crown(bangs)
}
