//! End-to-end tests over real sockets: the client library and a server in the test's process.

mod access;
#[cfg(feature = "burn")]
mod burn;
mod endings;
mod jobs;
mod pictures;
mod prompts;
mod system;
