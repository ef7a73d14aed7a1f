//! A server that follows a script, and the messages it says.

use futures_util::{SinkExt as _, StreamExt as _};
use lineage::client::{Client, Error, Update};
use serde_json::Value;
use std::future::Future;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::{Message, protocol::CloseFrame};
use tokio_tungstenite::{WebSocketStream, accept_async};

/// Longer than anything here takes; reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(40);

/// Waits for `future`, not for ever.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: never came"))
}

pub(crate) struct Server(TcpListener);

impl Server {
    pub(crate) async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/v1", self.0.local_addr().unwrap())
    }

    /// The next connection, before anything is read from it.
    pub(crate) async fn accept_raw(&self) -> TcpStream {
        soon("a connection", self.0.accept()).await.unwrap().0
    }

    /// The next WebSocket, and what it asked for first.
    pub(crate) async fn accept(&self) -> (Peer, Value) {
        let socket = soon("a handshake", accept_async(self.accept_raw().await)).await.unwrap();
        let mut peer = Peer(socket);
        let asked = peer.hear().await;
        (peer, asked)
    }

    /// Answers the next connection with this head, and closes.
    pub(crate) async fn answer(&self, head: &str) {
        let mut stream = self.accept_raw().await;
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(format!("HTTP/1.1 {head}\r\n\r\n").as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    }
}

/// The server's end of a WebSocket. Dropping it breaks the connection without a close frame.
pub(crate) struct Peer(pub(crate) WebSocketStream<TcpStream>);

impl Peer {
    /// The next message of the client.
    pub(crate) async fn hear(&mut self) -> Value {
        let message = soon("a message", self.0.next()).await.unwrap().unwrap();
        serde_json::from_str(message.to_text().unwrap()).unwrap()
    }

    pub(crate) async fn say<T: AsRef<str>>(&mut self, texts: impl IntoIterator<Item = T>) {
        for text in texts {
            self.0.feed(Message::text(text.as_ref())).await.unwrap();
        }
        self.0.flush().await.unwrap();
    }

    /// Closes, and waits until the client has answered.
    pub(crate) async fn close(mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code: code.into(), reason: reason.to_owned().into() };
        self.0.close(Some(frame)).await.unwrap();
        let answer = soon("the answer to a close frame", self.0.next()).await;
        assert!(matches!(answer, Some(Ok(Message::Close(_)))), "{answer:?}");
    }

    /// Waits until the client has gone.
    pub(crate) async fn end(mut self) {
        while let Some(Ok(_)) = soon("the end of a connection", self.0.next()).await {}
    }
}

pub(crate) fn client(server: &Server) -> Client {
    Client::builder(server.url()).topic("a").topic("b:*").build().unwrap()
}

/// The next update.
pub(crate) async fn next(client: &mut Client) -> Result<Update, Error> {
    soon("an update", client.next()).await.expect("the stream goes on")
}

/// The next update that is none of `Other`, in short.
pub(crate) async fn told(client: &mut Client) -> String {
    loop {
        match next(client).await {
            Ok(Update::Other(_)) => {}
            Ok(update) => return short(&update),
            Err(error) => return format!("end: {error}"),
        }
    }
}

/// That many of them.
pub(crate) async fn tells(client: &mut Client, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    while all.len() < count {
        all.push(told(client).await);
    }
    all
}

fn short(update: &Update) -> String {
    match update {
        Update::Connected(connected) => {
            format!("connected {} {:?}", connected.epoch, connected.recovered)
        }
        Update::Event(event) => format!("{} {}", event.topic(), event.seq),
        Update::Snapshot(event) => format!("={} {}", event.topic(), event.seq),
        Update::Gap(gap) => format!("gap {} {}-{} {}", gap.topic, gap.from, gap.to, gap.reason),
        Update::Broken(broken) => {
            format!("broken {} {} for {}", broken.topic, broken.seq, broken.expected)
        }
        Update::Reconnecting(next) => format!("reconnecting {}: {}", next.attempt, next.why),
        other => format!("{other:?}"),
    }
}

pub(crate) fn welcome(epoch: &str) -> String {
    welcome_with_heartbeat(epoch, 15)
}

pub(crate) fn welcome_with_heartbeat(epoch: &str, heartbeat_s: u64) -> String {
    format!(
        r#"{{"type":"welcome","payload":{{"protocol":1,"connection":"c","epoch":"{epoch}","head":1,"ping_s":20,"heartbeat_s":{heartbeat_s},"limits":{{}}}},"timestamp":1}}"#
    )
}

pub(crate) fn ack(recovered: Option<bool>, pos: u64) -> String {
    let recovered = recovered.map_or_else(String::new, |is| format!("\"recovered\":{is},"));
    format!(
        r#"{{"type":"ack","id":1,"payload":{{"op":"subscribe",{recovered}"pos":{pos},"topics":[{{"topic":"a","seq":5}},{{"pattern":"b:*","count":0}}]}},"timestamp":1}}"#
    )
}

pub(crate) fn event(topic: &str, seq: u64, pos: u64) -> String {
    format!(
        r#"{{"type":"x","topic":"{topic}","seq":{seq},"pos":{pos},"us":1,"payload":{{"n":{seq}}},"timestamp":1}}"#
    )
}

pub(crate) fn snapshot(topic: &str, seq: u64, pos: u64) -> String {
    event(topic, seq, pos).replacen("\"x\"", "\"snapshot\"", 1)
}

pub(crate) fn gap(topic: &str, from: u64, to: u64, reason: &str) -> String {
    format!(
        r#"{{"type":"gap","topic":"{topic}","payload":{{"from":{from},"to":{to},"reason":"{reason}","action":"snapshot"}},"timestamp":1}}"#
    )
}
