//! One channel of a picture, and separable filters over it.

/// One channel of a picture, row by row.
#[derive(Clone, Debug)]
pub(crate) struct Plane {
    pub(crate) values: Vec<f64>,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

impl Plane {
    pub(crate) fn of(values: Vec<f64>, width: usize) -> Self {
        let height = values.len() / width.max(1);
        Self { values, width, height }
    }

    /// The plane convolved with `horizontal` along rows and `vertical` along columns, both of an odd length; pixels of the edge
    /// are repeated beyond it.
    pub(crate) fn filtered(&self, horizontal: &[f64], vertical: &[f64]) -> Self {
        let rows = self.along(horizontal, |at, offset| {
            let column = (at % self.width) as isize + offset;
            at - at % self.width + column.clamp(0, self.width as isize - 1) as usize
        });
        rows.along(vertical, |at, offset| {
            let row = (at / self.width) as isize + offset;
            row.clamp(0, self.height as isize - 1) as usize * self.width + at % self.width
        })
    }

    fn along(&self, kernel: &[f64], place: impl Fn(usize, isize) -> usize) -> Self {
        let radius = (kernel.len() / 2) as isize;
        let value = |at: usize| -> f64 {
            kernel.iter().zip(-radius..).map(|(weight, offset)| weight * self.values[place(at, offset)]).sum()
        };
        Self { values: (0..self.values.len()).map(value).collect(), ..*self }
    }

    /// Both planes, value by value.
    pub(crate) fn combined(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        let values = self.values.iter().zip(&other.values).map(|(a, b)| f(*a, *b)).collect();
        Self { values, ..*self }
    }

    /// The plane with `change` applied to each value.
    pub(crate) fn mapped(&self, f: impl Fn(f64) -> f64) -> Self {
        Self { values: self.values.iter().copied().map(f).collect(), ..*self }
    }

    /// Half as wide and high: means of four values.
    pub(crate) fn halved(&self) -> Self {
        let (width, height) = (self.width / 2, self.height / 2);
        let value = |at: usize| {
            let first = 2 * (at / width) * self.width + 2 * (at % width);
            let below = first + self.width;
            (self.values[first] + self.values[first + 1] + self.values[below] + self.values[below + 1]) / 4.0
        };
        Self { values: (0..width * height).map(value).collect(), width, height }
    }
}

/// A filter whose positive weights sum to 1 and whose negative ones to -1.
pub(crate) fn normalised(line: &[f64]) -> Vec<f64> {
    let positive: f64 = line.iter().filter(|value| **value > 0.0).sum();
    let negative: f64 = -line.iter().filter(|value| **value < 0.0).sum::<f64>();
    line.iter().map(|&value| if value < 0.0 { value / negative } else { value / positive }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_repeat_the_edge_and_keep_the_order() {
        let plane = Plane::of(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3);
        let shifted = plane.filtered(&[0.0, 0.0, 1.0], &[1.0]);
        assert_eq!(shifted.values, [2.0, 3.0, 3.0, 5.0, 6.0, 6.0]);
        assert_eq!(plane.filtered(&[1.0], &[1.0, 0.0, 0.0]).values, [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
    }

    #[test]
    fn halves_are_means() {
        let halved = Plane::of(vec![1.0, 3.0, 9.0, 5.0, 7.0, 9.0], 3).halved();
        assert_eq!((halved.values, halved.width, halved.height), (vec![4.0], 1, 1));
    }
}
