//! [`Sampling`]: the options of sampling, their limits, and when guidance is active.

use crate::{Limit, NoiseSchedule, Quality, SamplingFault, Solver, StepCache};

/// Sampling options of one request, or the defaults of a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// The method that integrates from noise to latents.
    pub solver: Solver,
    /// The noise levels between its steps.
    pub schedule: NoiseSchedule,
    /// *Intervals* between noise and image, for every solver.
    pub steps: u32,
    /// Classifier-free guidance.
    pub guidance: Guidance,
    /// Time shift of the schedule; 1 leaves it unshifted.
    pub shift: f32,
    /// How near the picture must be to the exact one; `step_cache` has the settings for it.
    pub quality: Quality,
    /// Settings of the step cache; `None` if nothing is reused.
    pub step_cache: Option<StepCache>,
}

/// Classifier-free guidance (Ho and Salimans 2022, arXiv:2207.12598) in an interval of time (Kynkäänniemi et al. 2024,
/// arXiv:2404.07724) and with a bound on the norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guidance {
    /// `guided = unconditional + scale (conditional - unconditional)`. At exactly 1 the unconditional half is not computed.
    pub scale: f32,
    /// Guidance acts while `from <= t`, for the shifted time `t` of each evaluation. 0: from the beginning.
    pub from: f32,
    /// Guidance acts while `t < until`, strictly. 1: to the end.
    pub until: f32,
    /// Bounds the norm of the guided prediction to this multiple of the conditional one's, for each image. 0: no bound.
    pub renorm: f32,
    /// Share by which the guided prediction is scaled to the standard deviation of the conditional one, for each image
    /// (Lin et al. 2023, arXiv:2305.08891, section 3.4). 0: unscaled.
    pub rescale: f32,
}

impl Guidance {
    /// Guidance of this scale at every time, without a bound on the norm.
    pub const fn new(scale: f32) -> Self {
        Self { scale, from: 0.0, until: 1.0, renorm: 0.0, rescale: 0.0 }
    }

    /// Whether guidance acts at time `t`, so that an evaluation needs the unconditional half.
    pub fn is_active(&self, t: f32) -> bool {
        self.scale != 1.0 && self.from <= t && t < self.until
    }

    /// Whether there is a time from 0 to 1 at which guidance acts.
    pub fn is_ever_active(&self) -> bool {
        self.is_active(self.from)
    }
}

/// The sampling options that a request gives; `None`: the model's default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PartialSampling {
    /// [`Sampling::solver`].
    pub solver: Option<Solver>,
    /// [`Sampling::schedule`].
    pub schedule: Option<NoiseSchedule>,
    /// [`Sampling::steps`].
    pub steps: Option<u32>,
    /// [`Guidance::scale`].
    pub guidance_scale: Option<f32>,
    /// [`Guidance::from`].
    pub guidance_from: Option<f32>,
    /// [`Guidance::until`].
    pub guidance_until: Option<f32>,
    /// [`Guidance::renorm`].
    pub guidance_renorm: Option<f32>,
    /// [`Guidance::rescale`].
    pub guidance_rescale: Option<f32>,
    /// [`Sampling::shift`].
    pub shift: Option<f32>,
    /// [`Sampling::quality`].
    pub quality: Option<Quality>,
    /// [`Sampling::step_cache`].
    pub step_cache: Option<StepCache>,
}

impl PartialSampling {
    /// Fills options that are not given with the model's defaults. A solver other than the model's default gets its usual
    /// schedule, if the model supports that.
    pub fn resolve(&self, defaults: &Sampling, offered: &[NoiseSchedule]) -> Sampling {
        let mut sampling = self.or(defaults);
        if self.schedule.is_none() && sampling.solver != defaults.solver {
            sampling.schedule = NoiseSchedule::usual(sampling.solver, offered);
        }
        sampling
    }

    /// The given options, and those of `defaults` for the others.
    fn or(&self, defaults: &Sampling) -> Sampling {
        Sampling {
            solver: self.solver.unwrap_or(defaults.solver),
            schedule: self.schedule.unwrap_or(defaults.schedule),
            steps: self.steps.unwrap_or(defaults.steps),
            guidance: Guidance {
                scale: self.guidance_scale.unwrap_or(defaults.guidance.scale),
                from: self.guidance_from.unwrap_or(defaults.guidance.from),
                until: self.guidance_until.unwrap_or(defaults.guidance.until),
                renorm: self.guidance_renorm.unwrap_or(defaults.guidance.renorm),
                rescale: self.guidance_rescale.unwrap_or(defaults.guidance.rescale),
            },
            shift: self.shift.unwrap_or(defaults.shift),
            quality: self.quality.unwrap_or(match self.step_cache {
                Some(_) => Quality::Custom,
                None => defaults.quality,
            }),
            step_cache: self.step_cache.or(defaults.step_cache),
        }
    }
}

