use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};

use super::cookie::Cookie;
use super::door::Asked;
use super::refusal::Refusal;

/// Proof that a request came with the admin cookie. A handler that changes anything takes it as its
/// first argument: a stranger's body is then never read, and an admin's may be large.
#[derive(Clone, Copy, Debug)]
pub struct Admin(());

/// The header of the peer's clients.
const HEADER: &str = "x-auth-cookie";

impl<S: Sync> FromRequestParts<S> for Admin {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let asked = Asked::of(parts);
        let is_admin = asked.is_some_and(|asked| proves(&parts.headers, asked.cookie()));
        if is_admin {
            Asked::admit(parts);
            return Ok(Self(()));
        }
        let is_v0 = asked.is_some_and(|asked| asked.path().starts_with("/api/v0/"));
        Err(Refusal::new(StatusCode::FORBIDDEN, if is_v0 { "Authentication failed\n" } else { "" }))
    }
}

/// Exactly one header, and it is the cookie: of two, a proxy may have checked the other one.
fn proves(headers: &HeaderMap, cookie: &Cookie) -> bool {
    let mut given = headers.get_all(HEADER).iter();
    match (given.next(), given.next()) {
        (Some(one), None) => cookie.is(one.as_bytes()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const TEXT: &str = "0123456789abcdefghijklmnopqrstuv";

    #[test]
    fn one_header_with_the_cookie_proves_an_admin() {
        let cookie = Cookie::new(TEXT).unwrap();
        let check = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("X-Auth-Cookie", HeaderValue::from_bytes(value).unwrap());
            }
            proves(&headers, &cookie)
        };
        let text = TEXT.as_bytes();
        assert!(check(&[text]));
        let latin = "0123456789abcdefghijklmnopqrstü".as_bytes();
        let wrong: [&[&[u8]]; 6] =
            [&[], &[b""], &[latin], &[text, text], &[text, b"x"], &[b"x", text]];
        for values in wrong {
            assert!(!check(values), "{values:?}");
        }
    }
}
