//! Records, figures, charts and reports of `sakuga bench`.
//!
//! The crate accesses no file and no server: its inputs are events and records as values or bytes, its outputs tables
//! and pages as text. The command line of `sakuga` measures, reads and writes.
//!
//! | module | concept |
//! |---|---|
//! | `case` | the prompts that are measured |
//! | `record`, `protocol` | a run as JSON: samples, and the settings that two compared runs must share |
//! | `recorder`, `event_file` | the record of one picture, from live events or from an event log |
//! | `stats`, `figures`, `operations` | what the samples come to |
//! | `table`, `format`, `summary` | figures as tables and text |
//! | `chart`, `page`, `report` | figures as charts and as a page |
//! | `compare`, `side_by_side` | several runs |
//! | `planes`, `similarity`, `flip` | how alike two pictures are |
//! | `levels` | the levels of quality of a model, and their profile |
//! | `article` | two systems next to the figures of the article that the protocol is from |

#![forbid(unsafe_code)]

pub mod article;
pub mod case;
pub mod chart;
pub mod compare;
mod error;
pub mod event_file;
mod figures;
pub mod flip;
mod format;
pub mod levels;
pub mod operations;
mod page;
mod planes;
mod profile;
pub mod protocol;
pub mod record;
pub mod recorder;
pub mod report;
mod side_by_side;
pub mod similarity;
mod stats;
pub mod summary;
mod table;

pub use error::BenchError;
