//! Files to upload, and the messages that do it.

use sakuga_proto::asset::v1::upload_asset_request::Part;
use sakuga_proto::asset::v1::{UploadAssetRequest, UploadStart};
use sakuga_proto::digest::sha256_hex;

/// Bytes of a message.
const PIECE: usize = 100_000;

/// A small PNG in one colour.
pub(crate) fn picture(shade: u8) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 4, 2);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().expect("memory");
    writer.write_image_data(&[shade; 24]).expect("memory");
    writer.finish().expect("memory");
    file
}

/// The messages that upload a file from this offset on.
pub(crate) fn parts(file: &[u8], offset: usize) -> Vec<UploadAssetRequest> {
    let start = UploadStart { sha256: sha256_hex(file), size: file.len() as u64, offset: offset as u64 };
    let pieces = file[offset..].chunks(PIECE).map(|piece| Part::Data(piece.to_vec().into()));
    std::iter::once(Part::Start(start)).chain(pieces).map(|part| UploadAssetRequest { part: Some(part) }).collect()
}
