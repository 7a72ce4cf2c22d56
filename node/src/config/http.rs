use std::net::SocketAddr;

use super::error::Problems;
use super::value::{Bound, Within};
use super::{file, load};
use crate::gateway::{
    COOKIE_CHARS_MAX, COOKIE_CHARS_MIN, Cookie, DoorSettings, HttpLimits, Prefix, Proxies,
};

/// How a coordinator answers over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpConfig {
    /// Where it listens (TCP); `None`: nowhere.
    pub bind_addr: Option<SocketAddr>,
    /// How requests come in.
    pub door: DoorSettings,
    /// What admits admins; `None`: the one in the data directory.
    pub cookie: Option<Cookie>,
}

impl HttpConfig {
    /// `secrets`: files are read.
    pub(super) fn read(
        http: file::Http,
        auth: file::Auth,
        secrets: bool,
        problems: &mut Problems<'_>,
        warnings: &mut Vec<String>,
    ) -> Self {
        let bind_addr = http.bind_addr.as_ref().map(|listen| listen.0);
        let cookie = cookie(auth, secrets, problems);
        Self { bind_addr, door: door(http, warnings), cookie }
    }
}

fn door(http: file::Http, warnings: &mut Vec<String>) -> DoorSettings {
    let usual = HttpLimits::default();
    let limits = HttpLimits {
        connections_max: http.connections_max.map_or(usual.connections_max, |n| n.0 as usize),
        connections_per_address_max: http
            .connections_per_address_max
            .map_or(usual.connections_per_address_max, |bound| at(bound).map(|n| n as usize)),
        rate: http.rate.map_or(usual.rate, at),
        body_bytes_max: http.body_bytes_max.map_or(usual.body_bytes_max, |bytes| bytes.0),
        ..usual
    };
    let mut proxies =
        Proxies { real_ip_header: http.real_ip_header.map(|name| name.0), ..Proxies::default() };
    if let Some(trusted) = http.trusted_proxies {
        proxies.trusted = trusted.into_iter().map(|net| net.0).collect();
    }
    if proxies.real_ip_header.is_some() && proxies.trusted.is_empty() {
        warnings.push(
            "`real_ip_header` is never read: `trusted_proxies` names nobody who may write it"
                .to_owned(),
        );
    }
    if let Some(all) = proxies.trusted.iter().find(|net| net.prefix_len() == 0) {
        warnings.push(format!(
            "`trusted_proxies` has {all}: whoever connects has no limits of its own, and is \
             believed every address"
        ));
    }
    let prefix = http.prefix.map_or(Prefix::Any, |prefix| Prefix::Only(prefix.0));
    DoorSettings { limits, proxies, prefix, permissive_cors: http.permissive_cors }
}

fn at<const MIN: u32, const MAX: u32>(bound: Bound<Within<MIN, MAX>>) -> Option<u32> {
    match bound {
        Bound::None => None,
        Bound::At(number) => Some(number.0),
    }
}

