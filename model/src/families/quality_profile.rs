//! Reads `quality_profile.json`, which states what the levels of quality cost on a checkpoint. `sakuga bench quality` writes it.

use std::path::Path;
use std::sync::Arc;

use sakuga_model_core::limits::STEPS;
use sakuga_model_core::{QualityLevel, QualityProfile, QualityPromise, ReuseRule, StepCache, StepSet};
use serde_json::Value;

use crate::checkpoint::{ConfigFields, read_json};
use crate::error::LoadError;

/// Its name in the folder of a checkpoint.
const FILE: &str = "quality_profile.json";
/// The version of the form that is read.
const FORMAT: usize = 1;
/// Longest description of the measurement, in bytes.
const CONDITIONS_BYTES_MAX: usize = 1024;
/// Most blocks of a front or a back.
const BLOCKS_MAX: usize = 1024;
/// Most pictures of a measurement.
const PICTURES_MAX: usize = 1_000_000;
/// The largest PSNR, that of equal pictures.
const PSNR_MAX_DB: f64 = 1000.0;

/// The profile of the checkpoint at `path`, whose fingerprint must be the one that was measured; `None` for a single file, or for
/// a folder without one.
///
/// # Errors
///
/// The file cannot be read, is not JSON, is of another checkpoint, or every part of it that is malformed, in one error.
pub(super) fn read(path: &Path, fingerprint: &str) -> Result<Option<Arc<QualityProfile>>, LoadError> {
    let path = path.join(FILE);
    if !path.is_file() {
        return Ok(None);
    }
    let file = read_json(&path)?;
    let fields = ConfigFields::new(&file);
    let profile = profile(&fields, fingerprint);
    fields.finish().map_err(|source| LoadError::Config { path, source })?;
    Ok(Some(Arc::new(profile)))
}

fn profile(fields: &ConfigFields<'_>, fingerprint: &str) -> QualityProfile {
    fields.count("format", FORMAT..=FORMAT);
    if fields.text_or("fingerprint", "") != fingerprint {
        fields.reject(format!(
            "`fingerprint` must be {fingerprint}, that of this checkpoint: the profile is of another one; remove the file, or \
             measure again with `sakuga bench quality`"
        ));
    }
    let conditions = fields.text_or("conditions", "");
    if conditions.len() > CONDITIONS_BYTES_MAX {
        fields.reject(format!("`conditions` must have at most {CONDITIONS_BYTES_MAX} bytes"));
    }
    QualityProfile { conditions, high: level(&fields.section("high")), fast: level(&fields.section("fast")) }
}

fn level(fields: &ConfigFields<'_>) -> QualityLevel {
    let number = |name, max| {
        if !fields.has(name) {
            fields.reject(format!("`{name}` is missing in a level"));
        }
        fields.number_or(name, 0.0, 0.0..=max) as f32
    };
    let promise = QualityPromise {
        pictures: fields.count("pictures", 1..=PICTURES_MAX) as u32,
        psnr_db: number("psnr_db", PSNR_MAX_DB),
        psnr_db_min: number("psnr_db_min", PSNR_MAX_DB),
        ms_ssim: number("ms_ssim", 1.0),
        flip: number("flip", 1.0),
        binding_percent: fields.get("binding_percent").map(|value| {
            let percent = |value: &Value| value.as_f64().filter(|percent| (0.0..=100.0).contains(percent));
            match value.as_array().map(Vec::as_slice) {
                Some([exact, level]) => match (percent(exact), percent(level)) {
                    (Some(exact), Some(level)) => return [exact as f32, level as f32],
                    _ => fields.reject("`binding_percent` must be two numbers from 0 to 100"),
                },
                _ => fields.reject("`binding_percent` must be a list of two numbers"),
            }
            [0.0; 2]
        }),
        computed_share: number("computed_share", 1.0),
    };
    QualityLevel { cache: fields.has("cache").then(|| cache(&fields.section("cache"))), promise }
}

