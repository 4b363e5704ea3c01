//! Derives the crate's tables and types from `prompt.xsd`, the one place where the language is defined.
//!
//! Writes two files to `OUT_DIR`: `grammar.rs`, the tables that `src/grammar.rs` includes, and `generated.rs`, the
//! readers that `tests/oracle` includes.

#[path = "build/fixed.rs"]
mod fixed;
#[path = "build/grammar.rs"]
mod grammar;
#[path = "build/types.rs"]
mod types;

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use xsd_parser::config::{Config, Schema};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=prompt.xsd");
    println!("cargo::rerun-if-changed=build");
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);

    let config = types::config(Config::default().with_schema(Schema::File("prompt.xsd".into())));
    let schemas = xsd_parser::exec_parser(config.parser)?;
    let (meta_types, ident_cache) = xsd_parser::exec_interpreter_with_ident_cache(config.interpreter, &schemas)?;
    let fixed = fixed::values(&schemas);
    fs::write(out_dir.join("grammar.rs"), grammar::tables(&meta_types, &fixed)?)?;

    let meta_types = types::share_character(meta_types);
    let meta_types = xsd_parser::exec_optimizer(config.optimizer, meta_types)?;
    let data_types =
        xsd_parser::exec_generator_with_ident_cache(config.generator, &schemas, Some(&ident_cache), &meta_types)?;
    let module = xsd_parser::exec_render(config.renderer, &data_types)?;
    fs::write(out_dir.join("generated.rs"), types::source(&module)?)?;
    Ok(())
}
