//! What comes over one connection: events, gaps, mistakes of the server, and words nobody knows yet.

use crate::server::{Server, ack, client, event, gap, next, snapshot, soon, tells, welcome};
use futures_util::{FutureExt as _, StreamExt as _};
use lineage::client::{Client, Update};
use serde::Deserialize;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

#[tokio::test]
async fn snapshots_events_gaps_and_new_topics_come_in_order() {
    let server = Server::start().await;
    let mut client = client(&server);
    let script = tokio::spawn(async move {
        let (mut peer, asked) = server.accept().await;
        assert_eq!(asked["topics"], serde_json::json!(["a", "b:*"]));
        assert!(asked.get("from").is_none(), "{asked}");
        peer.say([welcome("k3f9"), ack(None, 100), snapshot("a", 5, 90), event("a", 6, 101)]).await;
        peer.say([event("b:new", 1, 102), gap("a", 7, 9, "slow"), snapshot("a", 9, 140)]).await;
        peer.say([event("a", 10, 141), event("b:new", 2, 142)]).await;
        peer.end().await;
    });
    let expected = [
        "connected k3f9 None",
        "=a 5",
        "a 6",
        "b:new 1",
        "gap a 7-9 slow",
        "=a 9",
        "a 10",
        "b:new 2",
    ];
    assert_eq!(tells(&mut client, 8).await, expected);
    assert_eq!(client.position().unwrap().to_string(), "k3f9.142");
    let counts = client.counts();
    assert_eq!((counts.events, counts.gaps, counts.broken, counts.connections), (4, 1, 0, 1));
    drop(client);
    script.await.unwrap();
}

#[tokio::test]
async fn a_jump_without_a_gap_is_told_and_counted() {
    let server = Server::start().await;
    let mut client = client(&server);
    let script = tokio::spawn(async move {
        let (mut peer, _) = server.accept().await;
        peer.say([welcome("k3f9"), ack(None, 100), event("a", 6, 101), event("a", 8, 103)]).await;
        peer.say([event("a", 8, 103), event("a", 9, 104)]).await;
        peer.end().await;
    });
    let expected =
        ["connected k3f9 None", "a 6", "broken a 8 for 7", "a 8", "broken a 8 for 9", "a 8", "a 9"];
    assert_eq!(tells(&mut client, 7).await, expected);
    assert_eq!(client.counts().broken, 2);
    drop(client);
    script.await.unwrap();
}

#[tokio::test]
async fn unknown_types_and_fields_change_nothing_and_every_message_is_one_update() {
    let texts = [
        welcome("k3f9").replacen('{', r#"{"new":[1],"#, 1),
        r#"{"type":"tide","payload":{"high":true}}"#.to_owned(),
        ack(None, 100).replacen("\"pos\"", "\"new\":{},\"pos\"", 1),
        event("a", 6, 101).replacen('{', r#"{"new":null,"#, 1),
        "no json".to_owned(),
        event("a", 7, 102),
    ];
    let server = Server::start().await;
    let mut client = client(&server);
    let said = texts.clone();
    let script = tokio::spawn(async move {
        let (mut peer, _) = server.accept().await;
        peer.say(said).await;
        peer.end().await;
    });
    for text in texts {
        assert_eq!(next(&mut client).await.unwrap().text(), Some(&*text));
    }
    drop(client);
    script.await.unwrap();
}

#[tokio::test]
async fn a_payload_is_text_or_any_type() {
    #[derive(Deserialize)]
    struct Number {
        n: u64,
    }
    let server = Server::start().await;
    let mut client = client(&server);
    let script = tokio::spawn(async move {
        let (mut peer, _) = server.accept().await;
        peer.say([event("a", 6, 101)]).await;
        peer.end().await;
    });
    let Ok(Update::Event(event)) = next(&mut client).await else { panic!("no event") };
    assert_eq!(event.payload(), r#"{"n":6}"#);
    assert_eq!(event.parse::<Number>().unwrap().n, 6);
    assert!(event.parse::<Vec<u64>>().is_err());
    drop(client);
    script.await.unwrap();
}

/// Frames come in pieces of a few bytes, and every future that waits for one is dropped after its first poll.
#[tokio::test]
async fn a_dropped_wait_loses_nothing() {
    const EVENTS: u64 = 200;
    let server = Server::start().await;
    let mut client = client(&server);
    let script = tokio::spawn(async move {
        let (mut peer, _) = server.accept().await;
        let mut bytes = Vec::new();
        for text in [welcome("k3f9"), ack(None, 5)]
            .into_iter()
            .chain((6..6 + EVENTS).map(|seq| event("a", seq, seq)))
        {
            bytes.extend([0x81, 126]);
            bytes.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
            bytes.extend(text.as_bytes());
        }
        for piece in bytes.chunks(7) {
            peer.0.get_mut().write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        peer.end().await;
    });
    let mut seqs = Vec::new();
    soon("all events", async {
        while seqs.len() < usize::try_from(EVENTS).unwrap() {
            // The waker of a dropped wait still wakes this task.
            let update = tokio::time::timeout(Duration::ZERO, client.next()).await;
            let update = update.ok().or_else(|| client.next().now_or_never());
            match update {
                Some(Some(Ok(Update::Event(event)))) => seqs.push(event.seq),
                Some(Some(Ok(_))) => {}
                Some(end) => panic!("{end:?}"),
                None => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    assert_eq!(seqs, (6..6 + EVENTS).collect::<Vec<_>>());
    assert_eq!((client.counts().broken, client.counts().connections), (0, 1));
    drop(client);
    script.await.unwrap();
}

#[tokio::test]
async fn dropping_the_client_closes_its_socket_whatever_it_does() {
    let server = Server::start().await;
    let mut connecting = client(&server);
    let stream = {
        let waiting = connecting.next();
        tokio::pin!(waiting);
        tokio::select! {
            stream = server.accept_raw() => stream,
            update = &mut waiting => panic!("{update:?}"),
        }
    };
    drop(connecting);
    soon("the end", async {
        let mut head = [0; 1024];
        loop {
            stream.readable().await.unwrap();
            match stream.try_read(&mut head) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
    })
    .await;
}

#[tokio::test]
async fn each_rate_is_subscribed_to_on_its_own() {
    let server = Server::start().await;
    let client = Client::builder(server.url()).latest("hub", 5).topic("a").latest("book:*", 50);
    let mut client = client.build().unwrap();
    let script = tokio::spawn(async move {
        let (mut peer, first) = server.accept().await;
        assert_eq!((&first["mode"], &first["topics"]), (&"all".into(), &serde_json::json!(["a"])));
        for (id, rate, topic) in [(2, 5, "hub"), (3, 50, "book:*")] {
            let asked = peer.hear().await;
            assert_eq!((&asked["id"], &asked["max_hz"]), (&id.into(), &rate.into()));
            assert_eq!((&asked["mode"], &asked["topics"][0]), (&"latest".into(), &topic.into()));
        }
        peer.say([welcome("k3f9"), ack(None, 100), snapshot("hub", 4, 50)]).await;
        let view = event("hub", 9, 120).replace("\"pos\"", "\"prev\":4,\"pos\"");
        peer.say([view.clone(), view]).await;
        peer.end().await;
    });
    let expected = ["connected k3f9 None", "=hub 4", "hub 9", "broken hub 9 for 9", "hub 9"];
    assert_eq!(tells(&mut client, 5).await, expected);
    assert_eq!(client.position(), None, "views have none");
    drop(client);
    script.await.unwrap();
}
