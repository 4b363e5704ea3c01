//! A repository, and a pull of it within this process.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sakuga_server::pull::disk::{Disk, SystemDisk};
use sakuga_server::pull::licence::Decision;
use sakuga_server::pull::{ModelsFolder, Progress, PullError, PullOptions, Pulled, Timing, pull};

use crate::hub::{FakeHub, files_of};

/// The only file of [`one_file`].
pub(crate) const FILE: &str = "tiny.safetensors";
pub(crate) const SOURCE: &str = "hf:owner/tiny";
pub(crate) const TOKEN: &str = "hf_secret";

/// A repository with one file of 300 kB, which is no model.
pub(crate) fn one_file() -> BTreeMap<String, Vec<u8>> {
    let content = (0..300_000_u32)
        .flat_map(|number| (number.wrapping_mul(2_654_435_761) >> 24).to_le_bytes().into_iter().take(1));
    BTreeMap::from([(FILE.to_owned(), content.collect())])
}

/// A repository with a model of random weights, and files that nothing reads.
pub(crate) fn model() -> BTreeMap<String, Vec<u8>> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    sakuga_model::families::sdxl::synthetic::write(dir.path(), 1).expect("writable");
    let mut files = files_of(dir.path());
    for (path, content) in [
        ("README.md", "# Tiny"),
        ("LICENSE.md", "You may draw.\n\u{1b}[2JYou may not read this.\n"),
        ("unet/diffusion_pytorch_model.bin", "pickle"),
        ("unet/diffusion_pytorch_model.fp16.safetensors", "half"),
        ("vae/model.onnx", "onnx"),
    ] {
        files.insert(path.to_owned(), content.as_bytes().to_vec());
    }
    files
}

/// Remembers notes.
#[derive(Default)]
pub(crate) struct Notes(Mutex<Vec<String>>);

impl Progress for Notes {
    fn at(&self, _: &str, done: u64, total: Option<u64>) {
        assert!(total.is_none_or(|total| done <= total), "{done} of {total:?}");
    }

    fn note(&self, text: &str) {
        self.0.lock().expect("no test panics with it").push(text.to_owned());
    }
}

/// A disk with a set number of free bytes.
pub(crate) struct SmallDisk {
    room: AtomicU64,
    /// Whether it says how much room there is.
    pub(crate) is_known: bool,
}

impl SmallDisk {
    pub(crate) fn new(room: u64, is_known: bool) -> Self {
        Self { room: room.into(), is_known }
    }
}

impl Disk for SmallDisk {
    fn free_bytes(&self, _: &Path) -> Option<u64> {
        self.is_known.then(|| self.room.load(Ordering::Relaxed))
    }

    fn append(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        let room = self.room.load(Ordering::Relaxed);
        let written = bytes.len().min(room as usize);
        file.write_all(&bytes[..written])?;
        self.room.fetch_sub(written as u64, Ordering::Relaxed);
        if written < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

/// A pull into a folder of its own.
pub(crate) struct Trial {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) hub: FakeHub,
    pub(crate) source: String,
    pub(crate) name: Option<String>,
    pub(crate) sha256: Option<String>,
    pub(crate) repeats: usize,
    pub(crate) notes: Notes,
}

impl Trial {
    pub(crate) fn new(files: BTreeMap<String, Vec<u8>>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (hub, source) = (FakeHub::start(files), SOURCE.to_owned());
        Self { folder, hub, source, name: None, sha256: None, repeats: 4, notes: Notes::default() }
    }

    pub(crate) fn models(&self) -> ModelsFolder {
        ModelsFolder::new(self.folder.path().join("models"))
    }

    pub(crate) async fn run(&self, disk: &dyn Disk) -> Result<Pulled, PullError> {
        let options = PullOptions {
            source: self.source.parse().expect("a source"),
            name: self.name.clone(),
            folder: self.models(),
            endpoint: self.hub.endpoint().parse().expect("a URL"),
            token: Some(TOKEN.to_owned()),
            sha256: self.sha256.clone(),
            decide: &|_| Decision::Accepted,
            progress: &self.notes,
            disk,
            timing: Timing {
                connect: Duration::from_secs(10),
                silence: Duration::from_millis(500),
                first_wait: Duration::from_millis(1),
                repeats: self.repeats,
            },
        };
        pull(&options).await
    }

    pub(crate) async fn pull(&self) -> Result<Pulled, PullError> {
        self.run(&SystemDisk).await
    }

    /// The error of a pull, which names no secret.
    pub(crate) async fn error(&self) -> String {
        let error = self.pull().await.expect_err("refused").to_string();
        assert!(!error.contains("secret") && !error.contains('\u{7}'), "{error}");
        error
    }

    pub(crate) fn said(&self, part: &str) -> bool {
        self.notes.0.lock().expect("no test panics with it").iter().any(|note| note.contains(part))
    }

    /// The content of the file that was pulled.
    pub(crate) fn content(&self) -> Vec<u8> {
        std::fs::read(self.folder.path().join("models/tiny").join(FILE)).expect("a whole file")
    }
}
