//! Shapes in figure units: splines with corners, tapered lines, limbs.

use tiny_skia_path::{Path, PathBuilder, Rect};

/// A point in figure units.
pub(crate) type Point = (f32, f32);

/// A closed outline, or nothing if its points do not span an area.
#[derive(Clone, Debug)]
pub(crate) struct Shape(pub(crate) Option<Path>);

/// A knot of a spline: the curve runs smoothly through it, or turns there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Knot {
    x: f32,
    y: f32,
    is_corner: bool,
}

/// A knot through which the curve runs smoothly.
#[must_use]
pub(crate) const fn s(x: f32, y: f32) -> Knot {
    Knot { x, y, is_corner: false }
}

/// A knot at which the curve turns: the tip of a lock, the corner of a collar.
#[must_use]
pub(crate) const fn k(x: f32, y: f32) -> Knot {
    Knot { x, y, is_corner: true }
}

impl Knot {
    /// The same knot on the other side of the vertical axis for `side` = -1, itself for 1.
    #[must_use]
    pub(crate) fn on(self, side: f32) -> Self {
        Self { x: self.x * side, ..self }
    }

    /// The same knot moved by (`dx`, `dy`).
    #[must_use]
    pub(crate) fn shifted(self, dx: f32, dy: f32) -> Self {
        Self { x: self.x + dx, y: self.y + dy, ..self }
    }
}

impl Shape {
    /// A closed Catmull-Rom spline through the knots; between two corners it is a straight line.
    #[must_use]
    pub(crate) fn spline(knots: &[Knot]) -> Self {
        Self::through(knots, true)
    }

    /// An open spline, to be stroked.
    #[must_use]
    pub(crate) fn curve(knots: &[Knot]) -> Self {
        Self::through(knots, false)
    }

    /// The spline of the knots mirrored for `side` = -1.
    #[must_use]
    pub(crate) fn sided(side: f32, knots: &[Knot]) -> Self {
        let knots: Vec<Knot> = knots.iter().map(|knot| knot.on(side)).collect();
        Self::spline(&knots)
    }

    /// The right half of a symmetric outline, top to bottom, completed by its mirror image.
    #[must_use]
    pub(crate) fn symmetric(right_half: &[Knot]) -> Self {
        let mirrored = right_half.iter().rev().filter(|knot| knot.x != 0.0).map(|knot| knot.on(-1.0));
        let knots: Vec<Knot> = right_half.iter().copied().chain(mirrored).collect();
        Self::spline(&knots)
    }

    fn through(knots: &[Knot], is_closed: bool) -> Self {
        let count = knots.len();
        if count < 2 {
            return Self(None);
        }
        let at = |index: isize| {
            if is_closed {
                knots[index.rem_euclid(count as isize) as usize]
            } else {
                knots[index.clamp(0, count as isize - 1) as usize]
            }
        };
        let mut builder = PathBuilder::with_capacity(count + 2, 3 * count + 2);
        builder.move_to(knots[0].x, knots[0].y);
        let segments = if is_closed { count } else { count - 1 };
        for index in 0..segments as isize {
            let [before, from, to, after] = [at(index - 1), at(index), at(index + 1), at(index + 2)];
            if from.is_corner && to.is_corner {
                builder.line_to(to.x, to.y);
                continue;
            }
            // A sixth of the chord between the neighbours is the uniform Catmull-Rom tangent as a Bézier handle; at a
            // corner the handle looks at the other end, bent by that end's own tangent.
            let leave = ((to.x - before.x) / 6.0, (to.y - before.y) / 6.0);
            let arrive = ((after.x - from.x) / 6.0, (after.y - from.y) / 6.0);
            let (mut c1, mut c2) = ((from.x + leave.0, from.y + leave.1), (to.x - arrive.0, to.y - arrive.1));
            if from.is_corner {
                c1 = (from.x + (c2.0 - from.x) / 3.0, from.y + (c2.1 - from.y) / 3.0);
            }
            if to.is_corner {
                c2 = (to.x + (c1.0 - to.x) / 3.0, to.y + (c1.1 - to.y) / 3.0);
            }
            builder.cubic_to(c1.0, c1.1, c2.0, c2.1, to.x, to.y);
        }
        if is_closed {
            builder.close();
        }
        Self(builder.finish())
    }

