//! Flow control for sources that have no pace of their own.
//!
//! A live source never waits for anybody: it does not ask. A source that could outrun everything (a recording
//! at full speed, a load generator) asks before each batch, so that it arrives whole at every subscriber. The
//! engine implements the trait; nothing here knows subscribers, and no implementation may block.

/// How far ahead of its readers a source may run; implemented by the engine.
///
/// Called on the source's thread before each batch. Both figures are exact only while the asking publisher's
/// ring is drained: what still waits in the ring is not in the log yet and therefore not counted.
pub trait FlowGate: std::fmt::Debug + Send + Sync {
    /// Frame bytes (envelope included) that may be published now without running further ahead of the slowest
    /// subscriber than half the lag budget, nor past a full tap: 0 means wait. Does not block.
    fn window_bytes(&self) -> u64;
    /// Events that may be published now without filling a tap: 0 means wait. Does not block.
    fn window_events(&self) -> u64;
}

/// A gate that never closes: for tests, and for sources where nobody has to see every event.
#[derive(Debug)]
pub struct OpenGate;

impl FlowGate for OpenGate {
    fn window_bytes(&self) -> u64 {
        u64::MAX
    }
    fn window_events(&self) -> u64 {
        u64::MAX
    }
}
