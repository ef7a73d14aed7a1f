//! Order books against hand-made chains at their boundaries, and against the true book under random losses.

use super::*;
use proptest::prelude::*;

const LIMITS: Limits = Limits { held_levels_max: 1_000, side_levels_max: 1_000 };

fn levels(levels: &[(i64, i64)]) -> Levels {
    levels.iter().map(|(price, quantity)| ((*price).into(), (*quantity).into())).collect()
}

/// A change of spot with one bid, at the price of its last id.
fn spot(first: u64, last: u64) -> Diff {
    let bids = levels(&[(i64::try_from(last).unwrap(), 1)]);
    Diff { first, last, previous: None, bids, asks: vec![] }
}

/// The same of futures, whose ids leave holes.
fn futures(previous: u64, last: u64) -> Diff {
    Diff { previous: Some(previous), ..spot(last, last) }
}

fn snapshot(last: u64) -> Snapshot {
    Snapshot { last, bids: levels(&[(1, 1)]), asks: levels(&[(1_000, 1), (2_000, 0)]) }
}

fn book(limits: Limits) -> (Rebuild, Counts) {
    (Rebuild::new("X".into(), limits), Counts::new())
}

/// The prices of the bids, and whether the book is synchronised.
fn shown(book: Option<Book>) -> Option<(Vec<i64>, bool)> {
    let book = book?;
    let prices = book.bids.iter().map(|(price, _)| i64::try_from(*price).unwrap());
    Some((prices.collect(), book.is_synchronised))
}

#[test]
fn changes_before_the_snapshot_are_held_back_and_those_in_it_are_dropped() {
    let (mut book, counts) = book(LIMITS);
    for (first, last) in [(1, 5), (6, 9), (10, 12), (13, 13)] {
        assert_eq!(book.change(spot(first, last), &counts), None);
    }
    // The third change overlaps with the snapshot.
    assert_eq!(shown(book.restart(&snapshot(10), &counts)), Some((vec![13, 12, 1], true)));
    assert_eq!((counts.diffs_dropped.get(), counts.diffs_applied.get()), (2, 2));
    assert_eq!((counts.gaps.get(), counts.resyncs.get()), (0, 0));
    assert_eq!(shown(book.change(spot(14, 15), &counts)), Some((vec![15, 13, 12, 1], true)));
    // A level of quantity zero is none.
    assert_eq!(book.published.unwrap().asks, levels(&[(1_000, 1)]));
}

#[test]
fn the_first_change_after_a_snapshot_must_reach_back_to_it() {
    for (diff, is_next) in [
        (spot(99, 102), true),
        (spot(101, 102), true),
        (spot(102, 102), false),
        (spot(101, 101), true),
        (futures(99, 150), true),
        (futures(100, 150), true),
        (futures(101, 150), false),
    ] {
        let (mut book, counts) = book(LIMITS);
        book.restart(&snapshot(100), &counts);
        book.change(diff.clone(), &counts);
        assert_eq!((book.is_synchronised(), counts.gaps.get()), (is_next, u64::from(!is_next)));
        // The same when the change was there before the snapshot.
        let (mut book, counts) = self::book(LIMITS);
        book.change(diff.clone(), &counts);
        book.restart(&snapshot(100), &counts);
        assert_eq!(book.is_synchronised(), is_next, "{diff:?}");
        assert_eq!(counts.gaps.get(), u64::from(!is_next), "{diff:?}");
    }
}

#[test]
fn every_later_change_must_follow_the_one_before_it_exactly() {
    for (diff, is_next) in [
        (spot(103, 104), true),
        (spot(104, 104), false),
        (spot(102, 104), false),
        (spot(104, 103), false),
        (futures(102, 104), true),
        (futures(101, 104), false),
        (futures(103, 104), false),
    ] {
        let (mut book, counts) = book(LIMITS);
        book.restart(&snapshot(100), &counts);
        book.change(spot(101, 102), &counts);
        book.change(diff.clone(), &counts);
        assert_eq!(book.is_synchronised(), is_next, "{diff:?}");
    }
}

#[test]
fn a_gap_is_shown_once_and_healed_by_the_next_snapshot() {
    let (mut book, counts) = book(LIMITS);
    book.restart(&snapshot(100), &counts);
    book.change(spot(101, 101), &counts);
    assert_eq!(shown(book.change(spot(103, 103), &counts)), Some((vec![101, 1], false)));
    assert_eq!(book.change(spot(104, 104), &counts), None);
    assert_eq!(counts.gaps.get(), 1);
    // A snapshot from before the gap does not heal it; it is one more break.
    book.restart(&snapshot(101), &counts);
    assert_eq!((counts.gaps.get(), counts.resyncs.get()), (2, 0));
    assert_eq!(shown(book.restart(&snapshot(103), &counts)), Some((vec![104, 1], true)));
    assert_eq!((counts.gaps.get(), counts.resyncs.get()), (2, 1));
    assert_eq!(shown(book.change(spot(105, 105), &counts)), Some((vec![105, 104, 1], true)));
}

