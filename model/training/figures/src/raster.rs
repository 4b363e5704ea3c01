//! Polygons to pixels: exact-area anti-aliasing by signed accumulation.
//!
//! The method is that of font-rs (R. Levien, "Inside the fastest font renderer in the world", 2016): every edge adds its
//! signed area to the cells it crosses, and a running sum along each row gives the coverage. A figure has some three
//! hundred small shapes, and this takes a fraction of the time that tiny-skia's supersampling takes for them.

use tiny_skia_path::{Path, PathSegment, Point, Transform};

/// The greatest distance in pixels between a curve and the chords that replace it.
const FLATNESS_PX: f32 = 0.08;

/// Less than this cannot be seen in 8 bits; it is also what rounding leaves of a sum that should be zero.
const MIN_COVERAGE: f32 = 1.0 / 512.0;

/// Cells that are looked at together when zeros are skipped.
const BLOCK: usize = 8;

/// A rectangle of pixels, right and bottom excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub left: usize,
    pub top: usize,
    pub right: usize,
    pub bottom: usize,
}

impl Bounds {
    /// No pixels.
    pub(crate) const EMPTY: Self = Self { left: usize::MAX, top: usize::MAX, right: 0, bottom: 0 };

    /// Whether there is no pixel inside.
    pub(crate) fn is_empty(&self) -> bool {
        self.left >= self.right || self.top >= self.bottom
    }

