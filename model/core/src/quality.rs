//! [`Quality`]: the quality levels of the step cache, and the measured profile of a model.

use std::fmt;

use crate::{ReuseRule, StepCache};

/// How much the evaluations of a request may differ from exact ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quality {
    /// Every evaluation is computed whole; nothing is reused.
    Exact,
    /// The fastest settings of the step cache that stay within [`QualityBounds::HIGH`] of the exact pictures.
    High,
    /// The fastest settings of the step cache that stay within [`QualityBounds::FAST`] of the exact pictures.
    Fast,
    /// With the settings of the step cache that the request gives.
    Custom,
}

impl Quality {
    /// Every level, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::Exact, Self::High, Self::Fast, Self::Custom];

    /// The lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::High => "high",
            Self::Fast => "fast",
            Self::Custom => "custom",
        }
    }
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How much the images of a level may differ from the exact ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QualityBounds {
    /// The least mean PSNR over all measured images, in decibels.
    pub psnr_db_min: f32,
    /// The most attributes that may be lost on average, in percent of all.
    pub binding_loss_percent_max: f32,
}

impl QualityBounds {
    /// Those of [`Quality::High`].
    pub const HIGH: Self = Self { psnr_db_min: 33.0, binding_loss_percent_max: 0.3 };
    /// Those of [`Quality::Fast`].
    pub const FAST: Self = Self { psnr_db_min: 30.0, binding_loss_percent_max: 1.0 };
}

/// The quality profile of a checkpoint: measurements of each level against exact images.
#[derive(Clone, Debug, PartialEq)]
pub struct QualityProfile {
    /// How it was measured, such as `120 prompts, euler, 20 steps, guidance 3.5, 256x256, cpu, f32`.
    pub conditions: String,
    /// The measured level of [`Quality::High`].
    pub high: QualityLevel,
    /// The measured level of [`Quality::Fast`].
    pub fast: QualityLevel,
}

/// The measurement of one level: its settings, and how near its pictures are to the exact ones.
#[derive(Clone, Debug, PartialEq)]
pub struct QualityLevel {
    /// Its settings; `None` if no settings that were tried stay within the bounds, which makes requests of this level exact.
    pub cache: Option<StepCache>,
    /// Figures; those of exact pictures if there are no settings.
    pub promise: QualityPromise,
}

/// How much the pictures of a level differ from the exact ones: means over the measured pictures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QualityPromise {
    /// Pictures that were compared.
    pub pictures: u32,
    /// Peak signal-to-noise ratio in decibels.
    pub psnr_db: f32,
    /// The smallest PSNR of any picture in decibels.
    pub psnr_db_min: f32,
    /// Multi-scale structural similarity, 1 for equal pictures.
    pub ms_ssim: f32,
    /// FLIP (Andersson et al. 2020), 0 for equal pictures.
    pub flip: f32,
    /// Attributes that were right in the exact pictures and in those of the level, in percent; `None`: not measured.
    pub binding_percent: Option<[f32; 2]>,
    /// Share of the evaluations of the middle blocks that were computed, 0 to 1.
    pub computed_share: f32,
}

impl QualityProfile {
    /// The measurement of a level; `None` for levels without one.
    pub fn level(&self, quality: Quality) -> Option<&QualityLevel> {
        match quality {
            Quality::High => Some(&self.high),
            Quality::Fast => Some(&self.fast),
            Quality::Exact | Quality::Custom => None,
        }
    }
}

/// The step cache of a model: the bounds of its settings, and the settings of its levels.
#[derive(Clone, Debug, PartialEq)]
pub struct StepCacheSupport {
    /// Blocks of the network's stack, those at its front and back included.
    pub blocks: u32,
    /// The measurements of the checkpoint; `None`: it was not measured.
    pub profile: Option<std::sync::Arc<QualityProfile>>,
}

impl StepCacheSupport {
    /// The settings of a level: from the profile, otherwise the built-in ones. `None` if nothing is reused.
    pub fn settings(&self, quality: Quality) -> Option<StepCache> {
        match (&self.profile, built_in(quality)) {
            (Some(profile), _) => profile.level(quality).and_then(|level| level.cache),
            (None, built_in) => built_in.filter(|cache| cache.middle_blocks(self.blocks) > 0),
        }
    }

    /// The profile's figures for these settings of a level; `None` if other settings were measured.
    pub fn promise(&self, quality: Quality, cache: Option<&StepCache>) -> Option<&QualityPromise> {
        self.measured(quality, cache)?.level(quality).map(|level| &level.promise)
    }

    /// The profile, if its level was measured with these settings.
    pub fn measured(&self, quality: Quality, cache: Option<&StepCache>) -> Option<&std::sync::Arc<QualityProfile>> {
        self.profile
            .as_ref()
            .filter(|profile| profile.level(quality).is_some_and(|level| level.cache.as_ref() == cache))
    }
}

/// The settings of a level on a model that has no profile. They are cautious and come without a promise.
fn built_in(quality: Quality) -> Option<StepCache> {
    let (threshold, consecutive_max) = match quality {
        Quality::Exact | Quality::Custom => return None,
        Quality::High => (0.06, 1),
        Quality::Fast => (0.1, 2),
    };
    let rule = ReuseRule::Change { threshold, warmup_steps: 4, consecutive_max };
    Some(StepCache { front_blocks: 1, back_blocks: 1, rule, taylor_order: 0 })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn promise() -> QualityPromise {
        QualityPromise {
            pictures: 100,
            psnr_db: 34.0,
            psnr_db_min: 28.0,
            ms_ssim: 0.99,
            flip: 0.02,
            binding_percent: Some([99.0, 98.9]),
            computed_share: 0.6,
        }
    }

    #[test]
    fn the_profile_has_the_last_word() {
        let silent = StepCacheSupport { blocks: 12, profile: None };
        let [high, fast] = [Quality::High, Quality::Fast].map(|quality| silent.settings(quality));
        assert!(high.is_some() && fast.is_some() && high != fast);
        assert_eq!([Quality::Exact, Quality::Custom].map(|quality| silent.settings(quality)), [None; 2]);
        assert_eq!(silent.promise(Quality::High, high.as_ref()), None);
        assert_eq!(StepCacheSupport { blocks: 2, profile: None }.settings(Quality::High), None);
        let measured = QualityProfile {
            conditions: String::new(),
            high: QualityLevel { cache: None, promise: promise() },
            fast: QualityLevel { cache: high, promise: promise() },
        };
        let support = StepCacheSupport { blocks: 12, profile: Some(Arc::new(measured)) };
        assert_eq!((support.settings(Quality::High), support.settings(Quality::Fast)), (None, high));
        assert_eq!(support.promise(Quality::Fast, high.as_ref()), Some(&promise()));
        assert_eq!(support.promise(Quality::Fast, fast.as_ref()), None);
        assert_eq!(support.promise(Quality::High, None), Some(&promise()));
    }
}