/// A number of [`Sampling`], with its bounds.
#[derive(Debug)]
pub struct SamplingNumber {
    /// Its field in `sakuga.generation.v1.GenerateRequest`, such as `sampling.shift`, and its bounds.
    pub limit: Limit<f32>,
    get: fn(&Sampling) -> f32,
    get_mut: fn(&mut Sampling) -> &mut f32,
}

impl SamplingNumber {
    /// The name without the section, such as `shift`.
    pub fn name(&self) -> &'static str {
        self.limit.field.rsplit('.').next().unwrap_or(self.limit.field)
    }

    /// The value of the field of `sampling`.
    pub fn get(&self, sampling: &Sampling) -> f32 {
        (self.get)(sampling)
    }

    /// Writes `value` into the field of `sampling`; the range is not checked.
    pub fn set(&self, sampling: &mut Sampling, value: f32) {
        *(self.get_mut)(sampling) = value;
    }
}

impl Sampling {
    /// Every number but the steps, whose bounds are [`limits::STEPS`](crate::limits::STEPS).
    pub const NUMBERS: &[SamplingNumber] = &[
        SamplingNumber {
            limit: Limit { field: "sampling.guidance_scale", min: 1.0, max: 30.0 },
            get: |sampling| sampling.guidance.scale,
            get_mut: |sampling| &mut sampling.guidance.scale,
        },
        SamplingNumber {
            limit: Limit { field: "sampling.guidance_from", min: 0.0, max: 1.0 },
            get: |sampling| sampling.guidance.from,
            get_mut: |sampling| &mut sampling.guidance.from,
        },
        SamplingNumber {
            limit: Limit { field: "sampling.guidance_until", min: 0.0, max: 1.0 },
            get: |sampling| sampling.guidance.until,
            get_mut: |sampling| &mut sampling.guidance.until,
        },
        // Beyond the maximum the bound never acts.
        SamplingNumber {
            limit: Limit { field: "sampling.guidance_renorm", min: 0.0, max: 100.0 },
            get: |sampling| sampling.guidance.renorm,
            get_mut: |sampling| &mut sampling.guidance.renorm,
        },
        SamplingNumber {
            limit: Limit { field: "sampling.guidance_rescale", min: 0.0, max: 1.0 },
            get: |sampling| sampling.guidance.rescale,
            get_mut: |sampling| &mut sampling.guidance.rescale,
        },
        SamplingNumber {
            limit: Limit { field: "sampling.shift", min: 0.1, max: 20.0 },
            get: |sampling| sampling.shift,
            get_mut: |sampling| &mut sampling.shift,
        },
    ];

    /// Every number that cannot be used. Requests and the defaults of models are checked by this.
    pub fn faults(&self) -> Vec<SamplingFault> {
        let fault = |number: &SamplingNumber| number.limit.fault((number.get)(self));
        let mut faults: Vec<SamplingFault> = Self::NUMBERS.iter().filter_map(fault).collect();
        let Guidance { from, until, .. } = self.guidance;
        // An empty interval switches guidance off.
        if faults.is_empty() && from > 0.0 && from >= until {
            let text =
                format!("{from} is not below guidance_until, which is {until}; lower it or raise guidance_until");
            faults.push(SamplingFault { field: "sampling.guidance_from", text });
        }
        faults.extend(self.step_cache.iter().flat_map(|cache| cache.faults(self.steps)));
        match (self.quality, self.step_cache) {
            (Quality::Exact, Some(_)) => {
                let text = "the quality is exact, which reuses nothing; leave one of the two out".to_owned();
                faults.push(SamplingFault { field: "sampling.step_cache", text });
            }
            (Quality::Custom, None) => {
                let text = "custom needs `step_cache`; give it, or use exact, high or fast".to_owned();
                faults.push(SamplingFault { field: "sampling.quality", text });
            }
            _ => {}
        }
        faults
    }

