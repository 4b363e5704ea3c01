//! `sakuga-server token new`: makes a token, prints it once, and prints the line for the token file.

use std::ffi::OsString;

use clap::{Arg, Command};

use super::access::Scopes;
use super::quota::QuotaLimits;
use super::token_file::{self, TokenEntry};
use crate::rate::Rate;

/// The subcommand's name.
pub const NAME: &str = "token";

/// The subcommand's arguments.
pub fn command() -> Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let new = Command::new("new")
        .about(
            "Make a token. The secret goes to standard output and is not shown again; the line for the file of --tokens \
             goes to standard error: `token new ... 2>>tokens >secret`",
        )
        .arg(text("name", "NAME", "Name of its holder, as logs and quotas show it").required(true).value_parser(read_name))
        .arg(
            text("scope", "SCOPES", "Its scopes: any of generate, admin, metrics, separated by commas")
                .required(true)
                .value_parser(str::parse::<Scopes>),
        )
        .arg(text("rate", "N/TIME", "The most calls in a time, such as 60/min").value_parser(str::parse::<Rate>))
        .arg(
            text("concurrent", "N", "The most calls at once; a stream counts until its end")
                .value_parser(clap::value_parser!(u32).range(1..)),
        )
        .arg(text("expires", "TIME", "When it ends, such as 2027-01-01T00:00:00Z").value_parser(read_time))
        .after_help(
            "Examples:\n  sakuga-server token new --name alice --scope generate\n  \
             sakuga-server token new --name bot --scope generate --rate 60/min --concurrent 2",
        );
    Command::new(NAME)
        .about("Make bearer tokens for --tokens")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(new)
}

fn read_name(text: &str) -> Result<String, String> {
    token_file::check_name(text).map(|()| text.to_owned())
}

fn read_time(text: &str) -> Result<std::time::SystemTime, String> {
    token_file::parse_time(text).ok_or_else(|| "write a time such as 2027-01-01T00:00:00Z".to_owned())
}

/// What the command prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Printed {
    /// For standard output: the secret, or the help.
    pub output: String,
    /// For standard error: the line of the token file.
    pub error: String,
}

/// Makes what the command prints, from its arguments without the program's name.
///
/// # Errors
///
/// clap's own for wrong arguments and the help, and one for a system without randomness.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<Printed, clap::Error> {
    let mut command = command().bin_name("sakuga-server token");
    let matches = command.try_get_matches_from_mut(arguments)?;
    let Some(("new", new)) = matches.subcommand() else {
        return Ok(Printed { output: command.render_help().to_string(), error: String::new() });
    };
    let failed = |error: String| clap::Error::raw(clap::error::ErrorKind::Io, error);
    let token = token_file::new_token().map_err(|error| failed(format!("the system has no randomness: {error}\n")))?;
    let required = "clap requires it";
    let entry = TokenEntry {
        name: new.get_one::<String>("name").expect(required).clone(),
        scopes: *new.get_one::<Scopes>("scope").expect(required),
        hash: token_file::hash(token.as_bytes()),
        limits: QuotaLimits { rate: new.get_one("rate").copied(), concurrent: new.get_one("concurrent").copied() },
        expires: new.get_one("expires").copied(),
    };
    Ok(Printed { output: format!("{token}\n"), error: format!("{}\n", entry.line()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(arguments: &str) -> Result<Printed, clap::Error> {
        run(arguments.split_whitespace().map(OsString::from))
    }

    #[test]
    fn the_secret_and_its_line_are_printed_apart() {
        let printed =
            printed("token new --name alice --scope generate,metrics --rate 5/s --concurrent 2").expect("printed");
        let token = printed.output.strip_suffix('\n').expect("one line");
        assert!(token.starts_with(token_file::PREFIX) && !token.contains(char::is_whitespace));
        let entries = token_file::parse(&printed.error).expect("a line of the file");
        assert_eq!((entries.len(), entries[0].hash), (1, token_file::hash(token.as_bytes())));
        assert_eq!((entries[0].name.as_str(), entries[0].limits.concurrent), ("alice", Some(2)));
        assert!(!printed.error.contains(token));
    }

    #[test]
    fn wrong_arguments_are_refused() {
        for arguments in [
            "token",
            "token new",
            "token new --name a",
            "token new --name a --scope root",
            "token new --name a/b --scope admin",
            "token new --name a --scope admin --rate 5",
            "token new --name a --scope admin --concurrent 0",
            "token new --name a --scope admin --expires soon",
        ] {
            assert!(printed(arguments).is_err(), "{arguments}");
        }
    }
}
