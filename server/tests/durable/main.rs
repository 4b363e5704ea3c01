//! Nothing accepted is lost: servers that are killed, stores that fail, clients that are cut off.

mod archive;
mod clients;
#[cfg(target_os = "linux")]
mod crowd;
#[cfg(unix)]
mod damage;
mod host;
mod kill;
mod leftovers;
#[cfg(feature = "s3")]
mod object_store;
mod older_store;
#[path = "../shared/process.rs"]
mod process;
mod program;
#[cfg(target_os = "linux")]
mod readers;
mod recovery;
mod restart;
mod retention;
#[path = "../shared/server.rs"]
mod server;
#[cfg(target_os = "linux")]
mod soak;
mod store_faults;
mod support;
#[path = "../service/uploads.rs"]
mod uploads;
