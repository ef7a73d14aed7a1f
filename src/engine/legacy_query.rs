//! The query of a firehose URL: which view of the legacy messages a client wants.
//!
//! `compat=nested` · `types=market,agent` · `symbols=BTC-USD,ETH-USD`. Several symbols or types stand in one value or
//! in several parameters; each counts once, so that equal wishes share a view however they are written. Parameters
//! that mean nothing here are ignored. Symbols pick among the prices; agents have no symbol and are not picked.

use crate::event::Pattern;
use crate::http::query;
use crate::server::BadQuery;
use crate::shard::{LegacyKind, LegacyView};
use std::collections::BTreeSet;

/// Different symbols that one client may name.
const SYMBOLS_MAX: usize = 64;

/// What a query names, each thing once.
#[derive(Default)]
struct Wishes {
    is_nested: bool,
    wants_market: bool,
    wants_agent: bool,
    symbols: BTreeSet<Pattern>,
}

/// The view that a query asks for.
///
/// # Errors
/// An unknown form or type, a symbol that can be none, or more than [`SYMBOLS_MAX`] of them.
pub(super) fn view(query: Option<&str>) -> Result<LegacyView, BadQuery> {
    let mut wishes = Wishes::default();
    for (name, value) in query::parameters(query.unwrap_or_default()) {
        match &*name {
            "compat" if value == "nested" => wishes.is_nested = true,
            "compat" => return Err(BadQuery::new("compat", &value, "nested")),
            "types" => value.split(',').try_for_each(|kind| wishes.add_type(kind))?,
            "symbols" => value.split(',').try_for_each(|symbol| wishes.add_symbol(symbol))?,
            _ => {}
        }
    }
    Ok(wishes.view())
}

impl Wishes {
    fn add_type(&mut self, kind: &str) -> Result<(), BadQuery> {
        match kind {
            "market" => self.wants_market = true,
            "agent" => self.wants_agent = true,
            _ => return Err(BadQuery::new("types", kind, "market or agent")),
        }
        Ok(())
    }

    fn add_symbol(&mut self, symbol: &str) -> Result<(), BadQuery> {
        let pattern = Pattern::parse(&format!("market:{symbol}")).ok();
        // A colon would begin another segment, and a star is no symbol.
        let pattern = pattern.filter(|pattern| pattern.is_exact() && !symbol.contains(':'));
        let pattern = pattern.ok_or_else(|| {
            BadQuery::new("symbols", symbol, "a symbol: up to 121 of A-Z a-z 0-9 . _ -")
        })?;
        self.symbols.insert(pattern);
        if self.symbols.len() > SYMBOLS_MAX {
            let allowed = format!("allowed any more: at most {SYMBOLS_MAX} symbols");
            return Err(BadQuery::new("symbols", symbol, &allowed));
        }
        Ok(())
    }

