//! `sakuga-server models pull|list|remove|inspect`: models from a hub or a URL in the folder of models, and what files are.
//!
//! [`source`] reads what is to be pulled. [`mod@transfer`] does it: `hub` asks the hub for the files, their sizes and checksums and
//! the licence, the model crate says which files its loader reads, [`licence`] has the terms accepted, `fetch` downloads each
//! file with resume and verification over `http`, and [`folder`] publishes the whole folder at once. [`find`] is what
//! `--model NAME` means, [`record`] is the file that says where a model came from, [`mod@inspect`] prints what any file is,
//! [`disk`] is where files are written, and [`command`] is the program.
//!
//! # Guarantees
//!
//! - A model is visible in the folder only when every file is complete and has the checksum that the hub states.
//! - A token is sent to the host of the hub only, and never unencrypted to another machine. It is never printed.
//! - Paths that lead out of the folder are refused, and so are symbolic links within them.
//! - Two pulls of one model never write at once.

mod checksum;
pub mod command;
pub mod disk;
pub mod error;
mod fetch;
pub mod find;
pub mod folder;
mod http;
mod hub;
pub mod inspect;
pub mod licence;
mod partial;
mod paths;
pub mod progress;
pub mod record;
pub mod source;
pub mod transfer;

pub use error::PullError;
pub use folder::ModelsFolder;
pub use http::{Credentials, Timing};
pub use progress::Progress;
pub use source::PullSource;
pub use transfer::{PullOptions, Pulled, pull};
