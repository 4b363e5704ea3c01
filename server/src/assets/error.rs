//! [`AssetError`]: why a call on assets is refused.

use std::time::Duration;

use super::id::AssetId;
use crate::store::StoreError;

/// Why a call on assets is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AssetError {
    /// The owner has no such asset.
    #[error(
        "there is no asset {0}; it was never uploaded with these credentials, was deleted, or was too old to be kept"
    )]
    Unknown(AssetId),
    /// The bytes of a call do not begin where those that the server has end, or end before the file is whole.
    #[error("the server has {offset} of the {size} bytes of this upload; continue at offset {offset}")]
    Offset {
        /// Bytes that the server has.
        offset: u64,
        /// Bytes of the file.
        size: u64,
    },
    /// The upload would exceed the owner's quota of bytes.
    #[error(
        "{size} bytes more are beyond the quota: {used} of {quota} bytes are used; delete assets that you do not need"
    )]
    Quota {
        /// Bytes of the upload.
        size: u64,
        /// Bytes that the owner uses already.
        used: u64,
        /// Bytes that the owner may have.
        quota: u64,
    },
    /// The owner has reached the limit of assets.
    #[error("there are {limit} assets already, which is the limit; delete those that you do not need")]
    TooManyAssets {
        /// The largest number allowed.
        limit: usize,
    },
    /// The limit of open uploads is reached.
    #[error("{limit} uploads are open already; finish them first")]
    TooManyUploads {
        /// The largest number allowed.
        limit: usize,
    },
    /// The call sent nothing for too long.
    #[error("nothing arrived for {} s; call again and continue at offset {offset}", .limit.as_secs_f32())]
    Idle {
        /// The longest pause allowed between two messages.
        limit: Duration,
        /// Bytes that the server has.
        offset: u64,
    },
    /// A newer call uploads the same file.
    #[error("a newer call uploads this file")]
    Superseded,
    /// The call sent more bytes than it announced.
    #[error("there are more bytes than the {size} of `start.size`; state the size of the whole file")]
    TooLong {
        /// Bytes of the file, as announced.
        size: u64,
    },
    /// An unfinished upload of the file was announced with another size.
    #[error(
        "an upload of this file was begun with {size} bytes; state the size of the whole file, or delete that upload"
    )]
    OtherSize {
        /// Bytes that were announced first.
        size: u64,
    },
    /// The bytes have another hash.
    #[error(
        "the bytes that arrived have the SHA-256 {found} and not {expected}; upload the file again from its beginning"
    )]
    HashMismatch {
        /// The announced hash.
        expected: AssetId,
        /// The hash of the bytes.
        found: AssetId,
    },
    /// The file is not one that can be used.
    #[error("the file cannot be used: {0}")]
    Unusable(String),
    /// The store or the folder fails, or what it holds is damaged.
    #[error("{0}")]
    Store(#[from] StoreError),
}
