//! Clients that behave badly: when the slow ones read, and whose turn it is to leave or to be reset.

use std::time::{Duration, Instant};

use crate::client::Stage;
use crate::plan::Role;

use super::turn::Turns;

/// The bad behaviour of one worker's clients.
#[derive(Debug)]
pub(super) struct Behaviour {
    slow: Vec<usize>,
    slow_bytes_per_s: u64,
    /// Its clients, how many leave per second in this worker, how many have left.
    churn: Rota,
    rst: Rota,
    storm: Option<(Duration, Vec<usize>)>,
    begun: Option<Instant>,
    last: Instant,
}

/// Clients that take turns.
#[derive(Debug)]
struct Rota {
    clients: Vec<usize>,
    per_s: f64,
    taken: u64,
}

impl Rota {
    /// The clients whose turn has come by now.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive rate times the seconds of a run"
    )]
    fn due(&mut self, elapsed: Duration) -> Vec<usize> {
        let due = (self.per_s * elapsed.as_secs_f64()) as u64;
        let count = self.clients.len();
        let mut turn = Vec::new();
        while self.taken < due && count > 0 {
            let nth = usize::try_from(self.taken % count as u64).unwrap_or_default();
            turn.push(self.clients[nth]);
            self.taken += 1;
        }
        turn
    }
}

impl Behaviour {
    pub(super) fn new(turns: &Turns) -> Self {
        let plan = &turns.shared.plan;
        let of = |role: Role| -> Vec<usize> {
            let clients = turns.clients.iter().enumerate();
            clients.filter(|(_, client)| client.role == role).map(|(at, _)| at).collect()
        };
        // A worker's part of a rate is its part of the clients that follow it.
        let rota = |role: Role, per_s: f64, all: u64| {
            let clients = of(role);
            #[expect(clippy::cast_precision_loss, reason = "numbers of clients, far below 2^53")]
            let part = clients.len() as f64 / all.max(1) as f64;
            Rota { per_s: per_s * part, clients, taken: 0 }
        };
        let storm = plan.storm.map(|storm| {
            let clients = turns.clients.iter().enumerate();
            let hit = clients.filter(|(_, client)| u64::from(client.number) < storm.clients);
            (storm.at, hit.map(|(at, _)| at).collect())
        });
        Self {
            slow: of(Role::Slow),
            slow_bytes_per_s: plan.faults.slow_bytes_per_s,
            churn: rota(Role::Churn, plan.faults.churn_per_s, plan.faults.churn),
            rst: rota(Role::Rst, plan.faults.rst_per_s, plan.faults.rst),
            storm,
            begun: None,
            last: Instant::now(),
        }
    }

    /// Clients leave, are reset and storm from now on.
    pub(super) fn begin(&mut self, now: Instant) {
        self.begun = Some(now);
    }

    /// Nobody leaves any more.
    pub(super) fn end(&mut self) {
        self.begun = None;
    }

    /// What is due.
    pub(super) fn tick(&mut self, now: Instant, turns: &mut Turns) {
        let elapsed = now.saturating_duration_since(self.last).as_micros();
        self.last = now;
        let bytes = u128::from(self.slow_bytes_per_s) * elapsed / 1_000_000;
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).max(1);
        for at in &self.slow {
            if turns.clients[*at].stage == Stage::Live {
                turns.clients[*at].read_slowly(bytes, &mut turns.shared);
            }
        }
        let Some(begun) = self.begun else {
            return;
        };
        let elapsed = now.saturating_duration_since(begun);
        for at in self.churn.due(elapsed) {
            turns.send_away(at, false);
        }
        for at in self.rst.due(elapsed) {
            turns.send_away(at, true);
        }
        if let Some((_, clients)) = self.storm.take_if(|(at, _)| *at <= elapsed) {
            for at in clients {
                turns.send_away(at, true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_take_turns_at_their_rate() {
        let mut rota = Rota { clients: vec![4, 5, 6], per_s: 2.0, taken: 0 };
        assert_eq!(rota.due(Duration::from_millis(499)), [0; 0]);
        assert_eq!(rota.due(Duration::from_millis(500)), [4]);
        assert_eq!(rota.due(Duration::from_millis(2_000)), [5, 6, 4]);
        assert_eq!(rota.due(Duration::from_millis(2_000)), [0; 0]);
        let mut nobody = Rota { clients: vec![], per_s: 2.0, taken: 0 };
        assert_eq!(nobody.due(Duration::from_secs(9)), [0; 0]);
    }
}
