//! Pulling models from a hub on this machine, with everything that goes wrong on the way.
#![cfg(feature = "burn")]

mod faults;
mod hub;
#[path = "../shared/process.rs"]
mod process;
mod serving;
mod support;
