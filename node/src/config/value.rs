//! Values that are checked while they are read, so that an error has their place.

use core::fmt;
use core::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use axum::http::HeaderName;
use ipnet::IpNet;
use rebuilder_actors::protocol::Sha256;
use serde::de::{self, IntoDeserializer as _};
use serde::{Deserialize, Deserializer};

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Within<const MIN: u32, const MAX: u32>(pub(crate) u32);

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Within<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        match u32::try_from(number) {
            Ok(number) if (MIN..=MAX).contains(&number) => Ok(Self(number)),
            _ => Err(de::Error::custom(format!("{number} is not between {MIN} and {MAX}"))),
        }
    }
}

/// A SHA-256, as 64 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digest(pub(crate) Sha256);

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = |_| de::Error::custom(format!("{text:?} is not a SHA-256 of 64 hex digits"));
        text.parse().map(Self).map_err(wrong)
    }
}

/// A number of bytes: `1048576`, `"1 MiB"`, `"20 GB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl Size {
    fn parse(text: &str) -> Option<u64> {
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let factor = match unit.trim() {
            "" | "B" => 1,
            "kB" => 1000,
            "KiB" => 1 << 10,
            "MB" => 1_000_000,
            "MiB" => 1 << 20,
            "GB" => 1_000_000_000,
            "GiB" => 1 << 30,
            "TB" => 1_000_000_000_000,
            "TiB" => 1 << 40,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(factor)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a number of bytes, as 1048576 or \"1 MiB\" (B, kB, KiB, MB, MiB, GB, GiB, TB, \
                     TiB),",
                )
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Size, E> {
                let unexpected = || E::invalid_value(de::Unexpected::Signed(number), &self);
                u64::try_from(number).map(Size).map_err(|_| unexpected())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
                let unexpected = || E::invalid_value(de::Unexpected::Str(text), &self);
                Size::parse(text).map(Size).ok_or_else(unexpected)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A bound that can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound<T> {
    /// Written as `"none"`.
    None,
    At(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Bound<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Visitor<T> {
            type Value = Bound<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or \"none\"")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Bound<T>, E> {
                T::deserialize(number.into_deserializer()).map(Bound::At)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Bound<T>, E> {
                if text == "none" {
                    return Ok(Bound::None);
                }
                T::deserialize(text.into_deserializer()).map(Bound::At)
            }
        }
        deserializer.deserialize_any(Visitor(PhantomData))
    }
}

/// Declares a text that is checked when it is read.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident($inner:ty), $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub(crate) struct $name(pub(crate) $inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                let check: fn(String) -> Result<$inner, String> = $check;
                check(text).map(Self).map_err(de::Error::custom)
            }
        }
    };
}

checked_text!(
    /// A path that does not depend on where the process was started.
    AbsolutePath(PathBuf),
    |text| {
        let path = PathBuf::from(&text);
        if path.is_absolute() { Ok(path) } else { Err(format!("`{text}` is not an absolute path")) }
    }
);

checked_text!(
    /// An address to listen on.
    Listen(SocketAddr),
    |text| text
        .parse()
        .map_err(|_| format!("`{text}` is not an IP address with port, as 127.0.0.1:8485"))
);

checked_text!(
    /// An address to listen on for HTTP.
    HttpListen(SocketAddr),
    |text| text
        .parse()
        .map_err(|_| format!("`{text}` is not an IP address with port, as 127.0.0.1:8484"))
);

checked_text!(
    /// What stands before the paths of HTTP, without a slash at its end; empty: nothing.
    HttpPrefix(String),
    |text| {
        let good = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
        let odd = |segment: &str| matches!(segment, "" | "." | "..");
        let prefix = text.trim_end_matches('/');
        let good = prefix.bytes().all(good) && (text.starts_with('/') || text.is_empty());
        if good && !prefix.split('/').skip(1).any(odd) {
            Ok(prefix.to_owned())
        } else {
            Err(format!("`{text}` is not the start of a path, as /amd64"))
        }
    }
);

checked_text!(
    /// The name of a header in which a proxy writes addresses.
    Header(HeaderName),
    |text| match text.parse() {
        Ok(name) if name == "forwarded" => Err(format!(
            "`{text}` has a form of its own, which is not read: let the proxy write \
             X-Forwarded-For"
        )),
        Ok(name) => Ok(name),
        Err(_) => Err(format!("`{text}` is not the name of a header, as X-Forwarded-For")),
    }
);

checked_text!(
    /// An address or a network.
    Network(IpNet),
    |text| text
        .parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map(|net| net.trunc())
        .map_err(|_| format!("`{text}` is neither an address nor a network, as 10.0.0.0/8"))
);

checked_text!(
    /// `host:port`, where IPv6 addresses stand in brackets.
    HostPort(String),
    |text| {
        let parts = text.rsplit_once(':');
        let good = parts.is_some_and(|(host, port)| {
            let name = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            let host_good = match name {
                Some(name) => name.parse::<std::net::Ipv6Addr>().is_ok(),
                None => {
                    !host.is_empty() && !host.contains([':', '/', '[', ']', ' ', '\t', '\n'])
                }
            };
            host_good && port.parse::<u16>().is_ok_and(|port| port != 0)
        });
        if good { Ok(text) } else { Err(format!("`{text}` is not host:port")) }
    }
);

checked_text!(
    /// Where an archive is: a URL without its last slash, an absolute path, or `apt`.
    Source(String),
    |text| {
        if text == "apt" || text.starts_with('/') {
            return Ok(text);
        }
        url(text).map_err(|text| {
            format!("`{text}` is neither a URL (http, https, file), an absolute path, nor `apt`")
        })
    }
);

checked_text!(
    /// A URL without its last slash, or an absolute path.
    Place(String),
    |text| {
        if text.starts_with('/') {
            return Ok(text);
        }
        url(text).map_err(|text| {
            format!("`{text}` is neither a URL (http, https, file) nor an absolute path")
        })
    }
);

checked_text!(
    /// What stands in names of files, lists and messages.
    Word(String),
    |text| if is_word(&text) { Ok(text) } else { Err(not_a_word(&text)) }
);

/// A word is 1 to 64 bytes of letters, digits and a few signs.
pub(crate) fn is_word(text: &str) -> bool {
    let sign = |b: u8| b.is_ascii_alphanumeric() || b"._+-*".contains(&b);
    (1..=64).contains(&text.len()) && text.bytes().all(sign) && !text.starts_with('.')
}

/// What to say of a text that is no word.
pub(crate) fn not_a_word(text: &str) -> String {
    format!("`{text}` is not a name of 1 to 64 letters, digits and `._+-*`")
}

fn url(text: String) -> Result<String, String> {
    let rest = ["http://", "https://", "file://"].iter().find_map(|s| text.strip_prefix(s));
    match rest {
        Some(rest) if !rest.is_empty() && !text.contains([' ', '\t', '\n']) => {
            Ok(text.trim_end_matches('/').to_owned())
        }
        _ => Err(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("512", Some(512)),
            ("1 KiB", Some(1024)),
            ("3MB", Some(3_000_000)),
            ("20 GiB", Some(20 << 30)),
            ("GiB", None),
            ("-1", None),
            ("1.5 GiB", None),
            ("1 gib", None),
            ("99999999999 TiB", None),
        ] {
            assert_eq!(Size::parse(text), bytes, "{text}");
        }
    }
}
