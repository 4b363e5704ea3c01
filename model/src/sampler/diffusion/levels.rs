//! The noise levels that a solver walks, and the times at which it asks the network.
//!
//! The rules are those of diffusers' schedulers, which differ between solvers, and for named schedules those of ComfyUI.

use super::beta::beta_quantile;
use super::table::NoiseTable;
use crate::sampler::NoiseLevel;

/// The exponent of Karras et al. 2022 (<https://arxiv.org/abs/2206.00364>), equation 5.
const RHO: f64 = 7.0;
/// Both parameters of the beta distribution of [`Named::Beta`].
const BETA: f64 = 0.6;

/// One step of a schedule: where the network is evaluated, and the noise before and after.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The time that the network reads.
    pub time: f64,
    /// Before the step.
    pub from: NoiseLevel,
    /// The level after the step.
    pub to: NoiseLevel,
}

/// How training times are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spacing {
    /// Whole distances from the data's end, moved up by an offset.
    Leading {
        /// Added to each time.
        offset: usize,
    },
    /// Equal distances from the noise's end.
    Trailing,
    /// Equal distances from end to end.
    Linspace,
}

/// How levels lie between the first and the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// Those of the chosen times.
    Times,
    /// By the power of Karras et al.
    Karras,
    /// By equal ratios.
    Exponential,
}

/// The noise level after the last step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// At data without noise.
    Zero,
    /// At the level of the first training time.
    SmallestLevel,
}

/// The solvers that diffusers gives different times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grid {
    /// DPM-Solver++ and UniPC: one point more than steps, whole times, and curves between the ends of the whole table.
    Multistep,
    /// Euler: as many points as steps, fractions allowed, and curves between the ends of the chosen times.
    Euler,
    /// DDIM: as many points as steps, whole times; each step ends a whole distance further.
    Ddim,
}

/// A schedule with a name, by ComfyUI's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Named {
    /// Equal distances in time.
    Normal,
    /// By the power of Karras et al.
    Karras,
    /// By equal ratios.
    Exponential,
    /// Equal distances in time, without the last one.
    SgmUniform,
    /// Whole entries of the table at equal distances from its end.
    Simple,
    /// Whole entries of the table at whole distances from its beginning. It may have more steps than asked for.
    DdimUniform,
    /// Times by the quantiles of a beta distribution (<https://arxiv.org/abs/2407.12173>). It may have fewer steps than asked
    /// for.
    Beta,
}

