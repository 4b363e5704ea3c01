//! `sakuga schema`: the prompt language and the API, as files for other tools.

use std::io::IsTerminal;

use clap::Args;
use sakuga_client::proto::FILE_DESCRIPTOR_SET;
use sakuga_schema::XSD;

use super::exit::{self, Exit};
use super::failure::Failure;
use super::output;

/// Print the prompt language or the API
///
/// With the XSD, editors complete and check prompts; with the descriptor set, gRPC tools call the server.
#[derive(Debug, Args)]
#[command(after_long_help = exit::MANUAL)]
#[group(multiple = false)]
pub(crate) struct SchemaArguments {
    /// The XSD of the prompt language (this is the default)
    #[arg(long)]
    xsd: bool,

    /// The grammar reference, made from the XSD and the rules of the checker (Markdown)
    #[arg(long)]
    reference: bool,

    /// The descriptor set of the gRPC API (binary: send it to a file)
    #[arg(long)]
    descriptor: bool,
}

/// Runs the command.
pub(crate) fn run(arguments: &SchemaArguments) -> Result<Exit, Failure> {
    if arguments.descriptor {
        if std::io::stdout().is_terminal() {
            return Err(Failure::new(Exit::Unreadable, "the descriptor set is binary and stdout is a terminal")
                .with_help("send it to a file: `sakuga schema --descriptor > sakuga.binpb`"));
        }
        output::print_bytes(FILE_DESCRIPTOR_SET)?;
        return Ok(Exit::Ok);
    }
    if arguments.reference {
        output::print(sakuga_schema::reference::markdown())?;
    } else {
        output::print(XSD)?;
    }
    Ok(Exit::Ok)
}
