//! From a scene to pixels.

use crate::attributes::{Position, Style};
use crate::canvas::Canvas;
use crate::draw;
use crate::figure::Figure;
use crate::image::Image;
use crate::layer::Layer;
use crate::layout::{self, Placement, SIDE_PX};
use crate::outline;
use crate::scene::Scene;
use rayon::prelude::*;

/// Draws a scene at 256x256.
#[must_use]
pub fn render(scene: &Scene) -> Image {
    render_at(scene, SIDE_PX)
}

/// Draws a scene as a square of another size.
#[must_use]
pub fn render_at(scene: &Scene, side_px: u32) -> Image {
    let mut canvas = Canvas::new(side_px, scene.style);
    canvas.set_view((0.0, 0.0), side_px as f32 / SIDE_PX as f32);
    draw::backdrop::draw(&mut canvas, scene.backdrop, scene.seed);
    for index in layering(scene) {
        let place = layout::placement(scene, index);
        let layer = figure_layer(&scene.figures[index], scene.style, place, side_px);
        canvas.compose(&layer);
    }
    Image::from_opaque(&canvas.into_layer())
}

/// Draws scenes on all cores, in order.
#[must_use]
pub fn render_batch(scenes: &[Scene]) -> Vec<Image> {
    scenes.par_iter().map(render).collect()
}

/// The order in which figures are drawn: left, right, and the middle one in front.
pub(crate) fn layering(scene: &Scene) -> Vec<usize> {
    let mut order = scene.left_to_right();
    order.sort_by_key(|&index| scene.figures[index].position == Position::Center);
    order
}

/// One figure alone on a transparent layer.
pub(crate) fn figure_layer(figure: &Figure, style: Style, place: Placement, side_px: u32) -> Layer {
    let zoom = side_px as f32 / SIDE_PX as f32;
    let mut canvas = Canvas::new(side_px, style);
    canvas.set_view((place.x_px * zoom, place.y_px * zoom), place.scale * zoom);
    draw::figure(&mut canvas, figure);
    let layer = canvas.into_layer();
    if style == Style::WhiteOutline { outline::white(&layer, 3.2 * zoom) } else { layer }
}
