//! The wire contract keeps to rules: those of buf's STANDARD set, and ours.

mod proto_lint;
