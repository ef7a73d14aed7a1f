//! Ten thousand times a client stalls or is cut off, and goes on: nothing is missing without a notice, nothing comes
//! twice or out of order, and after each time the client has what the server has.
//!
//! Method: a hundred clients on four threads, two shards, a budget and a log that are soon spent. In a round each client
//! stalls or leaves, by a plan that the seed determines; meanwhile the publisher goes on, and turns the log over for
//! who is away for long. A round ends when every client has been held against the ledger. The pace of the publisher
//! follows what the clients do, not the time.

use super::client::{CLOSE, Client, Next, PING, PONG, TEXT, masked};
use super::cycle_press::{
    Counts, Dice, LOG_SEGMENTS, ORDERS_MAX, Order, Press, THREADS, TOPICS, locked, topics,
};
use super::cycle_proof::{Ledger, Proof};
use super::slow::narrow;
use super::support::{config, start};
use lineage::config::Config;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

const CLIENTS_OF_THREAD: u64 = 25;
const ROUNDS: u64 = 100;
const CYCLES: u64 = THREADS * CLIENTS_OF_THREAD * ROUNDS;

/// What happens to a client in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Cut off, and back at once.
    Short,
    /// Cut off, and back when the log has been turned over.
    Long,
    /// It stops reading for as long, and reads on.
    Stall,
    /// It stops reading for as long, and is then cut off.
    StallAndCut,
}

struct Subscriber<'a> {
    address: SocketAddr,
    ledger: &'a Mutex<Ledger>,
    request: serde_json::Value,
    client: Option<Client>,
    epoch: String,
    proof: Proof,
    counts: Counts,
}

/// Exact topics, wildcards, both; every eighth client would rather be closed than told a gap.
fn patterns(client: u64) -> Vec<String> {
    let nth = |of: &str, n: u64| format!("desk:{of}:{}", n % TOPICS);
    let mark = "desk:mark".to_owned();
    match client % 4 {
        0 => vec![
            mark,
            nth("quote", client / 4),
            nth("quote", client / 4 + 1),
            nth("trade", client / 4),
            nth("trade", client / 4 + 2),
        ],
        1 => vec!["desk:*".to_owned()],
        2 => vec![mark, "desk:quote:*".to_owned(), nth("trade", client / 4)],
        _ => vec!["desk:trade:*".to_owned(), nth("quote", client / 4), "desk:*".to_owned()],
    }
}

impl<'a> Subscriber<'a> {
    fn new(address: SocketAddr, ledger: &'a Mutex<Ledger>, number: u64) -> Self {
        let topics = patterns(number);
        let proof = Proof::new(&locked(ledger), &topics);
        let on_lag = if number % 8 == 3 { "disconnect" } else { "gap" };
        let request = json!({"op": "subscribe", "topics": topics, "on_lag": on_lag});
        let (client, epoch, counts) = (None, String::new(), Counts::default());
        Self { address, ledger, request, client, epoch, proof, counts }
    }

    fn come_back(&mut self) {
        let mut client = Client::upgrade(narrow(self.address), "/v1").expect("101");
        let welcome = client.json();
        let epoch = welcome["payload"]["epoch"].as_str().expect("text");
        assert!(self.epoch.is_empty() || self.epoch == epoch, "{welcome}");
        epoch.clone_into(&mut self.epoch);
        if let Some(pos) = self.proof.safe() {
            self.request["from"] = json!({"epoch": epoch, "pos": pos});
        }
        client.text(&self.request.to_string());
        let ack = client.json();
        assert_eq!(ack["type"], "ack", "{ack}");
        match self.proof.joined(&locked(self.ledger), &ack) {
            Some(true) => self.counts.recovered += 1,
            Some(false) => self.counts.expired += 1,
            None => {}
        }
        self.client = Some(client);
    }

    /// By a reset, or in the middle of a frame; what has come and was not looked at is lost.
    fn cut(&mut self, by_reset: bool) {
        let Some(mut client) = self.client.take() else { return };
        if by_reset {
            let linger = socket2::SockRef::from(&client.stream).set_linger(Some(Duration::ZERO));
            linger.expect("a socket");
        } else {
            // A server that has closed it reads no more.
            let frame = masked(TEXT, br#"{"op":"ping"}"#);
            let _ = std::io::Write::write_all(&mut client.stream, &frame[..frame.len() / 2]);
        }
    }

    /// Takes frames until it has what is published by now, at most so many.
    fn read(&mut self, frames_max: u64) {
        let seqs = locked(self.ledger).seqs();
        for _ in 0..frames_max {
            if self.proof.has(&seqs) {
                return;
            }
            self.read_one();
        }
    }

    fn read_one(&mut self) {
        let Some(client) = &mut self.client else { return self.come_back() };
        match client.next() {
            Next::Frame(TEXT, range) => {
                let text = std::str::from_utf8(client.bytes(range)).expect("text is UTF-8");
                self.proof.take(&locked(self.ledger), text);
            }
            Next::Frame(PING, range) => {
                let pong = masked(PONG, client.bytes(range));
                client.raw(&pong);
            }
            Next::Frame(CLOSE, range) => {
                let code = &client.bytes(range)[..2];
                assert_eq!(code, 4008_u16.to_be_bytes(), "the one reason to close");
                assert_eq!(self.request["on_lag"], "disconnect", "who asked for it");
                self.counts.closed += 1;
                self.client = None;
            }
            other => panic!("{other:?} of a client that reads"),
        }
    }
}

/// The clients of one thread.
struct Crew<'a> {
    seed: u64,
    cycle: u64,
    dice: Dice,
    clients: Vec<Subscriber<'a>>,
    orders: SyncSender<Order>,
}

