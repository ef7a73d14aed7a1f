//! Which hosts and which browser pages a listener answers.
//!
//! Two attacks come through a user's own browser: a page of another site opens a connection (its `Origin` tells),
//! and a name under the attacker's control is made to point at 127.0.0.1 (`Host` tells). Both are refused for every
//! request, upgrades or not. Programs that send no `Origin` are not concerned.
//!
//! Never: sockets, addresses of peers, tokens. Called on the edge thread, once per request; allocates nothing.

use super::{Options, Refusal};

use hyper::header::{HOST, HeaderMap, HeaderName, ORIGIN};
use hyper::{Request, Version};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The rules of one listener.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Whether the listener is bound to a loopback address.
    pub loopback: bool,
    /// Origins allowed besides the host itself.
    pub origins: Vec<String>,
    /// Host names that a loopback listener goes by.
    pub allowed_hosts: Vec<String>,
}

impl Rules {
    /// The rules for a listener bound to `address`.
    pub(super) fn new(address: IpAddr, options: &Options) -> Self {
        Self {
            loopback: address.to_canonical().is_loopback(),
            origins: options.origins.clone(),
            allowed_hosts: options.allowed_hosts.clone(),
        }
    }

    /// Checks `Host` and `Origin`.
    ///
    /// # Errors
    /// 400 when HTTP/1.1 comes without exactly one well-formed `Host`, 403 when a rule forbids the request.
    pub fn admit<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        let host = host(request)?;
        if self.loopback && host.is_some_and(|host| !self.goes_by(host)) {
            return Err(Refusal::ForeignHost);
        }
        if request.headers().contains_key(ORIGIN) {
            let origin = single(request.headers(), &ORIGIN).ok_or(Refusal::Origin)?;
            if !self.trusts(origin, host) {
                return Err(Refusal::Origin);
            }
        }
        Ok(())
    }

    /// Whether a loopback listener may be called `host`: a rebound name is neither of these.
    fn goes_by(&self, host: Name<'_>) -> bool {
        match host {
            Name::Address(_) => true,
            Name::Text(name) => {
                name.eq_ignore_ascii_case("localhost")
                    || self.allowed_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(name))
            }
        }
    }

    /// Whether pages of `origin` may talk to `host`. `null` (sandboxed pages, files) names nobody: never.
    fn trusts(&self, origin: &str, host: Option<Name<'_>>) -> bool {
        if origin.eq_ignore_ascii_case("null") {
            return false;
        }
        if self.origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)) {
            return true;
        }
        let Some((scheme, authority)) = origin.split_once("://") else {
            return false;
        };
        let is_web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
        is_web && host.is_some_and(|host| Name::parse(authority).is_some_and(|page| page.is(host)))
    }
}

/// A host without its port.
#[derive(Debug, Clone, Copy)]
enum Name<'a> {
    Address(IpAddr),
    Text(&'a str),
}

impl<'a> Name<'a> {
    /// Reads `host`, `host:port`, `1.2.3.4:port` or `[::1]:port`.
    fn parse(authority: &'a str) -> Option<Self> {
        if let Some(rest) = authority.strip_prefix('[') {
            let (address, port) = rest.split_once(']')?;
            let address = address.parse::<Ipv6Addr>().ok()?;
            return (port.is_empty() || is_port(port.strip_prefix(':')?))
                .then_some(Self::Address(address.into()));
        }
        let name = match authority.split_once(':') {
            Some((name, port)) if is_port(port) => name,
            Some(_) => return None,
            None => authority,
        };
        if let Ok(address) = name.parse::<Ipv4Addr>() {
            return Some(Self::Address(address.into()));
        }
        let is_letter =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        (!name.is_empty() && name.bytes().all(is_letter)).then_some(Self::Text(name))
    }

    /// Whether both name the same host, as written.
    fn is(self, other: Name<'_>) -> bool {
        match (self, other) {
            (Self::Address(one), Name::Address(other)) => one == other,
            (Self::Text(one), Name::Text(other)) => one.eq_ignore_ascii_case(other),
            _ => false,
        }
    }
}

fn is_port(port: &str) -> bool {
    !port.is_empty() && port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit())
}

/// The host a request names: of an absolute target, else of `Host`. Only HTTP/1.0 may name none.
fn host<B>(request: &Request<B>) -> Result<Option<Name<'_>>, Refusal> {
    if !request.headers().contains_key(HOST) && request.version() == Version::HTTP_10 {
        return Ok(None);
    }
    let named = single(request.headers(), &HOST).ok_or(Refusal::Host)?;
    let authority = request.uri().authority().map_or(named, hyper::http::uri::Authority::as_str);
    Name::parse(authority).map(Some).ok_or(Refusal::Host)
}

