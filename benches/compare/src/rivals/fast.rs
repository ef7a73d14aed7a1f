//! fastwebsockets over hyper, as its echo server shows it, sending what the channel brings.

use crate::publish::{Events, Settings};
use bytes::Bytes;
use fastwebsockets::{Frame, Payload, WebSocketError, upgrade};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::error::Error;
use tokio::net::TcpListener;
use tokio::sync::broadcast::error::RecvError;

pub(crate) async fn serve(listener: TcpListener, settings: Settings) -> Result<(), Box<dyn Error>> {
    let events = Events::start(settings)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let events = events.clone();
        let service = service_fn(move |request| answer(request, events.clone()));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        // A client that fails ends its own task.
        tokio::spawn(async move { connection.with_upgrades().await.ok() });
    }
}

async fn answer(
    mut request: Request<Incoming>,
    events: Events<Bytes>,
) -> Result<Response<Empty<Bytes>>, WebSocketError> {
    let (response, socket) = upgrade::upgrade(&mut request)?;
    tokio::spawn(async move { client(socket, &events).await.ok() });
    Ok(response)
}

async fn client(socket: upgrade::UpgradeFut, events: &Events<Bytes>) -> Result<(), WebSocketError> {
    let mut socket = socket.await?;
    let mut receiver = events.subscribe();
    loop {
        match receiver.recv().await {
            Ok(text) => socket.write_frame(Frame::text(Payload::Borrowed(&text))).await?,
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return Ok(()),
        }
    }
}
