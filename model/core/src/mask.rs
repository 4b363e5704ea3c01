//! [`Mask`]: which pixels of an image change.

use std::fmt;

use crate::Area;

/// The weight of the generated image in each pixel: 0 keeps the pixel of the initial image bit for bit, 255 replaces it, and values
/// in between blend the two.
#[derive(Clone, PartialEq, Eq)]
pub struct Mask {
    width_px: u32,
    height_px: u32,
    levels: Vec<u8>,
}

impl Mask {
    /// A mask that keeps every pixel.
    pub fn empty(width_px: u32, height_px: u32) -> Self {
        Self { width_px, height_px, levels: vec![0; width_px as usize * height_px as usize] }
    }

    /// A mask of `width_px * height_px` values, row by row. Values of at least 128 become 255, others 0. `None` if the number of
    /// values is different.
    pub fn from_levels(width_px: u32, height_px: u32, levels: &[u8]) -> Option<Self> {
        let is_whole = levels.len() == width_px as usize * height_px as usize;
        let levels = levels.iter().map(|level| if *level < 128 { 0 } else { 255 }).collect();
        is_whole.then_some(Self { width_px, height_px, levels })
    }

    /// Width in pixels.
    pub fn width_px(&self) -> u32 {
        self.width_px
    }

    /// Height in pixels.
    pub fn height_px(&self) -> u32 {
        self.height_px
    }

    /// One level for each pixel, row by row.
    pub fn levels(&self) -> &[u8] {
        &self.levels
    }

    /// Marks all pixels of `area`, which must lie within the mask.
    pub fn mark(&mut self, area: &Area) {
        self.fill(area, 255);
    }

    /// Keeps all pixels of `area`, which must lie within the mask.
    pub fn keep(&mut self, area: &Area) {
        self.fill(area, 0);
    }

    fn fill(&mut self, area: &Area, level: u8) {
        for y in area.rows() {
            let row = y * self.width_px as usize;
            self.levels[row + area.columns().start..row + area.columns().end].fill(level);
        }
    }

    /// The greater level of both masks, which must have the same size.
    #[must_use]
    pub fn union(mut self, other: &Self) -> Self {
        assert_eq!((self.width_px, self.height_px), (other.width_px, other.height_px), "masks of one size");
        self.levels.iter_mut().zip(&other.levels).for_each(|(level, other)| *level = (*level).max(*other));
        self
    }

    /// The mask that keeps what this one draws again, and draws again what this one keeps.
    #[must_use]
    pub fn inverted(mut self) -> Self {
        self.levels.iter_mut().for_each(|level| *level = 255 - *level);
        self
    }

    /// The mask with every pixel marked that is at most `radius_px` from one that is not kept, along rows, columns and diagonals
    /// alike.
    #[must_use]
    pub fn grown(&self, radius_px: u32) -> Self {
        let any = |sum: u32, _: u32| -> u8 { if sum > 0 { 255 } else { 0 } };
        self.windowed(radius_px, &any)
    }

    /// The mask with a soft edge: pixels at 255 stay, and around them the level falls to 0 within `feather_px` pixels, along
    /// rows, columns and diagonals alike.
    #[must_use]
    pub fn feathered(&self, feather_px: u32) -> Self {
        // The mask is grown by half of the feather, and then averaged over the other half on both sides.
        let (blur, grow) = (feather_px / 2, feather_px.div_ceil(2));
        let mean = |sum: u32, count: u32| (sum / count) as u8;
        self.grown(grow).windowed(blur, &mean)
    }

    /// The mask with the values of the square window around each pixel combined; `radius_px` 0 changes nothing.
    fn windowed(&self, radius_px: u32, combine: &dyn Fn(u32, u32) -> u8) -> Self {
        if radius_px == 0 {
            return self.clone();
        }
        let size = [self.height_px as usize, self.width_px as usize];
        Self { levels: windows(&self.levels, size, radius_px as usize, combine), ..*self }
    }

