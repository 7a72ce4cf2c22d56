use std::collections::BTreeSet;
use std::fmt;

use reqwest::{NoProxy, Proxy, Url};

/// The proxies that every fetch goes through, apt's within a sandbox too. Passwords in their URLs
/// are in no `Debug` or message.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    http: Option<Url>,
    https: Option<Url>,
    no_proxy: Option<String>,
}

impl Proxies {
    /// What the variables `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` of this process
    /// say, in small letters first, as curl reads them; and a sentence for each that is not used.
    pub fn of_environment() -> (Self, Vec<String>) {
        Self::of(|name| std::env::var(name).ok())
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> (Self, Vec<String>) {
        let mut warnings = Vec::new();
        let given = |name: &str| {
            // A server that was started by CGI has a client's header `Proxy` as HTTP_PROXY.
            let is_trap = name == "http_proxy" && variable("REQUEST_METHOD").is_some();
            let large = variable(&name.to_ascii_uppercase()).filter(|_| !is_trap);
            variable(name).or(large).filter(|value| !value.trim().is_empty())
        };
        let mut proxy = |name: &str| {
            let (name, value) = match given(name) {
                Some(value) => (name, value),
                None => ("all_proxy", given("all_proxy")?),
            };
            let read = proxy_url(&value);
            read.map_err(|why| warnings.push(format!("{name} is not used: {why}"))).ok()
        };
        let (http, https) = (proxy("http_proxy"), proxy("https_proxy"));
        warnings.dedup();
        (Self { http, https, no_proxy: given("no_proxy") }, warnings)
    }

    /// These, and where one is not given, that of `others`. A proxy that is given has its own list
    /// of exceptions.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        let own = self.http.is_some() || self.https.is_some() || self.no_proxy.is_some();
        Self {
            http: self.http.or(others.http),
            https: self.https.or(others.https),
            no_proxy: if own { self.no_proxy } else { others.no_proxy },
        }
    }

    /// As they are configured. `no_proxy`: hosts, domains, addresses and networks that are
    /// reached directly; `*` is all.
    ///
    /// # Errors
    /// What is wrong with one of the URLs, without its password.
    pub fn new(
        http: Option<&str>,
        https: Option<&str>,
        no_proxy: &[String],
    ) -> Result<Self, String> {
        let no_proxy = (!no_proxy.is_empty()).then(|| no_proxy.join(","));
        let [http, https] = [http, https].map(|url| url.map(proxy_url).transpose());
        Ok(Self { http: http?, https: https?, no_proxy })
    }

    /// These, or what the environment says; the log has what of that is not used.
    #[must_use]
    pub fn or_of_environment(self) -> Self {
        let (others, warnings) = Self::of_environment();
        for warning in warnings {
            tracing::warn!(target: "rebuilder", "{warning}");
        }
        self.or(others)
    }

    /// True when a URL holds a password.
    pub fn has_secret(&self) -> bool {
        self.urls().any(|url| url.password().is_some())
    }

    /// True when anything goes through a proxy.
    pub(super) fn any(&self) -> bool {
        self.urls().next().is_some()
    }

    /// Where the proxies themselves are.
    pub(super) fn hosts(&self) -> BTreeSet<String> {
        self.urls().filter_map(|url| url.host_str().map(str::to_owned)).collect()
    }

    /// A client that uses these, and nothing that the environment says.
    pub(super) fn with(
        &self,
        client: reqwest::ClientBuilder,
    ) -> reqwest::Result<reqwest::ClientBuilder> {
        let mut client = client.no_proxy();
        if self.excepts_all() {
            // reqwest takes `*` for all names, and not for addresses.
            return Ok(client);
        }
        let except = self.no_proxy.as_deref().and_then(NoProxy::from_string);
        if let Some(url) = &self.http {
            client = client.proxy(Proxy::http(url.clone())?.no_proxy(except.clone()));
        }
        if let Some(url) = &self.https {
            client = client.proxy(Proxy::https(url.clone())?.no_proxy(except));
        }
        Ok(client)
    }