fn cache(fields: &ConfigFields<'_>) -> StepCache {
    let steps_max = STEPS.max as usize;
    let rule = if fields.has("steps") {
        let steps = fields.count_list("steps", steps_max, 2..=steps_max);
        ReuseRule::Steps(StepSet::of(steps.into_iter().map(|step| step as u32)).unwrap_or_default())
    } else {
        ReuseRule::Change {
            threshold: fields.number_or("threshold", 0.0, 0.0..=1.0) as f32,
            warmup_steps: fields.count_or("warmup_steps", 0, 0..=steps_max) as u32,
            consecutive_max: fields.count_or("max_consecutive", 0, 0..=steps_max) as u32,
        }
    };
    StepCache {
        front_blocks: fields.count("front_blocks", 1..=BLOCKS_MAX) as u32,
        back_blocks: fields.count("back_blocks", 1..=BLOCKS_MAX) as u32,
        rule,
        taylor_order: fields.count_or("taylor_order", 0, 0..=1) as u32,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_value(value: &Value) -> Result<Option<Arc<QualityProfile>>, LoadError> {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(dir.path().join(FILE), value.to_string()).expect("writable");
        read(dir.path(), "ab")
    }

    fn file() -> Value {
        let level = |cache: Value| {
            json!({"cache": cache, "pictures": 120, "psnr_db": 34.5, "psnr_db_min": 27, "ms_ssim": 0.99, "flip": 0.02,
                "binding_percent": [99.5, 99.25], "computed_share": 0.625})
        };
        let by_change = json!({"front_blocks": 1, "back_blocks": 2, "threshold": 0.125, "warmup_steps": 3,
            "max_consecutive": 2, "taylor_order": 1});
        json!({"format": 1, "fingerprint": "ab", "conditions": "120 prompts", "high": level(Value::Null),
            "fast": level(by_change), "measured": []})
    }

    #[test]
    fn a_profile_is_read_and_may_be_absent() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(read(dir.path(), "ab").expect("no file"), None);
        let profile = read_value(&file()).expect("a good file").expect("there is one");
        let rule = ReuseRule::Change { threshold: 0.125, warmup_steps: 3, consecutive_max: 2 };
        let cache = StepCache { front_blocks: 1, back_blocks: 2, rule, taylor_order: 1 };
        assert_eq!((profile.high.cache, profile.fast.cache), (None, Some(cache)));
        assert_eq!(profile.fast.promise.binding_percent, Some([99.5, 99.25]));
        assert_eq!((profile.conditions.as_str(), profile.fast.promise.computed_share), ("120 prompts", 0.625));
        let mut pattern = file();
        pattern["high"]["cache"] = json!({"front_blocks": 1, "back_blocks": 1, "steps": [4, 6]});
        pattern["high"]["binding_percent"] = Value::Null;
        let profile = read_value(&pattern).expect("a good file").expect("there is one");
        let steps = profile.high.cache.map(|cache| cache.rule);
        assert_eq!(steps, StepSet::of([4, 6]).map(ReuseRule::Steps));
        assert_eq!(profile.high.promise.binding_percent, None);
    }

    #[test]
    fn a_profile_of_another_checkpoint_is_refused_with_the_remedy() {
        let mut other = file();
        other["fingerprint"] = json!("cd");
        let error = read_value(&other).expect_err("another checkpoint").to_string();
        assert!(error.contains("sakuga bench quality") && error.contains(FILE), "{error}");
    }

    #[test]
    fn every_part_that_is_malformed_is_named() {
        let mut broken = file();
        broken["format"] = json!(2);
        broken["high"]["psnr_db"] = json!("high");
        broken["fast"]["binding_percent"] = json!([1, 101]);
        broken["fast"]["cache"]["front_blocks"] = json!(0);
        broken["fast"]["cache"]["threshold"] = json!(1.5);
        let error = read_value(&broken).expect_err("nothing is right").to_string();
        for part in ["format", "high.psnr_db", "binding_percent", "fast.cache.front_blocks", "fast.cache.threshold"] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}
