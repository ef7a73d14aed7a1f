//! All streams of the HTTP side, and the one task that moves them on.
//!
//! While a stream is open, the task is woken when something is committed, at most once per [`ROUND_MIN`], takes notice
//! of it for every stream, moves on those that are too far behind, and wakes the bodies that have something to write.
//! While none is open there is no task, and nobody is woken.
//!
//! Runs on the edge's runtime; the lock is held for one step at a time and is contended only by a drain.

use super::feed::Feed;
use super::page::Page;
use super::window::{News, Window};
use super::{Options, Parts};
use crate::encode::frame::payload;
use crate::session::{self, GapReason};
use crate::snapshot::Block;
use crate::sync::{Arc, Mutex};
use crate::telemetry::EngineCounter;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;
use tokio::sync::Notify;

/// Between two rounds at least: under load a wake-up, which costs the thread that encodes some microseconds, brings all
/// the events of this time. The first event after a quiet time is not held up.
const ROUND_MIN: Duration = Duration::from_millis(5);

/// All streams; see the module documentation.
pub struct Hub {
    pub(super) parts: Parts,
    pub(super) options: Options,
    /// Told of commits, and of the last stream's end.
    news: Arc<Notify>,
    state: Mutex<State>,
}

/// What the lock guards.
#[derive(Debug)]
pub(super) struct State {
    pub(super) window: Window,
    pub(super) feeds: BTreeMap<u64, Feed>,
    next_id: u64,
    /// Whether the task runs.
    is_moving: bool,
    /// Of a server that takes its leave.
    pub(super) leave: Option<Leave>,
}

/// How a server takes its leave.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leave {
    /// What lies below still goes out.
    at: u64,
    /// The window in which to come back, milliseconds.
    window_ms: (u64, u64),
}

/// What a stream gets when it asks for more.
#[derive(Debug)]
pub(super) enum Output {
    /// These bytes.
    Chunk(Vec<u8>),
    /// These bytes, which are its last.
    Farewell(Vec<u8>),
    /// Nothing yet; its waker is told.
    Nothing,
}

impl Hub {
    /// A hub without streams. Registers itself as the log's watcher: there can be one for an encoder.
    #[must_use]
    pub fn new(parts: Parts, options: Options) -> Arc<Self> {
        let news = Arc::new(Notify::new());
        let waker = news.clone();
        parts.encoder.wake().register_watcher(move || waker.notify_one());
        let window = Window::new(parts.encoder.clone(), parts.values.clone());
        let state =
            State { window, feeds: BTreeMap::new(), next_id: 0, is_moving: false, leave: None };
        Arc::new(Self { parts, options, news, state: Mutex::new(state) })
    }

    /// Streams, polls and snapshots that are being answered.
    #[must_use]
    pub fn open(&self) -> usize {
        self.lock().feeds.len()
    }

    /// From now on nothing new is taken; every stream is ended, behind what it is owed now, by a `shutdown` that names
    /// this window, in milliseconds, and every poll is answered.
    pub fn drain(&self, window_ms: (u64, u64)) {
        let mut state = self.lock();
        self.refresh(&mut state);
        let at = state.window.head();
        state.leave.get_or_insert(Leave { at, window_ms });
        for feed in state.feeds.values_mut() {
            feed.waker.take().into_iter().for_each(Waker::wake);
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Every step leaves the state whole; a panic elsewhere spoils nothing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now_us(&self) -> u64 {
        self.parts.clock.now_us()
    }

    /// Takes a feed in, and starts the task with the first one.
    pub(super) fn enter(self: &Arc<Self>, state: &mut State, feed: Feed) -> Ticket {
        let id = state.next_id;
        state.next_id += 1;
        state.feeds.insert(id, feed);
        self.parts.telemetry.add(EngineCounter::HttpStreams, 1);
        if !std::mem::replace(&mut state.is_moving, true) {
            // It ends by itself after the last stream, or with the runtime.
            tokio::spawn(Arc::clone(self).move_on());
        }
        Ticket { hub: Arc::clone(self), id }
    }

    async fn move_on(self: Arc<Self>) {
        loop {
            self.parts.encoder.wake().watch();
            if !self.has_work() {
                self.news.notified().await;
            }
            self.parts.encoder.wake().unwatch();
            if !self.round() {
                return;
            }
            tokio::time::sleep(ROUND_MIN).await;
        }
    }

    fn has_work(&self) -> bool {
        let state = self.lock();
        state.feeds.is_empty() || state.window.is_behind()
    }

    /// Takes notice of what was committed; false when there is no stream any more.
    fn round(&self) -> bool {
        let mut state = self.lock();
        if state.feeds.is_empty() {
            state.is_moving = false;
            return false;
        }
        self.refresh(&mut state);
        true
    }

    /// Brings window and feeds up to the log's head, and wakes who has something to write: whoever takes notice of an
    /// event has to, since the task is told of each only once. Returns the last values that go with the window.
    pub(super) fn refresh(&self, state: &mut State) -> Arc<Block> {
        let State { window, feeds, .. } = state;
        let mut gaps = 0;
        let (news, block) = window.advance();
        match news {
            News::Fresh(fresh) if fresh.is_empty() => {}
            News::Fresh(fresh) => {
                feeds.values_mut().for_each(|feed| feed.note(fresh.clone(), window));
            }
            News::Lapse(lapse) => {
                gaps +=
                    feeds.values_mut().map(|feed| feed.lapse(&lapse, &block, window)).sum::<u64>();
            }
        }
        let now_us = self.now_us();
        for feed in feeds.values_mut() {
            gaps += self.hold_to_budget(feed, window, now_us);
        }
        if let Some(index) = window.surplus() {
            gaps += feeds.values_mut().map(|feed| feed.overrun(index, window)).sum::<u64>();
            window.release_before(index);
        }
        for feed in feeds.values_mut().filter(|feed| feed.has_news()) {
            feed.waker.take().into_iter().for_each(Waker::wake);
        }
        self.parts.telemetry.add(EngineCounter::HttpGaps, gaps);
        block
    }

    /// Moves a feed that is too far behind on to the head; returns how many gaps that makes.
    fn hold_to_budget(&self, feed: &mut Feed, window: &Window, now_us: u64) -> u64 {
        let Options { lag_bytes_max, lag_age_max, .. } = self.options;
        let age_us_max = u64::try_from(lag_age_max.as_micros()).unwrap_or(u64::MAX);
        if feed.is_lagging(lag_bytes_max, age_us_max, now_us, window) {
            feed.skip(GapReason::Slow, window)
        } else {
            0
        }
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("options", &self.options).finish_non_exhaustive()
    }
}

/// A place among the streams, given back when dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) hub: Arc<Hub>,
    id: u64,
}

impl Ticket {
    /// Works on the feed and the window it reads from.
    pub(super) fn with<R>(&self, work: impl FnOnce(&mut Feed, &Window) -> R) -> R {
        let mut state = self.hub.lock();
        let State { window, feeds, .. } = &mut *state;
        work(feeds.get_mut(&self.id).expect("a ticket stands for a feed"), window)
    }

