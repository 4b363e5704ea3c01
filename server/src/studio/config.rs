//! Where the studio listens, and the host names under which it is reached.

use std::net::SocketAddr;
use std::str::FromStr;

use clap::{ArgAction, Args};

use crate::settings::{address, defaults, is_loopback};

/// Where the studio listens, and the host names under which it is reached.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(next_help_heading = "Studio")]
pub struct StudioConfig {
    /// Serve the studio, a page for browsers, and OpenAI's images API at this address: `ADDR:PORT`, `off`, or `auto`. With
    /// `auto` it is served if --listen is on the loopback: there, at the port after that of --listen or another free one. The
    /// address is printed on standard output as `studio at http://ADDR:PORT/`. An address that other machines can reach needs
    /// --tls-cert, and --tokens or --tls-client-ca, unless --insecure-listen is set.
    #[arg(long = "studio", value_name = "ADDR:PORT|auto|off", default_value = "auto")]
    pub place: StudioPlace,
    /// A name by which browsers reach the studio, such as `studio.example`; `localhost` and plain addresses always work.
    /// Calls under other names are refused, because a page of another site may have made them. Can be given several times; a
    /// list in the file, separated by commas in the environment.
    #[arg(long = "studio-host", value_name = "NAME", value_delimiter = ',', value_parser = host_name)]
    pub hosts: Vec<String>,
    /// Serve OpenAI's images API at the studio's address, below `/v1/`, also in a program without the studio's page. With
    /// --studio off there is no such address.
    #[arg(
        long = "openai-api",
        value_name = "true|false",
        num_args = 0..=1,
        require_equals = true,
        default_value = "true",
        default_missing_value = "true",
        action = ArgAction::Set
    )]
    pub has_openai_api: bool,
}

/// Where the studio listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StudioPlace {
    /// Next to the API if that is on the loopback; otherwise nowhere.
    Auto,
    /// Nowhere.
    Off,
    /// At this address.
    At(SocketAddr),
}

impl FromStr for StudioPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            other => address(other).map(Self::At).map_err(|_| {
                "is neither `auto`, `off` nor an address with a port; write such as 127.0.0.1:50052".to_owned()
            }),
        }
    }
}

impl Default for StudioConfig {
    /// No studio: for tests, and for programs that embed the server.
    fn default() -> Self {
        Self { place: StudioPlace::Off, ..defaults() }
    }
}

impl StudioConfig {
    /// The addresses to try in order, of a server that listens there; the first that is free is taken.
    pub fn addresses(&self, listen: SocketAddr) -> Vec<SocketAddr> {
        let with_port = |port| SocketAddr::new(listen.ip(), port);
        match self.place {
            StudioPlace::At(address) => vec![address],
            StudioPlace::Auto if is_loopback(listen.ip()) => match listen.port() {
                0 | u16::MAX => vec![with_port(0)],
                port => vec![with_port(port + 1), with_port(0)],
            },
            StudioPlace::Auto | StudioPlace::Off => Vec::new(),
        }
    }

    /// What is wrong with an address that other machines reach.
    pub fn problem(&self, is_encrypted: bool, has_identities: bool, is_insecure: bool) -> Option<String> {
        let StudioPlace::At(address) = self.place else { return None };
        if is_loopback(address.ip()) || is_insecure || (is_encrypted && has_identities) {
            return None;
        }
        Some(format!(
            "--studio {address} can be reached by other machines; encrypt with --tls-cert and --tls-key and require \
             --tokens or --tls-client-ca, serve it on 127.0.0.1, or allow it with --insecure-listen"
        ))
    }
}

/// A name of DNS, in lower case.
fn host_name(text: &str) -> Result<String, String> {
    let name = text.trim().to_ascii_lowercase();
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    if name.split('.').all(is_label) {
        return Ok(name);
    }
    Err("is not a name; write it without scheme and port, such as studio.example".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn the_studio_is_next_to_an_api_on_the_loopback_and_nowhere_else() {
        let auto = StudioConfig { place: StudioPlace::Auto, ..StudioConfig::default() };
        assert_eq!(auto.addresses(at("127.0.0.1:50051")), [at("127.0.0.1:50052"), at("127.0.0.1:0")]);
        assert_eq!(auto.addresses(at("[::1]:0")), [at("[::1]:0")]);
        assert_eq!(auto.addresses(at("127.0.0.1:65535")), [at("127.0.0.1:0")]);
        assert!(auto.addresses(at("0.0.0.0:50051")).is_empty());
        assert!(StudioConfig::default().addresses(at("127.0.0.1:50051")).is_empty());
    }

    #[test]
    fn elsewhere_it_needs_encryption_and_identities() {
        let open = StudioConfig { place: "0.0.0.0:80".parse().expect("a place"), ..StudioConfig::default() };
        for (encrypted, identities, insecure, is_allowed) in [
            (false, true, false, false),
            (true, false, false, false),
            (true, true, false, true),
            (false, false, true, true),
        ] {
            assert_eq!(open.problem(encrypted, identities, insecure).is_none(), is_allowed);
        }
        let local = StudioConfig { place: StudioPlace::At(at("127.0.0.1:0")), ..open };
        assert_eq!(local.problem(false, false, false), None);
    }

    #[test]
    fn names_have_no_port_and_no_scheme() {
        assert_eq!(host_name(" Studio.Example "), Ok("studio.example".into()));
        for text in ["", "http://a", "a:80", "a..b", "*"] {
            assert!(host_name(text).is_err(), "{text}");
        }
        assert_eq!("off".parse(), Ok(StudioPlace::Off));
        assert!("on".parse::<StudioPlace>().expect_err("no place").contains("127.0.0.1:50052"));
    }
}