impl Named {
    /// All, with their names.
    pub const ALL: [(&'static str, Self); 7] = [
        ("normal", Self::Normal),
        ("karras", Self::Karras),
        ("exponential", Self::Exponential),
        ("sgm_uniform", Self::SgmUniform),
        ("simple", Self::Simple),
        ("ddim_uniform", Self::DdimUniform),
        ("beta", Self::Beta),
    ];

    /// The ratios of noise to data before and after each step, from noise to 0, for about `steps` steps.
    pub fn ratios(self, table: &NoiseTable, steps: usize) -> Vec<f64> {
        let last = table.len() - 1;
        let (largest, smallest) = (table.ratio(last), table.ratio(0));
        let timed = |points: usize| -> Vec<f64> {
            (0..steps).map(|i| table.ratio_between_logs(last as f64 * (1.0 - share(i, points)))).collect()
        };
        let mut ratios = match self {
            Self::Normal => timed(steps),
            Self::SgmUniform => timed(steps + 1),
            Self::Karras => karras(largest, smallest, steps),
            Self::Exponential => exponential(largest, smallest, steps),
            Self::Simple => (0..steps)
                .map(|i| table.ratio(last - (i as f64 * table.len() as f64 / steps as f64) as usize))
                .collect(),
            Self::DdimUniform => {
                let distance = (table.len() / steps.max(1)).max(1);
                let mut ratios: Vec<f64> = (1..table.len()).step_by(distance).map(|time| table.ratio(time)).collect();
                ratios.reverse();
                ratios
            }
            Self::Beta => {
                let quantile = |i: usize| beta_quantile(1.0 - i as f64 / steps as f64, BETA);
                let mut times: Vec<usize> =
                    (0..steps).map(|i| (quantile(i) * last as f64).round_ties_even() as usize).collect();
                times.dedup();
                times.into_iter().map(|time| table.ratio(time)).collect()
            }
        };
        ratios.push(0.0);
        ratios
    }
}

/// Steps through `ratios` with the time of each by `time`.
#[doc(hidden)]
pub fn steps_of_ratios(ratios: &[f64], time: impl Fn(f64) -> f64) -> Vec<Step> {
    let level = NoiseLevel::variance_preserving;
    let step = |pair: &[f64]| Step { time: time(pair[0]), from: level(pair[0]), to: level(pair[1]) };
    ratios.windows(2).map(step).collect()
}

/// The steps of diffusers' schedulers.
pub fn library_steps(
    table: &NoiseTable,
    grid: Grid,
    (spacing, curve, ending): (Spacing, Curve, Ending),
    steps: usize,
) -> Vec<Step> {
    let times = times(table.len(), grid, spacing, steps);
    if grid == Grid::Ddim {
        return ddim_steps(table, &times, steps, ending);
    }
    let spaced: Vec<f64> = times.iter().map(|&time| table.ratio_between(time)).collect();
    let (largest, smallest) = match grid {
        Grid::Multistep => (table.ratio(table.len() - 1), table.ratio(0)),
        Grid::Euler | Grid::Ddim => (spaced[0], spaced[spaced.len() - 1]),
    };
    let (mut ratios, times) = match curve {
        Curve::Times => (spaced, times),
        Curve::Karras | Curve::Exponential => {
            let curved = if curve == Curve::Karras { karras } else { exponential };
            let ratios = curved(largest, smallest, steps);
            let time = |&ratio: &f64| {
                let time = table.time(ratio);
                if grid == Grid::Multistep { time.round_ties_even() } else { time }
            };
            let times = ratios.iter().map(time).collect();
            (ratios, times)
        }
    };
    ratios.push(match ending {
        Ending::Zero => 0.0,
        Ending::SmallestLevel => table.ratio(0),
    });
    let level = NoiseLevel::variance_preserving;
    let step = |(&time, pair): (&f64, &[f64])| Step { time, from: level(pair[0]), to: level(pair[1]) };
    times.iter().zip(ratios.windows(2)).map(step).collect()
}

fn ddim_steps(table: &NoiseTable, times: &[f64], steps: usize, ending: Ending) -> Vec<Step> {
    let distance = table.len() / steps;
    let end = match ending {
        Ending::Zero => NoiseLevel { alpha: 1.0, sigma: 0.0 },
        Ending::SmallestLevel => table.level(0),
    };
    let step = |&time: &f64| {
        let to = (time as usize).checked_sub(distance).map_or(end, |time| table.level(time));
        Step { time, from: table.level(time as usize), to }
    };
    times.iter().map(step).collect()
}

/// The chosen training times, falling.
fn times(count: usize, grid: Grid, spacing: Spacing, steps: usize) -> Vec<f64> {
    let points = if grid == Grid::Multistep { steps + 1 } else { steps };
    match spacing {
        Spacing::Leading { offset } => {
            let distance = count / points;
            let first = points - steps;
            (first..points).rev().map(|i| (i * distance + offset) as f64).collect()
        }
        Spacing::Trailing => {
            let distance = count as f64 / steps as f64;
            (0..steps).map(|i| (count as f64 - i as f64 * distance).round_ties_even() - 1.0).collect()
        }
        Spacing::Linspace => {
            // A multiple of the distance, as NumPy computes it: products of shares would round some halves the other way.
            let distance = (count - 1) as f64 / (points.max(2) - 1) as f64;
            let time = |i: usize| {
                let time = i as f64 * distance;
                if grid == Grid::Euler { time } else { time.round_ties_even() }
            };
            (points - steps..points).rev().map(time).collect()
        }
    }
}

/// `i / (points - 1)`, or 0 for a single point.
fn share(i: usize, points: usize) -> f64 {
    if points < 2 { 0.0 } else { i as f64 / (points - 1) as f64 }
}

fn karras(largest: f64, smallest: f64, steps: usize) -> Vec<f64> {
    let (from, to) = (largest.powf(1.0 / RHO), smallest.powf(1.0 / RHO));
    (0..steps).map(|i| (from + share(i, steps) * (to - from)).powf(RHO)).collect()
}

fn exponential(largest: f64, smallest: f64, steps: usize) -> Vec<f64> {
    let (from, to) = (largest.ln(), smallest.ln());
    (0..steps).map(|i| (from + share(i, steps) * (to - from)).exp()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> NoiseTable {
        NoiseTable::scaled_linear(0.00085, 0.012, 1000)
    }

    fn times_of(grid: Grid, spacing: Spacing, steps: usize) -> Vec<f64> {
        let rules = (spacing, Curve::Times, Ending::Zero);
        library_steps(&table(), grid, rules, steps).iter().map(|step| step.time).collect()
    }

    #[test]
    fn spacings_differ_between_solvers() {
        let leading = Spacing::Leading { offset: 1 };
        assert_eq!(times_of(Grid::Euler, leading, 20)[..2], [951.0, 901.0]);
        assert_eq!(times_of(Grid::Ddim, leading, 20)[19], 1.0);
        assert_eq!(times_of(Grid::Multistep, leading, 20)[..2], [941.0, 894.0]);
        assert_eq!(times_of(Grid::Multistep, leading, 20)[19], 48.0);
        assert_eq!(times_of(Grid::Multistep, Spacing::Linspace, 20)[..2], [999.0, 949.0]);
        assert_eq!(times_of(Grid::Euler, Spacing::Linspace, 20)[19], 0.0);
        assert_eq!(times_of(Grid::Euler, Spacing::Trailing, 20)[..2], [999.0, 949.0]);
    }

    #[test]
    fn every_schedule_falls_from_noise_to_nothing() {
        for (name, schedule) in Named::ALL {
            for steps in [1, 2, 7, 30, 200] {
                let ratios = schedule.ratios(&table(), steps);
                assert!(ratios.windows(2).all(|pair| pair[0] > pair[1]), "{name} in {steps} steps: {ratios:?}");
                assert_eq!(ratios.last(), Some(&0.0), "{name}");
            }
        }
    }

    #[test]
    fn the_third_of_thirty_karras_times_is_a_fraction_for_euler_alone() {
        let rules = (Spacing::Leading { offset: 1 }, Curve::Karras, Ending::Zero);
        let steps = library_steps(&table(), Grid::Multistep, rules, 30);
        assert_eq!(steps[2].time, 949.0);
        assert!((table().time(steps[2].from.ratio()) - 949.497).abs() < 1e-2);
        assert_eq!(steps[29].to.sigma, 0.0);
    }
}
