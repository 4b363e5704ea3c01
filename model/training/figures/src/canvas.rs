//! A picture being drawn: fills, contours and clipped shading in figure units, in the scene's style.

use tiny_skia_path::{LineCap, LineJoin, PathStroker, Stroke, Transform};

use crate::attributes::Style;
use crate::layer::{Clip, Layer, Source};
use crate::palette::{Ramp, Rgb};
use crate::raster::Rasterizer;
use crate::shape::{Point, Shape};
use crate::size::Size;

/// A drawing surface with a view (figure units to pixels) and a style.
pub(crate) struct Canvas {
    layer: Layer,
    rasterizer: Rasterizer,
    stroker: PathStroker,
    view: Transform,
    clip: Option<Clip>,
    has_lines: bool,
    has_shading: bool,
}

/// The width of a contour in figure units.
pub(crate) const LINE_WIDTH: f32 = 1.3;

impl Canvas {
    /// A transparent canvas.
    #[must_use]
    pub(crate) fn new(size: Size, style: Style) -> Self {
        let (width, height) = (size.width_px as usize, size.height_px as usize);
        Self {
            layer: Layer::new(width, height),
            rasterizer: Rasterizer::new(width, height),
            stroker: PathStroker::new(),
            view: Transform::identity(),
            clip: None,
            has_lines: style != Style::NoLines,
            has_shading: style != Style::Flat,
        }
    }

    /// Makes figure units so that `origin_px` is the origin and one unit is `scale` pixels.
    pub(crate) fn set_view(&mut self, origin_px: Point, scale: f32) {
        self.view = Transform::from_row(scale, 0.0, 0.0, scale, origin_px.0, origin_px.1);
    }

    /// Runs `draw` with the view turned by `degrees` around `pivot`.
    pub(crate) fn turned(&mut self, degrees: f32, pivot: Point, draw: impl FnOnce(&mut Self)) {
        let before = self.view;
        self.view = before.pre_concat(Transform::from_rotate_at(degrees, pivot.0, pivot.1));
        draw(self);
        self.view = before;
    }

    /// Runs `draw` with heights multiplied by `factor` around the height `pivot_y`.
    pub(crate) fn squeezed(&mut self, factor: f32, pivot_y: f32, draw: impl FnOnce(&mut Self)) {
        let before = self.view;
        self.view = before.pre_concat(Transform::from_row(1.0, 0.0, 0.0, factor, 0.0, pivot_y * (1.0 - factor)));
        draw(self);
        self.view = before;
    }

    /// Whether the style has light and shadow.
    #[must_use]
    pub(crate) fn has_shading(&self) -> bool {
        self.has_shading
    }

    /// Fills the inside of a shape, edges antialiased.
    pub(crate) fn fill(&mut self, shape: &Shape, color: Rgb) {
        self.fill_faded(shape, color, 1.0);
    }

    /// As [`fill`](Self::fill) with an opacity: 0 draws nothing, 1 covers.
    pub(crate) fn fill_faded(&mut self, shape: &Shape, color: Rgb, opacity: f32) {
        self.fill_with(shape, Source::Solid(color, opacity));
    }

    /// Fills a shape with a colour that changes from `from` (at `start`) to `to` (at `end`).
    pub(crate) fn fill_gradient(&mut self, shape: &Shape, start: Point, end: Point, from: Rgb, to: Rgb) {
        self.fill_gradient_faded(shape, (start, from, 1.0), (end, to, 1.0));
    }

    /// Fills a shape with a gradient whose ends each have a point, a colour and an opacity.
    pub(crate) fn fill_gradient_faded(&mut self, shape: &Shape, start: (Point, Rgb, f32), end: (Point, Rgb, f32)) {
        let [(x0, y0), (x1, y1)] = [start.0, end.0].map(|(x, y)| {
            (self.view.sx * x + self.view.kx * y + self.view.tx, self.view.ky * x + self.view.sy * y + self.view.ty)
        });
        let (dx, dy) = (x1 - x0, y1 - y0);
        let length = (dx * dx + dy * dy).max(1e-6);
        let (a, b) = (dx / length, dy / length);
        let axis = (a, b, -(a * x0 + b * y0));
        self.fill_with(shape, Source::Linear { axis, from: (start.1, start.2), to: (end.1, end.2) });
    }

    fn fill_with(&mut self, shape: &Shape, source: Source) {
        if let Some(path) = &shape.0 {
            self.layer.fill(&mut self.rasterizer, path, self.view, source, self.clip.as_ref());
        }
    }

    /// Draws a line along a shape, whatever the style.
    pub(crate) fn stroke(&mut self, shape: &Shape, color: Rgb, width: f32) {
        let stroke = Stroke { width, line_cap: LineCap::Round, line_join: LineJoin::Round, ..Stroke::default() };
        let resolution = PathStroker::compute_resolution_scale(&self.view);
        let outline = shape.0.as_ref().and_then(|path| self.stroker.stroke(path, &stroke, resolution));
        self.fill(&Shape(outline), color);
    }

    /// Draws the contour of shapes that will be filled afterwards; nothing in a style without lines.
    pub(crate) fn contour(&mut self, shapes: &[&Shape], color: Rgb) {
        if self.has_lines {
            for shape in shapes {
                self.stroke(shape, color, 2.0 * LINE_WIDTH);
            }
        }
    }

    /// Draws shapes as one part: a common contour, then their fill.
    pub(crate) fn part(&mut self, shapes: &[&Shape], ramp: &Ramp) {
        self.contour(shapes, ramp.line);
        for shape in shapes {
            self.fill(shape, ramp.base);
        }
    }

    /// A line inside a part: a seam, a strand, a fold. Left out by styles without lines.
    pub(crate) fn line(&mut self, shape: &Shape, color: Rgb) {
        if self.has_lines {
            self.fill(shape, color);
        }
    }

    /// Light or shadow on a part, kept inside it; nothing in a style without shading.
    pub(crate) fn shade(&mut self, part: &Shape, patches: &[&Shape], color: Rgb) {
        if self.has_shading {
            self.clipped(part, |canvas| {
                for patch in patches {
                    canvas.fill(patch, color);
                }
            });
        }
    }

    /// The shadow that `caster` throws on `part`, moved by `offset`; nothing in a style without shading.
    pub(crate) fn cast(&mut self, part: &Shape, caster: &Shape, offset: Point, color: Rgb) {
        if self.has_shading {
            self.clipped(part, |canvas| {
                let before = canvas.view;
                canvas.view = before.pre_translate(offset.0, offset.1);
                canvas.fill(caster, color);
                canvas.view = before;
            });
        }
    }

    /// Runs `draw` with everything outside `shape` protected. Clips do not nest: the inner one holds.
    pub(crate) fn clipped(&mut self, shape: &Shape, draw: impl FnOnce(&mut Self)) {
        let Some(path) = &shape.0 else { return };
        let mask = Clip::new(&mut self.rasterizer, path, self.view);
        let before = self.clip.replace(mask);
        draw(self);
        self.clip = before;
    }

    /// Lays a picture of the same size over this one.
    pub(crate) fn compose(&mut self, layer: &Layer) {
        self.layer.compose(layer);
    }

    /// What was drawn.
    #[must_use]
    pub(crate) fn into_layer(self) -> Layer {
        self.layer
    }
}
