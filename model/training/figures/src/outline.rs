//! The white border of a sticker.

use crate::layer::Layer;
use crate::raster::Bounds;

/// The layer with everything within `radius_px` of its opaque pixels painted white underneath.
pub(crate) fn white(layer: &Layer, radius_px: f32) -> Layer {
    let (width, height) = layer.size();
    let mut grown: Vec<u8> = layer.pixels.iter().map(|pixel| if pixel[3] > 96 { pixel[3] } else { 0 }).collect();
    // A square of radius a followed by steps of one in four directions makes an octagon, near enough to a circle.
    let straight = (radius_px * 0.55).round() as usize;
    let diagonal = (radius_px * 0.45).round() as usize;
    for _ in 0..straight {
        grown = maximum(&grown, width, height, &[(1, 0), (-1, 0), (0, 1), (0, -1)]);
    }
    for _ in 0..diagonal {
        grown = maximum(&grown, width, height, &[(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)]);
    }
    let mut bordered = layer.clone();
    for (pixel, &white) in bordered.pixels.iter_mut().zip(&grown) {
        let under = u16::from(255 - pixel[3]) * u16::from(white) / 255;
        for channel in pixel.iter_mut() {
            *channel = (u16::from(*channel) + under).min(255) as u8;
        }
    }
    bordered.drawn = Bounds { left: 0, top: 0, right: width, bottom: height };
    bordered
}

fn maximum(values: &[u8], width: usize, height: usize, offsets: &[(isize, isize)]) -> Vec<u8> {
    let mut grown = values.to_vec();
    for &(dx, dy) in offsets {
        for y in 0..height {
            let Some(from_y) = y.checked_add_signed(dy).filter(|&from| from < height) else { continue };
            let from_row = &values[from_y * width..(from_y + 1) * width];
            let row = &mut grown[y * width..(y + 1) * width];
            let (to, from) = match dx {
                1 => (&mut row[..width - 1], &from_row[1..]),
                -1 => (&mut row[1..], &from_row[..width - 1]),
                _ => (&mut row[..], from_row),
            };
            for (value, &neighbour) in to.iter_mut().zip(from) {
                *value = (*value).max(neighbour);
            }
        }
    }
    grown
}
