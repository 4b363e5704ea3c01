//! `sakuga-server token new`: makes a token, shows it once, and shows the line for the file.

use std::ffi::OsString;

use clap::{Arg, Command};

use super::access::Scopes;
use super::quota::{QuotaLimits, Rate};
use super::token_file::{self, TokenEntry};

/// The subcommand's name.
pub const NAME: &str = "token";

/// The subcommand's arguments.
pub fn command() -> Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let new = Command::new("new")
        .about("Make a token: it is shown once, with the line for the file of --tokens")
        .arg(text("name", "NAME", "Whose it is, as logs and limits name it").required(true).value_parser(read_name))
        .arg(
            text("scope", "SCOPES", "What it is good for: any of generate, admin, metrics, separated by commas")
                .required(true)
                .value_parser(str::parse::<Scopes>),
        )
        .arg(text("rate", "N/TIME", "The most calls in a time, such as 60/min").value_parser(str::parse::<Rate>))
        .arg(
            text("concurrent", "N", "The most calls at once; a stream counts until its end")
                .value_parser(clap::value_parser!(u32).range(1..)),
        )
        .arg(text("expires", "TIME", "When it ends, such as 2027-01-01T00:00:00Z").value_parser(read_time));
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

/// What the command prints, from its arguments without the program's name.
///
/// # Errors
///
/// clap's own for wrong arguments and the help, and one for a system without randomness.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<String, clap::Error> {
    let mut command = command().bin_name("sakuga-server token");
    let matches = command.try_get_matches_from_mut(arguments)?;
    let Some(("new", new)) = matches.subcommand() else { return Ok(command.render_help().to_string()) };
    let failed = |error: String| clap::Error::raw(clap::error::ErrorKind::Io, error);
    let token = token_file::new_token().map_err(|error| failed(format!("the system has no randomness: {error}\n")))?;
    let required = "clap has made sure of it";
    let entry = TokenEntry {
        name: new.get_one::<String>("name").expect(required).clone(),
        scopes: *new.get_one::<Scopes>("scope").expect(required),
        hash: token_file::hash(token.as_bytes()),
        limits: QuotaLimits { rate: new.get_one("rate").copied(), concurrent: new.get_one("concurrent").copied() },
        expires: new.get_one("expires").copied(),
    };
    Ok(format!(
        "The token; it is not shown again:\n{token}\n\nThe line for the file that --tokens names:\n{}\n",
        entry.line()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(arguments: &str) -> Result<String, clap::Error> {
        run(arguments.split_whitespace().map(OsString::from))
    }

    #[test]
    fn the_line_knows_the_token() {
        let told =
            printed("token new --name alice --scope generate,metrics --rate 5/s --concurrent 2").expect("printed");
        let mut lines = told.lines();
        let token = lines.find(|line| line.starts_with(token_file::PREFIX)).expect("a token");
        let line = told.lines().last().expect("a line");
        let entries = token_file::parse(line).expect("a line of the file");
        assert_eq!(entries[0].hash, token_file::hash(token.as_bytes()));
        assert_eq!((entries[0].name.as_str(), entries[0].limits.concurrent), ("alice", Some(2)));
        assert!(!line.contains(token));
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