/// The text of a header that must stand there once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(loopback: bool) -> Rules {
        Rules {
            loopback,
            origins: vec!["https://trade.example:8443".into()],
            allowed_hosts: vec!["lineage.test".into()],
        }
    }

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request")
    }

    #[test]
    fn loopback_goes_by_addresses_localhost_and_allowed_names() {
        for (host, expected) in [
            ("127.0.0.1:9001", Ok(())),
            ("127.0.0.1", Ok(())),
            ("[::1]:9001", Ok(())),
            ("[::1]", Ok(())),
            ("10.0.0.7:80", Ok(())),
            ("localhost", Ok(())),
            ("LocalHost:9001", Ok(())),
            ("lineage.test:9001", Ok(())),
            ("Lineage.Test", Ok(())),
            ("evil.example", Err(Refusal::ForeignHost)),
            ("evil.example:9001", Err(Refusal::ForeignHost)),
            ("localhost.evil.example", Err(Refusal::ForeignHost)),
            ("127.0.0.1.evil.example", Err(Refusal::ForeignHost)),
            ("2130706433", Err(Refusal::ForeignHost)),
            ("", Err(Refusal::Host)),
            (":9001", Err(Refusal::Host)),
            ("localhost:", Err(Refusal::Host)),
            ("localhost:port", Err(Refusal::Host)),
            ("localhost:123456", Err(Refusal::Host)),
            ("[::1", Err(Refusal::Host)),
            ("[::1]9001", Err(Refusal::Host)),
            ("[localhost]", Err(Refusal::Host)),
            ("evil@localhost", Err(Refusal::Host)),
            ("local host", Err(Refusal::Host)),
        ] {
            assert_eq!(rules(true).admit(&request(&[("host", host)])), expected, "{host:?}");
            let elsewhere = expected.or_else(|refusal| match refusal {
                Refusal::ForeignHost => Ok(()),
                other => Err(other),
            });
            assert_eq!(rules(false).admit(&request(&[("host", host)])), elsewhere, "{host:?}");
        }
    }

    #[test]
    fn a_page_may_come_from_the_same_host_or_from_the_list() {
        for (host, origin, allowed) in [
            ("127.0.0.1:9001", "http://127.0.0.1:8000", true),
            ("127.0.0.1:9001", "http://127.0.0.1", true),
            ("localhost:9001", "http://LOCALHOST:3000", true),
            ("[::1]:9001", "http://[0:0:0:0:0:0:0:1]:8000", true),
            ("localhost:9001", "https://localhost", true),
            ("localhost:9001", "https://trade.example:8443", true),
            ("localhost:9001", "HTTPS://Trade.Example:8443", true),
            ("localhost:9001", "https://trade.example", false),
            ("localhost:9001", "http://trade.example:8443", false),
            ("localhost:9001", "http://evil.example", false),
            ("localhost:9001", "http://localhost.evil.example", false),
            ("localhost:9001", "http://127.0.0.1:9001", false),
            ("localhost:9001", "null", false),
            ("localhost:9001", "", false),
            ("localhost:9001", "localhost", false),
            ("localhost:9001", "file://", false),
            ("localhost:9001", "ftp://localhost", false),
            ("localhost:9001", "http://localhost/path", false),
            ("localhost:9001", "http://user@localhost", false),
        ] {
            let expected = if allowed { Ok(()) } else { Err(Refusal::Origin) };
            assert_eq!(
                rules(true).admit(&request(&[("host", host), ("origin", origin)])),
                expected,
                "{origin:?}"
            );
        }
        let twice = [
            ("host", "localhost"),
            ("origin", "http://localhost"),
            ("origin", "http://evil.example"),
        ];
        assert_eq!(rules(true).admit(&request(&twice)), Err(Refusal::Origin));
    }

    #[test]
    fn null_is_refused_even_from_the_list() {
        let rules = Rules { origins: vec!["null".into()], ..rules(true) };
        let request = request(&[("host", "localhost"), ("origin", "null")]);
        assert_eq!(rules.admit(&request), Err(Refusal::Origin));
    }

    #[test]
    fn host_stands_once_except_in_http_1_0() {
        assert_eq!(rules(true).admit(&request(&[])), Err(Refusal::Host));
        assert_eq!(
            rules(true).admit(&request(&[("host", "localhost"), ("host", "localhost")])),
            Err(Refusal::Host)
        );
        let mut old = request(&[]);
        *old.version_mut() = Version::HTTP_10;
        assert_eq!(rules(true).admit(&old), Ok(()));
        let mut old = request(&[("origin", "http://localhost")]);
        *old.version_mut() = Version::HTTP_10;
        assert_eq!(rules(true).admit(&old), Err(Refusal::Origin));
    }

    #[test]
    fn an_absolute_target_counts_before_host() {
        let request = Request::builder().uri("http://evil.example/").header("host", "localhost");
        assert_eq!(
            rules(true).admit(&request.body(()).expect("a request")),
            Err(Refusal::ForeignHost)
        );
    }
}
