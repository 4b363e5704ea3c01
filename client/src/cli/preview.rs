//! Previews: as files, and in terminals that show pictures.

use std::io::{Cursor, IsTerminal};
use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageReader, Limits};
use sakuga_client::Preview;
use sakuga_client::proto::generation::v1::ImageFormat;

use super::failure::Failure;
use super::output;

/// Pictures of one job that are shown in the terminal before the result.
const INLINE_PREVIEWS: u32 = 6;

/// Width of a preview in the terminal, in columns.
const PREVIEW_COLUMNS: u32 = 24;

/// Width of a result in the terminal, in columns.
const RESULT_COLUMNS: u32 = 48;

/// Previews as files.
pub struct PreviewFiles {
    directory: PathBuf,
    written: usize,
}

impl PreviewFiles {
    /// Creates the directory.
    pub fn create(directory: &Path) -> Result<Self, Failure> {
        std::fs::create_dir_all(directory).map_err(|error| Failure::unwritable(directory, error))?;
        Ok(Self { directory: directory.to_owned(), written: 0 })
    }

    /// Writes a preview under its picture and step.
    pub fn write(&mut self, preview: &Preview) -> Result<(), Failure> {
        let name = format!("image{}_step{:03}.{}", preview.image_index, preview.step, extension(preview.format));
        output::write_file(&self.directory.join(name), &preview.bytes)?;
        self.written += 1;
        Ok(())
    }

    /// The directory and how many files were written.
    pub fn summary(&self) -> (&Path, usize) {
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
pub struct InlinePictures {
    shown: u32,
}

impl InlinePictures {
    /// A way to show pictures, if the terminal has one.
    ///
    /// Terminals are asked by an escape sequence and a wait for the answer, so only those are asked that are known to
    /// answer.
    pub fn detect() -> Option<Self> {
        let is_watched = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        let is_capable = is_watched
            && match promised_protocol() {
                Some(Protocol::Iterm) => viuer::is_iterm_supported(),
                Some(Protocol::Kitty) => viuer::get_kitty_support() != viuer::KittySupport::None,
                Some(Protocol::Sixel) => viuer::is_sixel_supported(),
                None => false,
            };
        is_capable.then_some(Self { shown: 0 })
    }

    /// Whether a preview is due: a few are shown over the whole job, of the first picture.
    pub fn is_due(&self, preview: &Preview, total_steps: u32) -> bool {
        let due_after = u64::from(self.shown + 1) * u64::from(total_steps) / u64::from(INLINE_PREVIEWS + 1);
        preview.image_index == 0 && self.shown < INLINE_PREVIEWS && u64::from(preview.step) >= due_after.max(1)
    }

    /// Shows a preview. A picture that cannot be shown is no reason to stop.
    pub fn show_preview(&mut self, preview: &Preview) {
        self.shown += 1;
        show(&preview.bytes, PREVIEW_COLUMNS);
    }

    /// Shows a result.
    pub fn show_result(&self, file: &[u8]) {
        show(file, RESULT_COLUMNS);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Iterm,
    Kitty,
    Sixel,
}

/// What the environment says that the terminal can do. Inside tmux or screen the answer is that of another program.
fn promised_protocol() -> Option<Protocol> {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let (term, program) = (variable("TERM"), variable("TERM_PROGRAM"));
    if term.starts_with("screen") || term.starts_with("tmux") || std::env::var_os("TMUX").is_some() {
        return None;
    }
    if matches!(program.as_str(), "iTerm.app" | "WezTerm" | "mintty" | "rio" | "WarpTerminal")
        || variable("LC_TERMINAL") == "iTerm2"
        || std::env::var_os("KONSOLE_VERSION").is_some()
    {
        return Some(Protocol::Iterm);
    }
    if term.contains("kitty") || term.contains("ghostty") || std::env::var_os("KITTY_WINDOW_ID").is_some() {
        return Some(Protocol::Kitty);
    }
    let is_sixel = term.starts_with("foot") || term.starts_with("mlterm") || term.contains("sixel");
    (is_sixel || std::env::var_os("XTERM_VERSION").is_some()).then_some(Protocol::Sixel)
}

fn show(file: &[u8], columns: u32) {
    let Some(picture) = decode(file) else { return };
    let config = viuer::Config { absolute_offset: false, width: Some(columns), ..viuer::Config::default() };
    let _ = viuer::print(&picture, &config);
}

/// Decodes with bounds: what a server sends is not trusted to be small.
fn decode(file: &[u8]) -> Option<DynamicImage> {
    let mut reader = ImageReader::new(Cursor::new(file)).with_guessed_format().ok()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(16_384);
    limits.max_image_height = Some(16_384);
    reader.limits(limits);
    reader.decode().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sakuga_client::proto::generation::v1::PreviewMethod;

    fn preview(image_index: u32, step: u32) -> Preview {
        Preview {
            image_index,
            step,
            method: PreviewMethod::Linear,
            format: ImageFormat::Webp,
            width: 1,
            height: 1,
            bytes: vec![1].into(),
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
        let mut inline = InlinePictures { shown: 0 };
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
    fn what_is_no_picture_is_not_shown() {
        assert!(decode(b"").is_none());
        assert!(decode(b"\x89PNG\r\n\x1a\n").is_none());
    }
}