    /// How often each step evaluates the denoiser, times the number of steps.
    pub fn evaluations(&self) -> u32 {
        self.steps.saturating_mul(self.solver.evaluations_per_step())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ReuseRule;

    const DEFAULTS: Sampling = Sampling {
        solver: Solver::Euler,
        schedule: NoiseSchedule::Native,
        steps: 28,
        guidance: Guidance::new(5.0),
        shift: 6.0,
        quality: Quality::Exact,
        step_cache: None,
    };

    const CACHE: StepCache = StepCache {
        front_blocks: 1,
        back_blocks: 1,
        rule: ReuseRule::Change { threshold: 0.1, warmup_steps: 2, consecutive_max: 2 },
        taylor_order: 0,
    };

    #[test]
    fn given_options_replace_the_defaults() {
        assert_eq!(PartialSampling::default().or(&DEFAULTS), DEFAULTS);
        let given = PartialSampling {
            solver: Some(Solver::Dpm),
            schedule: Some(NoiseSchedule::Exponential),
            steps: Some(4),
            guidance_scale: Some(2.0),
            guidance_from: Some(0.25),
            guidance_until: Some(0.5),
            guidance_renorm: Some(1.0),
            guidance_rescale: Some(0.7),
            shift: Some(3.0),
            quality: Some(Quality::Custom),
            step_cache: Some(CACHE),
        };
        let guidance = Guidance { scale: 2.0, from: 0.25, until: 0.5, renorm: 1.0, rescale: 0.7 };
        assert_eq!(
            given.or(&DEFAULTS),
            Sampling {
                solver: Solver::Dpm,
                schedule: NoiseSchedule::Exponential,
                steps: 4,
                guidance,
                shift: 3.0,
                quality: Quality::Custom,
                step_cache: Some(CACHE),
            }
        );
    }

    #[test]
    fn settings_of_the_cache_mean_custom_and_contradict_exact() {
        let cached = PartialSampling { step_cache: Some(CACHE), ..PartialSampling::default() };
        assert_eq!(cached.or(&DEFAULTS).quality, Quality::Custom);
        let faults = |quality, step_cache| {
            let sampling = Sampling { quality, step_cache, ..DEFAULTS };
            sampling.faults().into_iter().map(|fault| fault.field).collect::<Vec<_>>()
        };
        assert_eq!(faults(Quality::High, Some(CACHE)), [""; 0]);
        assert_eq!(faults(Quality::Exact, Some(CACHE)), ["sampling.step_cache"]);
        assert_eq!(faults(Quality::Custom, None), ["sampling.quality"]);
        let broken = StepCache { taylor_order: 7, ..CACHE };
        assert_eq!(faults(Quality::Custom, Some(broken)), ["sampling.step_cache.taylor_order"]);
    }

    #[test]
    fn truncation_is_strict_and_scale_one_is_free() {
        let guidance = Guidance { until: 0.25, ..Guidance::new(4.5) };
        assert!(guidance.is_active(0.2499) && guidance.is_ever_active());
        assert!(!guidance.is_active(0.25));
        assert!(!Guidance { scale: 1.0, ..guidance }.is_ever_active());
        assert!(!Guidance { until: 0.0, ..guidance }.is_ever_active());
    }

    #[test]
    fn guidance_acts_in_its_interval_only() {
        let guidance = Guidance { from: 0.25, until: 0.5, ..Guidance::new(4.5) };
        let active: Vec<_> = [0.0, 0.2499, 0.25, 0.4999, 0.5, 1.0].map(|t| guidance.is_active(t)).into();
        assert_eq!(active, [false, false, true, true, false, false]);
        assert!(guidance.is_ever_active());
        let sampling = |from, until| Sampling { guidance: Guidance { from, until, ..guidance }, ..DEFAULTS };
        for (from, until) in [(0.0, 0.0), (0.0, 1.0), (0.25, 0.5), (0.99, 1.0)] {
            assert_eq!(sampling(from, until).faults(), [], "{from} to {until}");
        }
        for (from, until) in [(0.5, 0.5), (0.6, 0.5), (0.1, 0.0), (1.0, 1.0)] {
            let sampling = sampling(from, until);
            let faults = sampling.faults();
            assert_eq!((faults.len(), faults[0].field), (1, "sampling.guidance_from"), "{from} to {until}");
            assert!(!sampling.guidance.is_ever_active(), "{from} to {until}");
        }
        let fault = sampling(0.6, 0.5).faults().remove(0).text;
        assert_eq!(fault, "0.6 is not below guidance_until, which is 0.5; lower it or raise guidance_until");
    }

    #[test]
    fn every_number_out_of_range_is_a_fault() {
        assert_eq!(DEFAULTS.faults(), []);
        let mut sampling = DEFAULTS;
        for number in Sampling::NUMBERS {
            number.set(&mut sampling, f32::NAN);
        }
        let fields: Vec<_> = sampling.faults().iter().map(|fault| fault.field).collect();
        assert_eq!(fields, Sampling::NUMBERS.iter().map(|number| number.limit.field).collect::<Vec<_>>());
        let low = Sampling { guidance: Guidance::new(0.5), ..DEFAULTS }.faults();
        assert_eq!(low[0].to_string(), "sampling.guidance_scale: 0.5 is out of range; use 1 to 30");
    }

    #[test]
    fn every_number_is_read_and_written_in_its_place() {
        for (place, number) in Sampling::NUMBERS.iter().enumerate() {
            let mut sampling = DEFAULTS;
            number.set(&mut sampling, 0.5 + place as f32);
            assert_eq!(number.get(&sampling), 0.5 + place as f32, "{}", number.name());
            for other in Sampling::NUMBERS.iter().filter(|other| other.name() != number.name()) {
                assert_eq!(other.get(&sampling), other.get(&DEFAULTS), "{} and {}", number.name(), other.name());
            }
        }
    }
}
