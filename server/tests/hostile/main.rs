//! Hostile input: arbitrary messages of every call, and a network that delays, cuts and stalls.

mod answers;
mod extremes;
mod largest;
mod lists;
mod messages;
mod network;
#[path = "../shared/process.rs"]
mod process;
mod raw;
mod requests;
#[path = "../shared/server.rs"]
mod server;
#[path = "../service/uploads.rs"]
mod uploads;
mod wire;
