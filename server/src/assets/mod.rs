//! Files of clients that requests refer to: pictures and adapters, each under the SHA-256 of its bytes.
//!
//! [`Assets`] keeps them. An asset belongs to one owner; the same bytes of two owners are one file on the disk, and nothing that
//! an owner sees depends on what others have: each uploads in full, and quotas count the bytes of each owner.
//!
//! - `upload` appends the bytes of a call to an `unfinished` file, which a later call continues, and `examine` finds out what a
//!   whole file is before it is kept.
//! - `job_files` keeps the pictures that came within the request of a job, for that job alone.
//! - `record` is what the store keeps of an asset of one owner, `index` and `state` hold all of them in memory, and [`files`] is the folder.
//! - `decode` is the only place where the server decodes a picture of a client: [`decode_picture`] and, for masks,
//!   [`decode_alpha`].
//!
//! For the rest of the server: [`Assets::find`] for what an asset is, and [`Assets::bytes`], [`Assets::reader`] and [`Assets::file`]
//! for its content.

mod blocking;
mod decode;
mod error;
mod examine;
pub(crate) mod files;
mod id;
mod index;
mod job_files;
mod profile;
mod reader;
mod record;
mod registry;
mod settings;
mod state;
#[cfg(test)]
mod tests;
mod unfinished;
mod upload;

pub(crate) use decode::{AlphaChannel, DecodedPicture, PictureLimits, decode_alpha, decode_picture, picture_size};
pub(crate) use error::AssetError;
pub(crate) use id::{AssetId, AssetOwner};
pub(crate) use record::AssetRecord;
pub(crate) use registry::{Assets, Page};
pub use settings::AssetSettings;
pub(crate) use upload::{StartedUpload, Upload};
