//! Small versions of pictures, made when they are asked for.

use bytes::Bytes;
use sakuga_model_core::{Rgb8, limits};

use super::caller::Caller;
use super::registry::Jobs;
use super::thumbnail_cache::Thumbnail;
use crate::assets::{PictureLimits, decode_picture};
use crate::error::{ServerError, Violation};
use crate::preview::{self, PreviewFormat};

impl Jobs {
    /// A JPEG of a picture whose longer edge has at most `max_edge_px`. The file of the picture is compared with its SHA-256
    /// when it is read.
    ///
    /// # Errors
    ///
    /// As of [`Jobs::picture`], and [`ServerError::InvalidRequest`] for an edge that is out of range.
    pub(crate) async fn thumbnail(
        &self,
        caller: &Caller,
        job_id: &str,
        image_index: u32,
        max_edge_px: u32,
    ) -> Result<Thumbnail, ServerError> {
        check_edge(max_edge_px)?;
        let (id, image) = self.described(caller, job_id, image_index).await?;
        let key = (image.sha256, max_edge_px);
        let make = async {
            let file = self.whole_picture(&id, image_index, (image.size, &key.0)).await?;
            let made = tokio::task::spawn_blocking(move || shrink(&file, max_edge_px)).await;
            made.unwrap_or_else(|error| Err(ServerError::Internal(error.to_string())))
        };
        self.thumbnails.get(&key, make).await
    }
}

/// Checks the edge of a thumbnail that a call asks for.
///
/// # Errors
///
/// [`ServerError::InvalidRequest`] if it is out of range.
pub(crate) fn check_edge(max_edge_px: u32) -> Result<(), ServerError> {
    if limits::PREVIEW_EDGE_PX.contains(max_edge_px) {
        return Ok(());
    }
    Err(ServerError::InvalidRequest(vec![Violation::out_of_range("max_edge", &limits::PREVIEW_EDGE_PX, max_edge_px)]))
}

/// A JPEG of a file that a server made, whose longer edge has at most `max_edge_px`.
///
/// # Errors
///
/// [`ServerError::Internal`] if it is no picture.
pub(crate) fn shrink(file: &[u8], max_edge_px: u32) -> Result<Bytes, ServerError> {
    // The server made the picture within its own limits.
    let limits = PictureLimits { bytes_max: u64::MAX, edge_max: u32::MAX, pixels_max: u64::MAX };
    let picture = decode_picture(file, &limits).map_err(|error| ServerError::Internal(error.to_string()))?;
    let picture = Rgb8 { width_px: picture.width, height_px: picture.height, pixels: picture.rgb };
    let encoded = preview::encode(picture, PreviewFormat::Jpeg, max_edge_px);
    Ok(encoded.map_err(|error| ServerError::Internal(error.to_string()))?.data)
}
