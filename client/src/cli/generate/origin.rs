//! A picture, or a request in JSON, whose request is sent again.

use std::path::Path;

use sakuga_client::picture;
use sakuga_client::proto::generation::v1::{AppliedAdapter, GenerateRequest};
use sakuga_client::proto::json::{self, UnknownFields};
use sakuga_client::proto::text::one_line;

use crate::cli::failure::Failure;
use crate::cli::input;
use crate::cli::output;

/// A picture whose request is sent again.
#[derive(Clone)]
pub(crate) struct Origin {
    /// The file, as given.
    pub name: String,
    /// Its index in the batch.
    pub image_index: u32,
    /// Pictures of its batch.
    pub images: u32,
    pub pixels_sha256: String,
    /// The device that drew it.
    pub device: String,
    /// The adapters that it was drawn with.
    pub adapters: Vec<AppliedAdapter>,
    /// Whether something but the previews was changed on the command line.
    pub is_changed: bool,
}

impl Origin {
    /// A note about the other pictures of the batch that the picture comes from.
    pub(crate) fn batch_note(&self, request: &GenerateRequest, out: &Path) -> Option<String> {
        let (images, index) = (request.images.max(1), self.image_index);
        if self.images <= 1 {
            return None;
        }
        let place = format!("{} is picture {} of {}", one_line(&self.name), u64::from(index) + 1, self.images);
        let alone = format!("--image-index {index} draws it alone");
        let indices = &request.image_indices;
        let drawn = if indices.is_empty() { images as usize } else { indices.len() };
        Some(match index < images {
            _ if indices == &[index] => return None,
            _ if !indices.is_empty() && !indices.contains(&index) => format!("{place} and is not drawn; {alone}"),
            true if indices.is_empty() && images == 1 => format!("{place}, and the only one that is drawn"),
            true => format!(
                "{place}: {drawn} pictures of its request are drawn, this one as {}; {alone}",
                output::shown(&output::picture_file(out, drawn, index))
            ),
            false => format!(
                "{place}, so --images {images} does not draw it but the first ones; leave --images out, and {alone}"
            ),
        })
    }
}

/// The request in a picture, or in a JSON file as `sakuga import` writes it, which comes from no picture.
pub(crate) fn read(path: &Path) -> Result<(GenerateRequest, Option<Origin>), Failure> {
    let input = input::read_picture(path)?;
    if input.bytes.trim_ascii_start().starts_with(b"{") {
        let text = std::str::from_utf8(&input.bytes).map_err(|error| Failure::unreadable(path, error))?;
        let mut request: GenerateRequest =
            json::from_str(text, UnknownFields::Refuse).map_err(|error| Failure::unreadable(path, error))?;
        request.request_id.clear();
        return Ok((request, None));
    }
    let record = picture::read_record(&input.bytes).map_err(|error| Failure::unreadable(path, error))?;
    let pixels_sha256 = picture::pixels_sha256(&input.bytes).map_err(|error| Failure::unreadable(path, error))?;
    let metadata = record.metadata;
    let Some(mut request) = metadata.request else {
        return Err(Failure::unreadable(path, "its record holds no request"));
    };
    // The identifier belongs to an earlier job.
    request.request_id.clear();
    let origin = Origin {
        name: input.name,
        image_index: metadata.image_index,
        images: request.images,
        pixels_sha256,
        device: metadata.device,
        adapters: metadata.adapters,
        is_changed: false,
    };
    Ok((request, Some(origin)))
}
