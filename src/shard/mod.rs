//! Who gets it: one thread per core writes the log's bytes to its connections.
//!
//! A connection is a cursor into the log, not a queue. Every turn a shard admits arrivals, encodes one batch if
//! the encoder role is free, routes new records to groups, lets laggards catch up, and sweeps: it walks the
//! circle of a group that has news and writes to each member everything from its cursor to the head, in one
//! contiguous write. A slice of the sweep is at most 64 writes or 200 µs; then comes the next turn, so that the
//! ring is drained between slices and a client meets everything since its own last visit.
//!
//! Order of bytes to one connection: remainder of a half-written frame, then control frames and replies, then
//! gap notices, then the log. The cursor is always at a frame boundary, so that a control frame can go between
//! two frames, and skipping is a move of the cursor.
//!
//! Reading order: `dispatch` (how sockets arrive), `broadcaster` (the thread), `turn` (one turn), `connections`
//! (state), `admit` (how a connection begins), `lanes`, `routing`, `group` and `index` (what is new, and whose it is),
//! `members`, `slice` and `sweep` (the circle), `laggards`, `lapse` and `pieces` (who is behind), `output` (what goes
//! before the log), `inbound`, `clients`, `subscribe` and `survey` (what comes in), `latest` (conflated views),
//! `heartbeat`, `timers`, `inquiry` and `census` (what operators ask).
//!
//! Invariant, held by the model test: a member whose cursor is below its group's end is in the circle with
//! visits remaining, or a laggard. Delivery allocates nothing.

mod actions;
mod admit;
mod broadcaster;
mod census;
mod clients;
mod connections;
mod dispatch;
mod gate;
mod group;
mod heartbeat;
mod inbound;
mod index;
mod inquiry;
mod laggards;
mod lanes;
mod lapse;
mod latest;
mod members;
mod options;
mod output;
mod pieces;
mod planted;
mod routing;
mod seat;
mod setup;
mod slice;
mod subscribe;
mod survey;
mod sweep;
mod timers;
mod transport;
mod turn;

#[cfg(test)]
mod census_tests;
#[cfg(test)]
mod handler_tests;
#[cfg(test)]
mod model_checks;
#[cfg(test)]
mod model_feed;
#[cfg(test)]
mod model_frames;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod model_world;
#[cfg(test)]
mod protocol_tests;
#[cfg(test)]
mod tests;

pub use broadcaster::Broadcaster;
pub use dispatch::{Arrival, Dispatch, Endpoint, LegacyKind, LegacyView};
pub use gate::Floors;
pub use inquiry::{Census, ConnectionId, Inquiry, Rank, Reply, Report, Sort};
pub use options::{Coalesce, Handler, Message, Options, PublishRight};
pub(crate) use pieces::{Gap, Piece, Pieces, Source};
pub use seat::{Seat, Seats};
pub use setup::Setup;
pub use transport::Transport;
pub use turn::Shard;
