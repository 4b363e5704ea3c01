//! `--check-config`: whether the server could listen on its addresses.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use super::Config;

impl Config {
    /// Why the server could not listen on an address of its configuration. A port that is taken is a warning: the server that
    /// the configuration is for may be running.
    pub(super) fn address_problems(&self) -> Vec<String> {
        let metrics = self.transport.metrics_listen.map(|address| ("--metrics-listen", vec![address]));
        let wanted =
            [Some(("--listen", vec![self.listen])), metrics, Some(("--studio", self.studio.addresses(self.listen)))];
        problems(wanted.into_iter().flatten())
    }
}

/// The problems of flags with the addresses that a start would try for each, in this order.
fn problems(wanted: impl IntoIterator<Item = (&'static str, Vec<SocketAddr>)>) -> Vec<String> {
    // The sockets stay open until all were tried, so that two flags of one address are found.
    let mut bound: Vec<(&str, SocketAddr, TcpListener)> = Vec::new();
    let mut problems = Vec::new();
    for (flag, addresses) in wanted {
        let last = addresses.len();
        for (number, address) in addresses.into_iter().enumerate() {
            match TcpListener::bind(address) {
                Ok(listener) => bound.push((flag, address, listener)),
                Err(error) if error.kind() == ErrorKind::AddrInUse => {
                    if number + 1 < last {
                        continue;
                    }
                    match bound.iter().find(|(_, other, _)| other.port() == address.port()) {
                        Some((other, ..)) => {
                            problems.push(format!("{flag} {address}: {other} has this port already; choose another"));
                        }
                        None => tracing::warn!(
                            "{flag} {address}: the port is taken now; a start is refused while another program has it"
                        ),
                    }
                }
                Err(error) => {
                    problems.push(format!("{flag} {address}: cannot listen there: {error}; {}", remedy(&error)));
                }
            }
            break;
        }
    }
    problems
}

/// What to do about an address that the system refuses.
fn remedy(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::AddrNotAvailable => "name an address of this host, or 0.0.0.0 for all of them",
        ErrorKind::PermissionDenied => "choose a port of 1024 or above, or give the program CAP_NET_BIND_SERVICE",
        _ => "name another address",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn addresses_of_other_hosts_are_problems_and_free_ones_are_none() {
        let found = problems([("--listen", vec![address("192.0.2.1:50051")]), ("--studio", Vec::new())]);
        assert!(
            matches!(&found[..], [one] if one.contains("--listen 192.0.2.1:50051") && one.contains("of this host")),
            "{found:?}"
        );
        assert!(problems([("--listen", vec![address("127.0.0.1:0")])]).is_empty());
    }

    #[test]
    fn a_port_of_another_program_is_no_problem_and_one_of_two_flags_is() {
        let other = TcpListener::bind(address("127.0.0.1:0")).expect("a free port");
        let taken = other.local_addr().expect("an address");
        assert!(problems([("--listen", vec![taken])]).is_empty());
        drop(other);
        let found = problems([("--listen", vec![taken]), ("--metrics-listen", vec![taken])]);
        assert!(
            matches!(&found[..], [one] if one.contains("--metrics-listen") && one.contains("--listen has this port")),
            "{found:?}"
        );
        // The studio takes the next address.
        assert!(problems([("--listen", vec![taken]), ("--studio", vec![taken, address("127.0.0.1:0")])]).is_empty());
    }
}