    fn view(self) -> LegacyView {
        let Self { is_nested, wants_market, wants_agent, symbols } = self;
        let kind = if is_nested { LegacyKind::Nested } else { LegacyKind::Firehose };
        let wants_all = wants_market == wants_agent;
        if wants_all && symbols.is_empty() {
            return LegacyView { kind, patterns: None };
        }
        let every = |stem: &str| Pattern::parse(stem).expect("a wildcard");
        let mut patterns = Vec::new();
        if wants_all || wants_agent {
            patterns.push(every("agent:*"));
        }
        if (wants_all || wants_market) && symbols.is_empty() {
            patterns.push(every("market:*"));
        } else if wants_all || wants_market {
            patterns.extend(symbols);
        }
        LegacyView { kind, patterns: Some(patterns.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Nested or not, and the patterns as text; `*` for all.
    fn read(query: &str) -> Result<(bool, String), String> {
        let view = view(Some(query)).map_err(|bad| bad.text().to_owned())?;
        let patterns = view.patterns.as_deref().map_or("*".to_owned(), |patterns| {
            patterns.iter().map(Pattern::as_str).collect::<Vec<_>>().join(" ")
        });
        Ok((view.kind == LegacyKind::Nested, patterns))
    }

    #[test]
    fn a_query_selects_form_types_and_symbols() {
        for (query, is_nested, patterns) in [
            ("", false, "*"),
            ("compat=nested", true, "*"),
            ("types=market,agent", false, "*"),
            ("types=agent&types=market&compat=nested", true, "*"),
            ("types=market", false, "market:*"),
            ("types=agent,agent", false, "agent:*"),
            ("symbols=ETH-USD,BTC-USD,ETH-USD", false, "agent:* market:BTC-USD market:ETH-USD"),
            ("types=market&symbols=BTC-USD", false, "market:BTC-USD"),
            ("types=market%2Cagent&symbols=B%54C-USD", false, "agent:* market:BTC-USD"),
            ("types=agent&symbols=BTC-USD", false, "agent:*"),
            ("symbols=A&symbols=B&v=3&types=market&x&=", false, "market:A market:B"),
            ("COMPAT=flat&Types=x", false, "*"),
        ] {
            assert_eq!(read(query), Ok((is_nested, patterns.to_owned())), "{query}");
        }
        assert_eq!(view(None), Ok(LegacyView::default()));
    }

    #[test]
    fn what_cannot_be_obeyed_is_named_with_what_is_allowed() {
        for (query, parameter, value, allowed) in [
            ("types=markets", "types", "markets", "market or agent"),
            ("types=market,", "types", "", "market or agent"),
            ("types", "types", "", "market or agent"),
            ("types=Agent", "types", "Agent", "market or agent"),
            ("compat=flat", "compat", "flat", "nested"),
            ("symbols=BTC%2FUSD", "symbols", "BTC/USD", "a symbol"),
            ("symbols=a,*", "symbols", "*", "a symbol"),
            ("symbols=a:b", "symbols", "a:b", "a symbol"),
            ("types=agent&symbols=", "symbols", "", "a symbol"),
            ("symbols=%ff", "symbols", "\\u{fffd}", "a symbol"),
        ] {
            let text = read(query).expect_err(query);
            let start = format!("bad query: {parameter}: \"{value}\" is not {allowed}");
            assert!(text.starts_with(&start), "{query}: {text}");
        }
    }

    #[test]
    fn symbols_are_counted_once_and_limited() {
        for (count, is_allowed) in [(63, true), (64, true), (65, false)] {
            let symbols: Vec<String> = (0..count).map(|n| format!("S{n}")).collect();
            let query = format!("types=market&symbols={0}&symbols={0}", symbols.join(","));
            let read = read(&query).map(|(_, patterns)| patterns.split(' ').count());
            assert_eq!(read.is_ok(), is_allowed, "{count}: {read:?}");
            assert!(read.is_err() || read == Ok(count));
        }
        for (length, is_allowed) in [(120, true), (121, true), (122, false)] {
            let query = format!("symbols={}", "s".repeat(length));
            assert_eq!(read(&query).is_ok(), is_allowed, "{length}");
        }
    }

    proptest! {
        #[test]
        fn any_query_is_obeyed_or_refused_and_what_is_selected_are_prices_and_agents(
            query in "((compat|types|symbols|x)=(nested|market|agent|[ -~é]{0,9}|[A-C,%2]{0,9}|)&?){0,5}"
        ) {
            match view(Some(&query)) {
                Ok(LegacyView { patterns: Some(patterns), .. }) => {
                    prop_assert!((1..=SYMBOLS_MAX + 1).contains(&patterns.len()));
                    for pattern in &patterns {
                        let (stem, rest) = pattern.as_str().split_once(':').expect("two segments");
                        prop_assert!(stem == "market" || pattern.as_str() == "agent:*");
                        prop_assert!(!rest.contains(':'));
                    }
                }
                Ok(_) => {}
                Err(bad) => {
                    prop_assert!(bad.text().is_ascii() && bad.text().matches('\n').count() == 1);
                }
            }
        }

        #[test]
        fn order_and_spelling_of_a_wish_do_not_matter(
            mut symbols in prop::collection::vec("[A-Z]{1,3}", 1..9), is_encoded: bool
        ) {
            let write = |symbols: &[String]| {
                let text = symbols.join(if is_encoded { "%2C" } else { "," });
                view(Some(&format!("types=market&symbols={text}")))
            };
            let first = write(&symbols);
            symbols.reverse();
            symbols.push(symbols[0].clone());
            prop_assert!(first.is_ok());
            prop_assert_eq!(first, write(&symbols));
        }
    }
}
