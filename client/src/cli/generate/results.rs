//! The files that the pictures of a request are written to.

use std::path::{Path, PathBuf};

use sakuga_client::proto::generation::v1::GenerateRequest;

use crate::cli::output::picture_file;

/// More pictures than one job may have.
const PICTURES_MAX: u32 = 1024;

/// The files of the pictures that a request draws. Of a batch that is larger than any server draws, only the first ones.
pub(super) fn files(out: &Path, request: &GenerateRequest) -> Vec<PathBuf> {
    let indices = match request.image_indices.as_slice() {
        [] => (0..request.images.clamp(1, PICTURES_MAX)).collect(),
        indices => indices.to_vec(),
    };
    indices.iter().map(|index| picture_file(out, indices.len(), *index)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_pictures_have_their_indices() {
        let named = |images: u32, image_indices: &[u32]| {
            let request =
                GenerateRequest { images, image_indices: image_indices.to_vec(), ..GenerateRequest::default() };
            files(Path::new("a.png"), &request)
        };
        for one in [named(0, &[]), named(1, &[]), named(4, &[3])] {
            assert_eq!(one, [Path::new("a.png")]);
        }
        assert_eq!(named(2, &[]), [Path::new("a-0.png"), Path::new("a-1.png")]);
        assert_eq!(named(4, &[1, 3]), [Path::new("a-1.png"), Path::new("a-3.png")]);
        assert_eq!(named(u32::MAX, &[]).len(), 1024);
    }
}
