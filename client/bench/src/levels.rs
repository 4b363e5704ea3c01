//! The levels of quality of a model: the settings that are tried, those within the bounds of a level, and the profile
//! as JSON, which the server reads from the folder of the model.

use sakuga_proto::generation::v1::step_cache::Rule;
use sakuga_proto::generation::v1::{ReuseByChange, StepCache};
use serde_json::{Value, json};

use crate::similarity::PSNR_MAX_DB;

/// The version of the profile's form.
const FORMAT: u32 = 1;

/// How much the pictures of a level may differ from the exact ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// The level, as the profile names it.
    pub level: &'static str,
    /// Least mean PSNR in decibels.
    pub psnr_db: f64,
    /// Most attributes that are lost, in percent of all.
    pub binding_loss_percent: f64,
}

/// The levels, the more exact one first.
pub const LEVELS: [Bounds; 2] = [
    Bounds { level: "high", psnr_db: 33.0, binding_loss_percent: 0.3 },
    Bounds { level: "fast", psnr_db: 30.0, binding_loss_percent: 1.0 },
];

/// Settings of the step cache that are tried on a model.
pub fn candidates() -> Vec<StepCache> {
    const THRESHOLDS: [f32; 6] = [0.04, 0.07, 0.1, 0.15, 0.22, 0.35];
    let mut all = Vec::new();
    for taylor_order in [0, 1] {
        for max_consecutive in [1, 2, 3] {
            for threshold in THRESHOLDS {
                let change = ReuseByChange { threshold, warmup_steps: 3, max_consecutive };
                let rule = Some(Rule::ByChange(change));
                all.push(StepCache { front_blocks: 1, back_blocks: 1, rule, taylor_order });
            }
        }
    }
    all
}

/// The pictures drawn with some settings, compared with the exact ones.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Of each picture, in decibels.
    pub psnr_db: Vec<f64>,
    /// MS-SSIM of each picture; empty in the trial.
    pub ms_ssim: Vec<f64>,
    /// FLIP of each picture; empty in the trial.
    pub flip: Vec<f64>,
    /// The attributes that were right in the exact pictures, in these, and in all; `None` if nothing reads them.
    pub binding: Option<([u64; 2], u64)>,
    /// For each step, the sum over the pictures of the shares that reused.
    pub reused: Vec<f64>,
}

/// The mean of the values; 0 if there are none.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

impl Measured {
    /// Mean PSNR in decibels.
    pub fn mean_psnr_db(&self) -> f64 {
        mean(&self.psnr_db)
    }

    /// Adds the reused share of each step of a picture.
    pub fn add_steps(&mut self, shares: &[f32]) {
        self.reused.resize(self.reused.len().max(shares.len()), 0.0);
        self.reused.iter_mut().zip(shares).for_each(|(sum, share)| *sum += f64::from(*share));
    }

    /// Share of the evaluations of the middle blocks that were computed.
    pub fn computed_share(&self) -> f64 {
        1.0 - mean(&self.reused) / self.psnr_db.len().max(1) as f64
    }

    /// The steps, from 1, in which at least half of everything reused.
    fn typical_steps(&self) -> Vec<usize> {
        let half = 0.5 * self.psnr_db.len() as f64;
        (1..).zip(&self.reused).filter(|(_, sum)| **sum >= half && **sum > 0.0).map(|(step, _)| step).collect()
    }

    /// Share of all blocks that were computed; `blocks` is how many the model has.
    pub fn cost(&self, cache: &StepCache, blocks: u32) -> f64 {
        let ends = f64::from(cache.front_blocks + cache.back_blocks);
        let blocks = f64::from(blocks.max(1));
        (ends + self.computed_share() * (blocks - ends).max(0.0)) / blocks
    }

    /// Attributes that are right in the exact pictures and in these, in percent.
    pub fn binding_percent(&self) -> Option<[f64; 2]> {
        let (right, all) = self.binding.filter(|(_, all)| *all > 0)?;
        Some(right.map(|right| 100.0 * right as f64 / all as f64))
    }

    /// Whether the pictures are within the bounds of a level.
    pub fn is_within(&self, bounds: &Bounds) -> bool {
        let loss = self.binding_percent().map_or(0.0, |[exact, found]| exact - found);
        self.mean_psnr_db() >= bounds.psnr_db && loss <= bounds.binding_loss_percent
    }

    fn to_json(&self) -> Value {
        json!({
            "pictures": self.psnr_db.len(),
            "psnr_db": rounded(self.mean_psnr_db()),
            "psnr_db_min": rounded(self.psnr_db.iter().copied().fold(PSNR_MAX_DB, f64::min)),
            "ms_ssim": rounded(mean(&self.ms_ssim)),
            "flip": rounded(mean(&self.flip)),
            "binding_percent": self.binding_percent().map(|both| both.map(rounded)),
            "computed_share": rounded(self.computed_share()),
            "typical_reused_steps": self.typical_steps(),
        })
    }
}

