//! The worked example of the document, played against a real engine line by line.
//!
//! Method: `>` is sent, `!` is published over HTTP, `<` is the next message, compared text for text after what
//! differs from run to run (connection, epoch, times) was blanked. Epochs of the document are replaced by real ones
//! in what is sent.

use super::client::Client;
use super::document::{fences, text};
use super::ordered::Ordered;
use super::support::{config, http, post, start, wait_for_events};
use lineage::Engine;
use lineage::config::Config;
use lineage::http::PublishAccess;
use serde_json::Value;

/// How many of the example's parts are played, of [`PARTS`].
const PLAYED: usize = 2;
/// How many the document has.
const PARTS: usize = 4;

/// What is on stage.
struct Stage {
    engine: Engine,
    client: Option<Client>,
    published: u64,
    /// Epochs of the document, each with the one of this run.
    epochs: Vec<(String, String)>,
}

fn engine() -> Engine {
    start(Config { publish: PublishAccess::Loopback, shards: 1, ..config() })
}

impl Stage {
    fn play(&mut self, line: &str) {
        match line.split_once(' ') {
            Some(("*", "connect")) => {
                // The shard has seen what was published, so that the greeting names it.
                drop(Client::greeted(http(&self.engine), self.published));
                self.client = Some(Client::open(http(&self.engine), "/v1"));
            }
            Some(("*", "lose")) => self.client = None,
            Some(("*", "restart")) => {
                (self.client, self.engine, self.published) = (None, engine(), 0);
            }
            Some(("!", event)) => {
                let answer = post(http(&self.engine), [event.as_bytes().to_vec()]);
                assert_eq!(answer.json()["accepted"], 1, "{line}: {answer:?}");
                self.published += 1;
                wait_for_events(&self.engine, self.published);
            }
            Some((">", message)) => {
                let real = self.epochs.iter().fold(message.to_owned(), |message, (told, real)| {
                    message.replace(&format!("\"{told}\""), &format!("\"{real}\""))
                });
                self.client.as_mut().expect("connected").text(&real);
            }
            Some(("<", told)) => {
                let real = self.client.as_mut().expect("connected").message().to_owned();
                assert_eq!(blanked(&real), blanked(told), "{line}");
                let epoch = |text: &str| {
                    let frame: Value = serde_json::from_str(text).expect("JSON");
                    frame["payload"]["epoch"].as_str().map(str::to_owned)
                };
                self.epochs.extend(epoch(told).zip(epoch(&real)));
            }
            _ => panic!("not a line of the example: {line}"),
        }
    }
}

/// The frame without what differs from run to run.
fn blanked(text: &str) -> String {
    let mut frame = Ordered::parse(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    ["connection", "epoch", "us", "timestamp"].iter().for_each(|key| frame.blank(key));
    frame.to_string()
}

#[test]
fn the_worked_example_comes_true() {
    let text = text();
    let parts = fences(&text, "session");
    assert_eq!(parts.len(), PARTS);
    let mut stage = Stage { engine: engine(), client: None, published: 0, epochs: Vec::new() };
    parts.iter().take(PLAYED).flat_map(|part| part.lines()).for_each(|line| stage.play(line));
}
