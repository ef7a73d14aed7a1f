//! A front door on port 0 with a recording place behind it, and clients that speak raw bytes.
#![allow(dead_code, reason = "shared by several test binaries, none of which uses all of it")]

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use lineage::server::{
    self, BadQuery, Edge, EdgeCounters, HttpService, Listener, Options, Place, Routes,
};
use lineage::shard::{Arrival, Endpoint, LegacyView};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Longer than anything here takes; reaching it is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// An upgrade request without its blank line.
pub(crate) const UPGRADE: &str = "Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

/// A list in place of the shards.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    state: Mutex<Recorded>,
    changed: Condvar,
}

#[derive(Debug, Default)]
pub(crate) struct Recorded {
    /// Connections handed over and not taken out.
    pub(crate) arrivals: Vec<Arrival>,
    /// Hand-overs since the last nudge.
    pub(crate) unannounced: usize,
    pub(crate) nudges: usize,
    /// Hand-overs refused for want of room.
    pub(crate) returned: usize,
    /// Whether there is no room.
    pub(crate) is_full: bool,
    pub(crate) accepted: u64,
    /// Refusals by status.
    pub(crate) refused: BTreeMap<u16, u64>,
    pub(crate) stalled: u64,
    pub(crate) accept_pauses: u64,
    pub(crate) descriptors_exhausted: u64,
    /// Paths the service was asked for, in order.
    pub(crate) served: Vec<String>,
}

impl Recorder {
    pub(crate) fn state(&self) -> MutexGuard<'_, Recorded> {
        self.state.lock().expect("no test panics with the lock")
    }

    fn change(&self, change: impl FnOnce(&mut Recorded)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    /// Blocks until `is_so`.
    pub(crate) fn wait_until(&self, what: &str, is_so: impl Fn(&Recorded) -> bool) {
        drop(self.when(what, is_so));
    }

    /// Blocks until `is_so`; what is so stays so while the guard lives.
    pub(crate) fn when(
        &self,
        what: &str,
        is_so: impl Fn(&Recorded) -> bool,
    ) -> MutexGuard<'_, Recorded> {
        let (state, timeout) = self
            .changed
            .wait_timeout_while(self.state(), PATIENCE, |state| !is_so(state))
            .expect("not poisoned");
        assert!(!timeout.timed_out(), "{what} did not come about: {state:?}");
        state
    }

    /// Blocks until something has arrived, and takes it.
    pub(crate) fn arrival(&self) -> Arrival {
        self.when("an arrival", |state| !state.arrivals.is_empty()).arrivals.remove(0)
    }
}

impl Place for Recorder {
    fn place(&self, arrival: Arrival) -> Result<(), Arrival> {
        let mut returned = None;
        self.change(|state| {
            if state.is_full {
                state.returned += 1;
                returned = Some(arrival);
            } else {
                state.arrivals.push(arrival);
                state.unannounced += 1;
            }
        });
        returned.map_or(Ok(()), Err)
    }

    fn nudge(&self) {
        self.change(|state| {
            state.nudges += 1;
            state.unannounced = 0;
        });
    }

    fn open(&self) -> usize {
        self.state().arrivals.len()
    }
}

impl EdgeCounters for Recorder {
    fn accepted(&self) {
        self.change(|state| state.accepted += 1);
    }
    fn refused(&self, status: u16) {
        self.change(|state| *state.refused.entry(status).or_default() += 1);
    }
    fn stalled(&self) {
        self.change(|state| state.stalled += 1);
    }
    fn accept_paused(&self) {
        self.change(|state| state.accept_pauses += 1);
    }
    fn descriptors_exhausted(&self) {
        self.change(|state| state.descriptors_exhausted += 1);
    }
}

/// A running front door.
pub(crate) struct Front {
    /// Endpoints `/` (legacy) and `/v1`; everything else goes to the service.
    pub(crate) address: SocketAddr,
    /// No endpoints.
    pub(crate) http_address: SocketAddr,
    pub(crate) recorder: Arc<Recorder>,
    /// Lets requests of `/slow` go on.
    pub(crate) gate: Arc<Semaphore>,
    pub(crate) edge: Edge,
}

