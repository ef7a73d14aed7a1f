//! The console's line for each trade of an agent. Costs nothing while nobody listens at the level of the lines.

use super::TradeLines;
use crate::event::{Action, Agent, Body, Event};
use tracing::{Level, debug, enabled, info};

/// Logs a line for each agent that has just traded; `trades` counts them over the whole run.
pub(super) fn log(events: &[Event], how: TradeLines, trades: &mut u64) {
    let is_heard = match how {
        TradeLines::Info => enabled!(Level::INFO),
        TradeLines::Debug => enabled!(Level::DEBUG),
    };
    for agent in traders(events) {
        *trades += 1;
        match how {
            _ if !is_heard => {}
            TradeLines::Info => info!("{}", line(*trades, agent)),
            TradeLines::Debug => debug!("{}", line(*trades, agent)),
        }
    }
}

/// The agents among `events` that have just traded.
fn traders(events: &[Event]) -> impl Iterator<Item = &Agent> {
    events.iter().filter_map(|event| match &event.body {
        Body::Agent(agent) if matches!(agent.action, Action::Won(_) | Action::Lost(_)) => {
            Some(agent)
        }
        _ => None,
    })
}

/// `[n] ⚖️ Balanced - Capital: $48030, Trades: 1, WR: 100.0%`: whole dollars, one decimal.
fn line(number: u64, agent: &Agent) -> String {
    let (name, trades) = (&agent.agent.name, u64::from(agent.trades));
    let dollars = agent.capital.0 / 100;
    let permille = (u64::from(agent.wins) * 1_000 + trades / 2) / trades.max(1);
    let (percent, tenths) = (permille / 10, permille % 10);
    let sign = if agent.capital.0 <= -100 { "-" } else { "" };
    format!(
        "[{number}] {name} - Capital: {sign}${}, Trades: {trades}, WR: {percent}.{tenths}%",
        dollars.unsigned_abs()
    )
}

#[cfg(test)]
mod tests {
    use super::{TradeLines, line, log, traders};
    use crate::event::{Action, Agent, AgentName, Body, Cents, Event, Status, Topic};
    use std::sync::Arc;

    fn balanced(action: Action) -> Agent {
        Agent {
            agent: Arc::new(AgentName { slug: "balanced".into(), name: "⚖️ Balanced".into() }),
            capital: Cents(4_803_000),
            trades: 1,
            wins: 1,
            scars: 0,
            status: Status::Active,
            action,
        }
    }

    #[test]
    fn s12_trade_line_has_whole_dollars_and_a_rate_with_one_decimal() {
        let agent = balanced(Action::Won(30));
        assert_eq!(line(7, &agent), "[7] ⚖️ Balanced - Capital: $48030, Trades: 1, WR: 100.0%");
        let agent = Agent { capital: Cents(-12_000), trades: 3, wins: 2, ..agent };
        assert_eq!(line(8, &agent), "[8] ⚖️ Balanced - Capital: -$120, Trades: 3, WR: 66.7%");
    }

    #[test]
    fn s12_only_trades_are_logged_and_numbered_on_over_the_whole_run() {
        let event = |action| {
            let body = Body::Agent(balanced(action));
            Event { topic: Topic::from_index(0), key: 0, time_us: 0, body }
        };
        let events = [Action::Holds, Action::Won(30), Action::Rests, Action::Lost(20)].map(event);
        let actions: Vec<Action> = traders(&events).map(|agent| agent.action).collect();
        assert_eq!(actions, [Action::Won(30), Action::Lost(20)]);
        let mut trades = 0;
        for how in [TradeLines::Info, TradeLines::Debug] {
            log(&events, how, &mut trades);
        }
        assert_eq!(trades, 4);
    }
}
