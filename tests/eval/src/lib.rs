//! Measures, over the gRPC service, whether attributes stay with their character.
//!
//! A [`case::Case`] says which scenes are requested, a [`form::Form`] in which form. [`run`] sends the
//! requests and has each picture read by the oracle of `sakuga-figures`; [`store`] keeps one line a picture, so that an
//! interrupted run continues where it stopped; [`score`] counts, and [`report`] writes the page. [`compare`] sets two models and three ways to
//! ask them side by side.

#![forbid(unsafe_code)]

pub mod case;
pub mod compare;
pub mod error;
pub mod form;
pub mod progress;
pub mod record;
pub mod report;
pub mod run;
pub mod score;
pub mod shuffle;
pub mod store;
pub mod unknown;
