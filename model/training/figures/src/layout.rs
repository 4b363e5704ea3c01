//! Where figures stand: positions and framings as pixels.

use crate::attributes::{Framing, Position};
use crate::rng::Rng;
use crate::scene::Scene;
use crate::size::{SIDE_PX, Size};

/// Where one figure is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// The middle of the head in pixels.
    pub x_px: f32,
    /// See `x_px`.
    pub y_px: f32,
    /// Pixels per figure unit.
    pub scale: f32,
}

/// Where a figure stands before any jitter.
#[must_use]
pub fn nominal(size: Size, figures: usize, framing: Framing, position: Position) -> Placement {
    let side = match position {
        Position::Left => -1.0,
        Position::CenterLeft => -1.0 / 3.0,
        Position::Center => 0.0,
        Position::CenterRight => 1.0 / 3.0,
        Position::Right => 1.0,
    };
    let (spread, scale, y_px) = match (figures, framing) {
        (0 | 1, Framing::FullBody) => (0.0, 1.10, 110.0),
        (0 | 1, Framing::UpperBody) => (0.0, 1.36, 133.0),
        (2, Framing::FullBody) => (63.0, 0.99, 124.0),
        (2, Framing::UpperBody) => (63.0, 1.13, 146.0),
        (3, Framing::FullBody) => (84.0, 0.77, 146.0),
        (3, Framing::UpperBody) => (84.0, 0.82, 176.0),
        (_, Framing::FullBody) => (93.0, 0.62, 166.0),
        (_, Framing::UpperBody) => (93.0, 0.64, 196.0),
    };
    let square = SIDE_PX as f32;
    if size == Size::SQUARE {
        return Placement { x_px: square / 2.0 + side * spread, y_px, scale };
    }
    let (width, height) = (size.width_px as f32, size.height_px as f32);
    // The neighbours limit how wide figures may be, the picture how tall; the feet are as low as in a square.
    let tallest = match framing {
        Framing::FullBody => 1.10,
        Framing::UpperBody => 1.36,
    };
    let widest = if figures < 2 { tallest * 1.2 } else { scale };
    let fitting = (tallest * height / square).min(widest * width / square);
    Placement {
        x_px: width / 2.0 + side * spread * width / square,
        y_px: height - (square - y_px) / scale * fitting,
        scale: fitting,
    }
}

/// Where a figure of a scene stands: its nominal place, shifted and scaled a little as the seed has it.
#[must_use]
pub fn placement(size: Size, scene: &Scene, index: usize) -> Placement {
    let position = scene.figures.get(index).map_or(Position::Center, |figure| figure.position);
    let place = nominal(size, scene.figures.len(), scene.framing, position);
    let mut rng = Rng::for_stream(scene.seed, 0x1a70 + index as u64);
    Placement {
        x_px: place.x_px + rng.between(-2.5, 2.5),
        y_px: place.y_px + rng.between(-2.5, 2.5),
        scale: place.scale * rng.between(0.98, 1.02),
    }
}
