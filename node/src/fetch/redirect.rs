use std::collections::BTreeSet;
use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{StatusCode, Url, header};

use super::Proxies;
use super::place::Place;

/// Where a request may lead. A redirect is a wish of the server that sent it: it may reach only
/// what that server could reach as well, not what this machine's position opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Anywhere: the URL is the operator's own, or at the same host and port.
    Everywhere,
    /// Public and private addresses: the operator's own URL is in a private network itself.
    Networks,
    /// Public addresses.
    Internet,
}

impl Reach {
    fn allows(self, place: Place) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Networks => matches!(place, Place::Public | Place::Private),
            Self::Internet => place == Place::Public,
        }
    }
}

/// The clients, one for each reach: what a name resolves to is checked when it is connected to, so
/// that a second answer of the DNS changes nothing.
#[derive(Clone, Debug)]
pub(super) struct Clients {
    everywhere: reqwest::Client,
    networks: reqwest::Client,
    internet: reqwest::Client,
    proxies: Arc<ProxyHosts>,
}

impl Clients {
    /// `make` begins a client's configuration.
    pub(super) fn new(
        proxies: &Proxies,
        make: impl Fn() -> reqwest::ClientBuilder,
    ) -> reqwest::Result<Self> {
        let make = || proxies.with(make());
        let proxies = Arc::new(ProxyHosts { any: proxies.any(), hosts: proxies.hosts() });
        let limited = |reach| {
            let proxies = proxies.clone();
            make()?.dns_resolver(Arc::new(Checked { reach, proxies })).build()
        };
        Ok(Self {
            everywhere: make()?.build()?,
            networks: limited(Reach::Networks)?,
            internet: limited(Reach::Internet)?,
            proxies,
        })
    }

    pub(super) fn of(&self, reach: Reach) -> &reqwest::Client {
        match reach {
            Reach::Everywhere => &self.everywhere,
            Reach::Networks => &self.networks,
            Reach::Internet => &self.internet,
        }
    }

    /// How far redirects of the operator's own URL may lead, once it was answered from `peer`.
    /// Behind a proxy that is the proxy's address, which says nothing of the URL.
    pub(super) fn reach_of(&self, own: &Url, peer: Option<SocketAddr>) -> Reach {
        let literal = literal(own);
        let peer = peer.filter(|_| !self.proxies.any).map(|peer| peer.ip());
        match literal.or(peer).map(Place::of) {
            Some(Place::Private) => Reach::Networks,
            _ => Reach::Internet,
        }
    }
}

/// True for an answer that says where to ask instead.
pub(super) fn is_redirect(answer: &reqwest::Response) -> bool {
    let status = answer.status();
    let moved = matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    moved && answer.headers().contains_key(header::LOCATION)
}

/// Where a redirect of `from` leads and how far it may go, for a request that began at `own`.
///
/// # Errors
/// It is not followed: where it led, and why not.
pub(super) fn next(
    own: &Url,
    from: &Url,
    location: &[u8],
    reach: Reach,
) -> Result<(Url, Reach), String> {
    let shown = shown(location);
    let refused = |why: &str| Err(format!("redirected to {shown}: {why}"));
    let target = std::str::from_utf8(location).ok().and_then(|text| from.join(text).ok());
    let Some(mut target) = target else { return refused("not a URL") };
    if !matches!(target.scheme(), "http" | "https") {
        return refused("only http and https are followed");
    }
    if from.scheme() == "https" && target.scheme() == "http" {
        return refused("from https to http, which anybody on the way can change");
    }
    // What is secret in the operator's URL is for that host alone; what a server puts into its
    // redirect is nothing that this program knows.
    let is_own = same_place(own, &target);
    let (user, password) = if is_own { (own.username(), own.password()) } else { ("", None) };
    if target.set_username(user).is_err() || target.set_password(password).is_err() {
        return refused("not a URL with a host");
    }
    target.set_fragment(None);
    if is_own {
        return Ok((target, Reach::Everywhere));
    }
    if let Some(place) = literal(&target).map(Place::of)
        && !reach.allows(place)
    {
        return refused(&forbidden(place));
    }
    Ok((target, reach))
}

/// Why a name or address was not connected to; found among the causes of a failed request.
pub(super) fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Forbidden> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(forbidden) = error.downcast_ref() {
            return Some(forbidden);
        }
        cause = error.source();
    }
    None
}

