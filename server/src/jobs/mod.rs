//! The jobs of this server: accepted once, stored before they are acknowledged, watched from any event on, and resumed after
//! a restart.

mod artifacts;
mod caller;
mod cancel;
mod create;
mod event_encoder;
mod hooks;
mod labels;
mod migrate;
mod policy;
mod prepare;
mod query;
mod record;
mod recover;
mod registry;
mod retention_loop;
mod search;
mod stored_events;
#[cfg(test)]
mod tests;
mod thumbnails;
mod uploads;
mod watch;

pub use artifacts::{CheckedPictures, check_picture};
pub use caller::Caller;
pub use create::{Call, Created};
pub use labels::LabelChange;
pub use migrate::migrate;
pub use query::{Listed, PageLimits};
pub use record::Record;
pub use registry::{Dependencies, Jobs};
pub use search::JobQuery;
pub use thumbnails::Thumbnail;
