//! Previews as files, and in terminals that show pictures.

use std::path::{Path, PathBuf};

use sakuga_client::proto::generation::v1::{ImageFormat, Preview};

use crate::cli::failure::Failure;
use crate::cli::inline::Protocol;
use crate::cli::output;
use crate::cli::units;

/// Previews of one job that are shown in the terminal.
const INLINE_PREVIEWS: u32 = 6;

/// Width of a preview in the terminal, in columns.
const PREVIEW_COLUMNS: u32 = 24;

/// Width of a result in the terminal, in columns.
const RESULT_COLUMNS: u32 = 48;

/// The most bytes of the previews of one job on the disk.
const MAX_BYTES: u64 = 1 << 30;

/// The least bytes that a file counts as.
const FILE_BYTES: u64 = 4096;

pub(crate) struct PreviewFiles {
    directory: PathBuf,
    written: usize,
    written_bytes: u64,
}

impl PreviewFiles {
    /// Creates the directory if it does not exist. An error names the path and `--preview-dir`.
    pub(crate) fn create(directory: &Path) -> Result<Self, Failure> {
        if std::fs::symlink_metadata(directory).is_ok() && !directory.is_dir() {
            return Err(Failure::unwritable(directory, "it is not a directory")
                .with_help("name a directory with --preview-dir"));
        }
        std::fs::create_dir_all(directory).map_err(|error| Failure::unwritable(directory, error))?;
        Ok(Self { directory: directory.to_owned(), written: 0, written_bytes: 0 })
    }

    /// Writes a preview under its picture and step. Fails once the previews of the job exceed [`MAX_BYTES`].
    pub(crate) fn write(&mut self, preview: &Preview) -> Result<(), Failure> {
        let name = format!("image{}_step{:03}.{}", preview.image_index, preview.step, extension(preview.format()));
        let path = self.directory.join(name);
        self.written_bytes = self.written_bytes.saturating_add(preview.data.len() as u64).saturating_add(FILE_BYTES);
        if self.written_bytes > MAX_BYTES {
            let limit = units::bytes(MAX_BYTES);
            return Err(Failure::unwritable(&path, format_args!("the server sent more than {limit} of previews"))
                .with_help("write fewer with --preview-every, or smaller ones with --preview-max-edge"));
        }
        output::write_file(&path, &preview.data)?;
        self.written += 1;
        Ok(())
    }

    /// The directory and how many files were written.
    pub(crate) fn summary(&self) -> (&Path, usize) {
        (&self.directory, self.written)
    }
}

fn extension(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Jpeg | ImageFormat::Unspecified => "jpg",
        ImageFormat::Png => "png",
        ImageFormat::Webp => "webp",
    }
}

/// Pictures in the terminal.
pub(crate) struct InlinePictures {
    protocol: Protocol,
    shown: u32,
}

impl InlinePictures {
    /// A way to show pictures, if the terminal supports one.
    pub(crate) fn detect() -> Option<Self> {
        Protocol::detect().map(|protocol| Self { protocol, shown: 0 })
    }

    /// Whether a preview is due: a few are shown over the whole job, of the first picture.
    pub(crate) fn is_due(&self, preview: &Preview, total_steps: u32) -> bool {
        let due_after = u64::from(self.shown + 1) * u64::from(total_steps) / u64::from(INLINE_PREVIEWS + 1);
        preview.image_index == 0 && self.shown < INLINE_PREVIEWS && u64::from(preview.step) >= due_after.max(1)
    }

    /// Shows a preview. One that cannot be decoded is skipped.
    pub(crate) fn show_preview(&mut self, preview: &Preview) {
        self.shown += 1;
        self.protocol.show(&preview.data, PREVIEW_COLUMNS);
    }

    pub(crate) fn show_result(&self, file: &[u8]) {
        self.protocol.show(file, RESULT_COLUMNS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sakuga_client::proto::generation::v1::PreviewMethod;

    fn preview(image_index: u32, step: u32) -> Preview {
        Preview {
            image_index,
            step,
            method: PreviewMethod::Linear.into(),
            format: ImageFormat::Webp.into(),
            width: 1,
            height: 1,
            data: vec![1].into(),
        }
    }

    #[test]
    fn files_are_named_after_picture_and_step() {
        let directory = tempfile::tempdir().unwrap();
        let mut files = PreviewFiles::create(&directory.path().join("a/b")).unwrap();
        files.write(&preview(1, 12)).unwrap();
        assert!(directory.path().join("a/b/image1_step012.webp").is_file());
        assert_eq!(files.summary().1, 1);
    }

    #[test]
    fn a_few_previews_are_shown_over_the_job() {
        let mut inline = InlinePictures { protocol: Protocol::Kitty, shown: 0 };
        let mut shown = Vec::new();
        for step in 1..=28 {
            if inline.is_due(&preview(0, step), 28) {
                inline.shown += 1;
                shown.push(step);
            }
            assert!(!inline.is_due(&preview(1, step), 28));
        }
        assert_eq!(shown, [4, 8, 12, 16, 20, 24]);
    }

    #[test]
    fn a_server_cannot_fill_the_disk_with_previews() {
        let directory = tempfile::tempdir().unwrap();
        let mut files = PreviewFiles::create(directory.path()).unwrap();
        files.written_bytes = MAX_BYTES;
        let failure = files.write(&preview(0, 1)).unwrap_err();
        assert!(failure.message().contains("more than 1.0 GiB"), "{failure:?}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
