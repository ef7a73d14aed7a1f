//! What frames of each feed mean, and what becomes of frames that mean nothing.

use super::*;
use proptest::prelude::*;
use rust_decimal::Decimal;

const RECEIVED_US: u64 = 1_700_000_000_000_000;

/// A good frame of every kind that is read. The values are made up.
const GOOD: [(&str, &str); 14] = [
    (
        "binance:trade:BTCUSDT",
        r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1,"s":"BTCUSDT","t":7,"p":"100.50","q":"2.00","T":1000,"m":true,"M":true}}"#,
    ),
    (
        "binance:quote:BTCUSDT",
        r#"{"stream":"btcusdt@bookTicker","data":{"u":1,"s":"BTCUSDT","b":"100.0","B":"1.0","a":"101.0","A":"2.0"}}"#,
    ),
    (
        "binance:snapshot:BTCUSDT",
        r#"{"lastUpdateId":10,"bids":[["100.0","1.0"]],"asks":[["101.0","2.0"]]}"#,
    ),
    (
        "binance:depth:BTCUSDT",
        r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":11,"u":12,"b":[["100.0","0.5"]],"a":[["101.0","0.0"]]}}"#,
    ),
    (
        "coinbase:trade:BTC-USD",
        r#"{"type":"match","trade_id":7,"side":"sell","size":"2.00","price":"100.50","product_id":"BTC-USD","sequence":1,"time":"1970-01-01T00:00:01.000000Z"}"#,
    ),
    (
        "coinbase:quote:BTC-USD",
        r#"{"type":"ticker","product_id":"BTC-USD","best_bid":"100","best_ask":"101","side":"buy","time":"1970-01-01T00:00:01Z"}"#,
    ),
    (
        "kraken:trade:XBT-USD",
        r#"[1,[["100.50","2.00","1.000000","b","l",""],["100.40","1","1.5","s","m",""]],"trade","XBT/USD"]"#,
    ),
    (
        "kraken:quote:XBT-USD",
        r#"[1,{"a":["101",1,"2.0"],"b":["100",1,"1.0"],"c":["100","1"]},"ticker","XBT/USD"]"#,
    ),
    (
        "kraken-futures:trade:PI_X",
        r#"{"feed":"trade","product_id":"PI_X","uid":"u","side":"buy","type":"fill","seq":7,"time":1000,"qty":2.00,"price":100.50}"#,
    ),
    (
        "kraken-futures:quote:PI_X",
        r#"{"feed":"ticker_lite","product_id":"PI_X","bid":100,"ask":101,"change":1.5}"#,
    ),
    (
        "bitmex:trade:XBTUSD",
        r#"{"table":"trade","action":"insert","data":[{"timestamp":"1970-01-01T00:00:01.000Z","symbol":"XBTUSD","side":"Buy","size":2.00,"price":100.50,"trdMatchID":"x"},{"timestamp":"1970-01-01T00:00:01.000Z","symbol":"ethUSD/x","side":"Sell","size":1,"price":1.5e-7}]}"#,
    ),
    (
        "bitmex:quote:XBTUSD",
        r#"{"table":"quote","action":"insert","data":[{"timestamp":"1970-01-01T00:00:01.000Z","symbol":"XBTUSD","bidSize":1,"bidPrice":100,"askPrice":null,"askSize":0}]}"#,
    ),
    (
        "okx:trade:BTC-USDT",
        r#"{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"7","px":"100.50","sz":"2.00","side":"buy","ts":"1000"}]}"#,
    ),
    (
        "okx:quote:BTC-USDT",
        r#"{"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","askPx":"101","askSz":"2","bidPx":"","bidSz":"","ts":"1000"}]}"#,
    ),
];

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn read_with(normaliser: &mut Normaliser, topic: &str, json: &[u8]) -> Vec<Item> {
    let mut out = Vec::new();
    normaliser.read(topic, json, RECEIVED_US, &mut out);
    out
}

fn read(topic: &str, json: &[u8]) -> Vec<Item> {
    read_with(&mut Normaliser::new(Options::default()), topic, json)
}

fn refused(topic: &str, json: impl AsRef<[u8]>) -> Option<Reason> {
    let mut normaliser = Normaliser::new(Options::default());
    let items = read_with(&mut normaliser, topic, json.as_ref());
    let counts = normaliser.counts();
    let reason = Reason::ALL.into_iter().find(|reason| counts.refused(*reason) > 0);
    assert!(counts.refused_in_all() <= 1);
    assert!(reason.is_none() || items.is_empty(), "{reason:?} {items:?}");
    reason
}

