//! The studio: a page for people, and the gRPC-Web calls that it makes, on its own port.
//!
//! `assets.rs` has the files of the page, which `build.rs` puts into the program. `request_check.rs` refuses requests
//! that a page of another origin makes a browser send, DNS rebinding included. `layer.rs` puts both before the calls,
//! which then pass the same layers as those of gRPC: the same tokens, quotas, limits and owners. `config.rs` says where
//! it listens. `api.rs` routes requests for OpenAI's images API to `openai`.

pub(crate) mod api;
mod assets;
pub(crate) mod config;
pub(crate) mod layer;
mod request_check;
