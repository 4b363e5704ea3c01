//! From a scene to pixels.

use crate::attributes::{Position, Style};
use crate::canvas::Canvas;
use crate::draw;
use crate::figure::Figure;
use crate::image::Image;
use crate::layer::Layer;
use crate::layout::{self, Placement};
use crate::outline;
use crate::scene::Scene;
use crate::size::Size;
use rayon::prelude::*;

/// Draws a scene at 256x256.
#[must_use]
pub fn render(scene: &Scene) -> Image {
    render_sized(scene, Size::SQUARE)
}

/// Draws a scene as a square of another size: the same picture, enlarged.
#[must_use]
pub fn render_at(scene: &Scene, side_px: u32) -> Image {
    draw_scene(scene, Size::SQUARE, Size::new(side_px, side_px))
}

/// Draws a scene in another size: the figures fill it as well as they can.
#[must_use]
pub fn render_sized(scene: &Scene, size: Size) -> Image {
    draw_scene(scene, size, size)
}

/// Draws scenes on all cores, in order.
#[must_use]
pub fn render_batch(scenes: &[Scene], size: Size) -> Vec<Image> {
    scenes.par_iter().map(|scene| render_sized(scene, size)).collect()
}

/// Draws what is laid out for one size in another one of the same shape.
fn draw_scene(scene: &Scene, laid_out: Size, drawn: Size) -> Image {
    let mut canvas = Canvas::new(drawn, scene.style);
    let (origin, scale) = drawn.cover();
    canvas.set_view(origin, scale);
    draw::backdrop::draw(&mut canvas, scene.backdrop, scene.seed);
    for index in layering(scene) {
        let place = layout::placement(laid_out, scene, index);
        let layer = figure_layer(&scene.figures[index], scene.style, place, (laid_out, drawn));
        canvas.compose(&layer);
    }
    Image::from_opaque(&canvas.into_layer())
}

/// The order in which figures are drawn: the outer ones, and those in the middle before them.
pub(crate) fn layering(scene: &Scene) -> Vec<usize> {
    let mut order = scene.left_to_right();
    order.sort_by_key(|&index| !matches!(scene.figures[index].position, Position::Left | Position::Right));
    order
}

/// One figure alone on a transparent layer; its place is in pixels of the first size, the layer has the second.
pub(crate) fn figure_layer(figure: &Figure, style: Style, place: Placement, (laid_out, drawn): (Size, Size)) -> Layer {
    let zoom = drawn.width_px as f32 / laid_out.width_px as f32;
    let mut canvas = Canvas::new(drawn, style);
    canvas.set_view((place.x_px * zoom, place.y_px * zoom), place.scale * zoom);
    draw::figure(&mut canvas, figure);
    let layer = canvas.into_layer();
    if style == Style::WhiteOutline { outline::white(&layer, 3.2 * zoom) } else { layer }
}
