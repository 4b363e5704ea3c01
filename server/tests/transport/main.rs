//! Connections and credentials from outside: TLS, tokens, limits, metrics, and the files for operators.

mod browsers;
mod certificates;
mod ending;
mod floods;
mod metrics;
mod program;
mod support;
mod tokens;