/// Four digits behind the point.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// Settings as the profile states them; `null` without a rule of change.
fn cache_json(cache: &StepCache) -> Value {
    let Some(Rule::ByChange(change)) = &cache.rule else { return Value::Null };
    json!({
        "front_blocks": cache.front_blocks,
        "back_blocks": cache.back_blocks,
        // As it is written: 0.1 and not 0.10000000149.
        "threshold": change.threshold.to_string().parse::<f64>().unwrap_or_default(),
        "warmup_steps": change.warmup_steps,
        "max_consecutive": change.max_consecutive,
        "taylor_order": cache.taylor_order,
    })
}

/// Settings in one line, such as `threshold 0.1, at most 2 in a row, order 1`.
pub fn cache_text(cache: &StepCache) -> String {
    let Some(Rule::ByChange(change)) = &cache.rule else { return "fixed steps".to_owned() };
    let ReuseByChange { threshold, warmup_steps, max_consecutive } = change;
    format!(
        "blocks {}+{}, threshold {threshold}, warm-up {warmup_steps}, at most {max_consecutive} in a row, order {}",
        cache.front_blocks, cache.back_blocks, cache.taylor_order
    )
}

/// The settings and figures of a level; `None`: nothing that was tried is within its bounds.
pub type Level = Option<(StepCache, Measured)>;

/// The profile of a model. `exact` has the binding of the exact pictures; `sorted` all settings with the figures by which they were
/// sorted.
pub fn profile_json(
    fingerprint: &str,
    conditions: &str,
    levels: &[Level; 2],
    exact: &Measured,
    sorted: &[(StepCache, Measured)],
    blocks: u32,
) -> Value {
    let level = |level: &Level| {
        let (cache, measured) = match level {
            Some((cache, measured)) => (cache_json(cache), measured),
            None => (Value::Null, exact),
        };
        let mut json = measured.to_json();
        json["cache"] = cache;
        json
    };
    let tried = sorted.iter().map(|(cache, measured)| {
        json!({
            "cache": cache_json(cache),
            "pictures": measured.psnr_db.len(),
            "psnr_db": rounded(measured.mean_psnr_db()),
            "computed_share": rounded(measured.computed_share()),
            "cost": rounded(measured.cost(cache, blocks)),
        })
    });
    json!({
        "format": FORMAT,
        "fingerprint": fingerprint,
        "conditions": conditions,
        LEVELS[0].level: level(&levels[0]),
        LEVELS[1].level: level(&levels[1]),
        "tried": tried.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(psnr_db: f64, right: [u64; 2]) -> Measured {
        let mut measured = Measured { psnr_db: vec![psnr_db; 4], binding: Some((right, 1000)), ..Measured::default() };
        for _ in 0..4 {
            measured.add_steps(&[0.0, 1.0, 0.25, 1.0]);
        }
        measured
    }

    #[test]
    fn candidates_differ_and_reuse_more_with_a_higher_threshold() {
        let all = candidates();
        for (place, one) in all.iter().enumerate() {
            assert!(!all[..place].contains(one), "{one:?}");
            assert!(cache_json(one)["threshold"].as_f64().is_some_and(|threshold| threshold > 0.0));
        }
    }

    #[test]
    fn a_level_needs_both_bounds() {
        let [high, fast] = &LEVELS;
        assert!(measured(33.0, [990, 987]).is_within(high));
        assert!(!measured(32.9, [990, 990]).is_within(high) && measured(32.9, [990, 990]).is_within(fast));
        assert!(!measured(40.0, [990, 986]).is_within(high), "four of a thousand are more than 0.3 %");
        assert!(Measured { binding: None, ..measured(33.0, [0, 0]) }.is_within(high));
    }

    #[test]
    fn what_was_computed_follows_from_the_steps() {
        let measured = measured(30.0, [1, 1]);
        assert_eq!((measured.computed_share(), measured.typical_steps()), (0.4375, vec![2, 4]));
        let cache = &candidates()[0];
        // 2 of 12 blocks always, and 0.4375 of the other ten.
        assert!((measured.cost(cache, 12) - 6.375 / 12.0).abs() < 1e-12);
    }

    #[test]
    fn the_profile_states_each_level_and_what_was_tried() {
        let (cache, good) = (candidates()[1].clone(), measured(34.0, [990, 990]));
        let exact = Measured { psnr_db: vec![PSNR_MAX_DB], ms_ssim: vec![1.0], flip: vec![0.0], ..Measured::default() };
        let sorted = [(cache.clone(), good.clone())];
        let json = profile_json("ab", "4 prompts", &[None, Some((cache, good))], &exact, &sorted, 12);
        assert_eq!(
            (&json["format"], &json["fingerprint"], &json["high"]["cache"]),
            (&json!(1), &json!("ab"), &Value::Null)
        );
        assert_eq!(json["high"]["computed_share"], 1.0);
        assert_eq!((&json["fast"]["cache"]["threshold"], &json["fast"]["psnr_db"]), (&json!(0.07), &json!(34.0)));
        assert_eq!(json["fast"]["binding_percent"], json!([99.0, 99.0]));
        assert_eq!(json["tried"].as_array().map(Vec::len), Some(1));
    }
}
