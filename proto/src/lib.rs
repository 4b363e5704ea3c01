//! The wire contract of Sakuga: the messages, clients and servers of `proto/sakuga`, generated.
//!
//! | package | what |
//! |---|---|
//! | [`prompt::v1`] | the typed prompt, its diagnostics, and `PromptService` |
//! | [`generation::v1`] | requests, jobs, the stream of events, `GenerationService` and `JobService` |
//! | [`asset::v1`] | files of clients that requests refer to, and `AssetService` |
//! | [`system::v1`] | the server, its models and its device, and `SystemService` |
//! | [`model::v1`] | where the weights of the models are, and `ModelService` |
//! | [`internal`] | what only the server reads and writes; not part of the API |
//!
//! The code in `src/gen` is committed and compared with the protos by `tests/bootstrap.rs`, so building needs no
//! protoc. The other modules hold what server and clients both do with the messages: [`time`], [`text`] and [`code`] always,
//! `digest`, `json` and `schema` behind the features of those names.

#![forbid(unsafe_code)]

pub mod code;
#[cfg(feature = "digest")]
pub mod digest;
mod encoded;
mod event;
#[cfg(feature = "json")]
pub mod json;
mod sampling;
#[cfg(feature = "schema")]
pub mod schema;
pub mod text;
pub mod time;

pub use encoded::Encoded;

/// Protobuf `FileDescriptorSet` of every file of the API with its comments, of the details of errors (`google/rpc`), and
/// of the well-known types (`google/protobuf`).
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("gen/descriptor.bin");

/// The typed prompt language.
pub mod prompt {
    /// Version 1.
    #[allow(missing_docs, clippy::all, clippy::pedantic, rustdoc::all, unused_qualifications)]
    pub mod v1 {
        include!("gen/sakuga.prompt.v1.rs");
    }
}

/// Drawing pictures.
pub mod generation {
    /// Version 1.
    #[allow(missing_docs, clippy::all, clippy::pedantic, rustdoc::all, unused_qualifications)]
    pub mod v1 {
        include!("gen/sakuga.generation.v1.rs");
    }
}

/// Files of clients.
pub mod asset {
    /// Version 1.
    #[allow(missing_docs, clippy::all, clippy::pedantic, rustdoc::all, unused_qualifications)]
    pub mod v1 {
        include!("gen/sakuga.asset.v1.rs");
    }
}

/// Where the weights of the models are.
pub mod model {
    /// Version 1.
    #[allow(missing_docs, clippy::all, clippy::pedantic, rustdoc::all, unused_qualifications)]
    pub mod v1 {
        include!("gen/sakuga.model.v1.rs");
    }
}

/// The server, its models and its device.
pub mod system {
    /// Version 1.
    #[allow(missing_docs, clippy::all, clippy::pedantic, rustdoc::all, unused_qualifications)]
    pub mod v1 {
        include!("gen/sakuga.system.v1.rs");
    }
}

/// Messages of the server's own; not part of the API.
pub mod internal {
    /// What the server stores.
    pub mod store {
        /// Version 1.
        #[allow(missing_docs, clippy::all, clippy::pedantic, rustdoc::all, unused_qualifications)]
        pub mod v1 {
            include!("gen/sakuga.internal.store.v1.rs");
        }
    }
}
