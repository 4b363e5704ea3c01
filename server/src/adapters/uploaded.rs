//! [`UploadedAdapters`]: describes the adapter files that clients uploaded.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::inspect::{Descriptions, Inspectors, inspect};
use super::listing::ListedAdapter;

/// The most files whose descriptions are kept.
const KEPT: usize = 256;
/// Digits of a file's SHA-256 in its name.
const NAME_DIGITS: usize = 12;

/// Files that the caller of a request uploaded before.
pub(crate) trait Uploads {
    /// The file with this SHA-256; `None` if the caller has not uploaded it.
    ///
    /// # Errors
    ///
    /// Why it is not an adapter.
    fn tensors(&self, sha256: &str) -> Option<Result<PathBuf, String>>;
}

/// Describes the adapter files that clients uploaded. A file is read once; its SHA-256 says whether it is the same.
pub(super) struct UploadedAdapters {
    inspectors: Inspectors,
    /// By SHA-256. Found only for callers that have the file.
    known: Mutex<BTreeMap<String, Descriptions>>,
}

impl UploadedAdapters {
    pub(super) fn new(inspectors: Inspectors) -> Self {
        Self { inspectors, known: Mutex::default() }
    }

    /// The adapter that the caller uploaded under this SHA-256; `None` if no such file was uploaded. Reads a file that is new. Blocks.
    ///
    /// # Errors
    ///
    /// Why it cannot be used.
    pub(super) fn find(&self, sha256: &str, uploads: &dyn Uploads) -> Option<Result<ListedAdapter, String>> {
        let sha256 = sha256.to_ascii_lowercase();
        let path = match uploads.tensors(&sha256)? {
            Ok(path) => path,
            Err(reason) => return Some(Err(reason)),
        };
        let descriptions = self.describe(&sha256, &path);
        Some(descriptions.map(|descriptions| {
            let name = sha256.chars().take(NAME_DIGITS).collect();
            ListedAdapter { name, path, descriptions }
        }))
    }

    fn describe(&self, sha256: &str, path: &Path) -> Result<Descriptions, String> {
        let known = || self.known.lock();
        if let Some(found) = known().get(sha256) {
            return Ok(found.clone());
        }
        // Without the lock: a large file takes a while.
        let descriptions = inspect(&self.inspectors, path)?;
        if descriptions.iter().flatten().any(|description| description.sha256 != sha256) {
            return Err("its file is not what was uploaded; upload it again".to_owned());
        }
        let mut known = known();
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(sha256.to_owned(), descriptions.clone());
        Ok(descriptions)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use sakuga_model_core::{AdapterDescription, AdapterInspector, EngineError};

    use super::*;

    /// Takes every file as the adapter that its name is the SHA-256 of, and counts.
    struct Counting(AtomicUsize);

    impl AdapterInspector for Counting {
        fn inspect(&self, path: &Path) -> Result<AdapterDescription, EngineError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            let sha256 = path.file_name().expect("a name").to_string_lossy().into_owned();
            Ok(AdapterDescription { sha256, ..AdapterDescription::default() })
        }
    }

    /// Owns one file.
    struct Own(&'static str);

    impl Uploads for Own {
        fn tensors(&self, sha256: &str) -> Option<Result<PathBuf, String>> {
            match sha256 {
                "cafe" => Some(Err("is a picture".into())),
                other => (other == self.0).then(|| Ok(PathBuf::from(other))),
            }
        }
    }

    #[test]
    fn a_file_is_read_once_and_found_by_its_owner_alone() {
        let counting = Arc::new(Counting(AtomicUsize::new(0)));
        let adapters = UploadedAdapters::new(vec![Some(counting.clone()), None]);
        let found = |sha256, owner| adapters.find(sha256, &Own(owner)).transpose();
        for _ in 0..2 {
            let adapter = found("ab12", "ab12").expect("usable").expect("it is there");
            assert_eq!((adapter.name.as_str(), adapter.sha256()), ("ab12", "ab12"));
            assert!(found("AB12", "ab12").expect("usable").is_some());
        }
        assert_eq!(counting.0.load(Ordering::Relaxed), 1);
        assert!(found("ab12", "cd34").expect("no fault").is_none(), "another owner's");
        assert_eq!(found("cafe", "ab12").expect_err("no adapter"), "is a picture");
        for index in 0..KEPT + 1 {
            let name: &'static str = Box::leak(format!("{index:x}").into_boxed_str());
            assert!(found(name, name).expect("usable").is_some());
        }
        assert!(adapters.known.lock().len() <= KEPT);
    }
}
