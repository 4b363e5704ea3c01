//! Conversions between messages and domain types. Only these functions name types of both.

pub(crate) mod deadline;
mod enumeration;
pub(crate) mod frame;
pub(crate) mod from_proto;
pub(crate) mod http;
pub(crate) mod images;
pub(crate) mod metadata;
pub(crate) mod sampling;
pub(crate) mod scene;
pub(crate) mod status;
pub(crate) mod step_cache;
pub(crate) mod to_proto;
