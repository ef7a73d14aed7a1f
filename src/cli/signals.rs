//! SIGINT and SIGTERM: the first asks for a drain, the second ends the process where it stands.
//!
//! A thread of its own waits for them, so that a second one works whatever the main thread waits for. It ends with
//! the process.

use super::runtime;
use lineage::error::Error;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How often the engine's health is looked at meanwhile.
const HEALTH_INTERVAL: Duration = Duration::from_millis(200);

/// Waits for the first signal.
#[derive(Debug)]
pub(super) struct Signals {
    first: Receiver<&'static str>,
}

impl Signals {
    /// Takes the signals over, from now on.
    ///
    /// # Errors
    /// When the system does not let us.
    pub(super) fn take_over() -> Result<Self, Error> {
        let failed = |error| Error::Runtime(format!("cannot wait for signals: {error}"));
        let runtime = runtime()?;
        let (mut interrupt, mut terminate) = {
            let _entered = runtime.enter();
            (
                signal(SignalKind::interrupt()).map_err(failed)?,
                signal(SignalKind::terminate()).map_err(failed)?,
            )
        };
        let (tell, first) = sync_channel(1);
        let wait = move || {
            runtime.block_on(async {
                let (name, _) = next(&mut interrupt, &mut terminate).await;
                // The main thread is waiting, or about to end by itself.
                let _ = tell.send(name);
                let (_, code) = next(&mut interrupt, &mut terminate).await;
                std::process::exit(code);
            });
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(wait).map_err(failed)?;
        Ok(Self { first })
    }

    /// Blocks until the first signal, and gives its name; `None` when `is_healthy` says no first.
    pub(super) fn first(&self, is_healthy: impl Fn() -> bool) -> Option<&'static str> {
        while is_healthy() {
            match self.first.recv_timeout(HEALTH_INTERVAL) {
                Ok(name) => return Some(name),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Some("end of the signal thread"),
            }
        }
        None
    }
}

/// The next signal: its name, and the exit code that says it ended the process.
async fn next(interrupt: &mut Signal, terminate: &mut Signal) -> (&'static str, i32) {
    tokio::select! {
        _ = interrupt.recv() => ("SIGINT", 130),
        _ = terminate.recv() => ("SIGTERM", 143),
    }
}
