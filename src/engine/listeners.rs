//! The addresses an engine listens on, and what is served at each.

use super::{Addresses, Parts, legacy_query};
use crate::config::Components;
use crate::error::Error;
use crate::http::{self, Component, Surface};
use crate::server::{self, Listener, Routes};
use crate::shard::{Endpoint, LegacyKind, LegacyView};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;

/// Binds `address`, and for 127.0.0.1 the same port of ::1 too where the machine has it, so that `localhost` works
/// however it is resolved. The first socket is the one that was asked for.
///
/// # Errors
/// When the address that was asked for cannot be bound.
fn bind(
    listener: &'static str,
    address: SocketAddr,
    options: &server::Options,
) -> Result<Vec<TcpListener>, Error> {
    let failed = |source| Error::Bind { listener, address: address.to_string(), source };
    let first = server::bind(address, options).map_err(failed)?;
    let port = first.local_addr().map_err(failed)?.port();
    let mut sockets = vec![first];
    if address.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST) {
        match server::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, port)), options) {
            Ok(socket) => sockets.push(socket),
            Err(error) => tracing::debug!(listener, %error, "not listening on ::1 too"),
        }
    }
    Ok(sockets)
}

/// The WebSocket paths of both listeners.
fn shared_path(path: &str) -> Option<Endpoint> {
    let legacy = |kind| Endpoint::Legacy(LegacyView { kind, patterns: None });
    match path {
        "/v1" => Some(Endpoint::V1),
        "/ws" => Some(legacy(LegacyKind::Hub)),
        "/api/v11/live/stream" => Some(legacy(LegacyKind::Chain)),
        _ => None,
    }
}

/// Binds every address of the configuration.
pub(super) fn listen(
    parts: &Parts,
    options: &server::Options,
    has_handler: bool,
) -> Result<(Vec<Listener>, Addresses), Error> {
    let config = &parts.config;
    let ws_routes: Routes = if has_handler {
        Arc::new(|_, _| Ok(Some(Endpoint::Custom)))
    } else {
        Arc::new(|path, query| {
            Ok(match path {
                "/" => Some(Endpoint::Legacy(legacy_query::view(query)?)),
                path => shared_path(path),
            })
        })
    };
    let http_routes: Routes = Arc::new(|path, _| Ok(shared_path(path)));
    let context = Arc::new(parts.http_context());
    let service = |surface| http::service(surface, context.clone());
    let mut listeners = Vec::new();
    let mut open =
        |name, address: SocketAddr, routes: Option<&Routes>, service: &server::HttpService| {
            let sockets = bind(name, address, options)?;
            let bound = sockets[0].local_addr().map_err(|source| Error::Bind {
                listener: name,
                address: address.to_string(),
                source,
            })?;
            listeners.extend(sockets.into_iter().map(|socket| Listener {
                socket,
                routes: routes.cloned(),
                service: service.clone(),
            }));
            Ok::<_, Error>(bound)
        };
    let ws = open("ws", config.ws, Some(&ws_routes), &service(Surface::WebSocket))?;
    let http = config
        .http
        .map(|at| open("http", at, Some(&http_routes), &service(Surface::Http)))
        .transpose()?;
    let metrics = config
        .metrics
        .map(|at| open("metrics", at, None, &service(Surface::Metrics)))
        .transpose()?;
    let named = &config.components;
    let mut component = |name, address: Option<SocketAddr>, component| {
        let service = service(Surface::Component(component));
        address.map(|at| open(name, at, None, &service)).transpose()
    };
    let components = Components {
        collector_metrics: component(
            "collector_metrics",
            named.collector_metrics,
            Component::Collector,
        )?,
        calculator_metrics: component(
            "calculator_metrics",
            named.calculator_metrics,
            Component::Calculator,
        )?,
        alerts_metrics: component("alerts_metrics", named.alerts_metrics, Component::Alerts)?,
        gateway_metrics: component("gateway_metrics", named.gateway_metrics, Component::Gateway)?,
    };
    Ok((listeners, Addresses { ws, http, metrics, components }))
}
