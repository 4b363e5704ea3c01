//! Folders that the configuration names: whether the server can write into them, or read them.

use std::path::Path;

/// Why the server cannot write into a folder; `None` if it can. The folder may be missing.
pub(super) fn writing_problem(setting: &str, folder: &Path) -> Option<String> {
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

/// Why the server cannot read a folder; `None` if it can.
pub(super) fn reading_problem(setting: &str, folder: &Path) -> Option<String> {
    let error = std::fs::read_dir(folder).err()?;
    Some(format!("--{setting}: cannot read the folder {}: {error}; name a folder that can be read", folder.display()))
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

    #[test]
    fn a_folder_to_read_must_be_there_and_be_one() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(reading_problem("adapters", folder.path()), None);
        let file = folder.path().join("file");
        std::fs::write(&file, "").expect("written");
        for path in [file, folder.path().join("gone")] {
            let found = reading_problem("adapters", &path).expect("no folder");
            let shown = path.display().to_string();
            assert!(found.contains("--adapters") && found.contains(&shown), "{found}");
        }
    }
}
