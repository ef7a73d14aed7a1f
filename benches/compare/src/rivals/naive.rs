//! tokio-tungstenite, as its examples show it: a task per client, a message at a time.

use crate::publish::{Events, Settings};
use futures_util::SinkExt;
use std::error::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::error::RecvError;
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};

pub(crate) async fn serve(listener: TcpListener, settings: Settings) -> Result<(), Box<dyn Error>> {
    let events = Events::start(settings)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let events = events.clone();
        // A client that fails ends its own task.
        tokio::spawn(async move { client(stream, &events).await.ok() });
    }
}

async fn client(stream: TcpStream, events: &Events<Utf8Bytes>) -> tungstenite::Result<()> {
    stream.set_nodelay(true)?;
    let mut socket = tokio_tungstenite::accept_async(stream).await?;
    let mut receiver = events.subscribe();
    loop {
        match receiver.recv().await {
            Ok(text) => socket.send(Message::Text(text)).await?,
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return Ok(()),
        }
    }
}
