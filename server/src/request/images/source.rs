//! Reads the files of a request.

use bytes::Bytes;
use parking_lot::Mutex;
use sakuga_model_core::{Rgb8, limits};
use sakuga_proto::digest::sha256_hex;

use super::Source;
use crate::assets::{DecodedPicture, PictureLimits, decode_picture};
use crate::error::Violation;

/// Held while a file is decoded, which takes up to 20 bytes of memory a pixel.
static DECODING: Mutex<()> = Mutex::new(());

/// Decodes a file of a request while no other is decoded.
pub(crate) fn decode_alone<T>(decode: impl FnOnce() -> T) -> T {
    let _one_at_a_time = DECODING.lock();
    decode()
}

/// Files that the caller of a request uploaded before.
pub(crate) trait Uploads: Sync {
    /// The bytes of the file with this SHA-256.
    ///
    /// # Errors
    ///
    /// Why they cannot be read.
    fn bytes(&self, sha256: &str) -> Result<Bytes, String>;
}

/// The uploads of a caller who has not uploaded anything.
pub(crate) struct NoUploads;

impl Uploads for NoUploads {
    fn bytes(&self, _sha256: &str) -> Result<Bytes, String> {
        Err("is not kept here".to_owned())
    }
}

/// A file that was read.
pub(crate) struct File {
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// Its pixels.
    pub image: Rgb8,
}

/// Reads a file.
///
/// # Errors
///
/// What is wrong with it. `field` is the path of the source.
pub(crate) fn read(field: &str, source: &Source, uploads: &dyn Uploads) -> Result<File, Violation> {
    let (field, bytes) = match source {
        Source::Inline(bytes) => (format!("{field}.inline"), bytes.clone()),
        Source::Asset(sha256) => {
            let field = format!("{field}.asset");
            let missing = |why: String| {
                let text = format!(
                    "the asset {} {why}; name a picture that you uploaded, or send the file itself in `inline`",
                    shown(sha256)
                );
                Violation::new(field.clone(), Violation::REQUIRED, text)
            };
            let bytes = uploads.bytes(sha256).map_err(missing)?;
            (field, bytes)
        }
    };
    let (len, bytes_max) = (bytes.len(), limits::INLINE_BYTES.max);
    if matches!(source, Source::Inline(_)) && len > bytes_max {
        let text = format!("{len} bytes are too many; use at most {bytes_max}: compress the image, or make it smaller");
        return Err(Violation::new(field, Violation::OUT_OF_RANGE, text));
    }
    let decoded = decode_alone(|| decode_picture(&bytes, &PictureLimits::default()));
    let DecodedPicture { rgb, width, height, .. } =
        decoded.map_err(|error| Violation::new(field, Violation::BAD_IMAGE, error.to_string()))?;
    let image = Rgb8 { width_px: width, height_px: height, pixels: rgb };
    Ok(File { sha256: sha256_hex(&bytes), image })
}

/// The beginning of a client's name of any length, without control characters.
pub(crate) fn shown(name: &str) -> String {
    name.chars().filter(|character| !character.is_control()).take(64).collect()
}