    /// An ellipse by centre and radii.
    #[must_use]
    pub(crate) fn ellipse(center: Point, rx: f32, ry: f32) -> Self {
        let rect = Rect::from_ltrb(center.0 - rx, center.1 - ry, center.0 + rx, center.1 + ry);
        Self(rect.and_then(PathBuilder::from_oval))
    }

    #[must_use]
    pub(crate) fn circle(center: Point, radius: f32) -> Self {
        Self::ellipse(center, radius, radius)
    }

    /// A rectangle by its corners.
    #[must_use]
    pub(crate) fn rect(left: f32, top: f32, right: f32, bottom: f32) -> Self {
        Self(Rect::from_ltrb(left, top, right, bottom).map(PathBuilder::from_rect))
    }

    #[must_use]
    pub(crate) fn polygon(points: &[Point]) -> Self {
        let knots: Vec<Knot> = points.iter().map(|&(x, y)| k(x, y)).collect();
        Self::spline(&knots)
    }

    /// A line that is `width` wide at its middle and thins out to both ends, bent towards `control`.
    #[must_use]
    pub(crate) fn taper(from: Point, control: Point, to: Point, width: f32) -> Self {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = dx.hypot(dy).max(1e-3);
        let (nx, ny) = (-dy / length * width, dx / length * width);
        let mut builder = PathBuilder::new();
        builder.move_to(from.0, from.1);
        builder.quad_to(control.0 + nx, control.1 + ny, to.0, to.1);
        builder.quad_to(control.0 - nx, control.1 - ny, from.0, from.1);
        builder.close();
        Self(builder.finish())
    }

    /// An arm or a leg: a band along a curve from `from` to `to`, bent towards `control`, with a half width at each end.
    #[must_use]
    pub(crate) fn limb(from: Point, control: Point, to: Point, from_half_width: f32, to_half_width: f32) -> Self {
        const STEPS: usize = 6;
        let mut near = [s(0.0, 0.0); STEPS + 1];
        let mut far = [s(0.0, 0.0); STEPS + 1];
        for step in 0..=STEPS {
            let t = step as f32 / STEPS as f32;
            let (x, y) = bezier(from, control, to, t);
            let (dx, dy) = bezier_direction(from, control, to, t);
            let half = from_half_width + (to_half_width - from_half_width) * t;
            near[step] = s(x - dy * half, y + dx * half);
            far[STEPS - step] = s(x + dy * half, y - dx * half);
        }
        for end in [0, STEPS] {
            near[end].is_corner = true;
            far[end].is_corner = true;
        }
        let knots: Vec<Knot> = near.into_iter().chain(far).collect();
        Self::spline(&knots)
    }

    /// A star with `points` tips.
    #[must_use]
    pub(crate) fn star(center: Point, outer: f32, inner: f32, points: usize) -> Self {
        let corners: Vec<Point> = (0..2 * points)
            .map(|index| {
                let angle = std::f32::consts::PI * (index as f32 / points as f32 - 0.5);
                let radius = if index % 2 == 0 { outer } else { inner };
                (center.0 + radius * angle.cos(), center.1 + radius * angle.sin())
            })
            .collect();
        Self::polygon(&corners)
    }
}

/// The point of a quadratic Bézier curve at `t`.
#[must_use]
pub(crate) fn bezier(from: Point, control: Point, to: Point, t: f32) -> Point {
    let u = 1.0 - t;
    let blend = |a: f32, b: f32, c: f32| u * u * a + 2.0 * u * t * b + t * t * c;
    (blend(from.0, control.0, to.0), blend(from.1, control.1, to.1))
}

/// The unit vector along a quadratic Bézier curve at `t`.
#[must_use]
pub(crate) fn bezier_direction(from: Point, control: Point, to: Point, t: f32) -> Point {
    let slope = |a: f32, b: f32, c: f32| (1.0 - t) * (b - a) + t * (c - b);
    let (dx, dy) = (slope(from.0, control.0, to.0), slope(from.1, control.1, to.1));
    let length = dx.hypot(dy).max(1e-3);
    (dx / length, dy / length)
}
