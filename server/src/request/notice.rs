//! Notices for users about the model and the quality of a request.

use sakuga_model_core::{ModelInfo, Quality, Sampling};

/// The notice of a model, and a warning if its quality levels were not measured.
pub(crate) fn of_request(model: &ModelInfo, sampling: &Sampling) -> String {
    let quality = sampling.quality;
    let of_quality = match (&model.step_cache, quality) {
        (_, Quality::Exact | Quality::Custom) | (None, _) => String::new(),
        (Some(support), _) if support.profile.is_none() => format!(
            "the model has no quality profile: {quality} uses settings that are built in and promise nothing; `sakuga bench \
             quality` measures a profile"
        ),
        (Some(support), _) if support.promise(quality, sampling.step_cache.as_ref()).is_none() => {
            format!("the settings of {quality} are those of the request, not those that the model's profile measured")
        }
        (Some(_), _) => String::new(),
    };
    let parts = [model.notice.as_str(), &of_quality];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

/// Adds what a user must know about the model of a scene, unless the notice says it already.
pub(crate) fn add_scene(notice: &mut String, model: &ModelInfo, sampling: &Sampling) {
    let of_scene = of_request(model, sampling);
    if of_scene.is_empty() || *notice == of_scene {
        return;
    }
    if !notice.is_empty() {
        notice.push_str("; ");
    }
    notice.push_str(&format!("scene: {of_scene}"));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sakuga_model_core::{QualityLevel, QualityProfile, QualityPromise, StepCacheSupport};

    use super::*;
    use crate::engine::scripted::{Script, source};

    #[test]
    fn a_level_without_a_measurement_says_so() {
        let described = source(Script::default()).describe().unwrap_or_else(|error| panic!("{error}"));
        let model = |profile: Option<QualityProfile>| ModelInfo {
            step_cache: Some(StepCacheSupport { blocks: 12, profile: profile.map(Arc::new) }),
            notice: "random".to_owned(),
            ..described.info.model.clone()
        };
        let notice = |model: &ModelInfo, quality| {
            let mut sampling = Sampling { quality, ..model.sampling };
            model.fill_quality(&mut sampling);
            of_request(model, &sampling)
        };
        let silent = model(None);
        assert_eq!(notice(&silent, Quality::Exact), "random");
        assert!(notice(&silent, Quality::High).starts_with("random; the model has no quality profile: high"));
        let promise = QualityPromise {
            pictures: 100,
            psnr_db: 34.0,
            psnr_db_min: 30.0,
            ms_ssim: 0.99,
            flip: 0.02,
            binding_percent: None,
            computed_share: 0.7,
        };
        let high = QualityLevel { cache: None, promise };
        let fast = QualityLevel { cache: silent.step_cache.as_ref().unwrap().settings(Quality::Fast), promise };
        let measured = model(Some(QualityProfile { conditions: String::new(), high, fast }));
        assert_eq!(notice(&measured, Quality::High), "random");
        assert_eq!(notice(&measured, Quality::Fast), "random");
        let own = Sampling { step_cache: silent.step_cache.unwrap().settings(Quality::High), ..measured.sampling };
        let own = of_request(&measured, &Sampling { quality: Quality::Fast, ..own });
        assert!(own.ends_with("not those that the model's profile measured"), "{own}");
    }
}
