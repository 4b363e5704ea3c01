//! Stories over real sockets: the server within the test, the client library before it.

#[cfg(feature = "burn")]
mod burn;
mod door;
mod endings;
mod jobs;
mod pictures;
mod prompts;
mod system;