#[test]
fn a_trade_means_the_same_from_every_feed() {
    for (topic, frame) in GOOD.iter().filter(|(topic, _)| topic.contains(":trade:")) {
        let items = read(topic, frame.as_bytes());
        let Item::Trade(tick) = &items[0] else { panic!("{items:?}") };
        let has_id = !topic.starts_with("kraken:") && !topic.starts_with("bitmex:");
        let expected = Tick {
            symbol: topic.rsplit(':').next().unwrap().into(),
            price: decimal("100.50"),
            quantity: decimal("2.00"),
            time_us: 1_000_000,
            is_taker_buy: !topic.starts_with("binance:"),
            id: has_id.then_some(7),
            is_simulated: false,
        };
        assert_eq!(tick, &expected, "{topic}");
        assert_eq!(tick.price.to_string(), "100.50", "as it was written");
    }
}

#[test]
fn a_frame_may_hold_several_trades_each_with_its_own_symbol() {
    let kraken = read(GOOD[6].0, GOOD[6].1.as_bytes());
    let [Item::Trade(_), Item::Trade(second)] = &kraken[..] else { panic!("{kraken:?}") };
    assert_eq!((second.time_us, second.is_taker_buy), (1_500_000, false));
    let bitmex = read(GOOD[10].0, GOOD[10].1.as_bytes());
    let [Item::Trade(_), Item::Trade(second)] = &bitmex[..] else { panic!("{bitmex:?}") };
    assert_eq!((&*second.symbol, second.price), ("ETHUSD-X", decimal("0.00000015")));
}

#[test]
fn a_quote_has_the_sides_quantities_and_times_that_its_feed_states() {
    for (topic, frame) in GOOD.iter().filter(|(topic, _)| topic.contains(":quote:")) {
        let items = read(topic, frame.as_bytes());
        let [Item::Quote(quote)] = &items[..] else { panic!("{items:?}") };
        let venue = topic.split(':').next().unwrap();
        let has_quantities = !matches!(venue, "coinbase" | "kraken-futures");
        let level = |price: &str, quantity: &str| {
            let quantity = if has_quantities { decimal(quantity) } else { Decimal::ZERO };
            Some((decimal(price), quantity))
        };
        assert_eq!(quote.bid, if venue == "okx" { None } else { level("100", "1") }, "{topic}");
        assert_eq!(quote.ask, if venue == "bitmex" { None } else { level("101", "2") }, "{topic}");
        let has_time = matches!(venue, "coinbase" | "bitmex" | "okx");
        assert_eq!(quote.time_us, if has_time { 1_000_000 } else { RECEIVED_US }, "{topic}");
    }
    let futures = r#"{"data":{"b":"0","B":"0","a":"1","A":"1","T":5}}"#;
    let items = read("binance:quote:X", futures.as_bytes());
    let [Item::Quote(quote)] = &items[..] else { panic!("{items:?}") };
    assert_eq!((quote.time_us, quote.bid), (5_000, None), "a price of zero is no bid");
}

#[test]
fn symbols_are_mapped_in_trades_quotes_and_books() {
    let map = [("BTCUSDT".to_owned(), "BTC-USD".to_owned())];
    let options = Options { symbols: map.into(), ..Options::default() };
    let mut normaliser = Normaliser::new(options);
    for (topic, frame) in &GOOD[..4] {
        let items = read_with(&mut normaliser, topic, frame.as_bytes());
        let symbol = match &items[..] {
            [Item::Trade(tick)] => &tick.symbol,
            [Item::Quote(quote)] => &quote.symbol,
            [Item::Book(book)] => &book.symbol,
            other => panic!("{other:?}"),
        };
        assert_eq!(&**symbol, "BTC-USD");
    }
    let items = read_with(&mut normaliser, "binance:trade:ETHUSDT", GOOD[0].1.as_bytes());
    assert!(matches!(&items[..], [Item::Trade(tick)] if &*tick.symbol == "ETHUSDT"), "{items:?}");
}

#[test]
fn a_snapshot_and_a_change_make_a_book() {
    let mut normaliser = Normaliser::new(Options::default());
    let first = read_with(&mut normaliser, GOOD[2].0, GOOD[2].1.as_bytes());
    let second = read_with(&mut normaliser, GOOD[3].0, GOOD[3].1.as_bytes());
    let book = |bids: &str, asks: &[(&str, &str)]| {
        let asks = asks.iter().map(|(price, quantity)| (decimal(price), decimal(quantity)));
        let bids = vec![(decimal("100"), decimal(bids))];
        let symbol = "BTCUSDT".into();
        vec![Item::Book(Book { symbol, is_synchronised: true, bids, asks: asks.collect() })]
    };
    assert_eq!(first, book("1", &[("101", "2")]));
    assert_eq!(second, book("0.5", &[]));
    assert_eq!(normaliser.counts().books.get(), 2);
}

