//! Edges of an image (Canny 1986), as OpenCV's `Canny` draws them: Sobel gradients of 3 x 3, the sum of both magnitudes, the
//! colour whose gradient is largest, and no blur.

use sakuga_model_core::Rgb8;

/// The gradient at a pixel.
#[derive(Clone, Copy, Default)]
struct Gradient {
    x: i32,
    y: i32,
}

impl Gradient {
    fn magnitude(self) -> i32 {
        self.x.abs() + self.y.abs()
    }
}

/// White lines on black. A pixel is part of a line from the gradient `high` on, and from `low` on if it is connected to such a
/// pixel.
pub(super) fn edges(image: &Rgb8, low: u32, high: u32) -> Rgb8 {
    let (width, height) = (image.width_px as usize, image.height_px as usize);
    let gradients = gradients(image);
    let magnitude = |x: usize, y: usize| gradients[y * width + x].magnitude();
    // Beyond the border is no gradient.
    let at = |x: isize, y: isize| {
        let inside = (0..width as isize).contains(&x) && (0..height as isize).contains(&y);
        if inside { magnitude(x as usize, y as usize) } else { 0 }
    };
    let (low, high) = (low.min(high) as i32, high.max(low) as i32);
    let mut is_edge = vec![false; width * height];
    let mut weak = vec![false; width * height];
    let mut open = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let found = magnitude(x, y);
            if found <= low || !is_ridge(gradients[y * width + x], found, (x as isize, y as isize), &at) {
                continue;
            }
            if found > high {
                is_edge[y * width + x] = true;
                open.push((x, y));
            } else {
                weak[y * width + x] = true;
            }
        }
    }
    while let Some((x, y)) = open.pop() {
        for next_y in y.saturating_sub(1)..(y + 2).min(height) {
            for next_x in x.saturating_sub(1)..(x + 2).min(width) {
                let place = next_y * width + next_x;
                if std::mem::take(&mut weak[place]) {
                    is_edge[place] = true;
                    open.push((next_x, next_y));
                }
            }
        }
    }
    let pixels = is_edge.into_iter().flat_map(|is_edge| [if is_edge { 255 } else { 0 }; 3]).collect();
    Rgb8 { width_px: image.width_px, height_px: image.height_px, pixels }
}

/// Of each pixel, the gradient of the colour that changes most.
fn gradients(image: &Rgb8) -> Vec<Gradient> {
    let (width, height) = (image.width_px as usize, image.height_px as usize);
    let mut gradients = Vec::with_capacity(width * height);
    for y in 0..height {
        let rows = [y.saturating_sub(1), y, (y + 1).min(height - 1)];
        for x in 0..width {
            let columns = [x.saturating_sub(1), x, (x + 1).min(width - 1)];
            let of_colour = |colour: usize| {
                let level = |row: usize, column: usize| {
                    i32::from(image.pixels[3 * (rows[row] * width + columns[column]) + colour])
                };
                let across = |row: usize| level(row, 2) - level(row, 0);
                let down = |column: usize| level(2, column) - level(0, column);
                Gradient { x: across(0) + 2 * across(1) + across(2), y: down(0) + 2 * down(1) + down(2) }
            };
            let largest = (0..3)
                .map(of_colour)
                .reduce(|largest, next| if next.magnitude() > largest.magnitude() { next } else { largest });
            gradients.push(largest.unwrap_or_default());
        }
    }
    gradients
}

/// Whether no neighbour along the gradient has a larger one; of two that are equal it is the first.
fn is_ridge(gradient: Gradient, found: i32, (x, y): (isize, isize), magnitude: &dyn Fn(isize, isize) -> i32) -> bool {
    // The tangents of 22.5 and 67.5 degrees, in units of 1 / 2^15.
    const TANGENT: i64 = 13_573;
    let (across, down) = (i64::from(gradient.x.abs()), i64::from(gradient.y.abs()) << 15);
    let flat = TANGENT * across;
    if down < flat {
        return found > magnitude(x - 1, y) && found >= magnitude(x + 1, y);
    }
    if down > flat + (across << 16) {
        return found > magnitude(x, y - 1) && found >= magnitude(x, y + 1);
    }
    let side = if (gradient.x ^ gradient.y) < 0 { -1 } else { 1 };
    found > magnitude(x - side, y - 1) && found > magnitude(x + side, y + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(width_px: u32, height_px: u32, level: impl Fn(u32, u32) -> [u8; 3]) -> Rgb8 {
        let mut pixels = Vec::new();
        for y in 0..height_px {
            for x in 0..width_px {
                pixels.extend(level(x, y));
            }
        }
        Rgb8 { width_px, height_px, pixels }
    }

    fn white(image: &Rgb8) -> Vec<(u32, u32)> {
        let places = (0..image.height_px).flat_map(|y| (0..image.width_px).map(move |x| (x, y)));
        places.zip(image.pixels.as_chunks::<3>().0).filter(|(_, pixel)| **pixel == [255; 3]).map(|(at, _)| at).collect()
    }

    #[test]
    fn a_step_is_a_line_of_one_pixel() {
        let step = image(8, 4, |x, _| if x < 4 { [0; 3] } else { [255; 3] });
        assert_eq!(white(&edges(&step, 100, 200)), [(3, 0), (3, 1), (3, 2), (3, 3)]);
        let down = image(4, 8, |_, y| if y < 4 { [0; 3] } else { [0, 0, 255] });
        assert_eq!(white(&edges(&down, 100, 200)), [(0, 3), (1, 3), (2, 3), (3, 3)], "in one colour");
        assert!(white(&edges(&image(8, 8, |_, _| [90; 3]), 100, 200)).is_empty());
    }

    #[test]
    fn a_weak_line_counts_where_it_touches_a_strong_one() {
        // The step is of 40 levels in the upper half, and of 200 in the lower one.
        let mixed = image(8, 8, |x, y| if x < 4 { [0; 3] } else { [if y < 4 { 40 } else { 200 }; 3] });
        let lines = white(&edges(&mixed, 100, 400));
        assert!(lines.contains(&(3, 0)) && lines.contains(&(3, 7)), "{lines:?}");
        let weak_alone = image(8, 8, |x, _| if x < 4 { [0; 3] } else { [40; 3] });
        assert!(white(&edges(&weak_alone, 100, 400)).is_empty());
        assert_eq!(white(&edges(&weak_alone, 100, 150)).len(), 8);
    }

    #[test]
    fn every_size_has_edges() {
        for (width_px, height_px) in [(1, 1), (1, 5), (5, 1), (2, 2)] {
            let found = edges(&image(width_px, height_px, |x, y| [(90 * (x + y)) as u8; 3]), 0, 0);
            assert_eq!(found.pixels.len(), 3 * (width_px * height_px) as usize);
        }
    }
}
