//! tokio-tungstenite with what its documentation advises: small read buffers, and one flush for all that is waiting.

use crate::publish::{Events, Settings};
use futures_util::SinkExt;
use std::error::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};

const READ_BYTES: usize = 4 * 1024;

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
    let config = WebSocketConfig::default().read_buffer_size(READ_BYTES);
    let mut socket = tokio_tungstenite::accept_async_with_config(stream, Some(config)).await?;
    let mut receiver = events.subscribe();
    loop {
        match receiver.recv().await {
            Ok(text) => socket.feed(Message::Text(text)).await?,
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return Ok(()),
        }
        loop {
            match receiver.try_recv() {
                Ok(text) => socket.feed(Message::Text(text)).await?,
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        socket.flush().await?;
    }
}
