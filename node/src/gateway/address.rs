//! Who asks: by the address of its connection, or as a trusted proxy says.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// Whose word is taken for another's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxies {
    /// Where they write the address of who asked them; `None`: it is not looked at.
    pub real_ip_header: Option<HeaderName>,
    /// Where they are.
    pub trusted: Vec<IpNet>,
}

/// Whom limits of one address count for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    V4(Ipv4Addr),
    /// The first 64 bits: a single subscriber has all addresses of such a network.
    V6(u64),
    /// All that are not told apart.
    Others,
}

impl Origin {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

impl Default for Proxies {
    /// Programs of this machine, which can do worse anyway, and no header.
    fn default() -> Self {
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let [v4, v6] = loopback.map(IpNet::from);
        let v4 = IpNet::new(v4.addr(), 8).map_or(v4, |net| net.trunc());
        Self { real_ip_header: None, trusted: vec![v4, v6] }
    }
}

impl Proxies {
    /// True for an address whose word is taken.
    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|net| net.contains(&address))
    }

    /// Who asks behind the connection from `peer`: each proxy appends the address that it sees, so
    /// the rightmost one that is not a proxy's own is the last that somebody trusted has seen.
    /// What stands left of it was written by whoever wanted to.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut seen = peer.to_canonical();
        let Some(header) = &self.real_ip_header else { return seen };
        let lines: Vec<_> = headers.get_all(header).iter().collect();
        let named = lines
            .iter()
            .rev()
            .flat_map(|line| line.to_str().unwrap_or("?").rsplit(',').map(address));
        for named in named {
            match named {
                Some(named) if self.trusts(seen) => seen = named,
                // Not an address (`unknown`): nothing further left can be believed.
                _ => break,
            }
        }
        seen
    }
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => match text.split_once(':') {
            Some((before, after)) if !after.contains(':') => before,
            _ => text,
        },
    };
    bare.parse().ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn proxies(trusted: &[&str]) -> Proxies {
        Proxies {
            real_ip_header: Some(HeaderName::from_static("x-forwarded-for")),
            trusted: trusted.iter().map(|net| net.parse().unwrap()).collect(),
        }
    }

    fn client(proxies: &Proxies, peer: &str, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("X-Forwarded-For", HeaderValue::from_str(line).unwrap());
        }
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn the_rightmost_address_that_is_not_trusted_asks() {
        let proxies = proxies(&["127.0.0.0/8", "10.1.0.0/16", "2001:db8:1::/48"]);
        for (peer, lines, who) in [
            ("198.51.100.7", &["192.0.2.1"][..], "198.51.100.7"),
            ("127.0.0.1", &[], "127.0.0.1"),
            ("127.0.0.1", &["192.0.2.1"], "192.0.2.1"),
            ("::ffff:127.0.0.1", &["192.0.2.1"], "192.0.2.1"),
            ("127.0.0.1", &["203.0.113.9, 192.0.2.1"], "192.0.2.1"),
            ("127.0.0.1", &["203.0.113.9, 192.0.2.1,10.1.2.3"], "192.0.2.1"),
            ("127.0.0.1", &["203.0.113.9", "192.0.2.1", "10.1.2.3"], "192.0.2.1"),
            ("127.0.0.1", &["10.1.0.1, 10.1.0.2"], "10.1.0.1"),
            ("127.0.0.1", &["192.0.2.1, unknown"], "127.0.0.1"),
            ("127.0.0.1", &["192.0.2.1, nonsense, 10.1.0.2"], "10.1.0.2"),
            ("127.0.0.1", &[""], "127.0.0.1"),
            ("127.0.0.1", &["192.0.2.1:4711"], "192.0.2.1"),
            ("2001:db8:1::1", &["[2001:db8:2::1]:80"], "2001:db8:2::1"),
            ("2001:db8:1::1", &["2001:db8:2::1"], "2001:db8:2::1"),
            ("127.0.0.1", &["::ffff:192.0.2.1"], "192.0.2.1"),
        ] {
            assert_eq!(client(&proxies, peer, lines), who, "{peer} {lines:?}");
        }
        let none = Proxies::default();
        assert_eq!(client(&none, "127.0.0.1", &["192.0.2.1"]), "127.0.0.1");
        assert!(none.trusts("127.9.9.9".parse().unwrap()) && none.trusts("::1".parse().unwrap()));
        assert!(!none.trusts("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn a_network_of_a_subscriber_is_one_origin() {
        let of = |text: &str| Origin::of(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
