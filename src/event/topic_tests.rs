//! Topic names, classes, interning and patterns: tables from the protocol, limits, races, and a naive model.

use super::{Class, NAME_BYTES_MAX, Pattern, PatternError, TOPICS_MAX, Topic, TopicError, Topics};
use proptest::prelude::*;
use std::sync::Barrier;

#[test]
fn a_name_decides_the_type_and_the_default_class() {
    let expected = [
        ("market:BTC-USD", "market", Class::State),
        ("agent:momentum", "agent", Class::State),
        ("hub", "hub", Class::State),
        ("chain:tps", "chain:tps", Class::State),
        ("chain:network", "chain:network", Class::State),
        ("chain:validator", "chain:validator", Class::State),
        ("indicator:BTC-USD:1m", "indicator", Class::State),
        ("book:BTC-USD", "book", Class::State),
        ("binance:quote:BTCUSDT", "quote", Class::State),
        ("trade:momentum", "trade", Class::Event),
        ("arena", "arena", Class::Event),
        ("chain:block", "chain:block", Class::Event),
        ("chain", "chain", Class::Event),
        ("candle:BTC-USD:10s", "candle", Class::Event),
        ("alert", "alert", Class::Event),
        ("binance:trade:BTCUSDT", "trade", Class::Event),
        ("binance:depth:BTCUSDT", "depth", Class::Event),
        ("binance:snapshot:BTCUSDT", "event", Class::Event),
        ("binance:control", "control", Class::Event),
        ("binance:quote", "quote", Class::Event),
        ("trade:quote:momentum", "trade", Class::Event),
        ("desk:signal:BTC", "signal", Class::Event),
        ("bench", "event", Class::Event),
    ];
    let topics = Topics::new();
    for (index, (name, kind, class)) in expected.into_iter().enumerate() {
        let topic = topics.register(name, None).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(usize::from(topic.index()), index, "{name}: indices are dense");
        let info = topics.info(topic);
        assert_eq!((&*info.name, &*info.kind, info.class), (name, kind, class));
        let prefix = format!(r#"{{"type":"{kind}","topic":"{name}","seq":"#);
        assert_eq!(std::str::from_utf8(&info.prefix), Ok(&*prefix));
        assert_eq!(topics.len(), index + 1);
    }
}

#[test]
fn bad_names_and_protocol_words_are_refused_and_leave_nothing_behind() {
    let topics = Topics::new();
    for name in ["", ":", "a:", ":a", "a::b", "a b", "a:*", "*", "é", "a\"b", "a\n", "a/b"] {
        assert_eq!(topics.register(name, None), Err(TopicError::BadName), "{name:?}");
    }
    let words = ["welcome", "ack", "error", "snapshot", "gap", "heartbeat", "pong", "shutdown"];
    for word in words {
        assert_eq!(
            topics.register(&format!("feed:{word}"), None),
            Err(TopicError::ReservedKind),
            "{word}"
        );
    }
    assert_eq!(topics.register("feed:gap:x", None), Err(TopicError::ReservedKind));
    assert!(topics.is_empty());
    // Only the type counts: as the first segment a protocol word is an ordinary name.
    assert!(topics.register("gap:feed", None).is_ok());
}

#[test]
fn a_name_may_be_as_long_as_the_limit_and_not_longer() {
    let topics = Topics::new();
    for (length, is_accepted) in
        [(NAME_BYTES_MAX - 1, true), (NAME_BYTES_MAX, true), (NAME_BYTES_MAX + 1, false)]
    {
        let name = "n".repeat(length);
        assert_eq!(topics.register(&name, None).is_ok(), is_accepted, "{length}");
        assert_eq!(Pattern::parse(&name).is_ok(), is_accepted, "{length}");
        let pattern = format!("{}:*", "n".repeat(length - 2));
        assert_eq!(Pattern::parse(&pattern).is_ok(), is_accepted, "{length}");
    }
}

#[test]
fn registering_again_finds_the_same_topic_unless_the_class_differs() {
    let topics = Topics::new();
    let topic = topics.register("desk:level", Some(Class::State)).expect("valid");
    assert_eq!(topics.register("desk:level", Some(Class::State)), Ok(topic));
    assert_eq!(topics.register("desk:level", None), Ok(topic));
    assert_eq!(topics.register("desk:level", Some(Class::Event)), Err(TopicError::ClassConflict));
    assert_eq!(topics.find("desk:level"), Some(topic));
    assert_eq!(topics.find("desk"), None);
    assert_eq!(topics.len(), 1);
    assert_eq!(topics.info(topic).class, Class::State);
    assert_eq!(Topic::from_index(topic.index()), topic);
}

#[test]
fn the_table_takes_all_topics_an_index_can_name_and_not_one_more() {
    let topics = Topics::new();
    for index in 0..TOPICS_MAX - 1 {
        topics
            .register(&index.to_string(), None)
            .unwrap_or_else(|error| panic!("{index}: {error:?}"));
    }
    assert_eq!(topics.len(), TOPICS_MAX - 1);
    let last = topics.register("last", None).expect("the limit itself is accepted");
    assert_eq!((usize::from(last.index()), topics.len()), (TOPICS_MAX - 1, TOPICS_MAX));
    assert_eq!(topics.register("surplus", None), Err(TopicError::TooMany));
    assert_eq!(topics.register("last", None), Ok(last), "what exists is still found");
    assert_eq!(topics.len(), TOPICS_MAX);
    for index in 0..TOPICS_MAX - 1 {
        let topic = topics.find(&index.to_string()).unwrap_or_else(|| panic!("{index} is lost"));
        assert_eq!(usize::from(topic.index()), index);
        assert_eq!(*topics.info(topic).name, *index.to_string());
    }
}

#[test]
fn threads_that_register_the_same_names_agree_on_every_index() {
    const NAMES: usize = 700;
    const THREADS: usize = 4;
    let (topics, start) = (Topics::new(), Barrier::new(THREADS + 1));
    let found: Vec<Vec<Topic>> = std::thread::scope(|scope| {
        let register = |turn: usize| {
            let (topics, start) = (&topics, &start);
            scope.spawn(move || {
                start.wait();
                let mut found = vec![Topic::from_index(0); NAMES];
                for step in 0..NAMES {
                    let name = (step + turn * NAMES / THREADS) % NAMES;
                    found[name] =
                        topics.register(&format!("feed:trade:{name}"), None).expect("valid");
                }
                found
            })
        };
        let threads: Vec<_> = (0..THREADS).map(register).collect();
        start.wait();
        // Meanwhile every index below the length can be read.
        loop {
            let length = topics.len();
            for index in 0..length {
                let index = u16::try_from(index).expect("below the limit");
                assert_eq!(&*topics.info(Topic::from_index(index)).kind, "trade");
            }
            if length == NAMES {
                break;
            }
        }
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "all threads got the same topics");
    let mut indices: Vec<u16> = found[0].iter().map(|topic| topic.index()).collect();
    indices.sort_unstable();
    assert!(
        indices.iter().enumerate().all(|(place, &index)| usize::from(index) == place),
        "dense, each once"
    );
}

#[test]
fn patterns_are_names_or_end_in_a_star_segment() {
    for text in ["*", "market:*", "market:BTC-USD", "a:b:*", "hub"] {
        assert_eq!(
            Pattern::parse(text).map(|pattern| pattern.as_str().to_owned()),
            Ok(text.to_owned())
        );
    }
    for text in ["", "**", "*:*", "*:a", "a*", "a:*:b", "a:**", ":*", "a::*", "a:", "a b", "é:*"] {
        assert_eq!(Pattern::parse(text), Err(PatternError), "{text:?}");
    }
    let parse = |text| Pattern::parse(text).expect("valid");
    assert!(parse("*").is_all() && !parse("*").is_exact());
    assert!(!parse("a:*").is_all() && !parse("a:*").is_exact());
    assert!(!parse("a:b").is_all() && parse("a:b").is_exact());
}

/// The definition, word by word: a star stands for one or more remaining segments.
fn matches_by_splitting(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<_>, Vec<_>) =
        (pattern.split(':').collect(), name.split(':').collect());
    match pattern.split_last() {
        Some((&"*", stem)) => name.len() > stem.len() && name.iter().zip(stem).all(|(a, b)| a == b),
        _ => pattern == name,
    }
}

proptest! {
    #[test]
    fn matching_agrees_with_splitting_into_segments(
        pattern in "(([ab.]{1,2}:){0,3}(\\*|[ab.]{1,2}))",
        name in "(([ab.]{1,2}:){0,3}[ab.]{1,2})",
    ) {
        let parsed = Pattern::parse(&pattern).map_err(|_| TestCaseError::fail(pattern.clone()))?;
        prop_assert_eq!(parsed.matches(&name), matches_by_splitting(&pattern, &name));
        prop_assert_eq!(parsed.is_exact(), !pattern.contains('*'));
    }

    #[test]
    fn an_exact_pattern_is_accepted_where_a_name_is(text in "[a:*. é]{0,6}") {
        let is_exact = Pattern::parse(&text).is_ok_and(|pattern| pattern.is_exact());
        let is_name = Topics::new().register(&text, None) != Err(TopicError::BadName);
        prop_assert_eq!(is_exact, is_name);
    }
}

#[test]
fn a_pattern_knows_a_topic_that_cannot_exist() {
    for (text, is_reserved) in [
        ("feed:snapshot", true),
        ("x:gap:y", true),
        ("feed:snapshot:BTC", false),
        ("gap", false),
        ("market:gap", false),
        ("x:gap:*", false),
        ("*", false),
    ] {
        let pattern = Pattern::parse(text).expect("valid");
        assert_eq!(pattern.has_reserved_kind(), is_reserved, "{text}");
        let refused = Topics::new().register(text, None) == Err(TopicError::ReservedKind);
        assert_eq!(refused, is_reserved, "{text}");
    }
}
