use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where an address leads, as the registries of special-purpose addresses say (RFC 6890).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Anywhere on the internet.
    Public,
    /// A network that somebody keeps for themselves: RFC 1918, unique local (RFC 4193), shared by a
    /// provider's customers (RFC 6598).
    Private,
    /// This machine, its link, or nothing at all, and how such addresses are called. Clouds give
    /// out credentials at a link-local address.
    Local(&'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Local(name) => name,
        })
    }
}

impl Place {
    pub(super) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }
}

fn of_v4(address: Ipv4Addr) -> Place {
    match address.octets() {
        [0, ..] => Place::Local("unspecified"),
        [127, ..] => Place::Local("loopback"),
        [169, 254, ..] => Place::Local("link-local"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Place::Private,
        [224..=239, ..] => Place::Local("multicast"),
        // Protocol assignments, documentation, benchmarks, future use and broadcast.
        [192, 0, 0 | 2, _]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [198, 18..=19, ..]
        | [240..=255, ..] => Place::Local("reserved"),
        _ => Place::Public,
    }
}

fn of_v6(address: Ipv6Addr) -> Place {
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        of_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Place::Local("unspecified"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Place::Local("loopback"),
        // Forms of an IPv4 address: mapped, compatible (RFC 4291), translated (RFC 2765, RFC 6052,
        // RFC 8215) and tunnelled (RFC 3056).
        [0, 0, 0, 0, 0, 0xffff | 0, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0x64, 0xff9b, 1, ..] => Place::Local("translated"),
        [0x2002, high, low, ..] => embedded(high, low),
        // Teredo (RFC 4380) hides the peer's address by inverting its bits.
        [0x2001, 0, .., high, low] => embedded(!high, !low),
        [0xfe80..=0xfebf, ..] => Place::Local("link-local"),
        [0xfec0..=0xfeff, ..] => Place::Local("site-local"),
        [0xfc00..=0xfdff, ..] => Place::Private,
        [0xff00..=0xffff, ..] => Place::Local("multicast"),
        [0x100, 0, 0, 0, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => {
            Place::Local("reserved")
        }
        _ => Place::Public,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_an_address_is_known() {
        use Place::{Local, Private, Public};
        for (address, place) in [
            ("151.101.2.132", Public),
            ("2a04:4e42::644", Public),
            ("127.0.0.1", Local("loopback")),
            ("127.255.255.254", Local("loopback")),
            ("::1", Local("loopback")),
            ("::ffff:127.0.0.1", Local("loopback")),
            ("::127.0.0.1", Local("loopback")),
            ("64:ff9b::127.0.0.1", Local("loopback")),
            ("2002:7f00:1::", Local("loopback")),
            ("2001:0:1234::80ff:fffe", Local("loopback")),
            ("0.0.0.0", Local("unspecified")),
            ("0.1.2.3", Local("unspecified")),
            ("::", Local("unspecified")),
            ("::ffff:0.0.0.0", Local("unspecified")),
            ("169.254.169.254", Local("link-local")),
            ("::ffff:169.254.169.254", Local("link-local")),
            ("64:ff9b::169.254.169.254", Local("link-local")),
            ("fe80::1", Local("link-local")),
            ("febf::1", Local("link-local")),
            ("fec0::1", Local("site-local")),
            ("10.0.0.1", Private),
            ("172.15.0.1", Public),
            ("172.16.0.1", Private),
            ("172.31.255.255", Private),
            ("172.32.0.1", Public),
            ("192.168.1.1", Private),
            ("100.63.0.1", Public),
            ("100.64.0.1", Private),
            ("100.100.100.200", Private),
            ("64:ff9b::10.0.0.1", Private),
            ("64:ff9b:1::1", Local("translated")),
            ("fc00::1", Private),
            ("fd00:ec2::254", Private),
            ("224.0.0.1", Local("multicast")),
            ("ff02::1", Local("multicast")),
            ("255.255.255.255", Local("reserved")),
            ("192.0.0.8", Local("reserved")),
            ("198.18.0.1", Local("reserved")),
            ("2001:db8::1", Local("reserved")),
            ("64:ff9b::151.101.2.132", Public),
        ] {
            assert_eq!(Place::of(address.parse().unwrap()), place, "{address}");
        }
    }
}
