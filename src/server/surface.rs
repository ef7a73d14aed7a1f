//! What one listener does with a request: refuse it, upgrade it, or hand it to its HTTP service.
//!
//! Never: sockets. Called on the edge thread, once per request.

use super::admission::Caps;
use super::origin::Rules;
use super::upgrade::{self, Accepted};
use super::{BadQuery, HttpService, Options, Refusal, Routes};

use hyper::Request;
use std::net::IpAddr;

/// Places that listeners without WebSocket endpoints have beyond the general caps: metrics and health must answer
/// when the server is full. They come out of the descriptors that are kept from clients.
const RESERVED_CONNECTIONS: usize = 32;

/// The face of one listener.
pub(super) struct Surface {
    routes: Option<Routes>,
    rules: Rules,
    /// What requests go to that are neither refused nor upgraded.
    pub(super) service: HttpService,
    /// How many connections are allowed here.
    pub(super) caps: Caps,
}

/// What to do with a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Answer 101 and hand the socket over.
    Upgrade(Accepted),
    /// Answer this and close.
    Refuse(Refusal),
    /// Answer 400 and close.
    Correct(BadQuery),
    /// Ask the service.
    Serve,
}

impl Surface {
    pub(super) fn new(
        address: IpAddr,
        routes: Option<Routes>,
        service: HttpService,
        options: &Options,
    ) -> Self {
        let rules = Rules::new(address, options);
        let caps = Caps {
            reserved: if routes.is_none() { RESERVED_CONNECTIONS } else { 0 },
            address_connections_max: options.address_connections_max(rules.loopback),
        };
        Self { routes, rules, service, caps }
    }

    /// Decides about `request`.
    pub(super) fn judge<B>(&self, request: &Request<B>) -> Verdict {
        if let Err(refusal) = self.rules.admit(request) {
            return Verdict::Refuse(refusal);
        }
        let Some(routes) = &self.routes else {
            return Verdict::Serve;
        };
        match routes(request.uri().path(), request.uri().query()) {
            Ok(Some(endpoint)) => match upgrade::check(request, endpoint) {
                Ok(accepted) => Verdict::Upgrade(accepted),
                Err(refusal) => Verdict::Refuse(refusal),
            },
            Ok(None) if upgrade::is_upgrade(request.headers()) => {
                Verdict::Refuse(Refusal::UnknownPath)
            }
            Ok(None) => Verdict::Serve,
            Err(bad) => Verdict::Correct(bad),
        }
    }
}
