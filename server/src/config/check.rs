//! `--check-config`: what a start would refuse about the files and folders that the configuration names.

use std::collections::HashSet;
use std::path::Path;

#[cfg(feature = "burn")]
use sakuga_model_core::{DeviceChoice, ModelOptions};

use super::{Config, ConfiguredModel, DataPlace, DevicesChoice, EngineChoice};
use crate::adapters;
#[cfg(feature = "burn")]
use crate::engine::burn::{self, Checked};
use crate::models::StartError;
use crate::store::place;

impl Config {
    /// What a start would refuse about the files and folders of jobs and models. What it would only warn about is logged.
    pub(super) fn path_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let DataPlace::Folder(folder) = &self.jobs.place {
            problems.extend(writing_problem("data-dir", folder).or_else(|| place::problem(folder)));
        }
        if let Some(url) = &self.jobs.artifacts {
            let error = place::artifacts_at(url).err();
            problems.extend(error.map(|error| {
                let other = if cfg!(feature = "s3") { "write s3://BUCKET/FOLDER" } else { "use a program that has it" };
                format!("--artifacts: {error}; {other}, or leave it out: pictures are in --data-dir then")
            }));
        }
        problems.extend(self.collector_problem());
        let mut names = HashSet::new();
        for model in &self.models.models {
            match name(model, &self.models.devices) {
                Ok(Some(name)) if !names.insert(name.clone()) => problems.push(StartError::SameName(name).to_string()),
                Ok(_) => {}
                Err(found) => problems.extend(found),
            }
        }
        if let Some(folder) = &self.models.adapters {
            // Its files may come and go while the server runs.
            adapters::warn_if_unreadable(folder);
        }
        problems
    }

    /// Why traces and metrics cannot be sent to the collector.
    fn collector_problem(&self) -> Option<String> {
        let endpoint = self.otlp_endpoint.as_deref()?;
        #[cfg(feature = "otlp")]
        let error = crate::trace::otlp::check(endpoint).err()?;
        #[cfg(not(feature = "otlp"))]
        let error = format!("{endpoint}: this program was built without the feature `otlp`");
        Some(format!("--otlp-endpoint: {error}"))
    }
}

/// Checks the files of a model on each of the devices; returns its name, or `None` if it is not known before the first start.
#[cfg_attr(not(feature = "burn"), expect(unused_variables, reason = "scripts do not compute"))]
fn name(model: &ConfiguredModel, devices: &DevicesChoice) -> Result<Option<String>, Vec<String>> {
    let own = match &model.engine {
        EngineChoice::Scripted(_) => None,
        #[cfg(feature = "burn")]
        EngineChoice::Burn(options) => {
            let named = match devices {
                DevicesChoice::List(devices) => devices.as_slice(),
                // Which GPUs there are is found by the start.
                DevicesChoice::All => &[DeviceChoice::Auto],
            };
            let mut own = None;
            for (place, device) in named.iter().copied().enumerate() {
                if named[..place].contains(&device) {
                    continue;
                }
                let Checked { description, is_written } = burn::check(&ModelOptions { device, ..options.clone() })?;
                if !is_written {
                    let problem = options.cache_dir.as_deref().and_then(|cache| writing_problem("cache-dir", cache));
                    problem.map_or(Ok(()), |problem| Err(vec![problem]))?;
                }
                own = own.or(description.map(|described| described.info.model.name));
            }
            own
        }
    };
    Ok(model.name.clone().or(own))
}

/// Why the server cannot write into a folder; `None` if it can. The folder may be missing.
fn writing_problem(setting: &str, folder: &Path) -> Option<String> {
    let existing = folder.ancestors().find(|ancestor| ancestor.exists())?;
    let problem = |error: std::io::Error| {
        format!(
            "--{setting}: cannot write into {}: {error}; name a folder that this user may write into",
            existing.display()
        )
    };
    if !existing.is_dir() {
        return Some(format!("--{setting}: {} is not a folder; name another", existing.display()));
    }
    let probe = existing.join(format!(".sakuga-check-{}", std::process::id()));
    if let Err(error) = std::fs::create_dir(&probe) {
        return Some(problem(error));
    }
    std::fs::remove_dir(&probe).err().map(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_can_be_made_has_no_problem_and_leaves_no_trace() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(writing_problem("data-dir", &folder.path().join("a/b")), None);
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }

    #[test]
    fn a_folder_below_a_file_or_a_read_only_system_has_one() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let found = writing_problem("data-dir", &file.path().join("a")).expect("not a folder");
        assert!(found.contains("--data-dir") && found.contains("not a folder"), "{found}");
        if Path::new("/proc/self").exists() {
            let found = writing_problem("cache-dir", Path::new("/proc/sakuga")).expect("nothing can be made there");
            assert!(found.contains("--cache-dir") && found.contains("/proc"), "{found}");
        }
    }
}