#[test]
fn a_change_that_comes_twice_is_dropped_and_a_sequence_that_runs_backwards_is_a_gap() {
    let (mut book, counts) = book(LIMITS);
    book.restart(&snapshot(100), &counts);
    book.change(spot(101, 105), &counts);
    assert_eq!(book.change(spot(101, 105), &counts), None);
    assert_eq!((counts.gaps.get(), counts.diffs_dropped.get()), (0, 1));
    // A snapshot that is older than the book is of no use to it.
    assert_eq!(book.restart(&snapshot(104), &counts), None);
    assert_eq!(shown(book.change(spot(40, 41), &counts)), Some((vec![105, 1], false)));
    assert_eq!(counts.gaps.get(), 1);
    assert_eq!(shown(book.restart(&snapshot(39), &counts)), Some((vec![41, 1], true)));
    assert_eq!(counts.resyncs.get(), 1);
}

#[test]
fn ids_at_the_end_of_their_range_do_no_harm() {
    let (mut book, counts) = book(LIMITS);
    book.restart(&Snapshot { bids: vec![], ..snapshot(u64::MAX) }, &counts);
    for diff in [
        Diff { first: u64::MAX, last: u64::MAX, ..spot(1, 1) },
        Diff { first: 0, last: u64::MAX, ..spot(1, 1) },
        Diff { first: u64::MAX, last: 0, ..spot(1, 1) },
    ] {
        book.change(diff, &counts);
    }
    assert!(!book.is_synchronised());
}

#[test]
fn held_changes_are_kept_up_to_the_limit() {
    // Each weighs two: a level and itself.
    for (limit, lost) in [(5, 1), (6, 0), (7, 0)] {
        let (mut book, counts) = book(Limits { held_levels_max: limit, ..LIMITS });
        for id in 101..=103 {
            book.change(spot(id, id), &counts);
        }
        assert_eq!(counts.diffs_lost.get(), lost, "{limit}");
        book.restart(&snapshot(100), &counts);
        assert_eq!(book.is_synchronised(), lost == 0, "{limit}");
    }
}

#[test]
fn a_side_keeps_the_best_levels_up_to_its_limit() {
    for (limit, cut) in [(19, 2), (20, 0), (21, 0)] {
        let (mut book, counts) = book(Limits { side_levels_max: limit, ..LIMITS });
        let side: Vec<(i64, i64)> = (1..=20).map(|price| (price, 1)).collect();
        let (bids, asks) = (levels(&side), levels(&side));
        book.restart(&Snapshot { last: 1, bids, asks }, &counts);
        assert_eq!(counts.levels_cut.get(), cut, "{limit}");
        let top = book.published.unwrap();
        assert_eq!((top.bids[0].0, top.asks[0].0), (20.into(), 1.into()));
        assert_eq!((top.bids.len(), top.asks.len()), (BOOK_LEVELS, BOOK_LEVELS));
    }
}

/// The true book after each change: bids and asks by price.
type Truth = [BTreeMap<Decimal, Decimal>; 2];

fn whole(last: u64, truth: &Truth) -> Snapshot {
    let side = |at: usize| truth[at].iter().map(|(price, quantity)| (*price, *quantity)).collect();
    Snapshot { last, bids: side(0), asks: side(1) }
}

proptest! {
    /// Whatever is lost, repeated or late: a book that says it is synchronised is the true book at its last change.
    #[test]
    fn a_synchronised_book_is_the_true_one(
        steps in proptest::collection::vec((0_u8..20, 0_i64..12, 0_i64..4, any::<bool>()), 1..200),
        is_futures in any::<bool>(),
    ) {
        let (mut book, counts) = book(LIMITS);
        let mut history: Vec<(u64, Truth)> = vec![(10, Truth::default())];
        let mut is_any_lost = false;
        for (action, price, quantity, is_bid) in steps {
            let (id, truth) = history.last().unwrap().clone();
            match action {
                0 => { book.restart(&whole(id, &truth), &counts); }
                1 => {
                    let (id, truth) = &history[history.len().saturating_sub(4)];
                    book.restart(&whole(*id, truth), &counts);
                }
                _ => {
                    let (mut truth, step) = (truth, if is_futures { 3 } else { 1 });
                    let changed = levels(&[(price, quantity)]);
                    let (bids, asks) = if is_bid { (changed, vec![]) } else { (vec![], changed) };
                    set(&mut truth[0], &bids);
                    set(&mut truth[1], &asks);
                    let diff = Diff {
                        first: id + step,
                        last: id + step,
                        previous: is_futures.then_some(id),
                        bids,
                        asks,
                    };
                    history.push((id + step, truth));
                    match action {
                        2 => is_any_lost = true,
                        3 => {
                            book.change(diff.clone(), &counts);
                            book.change(diff, &counts);
                        }
                        _ => { book.change(diff, &counts); }
                    }
                }
            }
            if book.is_synchronised() {
                let (_, truth) = history.iter().find(|(id, _)| *id == book.last).unwrap();
                prop_assert_eq!((&book.bids, &book.asks), (&truth[0], &truth[1]));
            }
            let shown = book.published.as_ref().is_none_or(|shown| shown.is_synchronised);
            prop_assert_eq!(shown, book.state != State::Lost);
        }
        if !is_any_lost {
            prop_assert_eq!(book.state == State::Lost, counts.gaps.get() > counts.resyncs.get());
        }
    }
}
