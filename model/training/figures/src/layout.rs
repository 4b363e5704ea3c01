//! Where figures stand: positions and framings as pixels.

use crate::attributes::{Framing, Position};
use crate::rng::Rng;
use crate::scene::Scene;

/// The side of a picture in pixels.
pub const SIDE_PX: u32 = 256;

/// Where one figure is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// The middle of the head, in pixels of a 256 px picture.
    pub x_px: f32,
    /// See `x_px`.
    pub y_px: f32,
    /// Pixels per figure unit.
    pub scale: f32,
}

/// Where a figure stands before any jitter.
#[must_use]
pub fn nominal(figures: usize, framing: Framing, position: Position) -> Placement {
    let side = match position {
        Position::Left => -1.0,
        Position::Center => 0.0,
        Position::Right => 1.0,
    };
    let (spread, scale, y_px) = match (figures, framing) {
        (0 | 1, Framing::FullBody) => (0.0, 1.10, 110.0),
        (0 | 1, Framing::UpperBody) => (0.0, 1.36, 133.0),
        (2, Framing::FullBody) => (63.0, 0.99, 124.0),
        (2, Framing::UpperBody) => (63.0, 1.13, 146.0),
        (_, Framing::FullBody) => (84.0, 0.77, 146.0),
        (_, Framing::UpperBody) => (84.0, 0.82, 176.0),
    };
    Placement { x_px: 128.0 + side * spread, y_px, scale }
}

/// Where a figure of a scene stands: its nominal place, shifted and scaled a little as the seed has it.
#[must_use]
pub fn placement(scene: &Scene, index: usize) -> Placement {
    let position = scene.figures.get(index).map_or(Position::Center, |figure| figure.position);
    let place = nominal(scene.figures.len(), scene.framing, position);
    let mut rng = Rng::for_stream(scene.seed, 0x1a70 + index as u64);
    Placement {
        x_px: place.x_px + rng.between(-2.5, 2.5),
        y_px: place.y_px + rng.between(-2.5, 2.5),
        scale: place.scale * rng.between(0.98, 1.02),
    }
}
