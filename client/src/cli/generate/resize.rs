//! `--resize`: how an image gets the size of the picture.

use clap::ValueEnum;
use sakuga_client::proto::generation::v1 as wire;

/// How an image gets the size of the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Resize {
    /// Scaled to cover it, the rest cut off.
    Crop,
    /// Scaled to fit into it, its outermost pixels repeated.
    Pad,
    /// Scaled to its width and height.
    Stretch,
}

impl Resize {
    pub(super) fn to_wire(self) -> wire::ResizeMode {
        match self {
            Self::Crop => wire::ResizeMode::Crop,
            Self::Pad => wire::ResizeMode::Pad,
            Self::Stretch => wire::ResizeMode::Stretch,
        }
    }
}