fn cookie(auth: file::Auth, secrets: bool, problems: &mut Problems<'_>) -> Option<Cookie> {
    let given = (auth.cookie.as_ref().map(toml::Spanned::span))
        .or_else(|| auth.cookie_file.as_ref().map(toml::Spanned::span));
    let secret = load::secret("cookie", (auth.cookie, auth.cookie_file), secrets, problems)?;
    let cookie = Cookie::new(secret.reveal());
    if cookie.is_none() {
        let message = format!(
            "`cookie`: a cookie is sent in a header, so it has {COOKIE_CHARS_MIN} to \
             {COOKIE_CHARS_MAX} visible ASCII characters and no spaces"
        );
        problems.add(given, message);
    }
    cookie
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::config::{Config, Role};

    const TEXT: &str = "0123456789abcdefghijklmnopqrstuv";

    fn load(text: &str, role: Role) -> Result<HttpConfig, String> {
        let config = Config::parse(text, "/x/node.toml".as_ref(), role);
        config.map(|config| config.coordinator.unwrap().http).map_err(|error| error.to_string())
    }

    #[test]
    fn a_cookie_is_written_or_stands_in_a_file() {
        let read = load(&format!("[auth]\ncookie = '{TEXT}'\n"), Role::Coordinator).unwrap();
        assert_eq!(read.cookie, Cookie::new(TEXT));
        assert_eq!(load("", Role::Coordinator).unwrap(), HttpConfig::default());
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cookie");
        fs::write(&file, format!("{TEXT}\n")).unwrap();
        let text = format!("[auth]\ncookie_file = '{}'\n", file.display());
        let error = load(&text, Role::Coordinator).unwrap_err();
        assert!(error.contains("open to everybody"), "{error}");
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        assert_eq!(load(&text, Role::Coordinator).unwrap().cookie, Cookie::new(TEXT));
    }

    #[test]
    fn what_is_no_cookie_is_refused_and_not_shown() {
        for (value, said) in [
            ("short", "2:10: `cookie`: the secret has 5 characters"),
            ("it has spaces and is long enough", "2:10: `cookie`: a cookie is sent in a header"),
            ("0123456789abcdefghijklmnopqrstü", "`cookie`: a cookie is sent in a header"),
        ] {
            let error = load(&format!("[auth]\ncookie = '{value}'\n"), Role::Coordinator);
            let error = error.unwrap_err();
            assert!(error.contains(said) && !error.contains(value), "{error}");
        }
        let both = format!("[auth]\ncookie = '{TEXT}'\ncookie_file = '/x'\n");
        let error = load(&both, Role::Coordinator).unwrap_err();
        assert!(error.contains("`cookie` and `cookie_file` are both given"), "{error}");
    }

    #[test]
    fn the_door_is_as_it_is_written() {
        let read = load(
            "[http]\nbody_bytes_max = '1 MiB'\nprefix = '/a/b/'\nrate = 'none'\n\
             real_ip_header = 'X-Real-IP'\ntrusted_proxies = ['10.1.2.3/8', '2001:db8::1']\n\
             connections_max = 9\nconnections_per_address_max = 'none'\npermissive_cors = true\n",
            Role::Coordinator,
        );
        let door = read.unwrap().door;
        let expected = DoorSettings {
            limits: HttpLimits {
                body_bytes_max: 1 << 20,
                rate: None,
                connections_max: 9,
                connections_per_address_max: None,
                ..HttpLimits::default()
            },
            proxies: Proxies {
                real_ip_header: Some("x-real-ip".parse().unwrap()),
                trusted: vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::1/128".parse().unwrap()],
            },
            prefix: Prefix::Only("/a/b".to_owned()),
            permissive_cors: true,
        };
        assert_eq!(door, expected);
        let read = load("[http]\nprefix = '/'\nrate = 7\n", Role::Coordinator).unwrap().door;
        assert_eq!((read.prefix, read.limits.rate), (Prefix::Only(String::new()), Some(7)));
    }

    #[test]
    fn what_makes_no_door_is_refused_or_warned_of() {
        for (text, said) in [
            ("prefix = 'amd64'", "`prefix`: `amd64` is not the start of a path"),
            ("prefix = '/a//b'", "`prefix`: `/a//b` is not"),
            ("prefix = '/../b'", "`prefix`: `/../b` is not"),
            ("real_ip_header = 'a b'", "`real_ip_header`: `a b` is not the name of a header"),
            ("real_ip_header = 'Forwarded'", "`Forwarded` has a form of its own"),
            ("trusted_proxies = ['10.0.0.0/33']", "`10.0.0.0/33` is neither an address nor"),
            ("trusted_proxies = ['proxy']", "`proxy` is neither an address nor a network"),
            ("rate = 0", "`rate`: 0 is not between 1 and 1000000"),
            ("connections_max = 1", "`connections_max`: 1 is not between 8 and 65536"),
        ] {
            let error = load(&format!("[http]\n{text}\n"), Role::Coordinator).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
        let warned = |text: &str| {
            let text = format!("[http]\n{text}\n");
            let config = Config::parse(&text, "/x/node.toml".as_ref(), Role::Coordinator);
            config.unwrap().warnings.join("\n")
        };
        let said = warned("real_ip_header = 'X-Real-IP'\ntrusted_proxies = []");
        assert!(said.contains("`trusted_proxies` names nobody"), "{said}");
        assert!(warned("trusted_proxies = ['::/0']").contains("has ::/0"));
    }
}
