//! Connections that end: how the client comes back, from where, and what it says meanwhile.

use crate::server::{
    Server, ack, client, event, gap, next, snapshot, tells, told, welcome, welcome_with_heartbeat,
};
use lineage::client::{Client, Position, Reconnecting, Update, Why};
use serde_json::json;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

/// The next time the client says that it will try again.
async fn reconnecting(client: &mut Client) -> Reconnecting {
    loop {
        match next(client).await {
            Ok(Update::Reconnecting(reconnecting)) => return reconnecting,
            Ok(_) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn after_a_loss_the_stream_goes_on_after_the_last_event() {
    let server = Server::start().await;
    let mut client = client(&server);
    let script = tokio::spawn(async move {
        let (mut peer, _) = server.accept().await;
        peer.say([welcome("k3f9"), ack(None, 100), event("a", 6, 101), event("b:x", 9, 107)]).await;
        // Half a frame that no client may count as had.
        let torn = event("a", 7, 110);
        peer.0
            .get_mut()
            .write_all(&[0x81, u8::try_from(torn.len()).unwrap().min(125)])
            .await
            .unwrap();
        peer.0.get_mut().write_all(&torn.as_bytes()[..20]).await.unwrap();
        drop(peer);
        let (mut peer, asked) = server.accept().await;
        assert_eq!(asked["from"], json!({"epoch": "k3f9", "pos": 107}));
        peer.say([welcome("k3f9"), ack(Some(true), 107), event("a", 7, 110)]).await;
        peer.say([r#"{"type":"heartbeat","payload":{"pos":150},"timestamp":1}"#]).await;
        peer.close(4008, "slow").await;
        let (mut peer, asked) = server.accept().await;
        assert_eq!(asked["from"], json!({"epoch": "k3f9", "pos": 150}), "a heartbeat counts too");
        peer.say([welcome("k3f9"), ack(Some(true), 150), event("b:x", 10, 151)]).await;
        peer.end().await;
    });
    let all = tells(&mut client, 8).await;
    assert_eq!(all[..3], ["connected k3f9 None", "a 6", "b:x 9"]);
    assert!(all[3].starts_with("reconnecting 1: connection lost"), "{all:?}");
    assert_eq!(all[4..6], ["connected k3f9 Some(true)", "a 7"]);
    assert_eq!(all[6], "reconnecting 2: the server closed the connection: 4008 slow");
    assert_eq!(all[7], "connected k3f9 Some(true)");
    assert_eq!(told(&mut client).await, "b:x 10");
    assert_eq!((client.counts().broken, client.counts().connections), (0, 3));
    drop(client);
    script.await.unwrap();
}

#[tokio::test]
async fn an_event_lost_across_a_resume_is_no_secret() {
    let server = Server::start().await;
    let mut client = client(&server);
    let script = tokio::spawn(async move {
        let (mut peer, _) = server.accept().await;
        peer.say([welcome("k3f9"), ack(None, 100), event("b:x", 6, 101)]).await;
        drop(peer);
        let (mut peer, _) = server.accept().await;
        peer.say([welcome("k3f9"), ack(Some(true), 101), event("b:x", 8, 103)]).await;
        peer.end().await;
    });
    let all = tells(&mut client, 6).await;
    assert_eq!(all[3..], ["connected k3f9 Some(true)", "broken b:x 8 for 7", "b:x 8"]);
    drop(client);
    script.await.unwrap();
}

#[tokio::test]
async fn a_position_that_is_no_longer_retained_is_told_with_what_was_missed() {
    let server = Server::start().await;
    let from: Position = "k3f9.90".parse().unwrap();
    let mut client = Client::builder(server.url()).topic("a").from(from).build().unwrap();
    let script = tokio::spawn(async move {
        let (mut peer, asked) = server.accept().await;
        assert_eq!(asked["from"], json!({"epoch": "k3f9", "pos": 90}));
        peer.say([welcome("k3f9"), ack(Some(true), 90), event("a", 6, 101)]).await;
        drop(peer);
        let (mut peer, _) = server.accept().await;
        let ack = ack(Some(false), 900).replace("\"seq\":5", "\"seq\":50");
        peer.say([welcome("k3f9"), ack, gap("a", 0, 50, "expired")]).await;
        peer.say([snapshot("a", 50, 880), event("a", 51, 901)]).await;
        peer.end().await;
    });
    let all = tells(&mut client, 7).await;
    assert_eq!(all[3..], ["connected k3f9 Some(false)", "gap a 7-50 expired", "=a 50", "a 51"]);
    drop(client);
    script.await.unwrap();
}

#[tokio::test]
async fn a_restarted_server_is_a_new_stream() {
    let server = Server::start().await;
    let mut client = client(&server);
    let script = tokio::spawn(async move {
        let (mut peer, _) = server.accept().await;
        peer.say([welcome("k3f9"), ack(None, 100), event("a", 6, 101), event("b:x", 3, 102)]).await;
        peer.close(1001, "drain").await;
        let (mut peer, asked) = server.accept().await;
        assert_eq!(asked["from"], json!({"epoch": "k3f9", "pos": 102}));
        let ack = ack(Some(false), 2).replace("\"seq\":5", "\"seq\":1");
        peer.say([welcome("n3w5"), ack, gap("a", 0, 0, "restart"), snapshot("a", 1, 1)]).await;
        peer.say([event("b:x", 1, 3), event("a", 2, 4)]).await;
        drop(peer);
        let (peer, asked) = server.accept().await;
        assert_eq!(asked["from"], json!({"epoch": "n3w5", "pos": 4}));
        peer.close(1000, "done").await;
    });
    let all = tells(&mut client, 3).await;
    assert_eq!(all, ["connected k3f9 None", "a 6", "b:x 3"]);
    assert_eq!(
        told(&mut client).await,
        "reconnecting 1: the server closed the connection: 1001 drain"
    );
    let Ok(Update::Other(_)) = next(&mut client).await else { panic!("no welcome") };
    let Ok(Update::Connected(connected)) = next(&mut client).await else { panic!("no ack") };
    assert!(connected.has_new_epoch && connected.recovered == Some(false), "{connected:?}");
    assert_eq!(tells(&mut client, 4).await, ["gap a 0-0 restart", "=a 1", "b:x 1", "a 2"]);
    assert_eq!(client.counts().broken, 0);
    reconnecting(&mut client).await;
    assert_eq!(told(&mut client).await, "end: the server closed the connection: 1000 done");
    script.await.unwrap();
}

#[tokio::test]
async fn the_first_tries_are_quick_and_the_later_ones_are_not() {
    let free = Server::start().await.url();
    let mut client = Client::builder(free).topic("*").build().unwrap();
    for (attempt, ceiling_ms) in [(1, 100), (2, 150), (3, 250), (4, 1_000)] {
        let next = reconnecting(&mut client).await;
        assert!(matches!(next.why, Why::Unreachable(_)), "{next:?}");
        assert_eq!(next.attempt, attempt);
        assert!(next.after <= Duration::from_millis(ceiling_ms), "{next:?}");
    }
}

#[tokio::test]
async fn a_server_that_shuts_down_says_when_its_clients_come_back() {
    let server = Server::start().await;
    let mut client = client(&server);
    let script = tokio::spawn(async move {
        let (mut peer, _) = server.accept().await;
        peer.say([welcome("k3f9"), ack(None, 100)]).await;
        peer.say([r#"{"type":"shutdown","payload":{"reconnect_ms":[30,45]},"timestamp":1}"#]).await;
        peer.close(1001, "drain").await;
        let (peer, _) = server.accept().await;
        drop(peer);
    });
    let next = reconnecting(&mut client).await;
    let window = Duration::from_millis(30)..=Duration::from_millis(45);
    assert!(window.contains(&next.after), "{next:?}");
    let next = reconnecting(&mut client).await;
    assert!(next.attempt == 2 && next.after <= Duration::from_millis(150), "{next:?}");
    script.await.unwrap();
}

#[tokio::test]
async fn a_server_that_falls_silent_is_left() {
    let server = Server::start().await;
    let mut client = client(&server);
    let script = tokio::spawn(async move {
        let (mut peer, _) = server.accept().await;
        peer.say([welcome_with_heartbeat("k3f9", 1), ack(None, 100), event("a", 6, 101)]).await;
        peer.end().await;
        let (_peer, asked) = server.accept().await;
        assert_eq!(asked["from"]["pos"], 101);
    });
    let next = reconnecting(&mut client).await;
    assert_eq!(next.why, Why::Silent(Duration::from_secs(2)));
    reconnecting(&mut client).await;
    script.await.unwrap();
}