    /// The same for a program that fetches by itself: apt. Secrets are among them.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (String, String)> {
        let urls = [("http_proxy", &self.http), ("https_proxy", &self.https)];
        let urls = urls.map(|(name, url)| (name, url.as_ref().map(Url::to_string)));
        let all = urls.into_iter().chain([("no_proxy", self.no_proxy.clone())]);
        // apt knows no `*`.
        let all = all.into_iter().filter(|_| !self.excepts_all());
        all.filter_map(|(name, value)| Some((name.to_owned(), value?)))
    }

    fn urls(&self) -> impl Iterator<Item = &Url> {
        let all = self.http.iter().chain(&self.https);
        all.filter(|_| !self.excepts_all())
    }

    fn excepts_all(&self) -> bool {
        self.no_proxy.as_ref().is_some_and(|list| list.split(',').any(|word| word.trim() == "*"))
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bare = |url: &Option<Url>| url.as_ref().map(shown);
        f.debug_struct("Proxies")
            .field("http", &bare(&self.http))
            .field("https", &bare(&self.https))
            .field("no_proxy", &self.no_proxy)
            .finish()
    }
}

fn proxy_url(text: &str) -> Result<Url, String> {
    let text = text.trim();
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    // The text itself may hold a password.
    let url = Url::parse(&whole).map_err(|error| format!("not a URL ({error})"))?;
    match (url.scheme(), url.host_str()) {
        ("http" | "https", Some(_)) => Ok(url),
        ("http" | "https", None) => Err("a URL without a host".to_owned()),
        (scheme, _) => Err(format!("{scheme}: proxies are not supported, only http: and https:")),
    }
}

fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}", url.scheme())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> (Proxies, Vec<String>) {
        Proxies::of(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn variables(proxies: &Proxies) -> Vec<String> {
        proxies.variables().map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn variables_are_read_as_curl_reads_them() {
        for (given, read) in [
            (&[("http_proxy", "http://p:1")][..], &["http_proxy=http://p:1/"][..]),
            (&[("http_proxy", "p:3128")], &["http_proxy=http://p:3128/"]),
            (
                &[("http_proxy", "http://a:1"), ("HTTP_PROXY", "http://b:1")],
                &["http_proxy=http://a:1/"],
            ),
            (&[("HTTPS_PROXY", "https://p:1")], &["https_proxy=https://p:1/"]),
            (&[("ALL_PROXY", "p:1")], &["http_proxy=http://p:1/", "https_proxy=http://p:1/"]),
            (&[("HTTP_PROXY", "http://p:1"), ("REQUEST_METHOD", "GET")], &[]),
            (&[("http_proxy", "")], &[]),
            (&[("NO_PROXY", "a,10.0.0.0/8")], &["no_proxy=a,10.0.0.0/8"]),
            (&[("http_proxy", "p:1"), ("no_proxy", "a, *")], &[]),
        ] {
            let (proxies, warnings) = of(given);
            assert_eq!(
                (variables(&proxies), warnings.len()),
                (read.iter().map(ToString::to_string).collect(), 0)
            );
        }
    }

    #[test]
    fn what_cannot_be_used_is_said_without_its_password() {
        for (value, why) in [
            ("socks5h://me:secret@p:1080", "socks5h: proxies are not supported"),
            ("http://me:secret@p:99999", "not a URL"),
            ("http://", "not a URL"),
        ] {
            let (proxies, warnings) = of(&[("all_proxy", value)]);
            assert!(!proxies.any());
            assert_eq!(warnings.len(), 1, "{warnings:?}");
            assert!(warnings[0].contains(why) && !warnings[0].contains("secret"), "{warnings:?}");
        }
        let proxies = Proxies::new(Some("http://me:secret@p:1"), None, &[]).unwrap();
        assert!(proxies.has_secret());
        assert!(!format!("{proxies:?}").contains("secret"), "{proxies:?}");
        assert_eq!(variables(&proxies), ["http_proxy=http://me:secret@p:1/"]);
    }

    #[test]
    fn a_configured_proxy_goes_before_the_environments() {
        let (of_environment, _) = of(&[("http_proxy", "http://e:1"), ("no_proxy", "x")]);
        let configured = Proxies::new(Some("http://c:1"), None, &["y".to_owned()]).unwrap();
        let both = variables(&configured.or(of_environment.clone()));
        assert_eq!(both, ["http_proxy=http://c:1/", "no_proxy=y"]);
        let none = Proxies::default().or(of_environment);
        assert_eq!(variables(&none), ["http_proxy=http://e:1/", "no_proxy=x"]);
    }
}
