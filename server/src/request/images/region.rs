//! Chooses the part of a picture that is generated alone, and the size at which it is generated.

use sakuga_model_core::{Area, SizeLimits};

/// A part of a picture, and the size at which the model draws it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DrawnRegion {
    /// The part.
    pub area: Area,
    /// Width at which it is drawn, in pixels.
    pub width_px: u32,
    /// Height at which it is drawn, in pixels.
    pub height_px: u32,
}

/// The area around `marked`: extended by `padding_px`, then to a square, then to the aspect ratio of the size at which it is
/// generated, each as far as the picture allows. That size has about the number of pixels of the model's default size.
pub(crate) fn surroundings(
    marked: &Area,
    padding_px: u32,
    [width_px, height_px]: [u32; 2],
    default_px: u32,
    size: &SizeLimits,
) -> DrawnRegion {
    let across = grown([marked.left_px, marked.width_px], marked.width_px + 2 * padding_px, width_px);
    let down = grown([marked.top_px, marked.height_px], marked.height_px + 2 * padding_px, height_px);
    let side = across[1].max(down[1]);
    let (across, down) = (grown(across, side, width_px), grown(down, side, height_px));
    let multiple = size.multiple_px.max(1);
    let scale = f64::from(default_px) / (f64::from(across[1]) * f64::from(down[1])).sqrt();
    let drawn = |length: u32| {
        let edge = (f64::from(length) * scale / f64::from(multiple)).round() as u32 * multiple;
        edge.clamp(multiple, size.edge_max_px / multiple * multiple)
    };
    let (drawn_width, drawn_height) = (drawn(across[1]), drawn(down[1]));
    // The edge that is shorter in proportion grows, so that the part keeps its shape.
    let fitting = |length: u32, drawn: u32, other_drawn: u32| {
        (u64::from(length) * u64::from(other_drawn)).div_ceil(u64::from(drawn)) as u32
    };
    let down = grown(down, down[1].max(fitting(across[1], drawn_width, drawn_height)), height_px);
    let across = grown(across, across[1].max(fitting(down[1], drawn_height, drawn_width)), width_px);
    let area = Area { left_px: across[0], top_px: down[0], width_px: across[1], height_px: down[1] };
    DrawnRegion { area, width_px: drawn_width, height_px: drawn_height }
}

/// An interval `[start, length]` that is extended evenly on both sides, moved into `0..edge`, and at most as long as
/// that.
fn grown([start, length]: [u32; 2], wanted: u32, edge: u32) -> [u32; 2] {
    let longer = wanted.max(length).min(edge);
    let start = start.saturating_sub((longer - length.min(longer)) / 2).min(edge - longer);
    [start, longer]
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: SizeLimits = SizeLimits { multiple_px: 16, edge_max_px: 4096, pixels_max: 2048 * 2048 };

    #[test]
    fn the_surroundings_hold_the_mask_and_its_padding_within_the_picture() {
        for (left_px, top_px, width_px, height_px) in
            [(0, 0, 5, 9), (500, 400, 12, 200), (790, 0, 10, 600), (0, 0, 800, 600)]
        {
            let marked = Area { left_px, top_px, width_px, height_px };
            let DrawnRegion { area, width_px: drawn_width, height_px: drawn_height } =
                surroundings(&marked, 32, [800, 600], 256, &SIZE);
            assert!(area.fits(800, 600), "{area:?}");
            let holds = |start: u32, length: u32, outer: u32, outer_length: u32, edge: u32| {
                outer <= start.saturating_sub(32) && outer + outer_length >= (start + length + 32).min(edge)
            };
            assert!(holds(left_px, width_px, area.left_px, area.width_px, 800), "{marked:?} in {area:?}");
            assert!(holds(top_px, height_px, area.top_px, area.height_px, 600), "{marked:?} in {area:?}");
            assert!(drawn_width.is_multiple_of(16) && drawn_height.is_multiple_of(16));
            let pixels = drawn_width * drawn_height;
            assert!((48_000..=84_000).contains(&pixels), "{drawn_width}x{drawn_height}");
        }
    }

    #[test]
    fn a_small_mask_is_drawn_as_a_square_at_the_default_size() {
        let marked = Area { left_px: 300, top_px: 300, width_px: 60, height_px: 20 };
        let drawn = surroundings(&marked, 10, [800, 600], 256, &SIZE);
        assert_eq!((drawn.width_px, drawn.height_px), (256, 256));
        assert_eq!(drawn.area, Area { left_px: 290, top_px: 270, width_px: 80, height_px: 80 });
    }

    #[test]
    fn a_flat_picture_has_no_room_for_a_square() {
        let marked = Area { left_px: 0, top_px: 0, width_px: 700, height_px: 10 };
        let drawn = surroundings(&marked, 0, [800, 100], 256, &SIZE);
        assert_eq!((drawn.area.width_px, drawn.area.height_px), (700, 100));
        assert!(drawn.width_px > 5 * drawn.height_px);
    }
}
