//! WebSocket broadcast as able users of other libraries write it: one program, a sub-command per rival.
//!
//! `rivals raw`, `naive`, `tuned`, `axum` or `fastwebsockets`. All publish the same payload in the same closed or open
//! loop (`publish`), with one thread for the sockets, so that they can be held beside each other on one core. Each only
//! writes; what its clients send is left unread, which makes it cheaper than a server would be. Settings come from the
//! environment, as those of `examples/closed_loop.rs`: `PORT`, `START_AT`, `WINDOW`, `BURST`, `RATE`, `SECS`, `SIZE`,
//! `ACK_UDP`. `cargo xtask figures --rivals` runs them all.

mod axum_ws;
mod fast;
mod naive;
mod publish;
mod raw;
mod tuned;

use publish::Settings;
use std::error::Error;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

fn main() -> Result<(), Box<dyn Error>> {
    let rival = std::env::args().nth(1).unwrap_or_default();
    let settings = Settings::read();
    rlimit::increase_nofile_limit(u64::MAX)?;
    if rival == "raw" {
        return Ok(raw::serve(&settings)?);
    }
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", settings.port)).await?;
        let end = settings.seconds;
        let serving = async {
            match rival.as_str() {
                "naive" => naive::serve(listener, settings).await,
                "tuned" => tuned::serve(listener, settings).await,
                "axum" => axum_ws::serve(listener, settings).await,
                "fastwebsockets" => fast::serve(listener, settings).await,
                _ => Err("usage: rivals raw | naive | tuned | axum | fastwebsockets".into()),
            }
        };
        tokio::time::timeout(end, serving).await.unwrap_or(Ok(()))
    })
}
