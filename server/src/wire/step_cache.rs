//! Conversions of step cache settings and their measurements.

use sakuga_model_core::limits::STEPS;
use sakuga_model_core::{
    EvaluationReuse, ModelInfo, Quality, QualityProfile, QualityPromise, ReuseRule, Sampling, StepCache, StepSet,
};
use sakuga_proto::generation::v1::{self as generation, step_cache};

use crate::error::Violation;

/// The settings that a request gives; a rule that is absent or names a step beyond every limit is a fault.
pub(super) fn from_proto(given: &generation::StepCache, faults: &mut Vec<Violation>) -> Option<StepCache> {
    let rule = match &given.rule {
        Some(step_cache::Rule::ByChange(rule)) => ReuseRule::Change {
            threshold: rule.threshold,
            warmup_steps: rule.warmup_steps,
            consecutive_max: rule.max_consecutive,
        },
        Some(step_cache::Rule::InSteps(rule)) => {
            let Some(steps) = StepSet::of(rule.steps.iter().copied()) else {
                let text =
                    format!("a step is beyond {}, the most steps of a request; use 2 to {}", STEPS.max, STEPS.max);
                faults.push(Violation::new(StepCache::STEPS_FIELD, Violation::OUT_OF_RANGE, text));
                return None;
            };
            ReuseRule::Steps(steps)
        }
        None => {
            let text = "there is no rule; give `by_change` or `in_steps`";
            faults.push(Violation::new("sampling.step_cache.rule", Violation::REQUIRED, text));
            return None;
        }
    };
    Some(StepCache {
        front_blocks: given.front_blocks.max(1),
        back_blocks: given.back_blocks.max(1),
        rule,
        taylor_order: given.taylor_order,
    })
}

pub(super) fn to_proto(cache: &StepCache) -> generation::StepCache {
    let rule = match cache.rule {
        ReuseRule::Change { threshold, warmup_steps, consecutive_max } => {
            step_cache::Rule::ByChange(generation::ReuseByChange {
                threshold,
                warmup_steps,
                max_consecutive: consecutive_max,
            })
        }
        ReuseRule::Steps(steps) => {
            step_cache::Rule::InSteps(generation::ReuseInSteps { steps: steps.iter().collect() })
        }
    };
    generation::StepCache {
        front_blocks: cache.front_blocks,
        back_blocks: cache.back_blocks,
        taylor_order: cache.taylor_order,
        rule: Some(rule),
    }
}

/// The profile's measurement of a request's quality level.
pub(crate) fn promise(model: &ModelInfo, sampling: &Sampling) -> Option<generation::QualityPromise> {
    let profile = model.step_cache.as_ref()?.measured(sampling.quality, sampling.step_cache.as_ref())?;
    level_promise(profile, sampling.quality)
}

/// A profile's measurement of a level; `None` for levels without one.
pub(super) fn level_promise(profile: &QualityProfile, quality: Quality) -> Option<generation::QualityPromise> {
    let QualityPromise { pictures, psnr_db, psnr_db_min, ms_ssim, flip, binding_percent, computed_share } =
        profile.level(quality)?.promise;
    Some(generation::QualityPromise {
        conditions: profile.conditions.clone(),
        pictures,
        psnr_db,
        min_psnr_db: psnr_db_min,
        ms_ssim,
        flip,
        exact_binding_percent: binding_percent.map(|[exact, _]| exact),
        binding_percent: binding_percent.map(|[_, level]| level),
        computed_share,
    })
}

/// The message for the evaluations in which one picture reused the middle blocks.
pub(crate) fn reuse(reused: &EvaluationReuse) -> generation::EvaluationReuse {
    let EvaluationReuse { evaluations, conditional, unconditional } = reused.clone();
    generation::EvaluationReuse { evaluations, conditional, unconditional }
}