impl Crew<'_> {
    fn round(&mut self) {
        let fates: Vec<Fate> = (0..self.clients.len())
            .map(|_| match self.dice.below(20) {
                0..7 => Fate::Short,
                7..12 => Fate::Long,
                12..18 => Fate::Stall,
                _ => Fate::StallAndCut,
            })
            .collect();
        for (client, fate) in self.clients.iter_mut().zip(&fates) {
            if self.dice.below(8) == 0 {
                let _ = self.orders.send(Order::Some);
            }
            client.read(self.dice.below(4));
            if matches!(fate, Fate::Short | Fate::Long) {
                client.cut(self.dice.below(2) == 0);
            }
            if *fate == Fate::Short {
                client.come_back();
                client.read(self.dice.below(10));
            }
        }
        let (done, flooded) = sync_channel(ORDERS_MAX);
        let _ = self.orders.send(Order::Flood(done));
        flooded.recv().expect("the publisher is there");
        for (client, fate) in self.clients.iter_mut().zip(&fates) {
            if self.dice.below(8) == 0 {
                let _ = self.orders.send(Order::Some);
            }
            match fate {
                Fate::StallAndCut => client.cut(self.dice.below(2) == 0),
                Fate::Long => client.come_back(),
                Fate::Short | Fate::Stall => {}
            }
            client.read(self.dice.below(20));
        }
        let _ = self.orders.send(Order::Done);
    }

    /// All clients become equal to the ledger, which stands still.
    fn compare(&mut self) {
        for client in &mut self.clients {
            client.read(u64::MAX);
            client.proof.assert_equals(&locked(client.ledger));
            client.counts.slow += u64::from(std::mem::take(&mut client.proof.slow_gaps) > 0);
            self.cycle += 1;
        }
        let _ = self.orders.send(Order::Equal);
    }

    fn run(mut self, go: &Receiver<()>) {
        self.clients.iter_mut().for_each(Subscriber::come_back);
        for _ in 0..ROUNDS {
            // The publisher is gone when another thread has failed.
            let Ok(()) = go.recv() else { return };
            self.round();
            let Ok(()) = go.recv() else { return };
            self.compare();
            let Ok(()) = go.recv() else { return };
            // Of the mark: now a position from behind all gaps is known.
            self.clients.iter_mut().for_each(|client| client.read(u64::MAX));
        }
        let mut counts = Counts::default();
        for client in &self.clients {
            counts += Counts {
                heartbeats: client.proof.heartbeats,
                overruns: client.proof.overruns,
                ..client.counts
            };
        }
        let _ = self.orders.send(Order::Counted(counts));
    }
}

impl Drop for Crew<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let where_it_was = format!("seed {}, cycle {} of a thread", self.seed, self.cycle);
            let _ = self.orders.send(Order::Failed(where_it_was));
        }
    }
}

#[test]
fn ten_thousand_times_a_client_stalls_or_is_cut_off_and_then_has_what_the_server_has() {
    let engine = start(Config {
        lag_bytes_max: 16 * 1024,
        lag_age_max: Duration::from_secs(600),
        write_stall_max: Duration::from_secs(600),
        heartbeat_interval: Duration::from_secs(1),
        send_buffer_bytes: 4 * 1024,
        log_segments: LOG_SEGMENTS,
        ..config()
    });
    let seed = std::env::var("CYCLES_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    let ledger = Mutex::new(Ledger::new(topics()));
    let mut press = Press::new(&engine, &ledger, seed);
    std::thread::scope(|scope| {
        let (send, orders) = sync_channel(ORDERS_MAX);
        let threads: Vec<SyncSender<()>> = (0..THREADS)
            .map(|thread| {
                let numbers = thread * CLIENTS_OF_THREAD..(thread + 1) * CLIENTS_OF_THREAD;
                let address = engine.addresses().ws;
                let clients = numbers.map(|number| Subscriber::new(address, &ledger, number));
                let clients = clients.collect();
                let dice = Dice(seed ^ (thread + 1));
                let crew = Crew { seed, cycle: 0, dice, clients, orders: send.clone() };
                let (go, gone) = sync_channel(ORDERS_MAX);
                scope.spawn(move || crew.run(&gone));
                go
            })
            .collect();
        // A thread that has failed says so itself.
        let go = || threads.iter().for_each(|thread| thread.send(()).unwrap_or_default());
        for _ in 0..ROUNDS {
            go();
            press.serve(&orders);
            go();
            press.serve(&orders);
            press.publish_mark();
            go();
        }
        press.serve(&orders);
    });
    let counts = press.counts;
    let is_common = |count: u64| count >= CYCLES / 10;
    assert!(is_common(counts.recovered) && is_common(counts.expired), "{seed}: {counts:?}");
    assert!(
        is_common(counts.slow) && counts.closed > 0 && counts.overruns > 0,
        "{seed}: {counts:?}"
    );
}
