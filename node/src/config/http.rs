use std::net::SocketAddr;

use super::error::Problems;
use super::{file, load};
use crate::gateway::{COOKIE_CHARS_MAX, COOKIE_CHARS_MIN, Cookie, HttpLimits};

/// How a coordinator answers over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpConfig {
    /// Where it listens (TCP); `None`: nowhere.
    pub bind_addr: Option<SocketAddr>,
    /// What strangers may cost.
    pub limits: HttpLimits,
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
    ) -> Self {
        let usual = HttpLimits::default();
        let limits = HttpLimits {
            body_bytes_max: http.body_bytes_max.map_or(usual.body_bytes_max, |bytes| bytes.0),
            ..usual
        };
        Self {
            bind_addr: http.bind_addr.map(|listen| listen.0),
            limits,
            cookie: cookie(auth, secrets, problems),
        }
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
    fn bodies_have_the_bound_that_is_written() {
        let read = load("[http]\nbody_bytes_max = '1 MiB'\n", Role::Coordinator).unwrap();
        assert_eq!(read.limits.body_bytes_max, 1 << 20);
    }
}