/// A name that a redirect led to, and that resolves to an address out of its reach.
#[derive(Debug, thiserror::Error)]
#[error("redirected to {name}, which is {address}: {why}")]
pub(super) struct Forbidden {
    name: String,
    address: IpAddr,
    why: String,
}

fn forbidden(place: Place) -> String {
    format!("a {place} address is not followed, as a server elsewhere must not choose it")
}

/// For messages: a server's own words, cut and without control characters.
fn shown(location: &[u8]) -> String {
    let text = String::from_utf8_lossy(&location[..location.len().min(SHOWN_BYTES_MAX)]);
    text.escape_debug().collect()
}

fn literal(url: &Url) -> Option<IpAddr> {
    // Every way to write an IPv4 address was made the usual one when the URL was read.
    let host = url.host_str()?;
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn same_place(a: &Url, b: &Url) -> bool {
    a.host_str() == b.host_str() && a.port_or_known_default() == b.port_or_known_default()
}

/// Resolves names as the system does, and gives no address that is out of reach.
struct Checked {
    reach: Reach,
    proxies: Arc<ProxyHosts>,
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let (reach, proxies) = (self.reach, self.proxies.clone());
        Box::pin(async move {
            let name = name.as_str();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name, 0)).await?.collect();
            // The operator's own proxy is where it is.
            if !proxies.hosts.contains(name) {
                // One address out of reach is enough: who answers decides which one is tried.
                let bad = found.iter().map(SocketAddr::ip).find_map(|address| {
                    let place = Place::of(address);
                    (!reach.allows(place)).then_some((address, place))
                });
                if let Some((address, place)) = bad {
                    let (name, why) = (name.to_owned(), forbidden(place));
                    return Err(Forbidden { name, address, why }.into());
                }
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Where the operator's proxies are.
#[derive(Debug, Default)]
struct ProxyHosts {
    any: bool,
    hosts: BTreeSet<String>,
}

/// Bytes of a redirect's target that a message shows.
const SHOWN_BYTES_MAX: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    fn after(own: &str, location: &str, reach: Reach) -> Result<(String, Reach), String> {
        let own = Url::parse(own).unwrap();
        next(&own, &own, location.as_bytes(), reach).map(|(url, reach)| (url.into(), reach))
    }

    const MIRROR: &str = "http://mirror.example.org/debian/dists/x/InRelease";

    #[test]
    fn addresses_out_of_reach_are_not_followed_in_any_form() {
        for (target, why) in [
            ("http://127.0.0.1:8080/x", "loopback"),
            ("http://127.1/x", "loopback"),
            ("http://2130706433/x", "loopback"),
            ("http://0x7f000001/x", "loopback"),
            ("//127.0.0.1/x", "loopback"),
            ("http://[::1]/x", "loopback"),
            ("http://[::ffff:127.0.0.1]/x", "loopback"),
            ("http://[64:ff9b::7f00:1]/x", "loopback"),
            ("http://0.0.0.0/x", "unspecified"),
            ("http://0/x", "unspecified"),
            ("http://169.254.169.254/latest/meta-data/", "link-local"),
            ("http://[fe80::1]/x", "link-local"),
            ("http://10.0.0.1/x", "private"),
            ("http://172.16.0.1/x", "private"),
            ("http://192.168.0.1/x", "private"),
            ("http://100.64.0.1/x", "private"),
            ("http://[fd00::1]/x", "private"),
            ("http://224.0.0.1/x", "multicast"),
            ("http://255.255.255.255/x", "reserved"),
            ("file:///etc/passwd", "only http and https"),
            ("FILE:/etc/passwd", "only http and https"),
            ("ftp://mirror.example.org/x", "only http and https"),
            ("data:text/plain,x", "only http and https"),
            ("http://", "not a URL"),
        ] {
            let error = after(MIRROR, target, Reach::Internet).unwrap_err();
            assert!(error.contains(why) && error.contains(target), "{target}: {error}");
        }
    }

    #[test]
    fn what_is_public_is_followed() {
        for (target, url) in [
            ("/other", "http://mirror.example.org/other"),
            ("http://cdn.example.net/x#part", "http://cdn.example.net/x"),
            ("https://mirror.example.org/x", "https://mirror.example.org/x"),
            ("http://151.101.2.132/x", "http://151.101.2.132/x"),
        ] {
            assert_eq!(after(MIRROR, target, Reach::Internet).unwrap().0, url);
        }
    }

    #[test]
    fn an_own_url_of_a_kind_opens_its_kind_only() {
        // The same host and port, wherever that is.
        let own = "http://127.0.0.1:8000/x";
        let found = after(own, "http://127.0.0.1:8000/y", Reach::Internet).unwrap();
        assert_eq!(found, ("http://127.0.0.1:8000/y".into(), Reach::Everywhere));
        // Another port is another service.
        for target in ["http://127.0.0.1:8001/y", "http://127.0.0.2:8000/y", "http://[::1]:8000/"] {
            assert!(after(own, target, Reach::Internet).is_err(), "{target}");
        }
        // Within private networks mirrors send each other's readers about.
        let own = "http://10.0.0.1/x";
        for target in ["http://10.0.0.2/y", "http://192.168.0.1/y", "http://mirror.example.org/y"] {
            assert_eq!(after(own, target, Reach::Networks).unwrap().1, Reach::Networks);
        }
        for target in ["http://127.0.0.1/y", "http://169.254.169.254/y", "http://[::1]/y"] {
            assert!(after(own, target, Reach::Networks).is_err(), "{target}");
        }
    }

    #[test]
    fn secrets_stay_with_their_host_and_encryption_stays_on() {
        let own = "https://user:secret@mirror.example.org/x";
        let to = |target| after(own, target, Reach::Internet);
        assert_eq!(to("/y").unwrap().0, "https://user:secret@mirror.example.org/y");
        let absolute = to("https://mirror.example.org/y").unwrap().0;
        assert_eq!(absolute, "https://user:secret@mirror.example.org/y");
        assert_eq!(to("https://cdn.example.net/y").unwrap().0, "https://cdn.example.net/y");
        assert_eq!(to("//a:b@cdn.example.net/y").unwrap().0, "https://cdn.example.net/y");
        let port = to("https://mirror.example.org:8443/y").unwrap().0;
        assert_eq!(port, "https://mirror.example.org:8443/y");
        assert!(to("http://mirror.example.org/y").unwrap_err().contains("from https to http"));
    }

    #[test]
    fn a_servers_words_are_shown_without_its_control_characters() {
        let error = after(MIRROR, "gopher://\u{1b}]0;x\u{7}\u{9b}\u{202e}", Reach::Internet);
        let error = error.unwrap_err();
        assert!(!error.chars().any(|c| c.is_control() || c == '\u{202e}'), "{error}");
        let long = format!("ftp://{}", "x".repeat(10_000));
        assert!(after(MIRROR, &long, Reach::Internet).unwrap_err().len() < 400);
    }

    #[test]
    fn a_private_peer_is_no_proxy() {
        let clients = |proxies: ProxyHosts| {
            let client = reqwest::Client::builder().no_proxy();
            let _installed = rustls::crypto::ring::default_provider().install_default();
            let client = client.build().unwrap();
            let [everywhere, networks, internet] = [client.clone(), client.clone(), client];
            Clients { everywhere, networks, internet, proxies: Arc::new(proxies) }
        };
        let url = Url::parse(MIRROR).unwrap();
        let peer = Some("10.0.0.9:80".parse().unwrap());
        assert_eq!(clients(ProxyHosts::default()).reach_of(&url, peer), Reach::Networks);
        let proxied = || {
            let proxies = Proxies::new(Some("http://proxy.example.org:3128"), None, &[]).unwrap();
            ProxyHosts { any: proxies.any(), hosts: proxies.hosts() }
        };
        assert!(proxied().hosts.contains("proxy.example.org"));
        assert_eq!(clients(proxied()).reach_of(&url, peer), Reach::Internet);
        let own = Url::parse("http://192.168.7.7/x").unwrap();
        assert_eq!(clients(proxied()).reach_of(&own, peer), Reach::Networks);
    }

    #[tokio::test]
    async fn names_are_checked_when_they_are_connected_to() {
        let checked = |reach| Checked { reach, proxies: Arc::default() };
        let name = || "localhost".parse::<Name>().unwrap();
        for reach in [Reach::Internet, Reach::Networks] {
            let error = checked(reach).resolve(name()).await.err().unwrap();
            let forbidden = cause(&*error).unwrap().to_string();
            assert!(forbidden.contains("localhost") && forbidden.contains("loopback"));
        }
        assert!(checked(Reach::Everywhere).resolve(name()).await.is_ok());
        let proxies = ProxyHosts { any: true, hosts: ["localhost".to_owned()].into() };
        let proxied = Checked { reach: Reach::Internet, proxies: Arc::new(proxies) };
        assert!(proxied.resolve(name()).await.is_ok());
    }
}