    /// Whether a poll can be answered; if not, the waker is told when it can.
    pub(super) fn has_news(&self, cx: &Context<'_>) -> bool {
        let mut state = self.hub.lock();
        let is_leaving = state.leave.is_some();
        let feed = state.feeds.get_mut(&self.id).expect("a ticket stands for a feed");
        feed.waker = Some(cx.waker().clone());
        feed.has_news() || is_leaving
    }

    /// Ends a poll behind what fits into `bytes_max` of what there is now; returns where.
    pub(super) fn close_at(&self, bytes_max: usize) -> u64 {
        let mut state = self.hub.lock();
        self.hub.refresh(&mut state);
        let State { window, feeds, .. } = &mut *state;
        let feed = feeds.get_mut(&self.id).expect("a ticket stands for a feed");
        feed.close_at(bytes_max, window)
    }

    /// Ends a snapshot where it was taken; returns where that is.
    pub(super) fn close(&self) -> u64 {
        self.with(|feed, _| feed.close())
    }

    /// The next bytes of a stream.
    pub(super) fn next_of_stream(&self, page: &mut Page, cx: &Context<'_>) -> Output {
        let hub = &self.hub;
        let now_us = hub.now_us();
        let mut state = hub.lock();
        let State { window, feeds, leave, .. } = &mut *state;
        let feed = feeds.get_mut(&self.id).expect("a ticket stands for a feed");
        let gaps = hub.hold_to_budget(feed, window, now_us);
        hub.parts.telemetry.add(EngineCounter::HttpGaps, gaps);
        let mut out = Vec::new();
        if let Some(leave) = leave.filter(|leave| feed.is_past(leave.at)) {
            let mut frame = Vec::new();
            session::shutdown(leave.window_ms, now_us, &mut frame);
            page.frame(payload(&frame), None, &mut out);
            return Output::Farewell(out);
        }
        let events = feed.write(window, page, now_us, &mut out);
        hub.parts.telemetry.add(EngineCounter::HttpFrames, events);
        if out.is_empty() {
            feed.waker = Some(cx.waker().clone());
            return Output::Nothing;
        }
        Output::Chunk(out)
    }

    /// The next bytes of an answer, if there are any.
    ///
    /// # Errors
    /// When what would come next has left the log.
    pub(super) fn next_of_answer(&self, page: &mut Page) -> io::Result<Option<Vec<u8>>> {
        let now_us = self.hub.now_us();
        let mut out = Vec::new();
        let events = self.with(|feed, window| {
            let is_whole = !feed.is_broken();
            is_whole.then(|| feed.write(window, page, now_us, &mut out))
        });
        let events = events.ok_or_else(|| io::Error::other("the log went on too far"))?;
        self.hub.parts.telemetry.add(EngineCounter::HttpFrames, events);
        Ok((!out.is_empty()).then_some(out))
    }

    /// A stream's heartbeat, if it has everything: it says so, and one may go on behind it.
    pub(super) fn heartbeat_of_stream(&self, page: &mut Page) -> Option<Vec<u8>> {
        let now_us = self.hub.now_us();
        let mut out = Vec::new();
        self.with(|feed, window| {
            feed.is_level().then(|| feed.heartbeat(window, page, now_us, &mut out))
        })?;
        Some(out)
    }

    /// A heartbeat behind an answer that was written.
    pub(super) fn heartbeat(&self, page: &mut Page) -> Vec<u8> {
        let now_us = self.hub.now_us();
        let mut out = Vec::new();
        self.with(|feed, window| feed.heartbeat(window, page, now_us, &mut out));
        out
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.hub.lock();
        state.feeds.remove(&self.id);
        if state.feeds.is_empty() {
            state.window.rest();
            self.hub.news.notify_one();
        }
        drop(state);
        self.hub.parts.telemetry.subtract(EngineCounter::HttpStreams, 1);
    }
}
