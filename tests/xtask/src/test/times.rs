//! How long each test program took last time, kept in the target folder to start the longest first.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::test::slowest;

/// Seconds by the name of the program without its hash.
type Times = BTreeMap<String, f64>;

/// The kept times; empty if there are none that can be read.
pub(crate) fn read(file: &Path) -> Times {
    fs::read(file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

/// The time of the program in this file. Programs of the same name in several packages share the longest.
pub(crate) fn of(times: &Times, file_name: &str) -> Option<Duration> {
    times.get(slowest::without_hash(file_name)).and_then(|seconds| Duration::try_from_secs_f64(*seconds).ok())
}

/// Keeps these times. They only order the next run, so it is no error if they cannot be written.
pub(crate) fn write<'a>(file: &Path, measured: impl Iterator<Item = (&'a str, Duration)>) {
    let mut times = Times::new();
    for (file_name, time) in measured {
        let seconds = times.entry(slowest::without_hash(file_name).to_owned()).or_default();
        *seconds = seconds.max(time.as_secs_f64());
    }
    if let Ok(text) = serde_json::to_vec(&times) {
        let _ = fs::write(file, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_kept_by_name_and_damaged_files_count_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("times.json");
        let second = Duration::from_secs(1);
        write(&file, [("tidy-01", second), ("service-02", 9 * second), ("tidy-03", 2 * second)].into_iter());
        let times = read(&file);
        assert_eq!(of(&times, "tidy-ff"), Some(2 * second));
        assert_eq!(of(&times, "service-ff"), Some(9 * second));
        assert_eq!(of(&times, "new-ff"), None);
        fs::write(&file, "{\"tidy\": -1").unwrap();
        assert!(read(&file).is_empty());
        assert!(read(&folder.path().join("none")).is_empty());
    }
}
