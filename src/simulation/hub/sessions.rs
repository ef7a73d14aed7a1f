//! Sessions: the agents that the hub knows, and how far each has read the prices.
//!
//! A session opens with an agent's first update and ends when nothing was heard of the agent for a while. There are
//! few agents and a greatest number of them, so that a walk through a list finds one fastest.

use crate::event::AgentName;
use crate::sync::Arc;

/// An agent that was heard of.
#[derive(Debug)]
struct Session {
    agent: Arc<AgentName>,
    /// Prices there had been at its last research.
    prices_read: u64,
    /// When it was last heard of.
    heard_us: u64,
}

/// The open sessions.
#[derive(Debug)]
pub(super) struct Sessions {
    sessions: Vec<Session>,
    sessions_max: usize,
    idle_us: u64,
}

impl Sessions {
    pub(super) fn new(sessions_max: usize, idle_us: u64) -> Self {
        Self { sessions: Vec::new(), sessions_max, idle_us }
    }

    /// Hears of `agent`; false when it has no session and there are as many as may be.
    pub(super) fn hear(&mut self, agent: &Arc<AgentName>, now_us: u64) -> bool {
        let is_new = self.find(agent).map(|session| session.heard_us = now_us).is_none();
        if is_new && self.sessions.len() >= self.sessions_max {
            return false;
        }
        if is_new {
            let agent = Arc::clone(agent);
            self.sessions.push(Session { agent, prices_read: 0, heard_us: now_us });
        }
        true
    }

    /// Lets `agent` read up to the price of number `prices`: how many it had not read.
    pub(super) fn read(&mut self, agent: &Arc<AgentName>, prices: u64) -> u64 {
        let Some(session) = self.find(agent) else { return 0 };
        let unread = prices.saturating_sub(session.prices_read);
        session.prices_read = prices;
        unread
    }

    /// Ends the sessions of agents that were not heard of for too long.
    pub(super) fn expire(&mut self, now_us: u64) {
        let idle_us = self.idle_us;
        self.sessions.retain(|session| now_us.saturating_sub(session.heard_us) < idle_us);
    }

    /// How many are open.
    pub(super) fn count(&self) -> usize {
        self.sessions.len()
    }

    fn find(&mut self, agent: &Arc<AgentName>) -> Option<&mut Session> {
        self.sessions
            .iter_mut()
            .find(|session| Arc::ptr_eq(&session.agent, agent) || session.agent.slug == agent.slug)
    }
}

#[cfg(test)]
mod tests {
    use super::{AgentName, Arc, Sessions};

    fn agent(number: usize) -> Arc<AgentName> {
        let slug = format!("agent-{number}");
        Arc::new(AgentName { name: slug.clone().into(), slug: slug.into() })
    }

    #[test]
    fn s36_there_are_as_many_sessions_as_the_limit_and_no_more() {
        for limit in [0, 1, 3] {
            let mut sessions = Sessions::new(limit, 100);
            for number in 0..limit + 2 {
                assert_eq!(sessions.hear(&agent(number), 0), number < limit, "{number}");
            }
            assert_eq!(sessions.count(), limit);
            assert!(limit == 0 || sessions.hear(&agent(0), 0), "a known one is heard");
        }
    }

    #[test]
    fn s36_a_session_ends_after_its_idle_time_and_not_before() {
        let mut sessions = Sessions::new(2, 100);
        assert!(sessions.hear(&agent(1), 1_000) && sessions.hear(&agent(2), 1_000));
        assert!(sessions.hear(&agent(2), 1_050));
        for (now_us, count) in [(999, 2), (1_099, 2), (1_100, 1), (1_149, 1), (1_150, 0)] {
            sessions.expire(now_us);
            assert_eq!(sessions.count(), count, "{now_us}");
        }
    }

    #[test]
    fn s36_an_agent_reads_each_price_once() {
        let (mut sessions, one) = (Sessions::new(2, 100), agent(1));
        assert!(sessions.hear(&one, 0));
        assert_eq!([7, 7, 9].map(|prices| sessions.read(&one, prices)), [7, 0, 2]);
        assert_eq!(sessions.read(&agent(2), 9), 0, "who has no session reads nothing");
    }
}
