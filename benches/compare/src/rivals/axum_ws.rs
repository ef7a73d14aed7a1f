//! axum's WebSocket upgrade, as its chat example shows it.

use crate::publish::{Events, Settings};
use axum::Router;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::routing::any;
use axum::serve::ListenerExt;
use std::error::Error;
use tokio::net::TcpListener;
use tokio::sync::broadcast::error::RecvError;

pub(crate) async fn serve(listener: TcpListener, settings: Settings) -> Result<(), Box<dyn Error>> {
    let events = Events::start(settings)?;
    let upgrade = async move |upgrade: WebSocketUpgrade| {
        // A client that fails ends its own task.
        upgrade.on_upgrade(async move |socket| drop(client(socket, &events).await))
    };
    let listener = listener.tap_io(|stream| {
        // Without it small events wait; a socket that refuses will fail by itself.
        let _ = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, Router::new().route("/", any(upgrade))).await?)
}

async fn client(mut socket: WebSocket, events: &Events<Utf8Bytes>) -> Result<(), axum::Error> {
    let mut receiver = events.subscribe();
    loop {
        match receiver.recv().await {
            Ok(text) => socket.send(Message::Text(text)).await?,
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return Ok(()),
        }
    }
}
