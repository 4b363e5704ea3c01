//! The quality profile that the engine claims to have.

use sakuga_model_core::{QualityLevel, QualityProfile, QualityPromise, ReuseRule, StepCache};

/// Figures in the form of a measurement. High is exact, and fast reuses in every second step.
pub(super) fn profile() -> QualityProfile {
    let level = |psnr_db, computed_share, cache| QualityLevel {
        cache,
        promise: QualityPromise {
            pictures: 120,
            psnr_db,
            psnr_db_min: psnr_db - 6.0,
            ms_ssim: 0.99,
            flip: 0.02,
            binding_percent: Some([99.5, 99.25]),
            computed_share,
        },
    };
    let rule = ReuseRule::Change { threshold: 1.0, warmup_steps: 0, consecutive_max: 1 };
    let every_second = StepCache { front_blocks: 1, back_blocks: 1, rule, taylor_order: 0 };
    QualityProfile {
        conditions: "120 prompts, 20 steps, 256x256".into(),
        high: level(90.0, 1.0, None),
        fast: level(31.0, 0.5, Some(every_second)),
    }
}
