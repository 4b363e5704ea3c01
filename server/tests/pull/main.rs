//! Pulling models from a hub on this machine, with everything that goes wrong on the way.
#![cfg(feature = "burn")]

mod faults;
mod hub;
mod serving;
mod support;
