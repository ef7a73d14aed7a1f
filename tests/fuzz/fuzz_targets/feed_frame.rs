//! Lines of `<topic> <frame>` to one normaliser: no panic, each line is read, ignored or refused once, and what comes
//! out holds to its promises.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lineage::event::BOOK_LEVELS;
use lineage::feeds::{Item, Normaliser, Options};

fuzz_target!(|data: &[u8]| {
    let options = Options { held_levels_max: 50, side_levels_max: 20, ..Options::default() };
    let mut normaliser = Normaliser::new(options);
    for line in data.split(|byte| *byte == b'\n') {
        let space = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
        let (topic, frame) = line.split_at(space);
        let topic = String::from_utf8_lossy(topic);
        let (refused, ignored) =
            (normaliser.counts().refused_in_all(), normaliser.counts().ignored.get());
        let mut items = Vec::new();
        normaliser.read(&topic, frame, 1, &mut items);
        let counts = normaliser.counts();
        let without = counts.refused_in_all() - refused + counts.ignored.get() - ignored;
        assert!(without <= 1 && (without == 0 || items.is_empty()), "{items:?}");
        for item in items {
            match item {
                Item::Trade(tick) => {
                    assert!(!tick.price.is_zero() && tick.price.is_sign_positive());
                    assert!(!tick.quantity.is_zero() && tick.quantity.is_sign_positive());
                    assert!(tick.price.checked_mul(tick.quantity).is_some());
                }
                Item::Quote(quote) => {
                    for (price, quantity) in [quote.bid, quote.ask].into_iter().flatten() {
                        assert!(!price.is_zero() && price.is_sign_positive());
                        assert!(quantity.is_sign_positive());
                    }
                }
                Item::Book(book) => {
                    assert!(
                        book.bids.len() <= BOOK_LEVELS && book.bids.is_sorted_by(|a, b| a.0 > b.0)
                    );
                    assert!(
                        book.asks.len() <= BOOK_LEVELS && book.asks.is_sorted_by(|a, b| a.0 < b.0)
                    );
                }
            }
        }
    }
});
