//! What clients may upload, and for how long it is kept.

use std::time::Duration;

use super::decode::PictureLimits;

/// What clients may upload, and for how long it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetSettings {
    /// Bytes that the assets and the unfinished uploads of one owner may take together.
    pub quota: u64,
    /// How long an asset is kept after its last use.
    pub keep: Duration,
    /// How long a call that uploads may send nothing.
    pub idle: Duration,
    /// How long the bytes of a call that was cut are kept.
    pub keep_unfinished: Duration,
    /// Unfinished uploads of one owner.
    pub uploads_per_owner: usize,
    /// Unfinished uploads of all owners.
    pub uploads: usize,
    /// The most assets that one owner may keep.
    pub assets_per_owner: usize,
    /// What a picture may be.
    pub picture: PictureLimits,
}

impl Default for AssetSettings {
    fn default() -> Self {
        Self {
            quota: 4 << 30,
            keep: Duration::from_secs(168 * 3600),
            idle: Duration::from_secs(30),
            keep_unfinished: Duration::from_secs(3600),
            uploads_per_owner: 16,
            uploads: 256,
            assets_per_owner: 10_000,
            picture: PictureLimits::default(),
        }
    }
}
