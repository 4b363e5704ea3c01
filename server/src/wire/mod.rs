//! The border between wire and domain: free functions, the only code that names types of both.

pub mod deadline;
mod enumeration;
pub mod from_proto;
pub mod http;
pub mod images;
pub mod metadata;
pub mod sampling;
pub mod status;
pub mod to_proto;
