//! Drawing, against a server that plays a script: the library's promises, and the command as a user runs it.

#[path = "../support.rs"]
mod support;

mod assets;
mod bench;
mod command;
mod estimate;
mod fake;
mod hostile;
mod info;
mod jobs;
mod library;
mod many;
mod models;
mod scene;
mod top;
