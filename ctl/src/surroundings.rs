//! Where ctl runs and what it talks to: the endpoint, and the terminal.

use std::io::{self, IsTerminal};

use crate::args::{ColorWhen, Global};
use crate::failure::Failure;
use crate::text::printable;

/// `endpoint` with the default port where it has none.
///
/// # Errors
/// A URL, which is what rebuilderd's client takes.
pub fn with_port(endpoint: &str) -> Result<String, Failure> {
    if let Some((scheme, rest)) = endpoint.split_once("://") {
        let host = rest.split('/').next().unwrap_or_default();
        return Err(Failure::Usage(format!(
            "`{endpoint}` is a URL, and the coordinator speaks QUIC over UDP, not {}: give \
             HOST:PORT of its `listen`, such as --endpoint {}",
            printable(scheme),
            printable(host),
        )));
    }
    let has_port = match endpoint.rsplit_once(':') {
        Some((host, port)) => {
            let host_is_whole = !host.contains(':') || host.ends_with(']');
            host_is_whole && port.bytes().all(|b| b.is_ascii_digit()) && !port.is_empty()
        }
        None => false,
    };
    Ok(match endpoint {
        _ if has_port => endpoint.to_owned(),
        // A bare IPv6 address.
        _ if endpoint.contains(':') && !endpoint.starts_with('[') => format!("[{endpoint}]:8485"),
        _ => format!("{endpoint}:8485"),
    })
}

/// Whether tables are in colours.
pub fn color(global: &Global) -> bool {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    match global.color {
        ColorWhen::Always => true,
        ColorWhen::Never => false,
        ColorWhen::Auto if set("NO_COLOR").is_some() => false,
        ColorWhen::Auto if set("CLICOLOR_FORCE").is_some_and(|value| value != "0") => true,
        ColorWhen::Auto => {
            io::stdout().is_terminal() && set("TERM").is_none_or(|term| term != "dumb")
        }
    }
}

/// Columns of the terminal: as $COLUMNS says where somebody exported it, else those of the terminal
/// that standard output is. `None`: it is none, and tables are as wide as they get.
pub fn width() -> Option<usize> {
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let on_terminal = || {
        let size = terminal_size::terminal_size_of(io::stdout());
        size.map(|(columns, _)| usize::from(columns.0))
    };
    said.or_else(on_terminal).filter(|columns| *columns > 0)
}

/// The address in an invitation, when it is one that only the coordinator's own machine reaches.
pub fn own_machine(token: &str) -> Option<&str> {
    let address = token.split(';').nth(1)?;
    let host = address.rsplit_once(':')?.0.trim_matches(['[', ']']);
    let is_loopback = match host.parse::<std::net::IpAddr>() {
        Ok(ip) => ip.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    };
    is_loopback.then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_may_be_left_out() {
        for (given, used) in [
            ("coordinator.example.org", "coordinator.example.org:8485"),
            ("127.0.0.1:9", "127.0.0.1:9"),
            ("[::1]:9", "[::1]:9"),
            ("[::1]", "[::1]:8485"),
            ("::1", "[::1]:8485"),
        ] {
            assert_eq!(with_port(given).unwrap(), used);
        }
    }

    #[test]
    fn an_invitation_that_only_this_machine_can_use_is_warned_of() {
        for own in ["127.0.0.1:8485", "[::1]:8485", "localhost:8485"] {
            assert_eq!(own_machine(&format!("rebuilder1;{own};key;1;secret")), Some(own));
        }
        for other in ["192.0.2.1:8485", "rebuilder.example.org:8485", "[2001:db8::1]:1"] {
            assert_eq!(own_machine(&format!("rebuilder1;{other};key;1;secret")), None);
        }
    }

    #[test]
    fn a_url_is_no_endpoint() {
        for (url, instead) in [
            ("http://127.0.0.1:8484", "--endpoint 127.0.0.1:8484"),
            ("https://rebuilder.example.org/api", "--endpoint rebuilder.example.org"),
            ("quic://[::1]:9/", "--endpoint [::1]:9"),
        ] {
            let failure = with_port(url).unwrap_err();
            assert_eq!(failure.exit_code(), 2);
            assert!(failure.to_string().ends_with(instead), "{failure}");
        }
    }
}
