//! Pulls of models from a hub on this machine, faults included.
#![cfg(feature = "burn")]

mod faults;
mod hub;
#[path = "../shared/process.rs"]
mod process;
mod serving;
mod support;
