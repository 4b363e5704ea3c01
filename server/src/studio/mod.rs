//! The studio: a page for people, and the gRPC-Web calls that it makes, on its own port.
//!
//! `assets.rs` has the files of the page, which `build.rs` puts into the program. `request_check.rs` refuses what another
//! page, or a name that an attacker points at this machine, makes a browser send. `layer.rs` puts both before the calls,
//! which then pass the same layers as those of gRPC: the same tokens, quotas, limits and owners. `config.rs` says where it
//! listens. `api.rs` leads requests for OpenAI's images API to `openai`, past the page.

pub(crate) mod api;
mod assets;
pub(crate) mod config;
pub(crate) mod layer;
mod request_check;