    /// The part in `area` at another size. A pixel of the result is not kept if any pixel that it covers is not kept. `area` must
    /// lie within the mask.
    #[must_use]
    pub fn covering(&self, area: &Area, width_px: u32, height_px: u32) -> Self {
        let covered = |place: u32, from: u32, to: u32| {
            let (place, from, to) = (u64::from(place), u64::from(from), u64::from(to));
            (place * from / to) as usize..((place + 1) * from).div_ceil(to) as usize
        };
        let row = |y: usize| {
            let start = (y + area.top_px as usize) * self.width_px as usize + area.left_px as usize;
            &self.levels[start..start + area.width_px as usize]
        };
        let mut levels = Vec::with_capacity(width_px as usize * height_px as usize);
        for y in 0..height_px {
            let rows: Vec<&[u8]> = covered(y, area.height_px, height_px).map(row).collect();
            levels.extend((0..width_px).map(|x| {
                let columns = covered(x, area.width_px, width_px);
                let is_drawn = rows.iter().any(|row| row[columns.clone()].iter().any(|level| *level > 0));
                if is_drawn { 255 } else { 0 }
            }));
        }
        Self { width_px, height_px, levels }
    }

    /// The smallest area with every pixel that is not kept; `None` if all are kept.
    pub fn bounds(&self) -> Option<Area> {
        let width = (self.width_px as usize).max(1);
        let is_drawn = |row: &&[u8]| row.iter().any(|level| *level > 0);
        let rows: Vec<&[u8]> = self.levels.chunks_exact(width).collect();
        let top = rows.iter().position(is_drawn)?;
        let bottom = rows.iter().rposition(is_drawn)?;
        let drawn = &rows[top..=bottom];
        let left = drawn.iter().filter_map(|row| row.iter().position(|level| *level > 0)).min()?;
        let right = drawn.iter().filter_map(|row| row.iter().rposition(|level| *level > 0)).max()?;
        Some(Area {
            left_px: left as u32,
            top_px: top as u32,
            width_px: (right - left + 1) as u32,
            height_px: (bottom - top + 1) as u32,
        })
    }

    /// 1 for each block of `factor` x `factor` pixels with at least one pixel that is not kept, else 0, row by row. Both edges
    /// must be multiples of `factor`.
    pub fn blocks(&self, factor: usize) -> Vec<f32> {
        let (width, height) = (self.width_px as usize, self.height_px as usize);
        let (columns, rows) = (width / factor, height / factor);
        let mut blocks = vec![0.0; columns * rows];
        for (place, level) in self.levels.iter().enumerate() {
            let (row, column) = (place / width / factor, place % width / factor);
            if *level > 0 && row < rows && column < columns {
                blocks[row * columns + column] = 1.0;
            }
        }
        blocks
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mask({}x{})", self.width_px, self.height_px)
    }
}

/// Combines the sum and the number of the values in the square window of `radius` around each place, first along rows and
/// then along columns. Places outside count as the nearest ones inside.
fn windows(levels: &[u8], [height, width]: [usize; 2], radius: usize, combine: &dyn Fn(u32, u32) -> u8) -> Vec<u8> {
    let along_rows = lines(levels, [height, width], radius, combine);
    let columns = lines(&transposed(&along_rows, [height, width]), [width, height], radius, combine);
    transposed(&columns, [width, height])
}

fn lines(levels: &[u8], [_, width]: [usize; 2], radius: usize, combine: &dyn Fn(u32, u32) -> u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(levels.len());
    for line in levels.chunks_exact(width.max(1)) {
        let at = |place: isize| u32::from(line[place.clamp(0, width as isize - 1) as usize]);
        let radius = radius as isize;
        let mut sum: u32 = (-radius..=radius).map(at).sum();
        for place in 0..width as isize {
            out.push(combine(sum, 2 * radius as u32 + 1));
            sum = sum + at(place + radius + 1) - at(place - radius);
        }
    }
    out
}