impl Front {
    pub(crate) fn open(options: Options) -> Self {
        let recorder = Arc::new(Recorder::default());
        let gate = Arc::new(Semaphore::new(0));
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let [socket, http_socket] =
            [(); 2].map(|()| server::bind(any_port, &options).expect("a port"));
        let [address, http_address] =
            [&socket, &http_socket].map(|socket| socket.local_addr().expect("bound"));
        let service = service(&recorder, &gate);
        let routes: Routes = Arc::new(|path, query| match (path, query) {
            (_, Some("wrong")) => Err(BadQuery::new("query", "wrong", "right")),
            ("/", _) => Ok(Some(Endpoint::Legacy(LegacyView::default()))),
            ("/v1", _) => Ok(Some(Endpoint::V1)),
            _ => Ok(None),
        });
        let listeners = vec![
            Listener { socket, routes: Some(routes), service: Arc::clone(&service) },
            Listener { socket: http_socket, routes: None, service },
        ];
        let edge =
            Edge::start(listeners, recorder.clone(), options, recorder.clone()).expect("an edge");
        Self { address, http_address, recorder, gate, edge }
    }

    /// Connects and sends `bytes`.
    pub(crate) fn send(&self, bytes: impl AsRef<[u8]>) -> Client {
        let mut client = Client::connect(self.address);
        client.send(bytes);
        client
    }

    /// Connects, sends `bytes` and reads the answer.
    pub(crate) fn ask(&self, bytes: impl AsRef<[u8]>) -> Answer {
        self.send(bytes).answer().expect("an answer")
    }
}

/// Bytes of the answer to `/large`.
pub(crate) const LARGE_BYTES: usize = 64 << 20;

/// Answers with the path; `/slow` when the gate opens; `/panic` never; `/large` with more than buffers hold.
fn service(recorder: &Arc<Recorder>, gate: &Arc<Semaphore>) -> HttpService {
    let (recorder, gate) = (Arc::clone(recorder), Arc::clone(gate));
    Arc::new(move |request, _peer| {
        let (path, gate) = (request.uri().path().to_owned(), Arc::clone(&gate));
        recorder.change(|state| state.served.push(path.clone()));
        Box::pin(async move {
            assert!(path != "/panic", "a service may fail");
            if path == "/slow" {
                gate.acquire().await.expect("the gate is never closed").forget();
            }
            let body =
                if path == "/large" { vec![b'x'; LARGE_BYTES].into() } else { Bytes::from(path) };
            Response::new(server::whole(Full::new(body)))
        })
    })
}

/// A client that speaks bytes.
pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the listener is open");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        Self(stream)
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).expect("the door reads");
    }

    /// Reads one response; `None` when the server closed before any byte of one.
    pub(crate) fn answer(&mut self) -> Option<Answer> {
        self.answer_to("GET")
    }

    /// Reads the response to a request of that method.
    pub(crate) fn answer_to(&mut self, method: &str) -> Option<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            match self.0.read(&mut byte).expect("an answer in time, and no reset") {
                0 if head.is_empty() => return None,
                0 => panic!("closed inside a head: {:?}", String::from_utf8_lossy(&head)),
                _ => head.push(byte[0]),
            }
        }
        let head = String::from_utf8(head).expect("text");
        let status = head[9..12].parse().expect("a status");
        let mut answer = Answer { status, head, body: Vec::new() };
        if status != 101 && method != "HEAD" {
            let length =
                answer.header("content-length").expect("a length").parse().expect("a number");
            answer.body.resize(length, 0);
            self.0.read_exact(&mut answer.body).expect("the whole body");
        }
        Some(answer)
    }

    /// Whether the server closes now, with everything read and no reset.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.0.read(&mut [0]).expect("closed, not reset") == 0
    }

    /// Whether nothing comes for a moment. Proves nothing alone: say what must come later.
    pub(crate) fn is_waiting(&mut self) -> bool {
        self.0.set_read_timeout(Some(Duration::from_millis(50))).expect("a socket");
        let error = self.0.peek(&mut [0]).err();
        self.0.set_read_timeout(Some(PATIENCE)).expect("a socket");
        error.is_some()
    }
}

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines
            .into_iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

/// An upgrade request for `path`.
pub(crate) fn upgrade(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\n{UPGRADE}\r\n")
}

/// A plain GET for `path`.
pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}
