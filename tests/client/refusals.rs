//! Servers that do not want this client: when it ends, and when it only waits.

use crate::server::{Server, client, told};
use futures_util::StreamExt as _;
use lineage::client::{Error, Update, Why};
use std::time::Duration;

#[tokio::test]
async fn some_close_codes_are_the_end() {
    for code in [1000, 4001, 4003, 4011] {
        let server = Server::start().await;
        let mut client = client(&server);
        let script = tokio::spawn(async move {
            let (peer, _) = server.accept().await;
            peer.close(code, "word").await;
        });
        let end = client.next().await;
        assert_eq!(end, Some(Err(Error::Closed { code, reason: "word".to_owned() })));
        assert_eq!(client.next().await, None);
        script.await.unwrap();
    }
}

#[tokio::test]
async fn after_other_close_codes_the_client_comes_back() {
    for code in [1001, 1008, 4008, 4009, 4010] {
        let server = Server::start().await;
        let mut client = client(&server);
        let script = tokio::spawn(async move {
            let (peer, _) = server.accept().await;
            peer.close(code, "word").await;
        });
        let expected = format!("reconnecting 1: the server closed the connection: {code} word");
        assert_eq!(told(&mut client).await, expected);
        script.await.unwrap();
    }
}

#[tokio::test]
async fn a_refused_handshake_is_the_end_unless_the_server_is_only_busy() {
    for status in [404, 401, 403, 200] {
        let server = Server::start().await;
        let mut client = client(&server);
        let script = tokio::spawn(async move {
            server.answer(&format!("{status} No\r\nContent-Length: 0")).await;
        });
        assert_eq!(client.next().await, Some(Err(Error::Status(status))));
        assert_eq!(client.next().await, None);
        script.await.unwrap();
    }
    for status in [429, 503] {
        let server = Server::start().await;
        let mut client = client(&server);
        let script = tokio::spawn(async move {
            let head = format!("{status} Later\r\nRetry-After: 9\r\nContent-Length: 0");
            server.answer(&head).await;
        });
        let Some(Ok(Update::Reconnecting(next))) = client.next().await else { panic!("no try") };
        assert_eq!(next.why, Why::Status(status));
        let window = Duration::from_millis(9_000)..=Duration::from_millis(9_100);
        assert!(window.contains(&next.after), "{next:?}");
        script.await.unwrap();
    }
}

#[tokio::test]
async fn a_subscribe_that_is_refused_is_the_end_unless_it_may_be_tried_again() {
    for (rest, expected) in [
        ("", "end: the server did not subscribe: no: never"),
        (",\"retryable\":true,\"retry_ms\":1", "reconnecting 1: the server did not subscribe: no"),
    ] {
        let server = Server::start().await;
        let mut client = client(&server);
        let error = format!(
            r#"{{"type":"error","id":1,"payload":{{"code":"no","message":"never"{rest}}},"timestamp":1}}"#
        );
        let script = tokio::spawn(async move {
            let (mut peer, _) = server.accept().await;
            peer.say([error]).await;
            peer.end().await;
        });
        assert!(told(&mut client).await.contains("Trouble"));
        assert_eq!(told(&mut client).await, expected);
        script.await.unwrap();
    }
}
