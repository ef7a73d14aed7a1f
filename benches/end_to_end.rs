//! What does an event cost from `publish` to the bytes in every client's hands: ring, encoder, log, sweep, kernel, socket?
//!
//! Workload: an engine with one shard, 1 or 100 WebSocket clients of `/v1` over loopback in the same process, events of
//! some 200 bytes on the wire; a round is a burst of 1 or 64 events, from the first publish until the last client has
//! read the last frame. `baseline` is the kernel's part by itself: the same number of bytes written to as many sockets
//! by one thread and read by the same loop. `cargo bench --bench end_to_end`
#![allow(missing_docs, reason = "criterion's macros make the entry points")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lineage::Engine;
use lineage::config::{Config, SourceChoice};
use lineage::event::{Body, Class, Event, Json};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

const CLIENTS: [usize; 2] = [1, 100];
const BURSTS: [usize; 2] = [1, 64];
/// A frame of the baseline, as long as an event's.
const FRAME_BYTES: usize = 204;
/// With the envelope some 200 bytes.
const PAYLOAD_BYTES: usize = 84;
const READ_BYTES: usize = 64 * 1024;

/// A client that counts frames.
struct Reader {
    stream: TcpStream,
    /// Bytes of a frame that is not whole yet.
    rest: Vec<u8>,
    frames: u64,
}

impl Reader {
    fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a fresh socket takes options");
        Self { stream, rest: Vec::new(), frames: 0 }
    }

    /// Connects, subscribes to `bench` and waits for the ack.
    fn subscribed(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).expect("the engine listens");
        let request = format!(
            "GET /v1 HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("the engine reads");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("the engine answers");
            head.push(byte[0]);
        }
        let text = br#"{"op":"subscribe","topics":["bench"]}"#;
        let length = u8::try_from(text.len()).expect("a short text");
        // A mask of zeros leaves the text as it is.
        let frame = [&[0x81, 0x80 | length, 0, 0, 0, 0][..], text].concat();
        stream.write_all(&frame).expect("the engine reads");
        let mut reader = Self::new(stream);
        // The welcome and the ack.
        let mut buffer = vec![0; READ_BYTES];
        while reader.frames < 2 {
            reader.pull(&mut buffer);
        }
        reader.frames = 0;
        reader.stream.set_nonblocking(true).expect("a socket takes options");
        reader
    }

    /// Reads what there is.
    fn pull(&mut self, buffer: &mut [u8]) {
        match self.stream.read(buffer) {
            Ok(0) => panic!("the connection ended"),
            Ok(length) => self.rest.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => panic!("{error}"),
        }
        let mut at = 0;
        while let Some(length) = frame_bytes(&self.rest[at..]) {
            at += length;
            self.frames += 1;
        }
        self.rest.drain(..at);
    }
}

/// The length of the whole frame at the start.
fn frame_bytes(bytes: &[u8]) -> Option<usize> {
    let length = match bytes {
        [_, 126, high, low, ..] => 4 + usize::from(u16::from_be_bytes([*high, *low])),
        [_, short, ..] if *short < 126 => 2 + usize::from(*short),
        _ => return None,
    };
    (bytes.len() >= length).then_some(length)
}

/// Until everybody has so many frames.
fn read_all(readers: &mut [Reader], buffer: &mut [u8], frames: u64) {
    for reader in readers {
        while reader.frames < frames {
            reader.pull(buffer);
        }
    }
}

fn engine(c: &mut Criterion) {
    let mut group = c.benchmark_group("end_to_end/engine");
    let mut buffer = vec![0; READ_BYTES];
    for clients in CLIENTS {
        let config = Config {
            ws: SocketAddr::from(([127, 0, 0, 1], 0)),
            http: None,
            metrics: None,
            source: SourceChoice::None,
            shards: 1,
            ..Config::default()
        };
        let engine = Engine::start(config).expect("an engine on port 0");
        let topic = engine.topic("bench", Class::Event).expect("a good name");
        let mut publisher = engine.publisher().expect("the first publisher");
        let mut readers: Vec<Reader> =
            (0..clients).map(|_| Reader::subscribed(engine.addresses().ws)).collect();
        let mut frames = 0;
        let payload = Json::vouched(format!("\"{}\"", "x".repeat(PAYLOAD_BYTES)).into());
        for burst in BURSTS {
            group.throughput(Throughput::Elements((clients * burst) as u64));
            group.bench_function(format!("{clients}_clients_bursts_of_{burst}"), |b| {
                b.iter(|| {
                    let event = |_| Event {
                        topic,
                        key: 0,
                        time_us: engine.clock().now_us(),
                        body: Body::External(payload.clone()),
                    };
                    let mut events: Vec<Event> = (0..burst).map(event).collect();
                    while !events.is_empty() {
                        publisher.publish_batch(&mut events);
                    }
                    frames += burst as u64;
                    read_all(&mut readers, &mut buffer, frames);
                });
            });
        }
    }
    group.finish();
}

fn baseline(c: &mut Criterion) {
    let mut group = c.benchmark_group("end_to_end/baseline");
    let mut buffer = vec![0; READ_BYTES];
    let mut frame = vec![b'x'; FRAME_BYTES];
    frame[..4].copy_from_slice(&[0x81, 126, 0, 200]);
    for clients in CLIENTS {
        let listener = TcpListener::bind("127.0.0.1:0").expect("port 0");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (mut senders, mut readers) = (Vec::new(), Vec::new());
        for _ in 0..clients {
            let stream = TcpStream::connect(address).expect("the listener listens");
            let (sender, _) = listener.accept().expect("somebody connected");
            sender.set_nodelay(true).expect("a fresh socket takes options");
            stream.set_nonblocking(true).expect("a fresh socket takes options");
            senders.push(sender);
            readers.push(Reader::new(stream));
        }
        let mut frames = 0;
        for burst in BURSTS {
            let bytes = frame.repeat(burst);
            group.throughput(Throughput::Elements((clients * burst) as u64));
            group.bench_function(format!("{clients}_clients_bursts_of_{burst}"), |b| {
                b.iter(|| {
                    for sender in &mut senders {
                        sender.write_all(&bytes).expect("the reader follows");
                    }
                    frames += burst as u64;
                    read_all(&mut readers, &mut buffer, frames);
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, baseline, engine);
criterion_main!(benches);