fn transposed(levels: &[u8], [height, width]: [usize; 2]) -> Vec<u8> {
    (0..width).flat_map(|x| (0..height).map(move |y| levels[y * width + x])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(left_px: u32, top_px: u32, width_px: u32, height_px: u32) -> Mask {
        let mut mask = Mask::empty(48, 32);
        mask.mark(&Area { left_px, top_px, width_px, height_px });
        mask
    }

    #[test]
    fn a_feather_falls_from_drawn_to_kept_within_its_width() {
        for feather in [0, 1, 2, 5, 8] {
            let mask = boxed(16, 12, 8, 6).feathered(feather);
            let level = |x: u32, y: u32| mask.levels()[(y * 48 + x) as usize];
            for y in 0..32 {
                for x in 0..48_u32 {
                    let outside = |place: u32, start: u32, end: u32| {
                        start.saturating_sub(place).max((place + 1).saturating_sub(end))
                    };
                    let distance = outside(x, 16, 24).max(outside(y, 12, 18));
                    match distance {
                        0 => assert_eq!(level(x, y), 255, "feather {feather} at {x}, {y}"),
                        far if far > feather => assert_eq!(level(x, y), 0, "feather {feather} at {x}, {y}"),
                        _ => {}
                    }
                }
            }
            let edge: Vec<u8> = (24..34).map(|x| level(x, 15)).collect();
            assert!(edge.windows(2).all(|pair| pair[0] >= pair[1]), "{edge:?}");
        }
        assert!((1..255).contains(&boxed(16, 12, 8, 6).feathered(8).levels()[15 * 48 + 27]), "it is soft");
    }

    #[test]
    fn what_is_protected_stays_outside_of_a_feathered_complement() {
        for feather in [0, 1, 4, 9] {
            let protected = boxed(16, 12, 8, 6);
            let drawn = protected.grown(feather).inverted().feathered(feather);
            for (kept, level) in protected.levels().iter().zip(drawn.levels()) {
                assert!(*kept == 0 || *level == 0, "feather {feather} mixes a protected pixel");
            }
            assert_eq!(drawn.levels()[0], 255, "far away everything is drawn");
        }
    }

    #[test]
    fn bounds_and_blocks_hold_every_drawn_pixel() {
        assert_eq!(Mask::empty(48, 32).bounds(), None);
        let area = Area { left_px: 7, top_px: 9, width_px: 10, height_px: 1 };
        assert_eq!(boxed(7, 9, 10, 1).bounds(), Some(area));
        let blocks = boxed(7, 9, 10, 1).blocks(8);
        let drawn: Vec<usize> = (0..blocks.len()).filter(|place| blocks[*place] > 0.0).collect();
        assert_eq!((blocks.len(), drawn), (24, vec![6, 7, 8]));
    }

    #[test]
    fn a_part_at_another_size_covers_every_drawn_pixel() {
        let mask = boxed(7, 9, 1, 1);
        let area = Area { left_px: 4, top_px: 8, width_px: 8, height_px: 4 };
        let small = mask.covering(&area, 4, 2);
        assert_eq!(small.bounds(), Some(Area { left_px: 1, top_px: 0, width_px: 1, height_px: 1 }));
        let large = mask.covering(&area, 16, 8);
        assert_eq!(large.bounds(), Some(Area { left_px: 6, top_px: 2, width_px: 2, height_px: 2 }));
        assert_eq!(mask.covering(&area, 8, 4).levels().iter().filter(|level| **level > 0).count(), 1);
    }

    #[test]
    fn levels_are_cut_at_one_half() {
        let mask = Mask::from_levels(2, 2, &[0, 127, 128, 255]).expect("four values");
        assert_eq!(mask.levels(), [0, 0, 255, 255]);
        assert!(Mask::from_levels(2, 2, &[0; 3]).is_none());
        let both = mask.union(&Mask::from_levels(2, 2, &[255, 0, 0, 0]).expect("four values"));
        assert_eq!(both.levels(), [255, 0, 255, 255]);
    }
}