    /// The smallest rectangle around both.
    pub(crate) fn union(self, other: Self) -> Self {
        Self {
            left: self.left.min(other.left),
            top: self.top.min(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
    }
}

/// Accumulates the edges of one shape at a time.
#[derive(Debug)]
pub(crate) struct Rasterizer {
    width: usize,
    height: usize,
    stride: usize,
    cells: Vec<f32>,
    edges: Vec<(Point, Point)>,
}

impl Rasterizer {
    /// A rasterizer for pictures of one size in pixels.
    pub(crate) fn new(width: usize, height: usize) -> Self {
        // Two more cells a row: an edge on the right border writes beyond it.
        let stride = width + 2;
        Self { width, height, stride, cells: vec![0.0; stride * height], edges: Vec::with_capacity(256) }
    }

    /// Calls `span` with (y, first x, number of pixels, coverage) for the parts of the shape inside of `window`.
    ///
    /// Coverage is the running sum of what the edges added: 0 outside, 1 inside, -1 inside of a clockwise outline, more
    /// where an outline overlaps itself; its absolute value, at most 1, is what counts. Spans without any are left out.
    pub(crate) fn rasterize(
        &mut self,
        path: &Path,
        view: Transform,
        window: Bounds,
        mut span: impl FnMut(usize, usize, usize, f32),
    ) -> Bounds {
        self.flatten(path, view);
        let Some(bounds) = self.bounds(window) else { return Bounds::EMPTY };
        let edges = std::mem::take(&mut self.edges);
        for &(from, to) in &edges {
            self.accumulate(from, to, bounds);
        }
        self.edges = edges;
        for y in bounds.top..bounds.bottom {
            let start = y * self.stride;
            let cells = &mut self.cells[start..start + self.stride];
            let mut sum = 0.0_f32;
            let mut x = bounds.left;
            while x < bounds.right {
                // Most of a shape is its inside and most of its box is outside: there the cells are zero.
                let run = zero_run(&cells[x..bounds.right]);
                if run > 0 {
                    let coverage = sum.abs().min(1.0);
                    if coverage > MIN_COVERAGE {
                        span(y, x, run, coverage);
                    }
                    x += run;
                    continue;
                }
                for cell in &mut cells[x..(x + BLOCK).min(bounds.right)] {
                    sum += *cell;
                    *cell = 0.0;
                    let coverage = sum.abs().min(1.0);
                    if coverage > MIN_COVERAGE {
                        span(y, x, 1, coverage);
                    }
                    x += 1;
                }
            }
            cells[bounds.right..bounds.right + 2].fill(0.0);
        }
        bounds
    }

    /// The pixels of the whole picture.
    pub(crate) fn everything(&self) -> Bounds {
        Bounds { left: 0, top: 0, right: self.width, bottom: self.height }
    }

    fn bounds(&self, window: Bounds) -> Option<Bounds> {
        let (mut min, mut max) = ((f32::MAX, f32::MAX), (f32::MIN, f32::MIN));
        for (from, to) in &self.edges {
            min = (min.0.min(from.x).min(to.x), min.1.min(from.y).min(to.y));
            max = (max.0.max(from.x).max(to.x), max.1.max(from.y).max(to.y));
        }
        let clamp = |value: f32, end: usize| value.clamp(0.0, end as f32) as usize;
        let bounds = Bounds {
            left: clamp(min.0.floor(), self.width).max(window.left),
            top: clamp(min.1.floor(), self.height).max(window.top),
            right: clamp(max.0.ceil(), self.width).min(window.right),
            bottom: clamp(max.1.ceil(), self.height).min(window.bottom),
        };
        (!bounds.is_empty()).then_some(bounds)
    }

    fn flatten(&mut self, path: &Path, view: Transform) {
        self.edges.clear();
        let map = |point: Point| {
            Point::from_xy(
                view.sx * point.x + view.kx * point.y + view.tx,
                view.ky * point.x + view.sy * point.y + view.ty,
            )
        };
        let (mut start, mut last) = (Point::zero(), Point::zero());
        for segment in path.segments() {
            match segment {
                PathSegment::MoveTo(to) => {
                    self.edges.push((last, start));
                    start = map(to);
                    last = start;
                }
                PathSegment::LineTo(to) => {
                    let to = map(to);
                    self.edges.push((last, to));
                    last = to;
                }
                PathSegment::QuadTo(control, to) => {
                    let (control, to) = (map(control), map(to));
                    let bend = second_difference(last, control, to);
                    let steps = steps_for(bend / 4.0);
                    let from = last;
                    for step in 1..=steps {
                        let t = step as f32 / steps as f32;
                        let u = 1.0 - t;
                        let blend = |a: f32, b: f32, c: f32| u * u * a + 2.0 * u * t * b + t * t * c;
                        let next = Point::from_xy(blend(from.x, control.x, to.x), blend(from.y, control.y, to.y));
                        self.edges.push((last, next));
                        last = next;
                    }
                }
                PathSegment::CubicTo(c1, c2, to) => {
                    let (c1, c2, to) = (map(c1), map(c2), map(to));
                    let bend = second_difference(last, c1, c2).max(second_difference(c1, c2, to));
                    let steps = steps_for(bend * 0.75);
                    let from = last;
                    for step in 1..=steps {
                        let t = step as f32 / steps as f32;
                        let u = 1.0 - t;
                        let blend = |a: f32, b: f32, c: f32, d: f32| {
                            u * u * u * a + 3.0 * u * u * t * b + 3.0 * u * t * t * c + t * t * t * d
                        };
                        let next = Point::from_xy(blend(from.x, c1.x, c2.x, to.x), blend(from.y, c1.y, c2.y, to.y));
                        self.edges.push((last, next));
                        last = next;
                    }
                }
                PathSegment::Close => {
                    self.edges.push((last, start));
                    last = start;
                }
            }
        }
        self.edges.push((last, start));
    }

    fn accumulate(&mut self, from: Point, to: Point, bounds: Bounds) {
        let (direction, from, to) = if from.y < to.y { (1.0, from, to) } else { (-1.0, to, from) };
        let height = to.y - from.y;
        let (left_end, right_end) = (bounds.left as f32, bounds.right as f32);
        let top = bounds.top as f32;
        if height <= 0.0 || to.y <= top || from.y >= bounds.bottom as f32 {
            return;
        }
        let slope = (to.x - from.x) / height;
        let mut x = if from.y < top { from.x + (top - from.y) * slope } else { from.x };
        let first = from.y.max(top) as usize;
        let last = (to.y.ceil() as usize).min(bounds.bottom);
        for y in first..last {
            let covered = ((y + 1) as f32).min(to.y) - (y as f32).max(from.y);
            let x_next = x + slope * covered;
            let area = direction * covered;
            // What is left of the window covers all of the row, what is right of it nothing.
            let (near, far) = if x < x_next { (x, x_next) } else { (x_next, x) };
            let (near, far) = (near.clamp(left_end, right_end), far.clamp(left_end, right_end));
            let cells = &mut self.cells[y * self.stride..(y + 1) * self.stride];
            // Both are at least 0, so truncation is the floor, without a call.
            let (index, end) = (near as usize, far as usize);
            let span = end + usize::from((end as f32) < far) - index;
            let (left, right) = (index as f32, (index + span) as f32);
            if span <= 1 {
                let beyond = 0.5 * (near + far) - left;
                cells[index] += area - area * beyond;
                cells[index + 1] += area * beyond;
            } else {
                let per_pixel = 1.0 / (far - near);
                let head = 1.0 - (near - left);
                let tail = far - right + 1.0;
                let first_area = 0.5 * per_pixel * head * head;
                let last_area = 0.5 * per_pixel * tail * tail;
                cells[index] += area * first_area;
                if span == 2 {
                    cells[index + 1] += area * (1.0 - first_area - last_area);
                } else {
                    let second = per_pixel * (head + 0.5);
                    cells[index + 1] += area * (second - first_area);
                    for cell in &mut cells[index + 2..index + span - 1] {
                        *cell += area * per_pixel;
                    }
                    let before_last = second + (span as f32 - 3.0) * per_pixel;
                    cells[index + span - 1] += area * (1.0 - before_last - last_area);
                }
                cells[index + span] += area * last_area;
            }
            x = x_next;
        }
    }
}

/// How many cells at the start are zero, in whole blocks.
fn zero_run(cells: &[f32]) -> usize {
    let blocks = cells.chunks_exact(BLOCK);
    blocks.take_while(|block| block.iter().fold(0, |bits, cell| bits | cell.to_bits()) == 0).count() * BLOCK
}

fn second_difference(a: Point, b: Point, c: Point) -> f32 {
    (a.x - 2.0 * b.x + c.x).hypot(a.y - 2.0 * b.y + c.y)
}

fn steps_for(deviation_px: f32) -> usize {
    ((deviation_px / FLATNESS_PX).sqrt().ceil() as usize).clamp(1, 48)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tiny_skia_path::{PathBuilder, Rect};

    fn area(path: &Path, view: Transform) -> f32 {
        let mut area = 0.0;
        let mut rasterizer = Rasterizer::new(64, 64);
        let everything = rasterizer.everything();
        rasterizer.rasterize(path, view, everything, |_, _, count, coverage| area += count as f32 * coverage);
        area
    }

    #[test]
    fn coverage_adds_up_to_the_area() {
        let circle = PathBuilder::from_circle(30.3, 28.7, 17.2).expect("a circle");
        let expected = std::f32::consts::PI * 17.2 * 17.2;
        assert!((area(&circle, Transform::identity()) - expected).abs() < 2.5);
        let turned = Transform::from_rotate_at(33.0, 32.0, 32.0);
        assert!((area(&circle, turned) - expected).abs() < 2.5);
        let square = PathBuilder::from_rect(Rect::from_ltrb(1.25, 2.5, 5.25, 7.0).expect("a rectangle"));
        assert!((area(&square, Transform::identity()) - 18.0).abs() < 1e-3);
    }

    #[test]
    fn what_lies_outside_is_cut_off() {
        let square = PathBuilder::from_rect(Rect::from_ltrb(-50.0, -50.0, 10.0, 300.0).expect("a rectangle"));
        assert!((area(&square, Transform::identity()) - 640.0).abs() < 1e-2);
        let right = PathBuilder::from_rect(Rect::from_ltrb(60.0, 60.0, 500.0, 62.0).expect("a rectangle"));
        assert!((area(&right, Transform::identity()) - 8.0).abs() < 1e-2);
        let gone = PathBuilder::from_rect(Rect::from_ltrb(70.0, 0.0, 90.0, 10.0).expect("a rectangle"));
        assert_eq!(area(&gone, Transform::identity()), 0.0);
    }

    #[test]
    fn a_shape_leaves_nothing_behind_for_the_next() {
        let mut rasterizer = Rasterizer::new(32, 32);
        let circle = PathBuilder::from_circle(30.0, 16.0, 12.0).expect("a circle");
        let everything = rasterizer.everything();
        rasterizer.rasterize(&circle, Transform::identity(), everything, |_, _, _, _| {});
        let window = Bounds { left: 20, top: 10, right: 27, bottom: 14 };
        rasterizer.rasterize(&circle, Transform::identity(), window, |_, _, _, _| {});
        assert!(rasterizer.cells.iter().all(|&cell| cell == 0.0));
    }
}