#[test]
fn a_malformed_change_leaves_a_gap_that_the_next_one_finds() {
    let mut normaliser = Normaliser::new(Options::default());
    let diff = |id: u64, price: &str| {
        format!(r#"{{"data":{{"U":{id},"u":{id},"b":[["1","1"],["{price}","1"]],"a":[]}}}}"#)
    };
    read_with(&mut normaliser, GOOD[2].0, GOOD[2].1.as_bytes());
    assert_eq!(read_with(&mut normaliser, GOOD[3].0, diff(11, "-5").as_bytes()), []);
    let items = read_with(&mut normaliser, GOOD[3].0, diff(12, "5").as_bytes());
    let [Item::Book(book)] = &items[..] else { panic!("{items:?}") };
    assert!(!book.is_synchronised && book.bids.len() == 1, "nothing of the bad change: {book:?}");
    let counts = normaliser.counts();
    assert_eq!((counts.refused(Reason::Sign), counts.gaps.get()), (1, 1));
}

#[test]
fn what_is_understood_and_of_no_use_is_ignored_unread() {
    let mut normaliser = Normaliser::new(Options::default());
    for topic in [
        "binance:control",
        "coinbase:control",
        "coinbase:snapshot:A-B",
        "kraken:depth:A-B",
        "kraken-futures:snapshot:A",
        "bitmex:depth:A",
        "okx:snapshot:A-B",
    ] {
        assert_eq!(read_with(&mut normaliser, topic, b"\xff"), [], "{topic}");
    }
    assert_eq!((normaliser.counts().ignored.get(), normaliser.counts().refused_in_all()), (7, 0));
}

#[test]
fn hostile_frames_are_refused_for_one_reason_each() {
    let (topic, good) = GOOD[0];
    let with = |from: &str, to: &str| {
        let changed = good.replacen(from, to, 1);
        assert_ne!(changed, good, "{from}");
        changed
    };
    let deep = format!("{}{}", "[".repeat(2_000), "]".repeat(2_000));
    for (json, reason) in [
        (good.as_bytes()[..good.len() - 1].to_vec(), Reason::NotJson),
        (good.as_bytes()[..40].to_vec(), Reason::NotJson),
        (Vec::new(), Reason::NotJson),
        (format!("\u{feff}{good}").into(), Reason::NotJson),
        (format!("{good}{good}").into(), Reason::NotJson),
        (with("\"2.00\"", "NaN").into(), Reason::NotJson),
        (b"{\"data\":\"\xff\"}".to_vec(), Reason::NotJson),
        ("[".repeat(2_000).into(), Reason::NotJson),
        (deep.clone().into(), Reason::Shape),
        (with("\"p\"", "\"x\"").into(), Reason::Shape),
        (with("\"p\"", "\"q\":\"1\",\"p\"").into(), Reason::Shape),
        (with("true", "1").into(), Reason::Shape),
        (b"{}".to_vec(), Reason::Shape),
        (b"null".to_vec(), Reason::Shape),
        (with("\"2.00\"", &deep).into(), Reason::Number),
        (with("\"2.00\"", "\"NaN\"").into(), Reason::Number),
        (with("\"2.00\"", "1e999").into(), Reason::Number),
        (with("\"2.00\"", "\"100000000000000\"").into(), Reason::Number),
        (with("\"t\":7", "\"t\":-7").into(), Reason::Number),
        (with("\"t\":7", "\"t\":18446744073709551616").into(), Reason::Number),
        (with("\"2.00\"", "\"-2.00\"").into(), Reason::Sign),
        (with("\"2.00\"", "\"0.00\"").into(), Reason::Sign),
        (with("\"100.50\"", "\"-100.50\"").into(), Reason::Sign),
        (with("1000", "-1000").into(), Reason::Time),
        (with("1000", "18446744073709551615").into(), Reason::Time),
        (vec![b' '; 2 << 20], Reason::TooLong),
    ] {
        let text = String::from_utf8_lossy(&json[..json.len().min(200)]).into_owned();
        assert_eq!(refused(topic, json), Some(reason), "{text}");
    }
    for topic in ["", "market:X", "binance:trade", "binance:trade:A:B", "ftx:trade:A"] {
        assert_eq!(refused(topic, good), Some(Reason::Topic), "{topic}");
    }
    assert_eq!(refused(topic, good.replace(',', ",\r\n")), None, "line ends are white space");
    assert_eq!(refused(topic, with("\"M\":true", &format!("\"M\":{deep}"))), None, "it is ignored");
}

#[test]
fn one_bad_part_refuses_the_whole_frame() {
    let (topic, frame) = GOOD[6];
    for (from, to, reason) in [
        ("\"100.40\"", "\"x\"", Reason::Number),
        ("\"s\"", "\"x\"", Reason::Shape),
        ("\"1.5\"", "\"x\"", Reason::Time),
        (",\"m\",\"\"", ",\"m\",\"\",1", Reason::Shape),
    ] {
        assert_eq!(refused(topic, frame.replacen(from, to, 1)), Some(reason), "{to}");
    }
}

#[test]
fn frames_and_symbols_are_taken_up_to_their_limits() {
    let (topic, frame) = GOOD[0];
    for (limit, is_read) in [(frame.len() - 1, false), (frame.len(), true), (frame.len() + 1, true)]
    {
        let options = Options { frame_bytes_max: limit, ..Options::default() };
        let mut normaliser = Normaliser::new(options);
        assert_eq!(read_with(&mut normaliser, topic, frame.as_bytes()).len(), usize::from(is_read));
        assert_eq!(normaliser.counts().refused(Reason::TooLong), u64::from(!is_read));
    }
    for (limit, refused) in [(2, 1), (3, 0), (4, 0)] {
        let options = Options { symbols_max: limit, ..Options::default() };
        let mut normaliser = Normaliser::new(options);
        for symbol in ["A", "B", "C", "A"] {
            read_with(&mut normaliser, &format!("binance:trade:{symbol}"), frame.as_bytes());
        }
        assert_eq!(normaliser.counts().refused(Reason::Symbols), refused, "{limit}");
        assert_eq!(normaliser.counts().trades.get(), 4 - refused, "known ones go on");
    }
}

#[test]
fn trades_whose_times_run_backwards_come_out_as_they_came_in() {
    let mut normaliser = Normaliser::new(Options::default());
    let times: Vec<u64> = [5_000, 1_000, 3_000]
        .map(|ms| {
            let frame = GOOD[0].1.replace("1000", &ms.to_string());
            match &read_with(&mut normaliser, GOOD[0].0, frame.as_bytes())[..] {
                [Item::Trade(tick)] => tick.time_us,
                other => panic!("{other:?}"),
            }
        })
        .into();
    assert_eq!(times, [5_000_000, 1_000_000, 3_000_000]);
}

/// One change to a frame: where, and which bytes stand there instead.
fn damage() -> impl Strategy<Value = (usize, usize, Vec<u8>)> {
    let token = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..4),
        proptest::sample::select(vec![
            "null",
            "-1",
            "1e9",
            "NaN",
            "\"\"",
            "{}",
            "[]",
            "\"-0\"",
            "99999999999999999999",
            "\\",
            "\"",
            "\u{feff}",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    (any::<usize>(), 0_usize..12, token)
}

proptest! {
    #[test]
    fn any_bytes_under_any_topic_are_read_ignored_or_refused(
        topic in "(binance|coinbase|kraken|kraken-futures|bitmex|okx|x):(trade|quote|depth|snapshot|control|x)(:[A-Z-]{0,3})?|.{0,20}",
        json in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut normaliser = Normaliser::new(Options::default());
        let items = read_with(&mut normaliser, &topic, &json);
        let counts = normaliser.counts();
        prop_assert!(items.is_empty() || counts.refused_in_all() == 0);
        prop_assert!(counts.refused_in_all() + counts.ignored.get() <= 1);
    }

    #[test]
    fn a_damaged_frame_is_never_half_read_and_never_harms_the_next(
        which in 0..GOOD.len(),
        damages in proptest::collection::vec(damage(), 1..4),
    ) {
        let (topic, good) = GOOD[which];
        let mut bytes = good.as_bytes().to_vec();
        for (at, length, token) in damages {
            let at = at % (bytes.len() + 1);
            let end = (at + length).min(bytes.len());
            bytes.splice(at..end, token);
        }
        let mut normaliser = Normaliser::new(Options::default());
        let items = read_with(&mut normaliser, topic, &bytes);
        prop_assert!(items.is_empty() || normaliser.counts().refused_in_all() == 0);
        for item in &items {
            if let Item::Trade(tick) = item {
                prop_assert!(tick.price > Decimal::ZERO && tick.quantity > Decimal::ZERO);
                prop_assert!(tick.price.checked_mul(tick.quantity).is_some());
            }
        }
        // Books depend on what came before; trades and quotes do not.
        if !topic.contains("depth") && !topic.contains("snapshot") {
            let next = read_with(&mut normaliser, topic, good.as_bytes());
            prop_assert_eq!(next, read(topic, good.as_bytes()));
        }
    }
}
