//! Goal: the frame log gives back exactly what was appended, whatever the sizes, commits, laps and
//! releases. Method: random steps against a plain vector of frames, and exact cases at each limit.

use std::collections::BTreeSet;

use lineage::log::{Entry, Log, Options, Reader, Writer, log};
use proptest::collection::vec;
use proptest::prelude::*;

const SMALL: Options =
    Options { segment_bytes: 64, segment_records: 4, segments_max: 4, shared_frame_max: 32 };

/// What was appended, and how much of it must be visible.
#[derive(Default)]
struct Model {
    frames: Vec<(Entry, Vec<u8>)>,
    committed: u64,
}

impl Model {
    fn append(&mut self, writer: &mut Writer, length: usize) {
        let index = self.frames.len() as u64;
        assert_eq!(writer.next_index(), index);
        let frame: Vec<u8> = (index..).map(|value| value.to_le_bytes()[0]).take(length).collect();
        let low = index.to_le_bytes();
        let topic = u16::from_le_bytes([low[0], low[1]]);
        let entry = Entry {
            topic,
            flags: !topic,
            key: u32::from(topic) + 1,
            seq: index + 2,
            time_us: index + 3,
        };
        assert_eq!(writer.append(entry, &frame), index);
        self.frames.push((entry, frame));
        assert_eq!(writer.total_bytes(), self.bytes_before(index + 1));
    }

    fn commit(&mut self, writer: &mut Writer) {
        writer.commit();
        self.committed = self.frames.len() as u64;
    }

    fn bytes_before(&self, index: u64) -> u64 {
        self.frames[..place(index)].iter().map(|(_, frame)| frame.len() as u64).sum()
    }

    /// Every frame in the reader's window is the model's, but for those missed, and the window says
    /// of itself what is true.
    fn check_window(&self, Follower { reader, missed }: &Follower) {
        assert!(reader.oldest() <= reader.head());
        assert_eq!(reader.head_bytes(), self.bytes_before(reader.head()));
        for index in reader.oldest()..reader.head() {
            let segment = reader.segment(index);
            assert_eq!(segment.is_none(), missed.contains(&index), "the segment of {index}");
            let Some(segment) = segment else { continue };
            let number = u32::try_from(index - segment.base()).expect("segments are small");
            let record = segment.records()[number as usize];
            let (entry, frame) = &self.frames[place(index)];
            let Entry { topic, flags, key, seq, time_us } = *entry;
            assert_eq!(
                (record.topic, record.flags, record.key, record.seq, record.time_us),
                (topic, flags, key, seq, time_us)
            );
            assert_eq!(segment.bytes(record.range()), frame);
            assert_eq!(segment.frame(number), frame);
            assert_eq!(segment.base_bytes() + u64::from(record.offset), self.bytes_before(index));
        }
        assert!(reader.segment(reader.head()).is_none());
        assert!(reader.oldest() == 0 || reader.segment(reader.oldest() - 1).is_none());
    }

    /// Advances and checks that no frame is skipped without a report.
    fn advance(&self, follower: &mut Follower) {
        let reader = &mut follower.reader;
        let (from, behind) = (reader.head(), reader.is_behind());
        let advance = reader.advance();
        assert_eq!(advance.fresh.end, reader.head());
        assert!(
            (self.committed..=self.frames.len() as u64).contains(&reader.head()),
            "all that is committed"
        );
        assert!(
            behind || (advance.fresh.is_empty() && advance.lapped.is_none()),
            "who is not behind finds nothing"
        );
        assert!(!reader.is_behind());
        let missed = advance.lapped.unwrap_or(from..from);
        assert_eq!((missed.start, missed.end), (from, advance.fresh.start));
        follower.missed.extend(missed);
        self.check_window(follower);
    }
}

/// A reader, and the indices that it was told it missed.
struct Follower {
    reader: Reader,
    missed: BTreeSet<u64>,
}

/// Where the model keeps the frame of an index.
fn place(index: u64) -> usize {
    usize::try_from(index).expect("the model is small")
}

#[derive(Debug, Clone)]
enum Step {
    Append(usize),
    Commit,
    Advance(usize),
    Release(usize, u64),
    ReleaseSurplus(usize),
    Join,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let length = prop_oneof![
        4 => 0..=20_usize,
        1 => prop::sample::select(vec![0, 31, 32, 33, 63, 64, 65, 200]),
    ];
    let reader = 0..4_usize;
    vec(
        prop_oneof![
            10 => length.prop_map(Step::Append),
            4 => Just(Step::Commit),
            3 => reader.clone().prop_map(Step::Advance),
            2 => (reader.clone(), 0..40_u64).prop_map(|(reader, keep)| Step::Release(reader, keep)),
            2 => reader.prop_map(Step::ReleaseSurplus),
            1 => Just(Step::Join),
        ],
        1..200,
    )
}

proptest! {
    #[test]
    fn readers_see_what_was_appended(options in sizes(), steps in steps()) {
        let (mut writer, log) = log(options);
        let mut model = Model::default();
        let mut followers = vec![join(&log, &model), join(&log, &model)];
        for step in steps {
            let count = followers.len();
            match step {
                Step::Append(length) => model.append(&mut writer, length),
                Step::Commit => model.commit(&mut writer),
                Step::Advance(which) => model.advance(&mut followers[which % count]),
                Step::Release(which, keep) => {
                    let follower = &mut followers[which % count];
                    let reader = &mut follower.reader;
                    let index = reader.head().saturating_sub(keep);
                    let before = reader.segment(index).map(|segment| segment.base());
                    reader.release_before(index);
                    let after = reader.segment(index).map(|segment| segment.base());
                    assert_eq!(before, after, "what was not to be released is there");
                    model.check_window(follower);
                }
                Step::ReleaseSurplus(which) => {
                    release_surplus(&mut followers[which % count].reader, options);
                }
                Step::Join if count < 4 => followers.push(join(&log, &model)),
                Step::Join => followers[0] = join(&log, &model),
            }
        }
        model.commit(&mut writer);
        for follower in &mut followers {
            model.advance(follower);
            assert_eq!(follower.reader.head(), model.committed);
        }
    }
}

fn sizes() -> impl Strategy<Value = Options> {
    let one_frame_each = Options { segment_records: 1, segments_max: 2, ..SMALL };
    let all_frames_apart = Options { shared_frame_max: 0, ..SMALL };
    prop::sample::select(vec![
        SMALL,
        one_frame_each,
        all_frames_apart,
        Options { shared_frame_max: 64, ..SMALL },
    ])
}

fn join(log: &Log, model: &Model) -> Follower {
    let reader = log.reader();
    assert!((model.committed..=model.frames.len() as u64).contains(&reader.head()));
    assert!(!reader.is_behind());
    let follower = Follower { reader, missed: BTreeSet::new() };
    model.check_window(&follower);
    follower
}

fn release_surplus(reader: &mut Reader, options: Options) {
    if let Some(index) = reader.surplus() {
        assert!(index >= reader.oldest());
        reader.release_before(index);
    }
    assert_eq!(reader.surplus(), None, "one release is enough");
    let bases: BTreeSet<_> = (reader.oldest()..reader.head())
        .filter_map(|index| reader.segment(index))
        .map(|s| s.base())
        .collect();
    assert!(bases.len() <= options.segments_max);
}

/// Appends and commits frames of 16 bytes one by one: four fill a segment of [`SMALL`].
fn publish(writer: &mut Writer, frames: usize) {
    for _ in 0..frames {
        writer.append(Entry::default(), &[7; 16]);
        writer.commit();
    }
}

/// The base of the segment in which the last of the lengths lands, and how many segments were made.
fn placed(options: Options, lengths: &[usize]) -> (u64, u64) {
    let (mut writer, log) = log(options);
    let mut reader = log.reader();
    for &length in lengths {
        writer.append(Entry::default(), &vec![1; length]);
    }
    writer.commit();
    reader.advance();
    (
        reader.segment(reader.head() - 1).expect("the newest frame is held").base(),
        writer.segments_made(),
    )
}

#[test]
fn a_segment_takes_frames_until_its_bytes_run_out() {
    assert_eq!(placed(SMALL, &[32, 31]), (0, 1));
    assert_eq!(placed(SMALL, &[32, 32]), (0, 1));
    assert_eq!(placed(SMALL, &[32, 32, 0]), (0, 1), "an empty frame needs no byte");
    assert_eq!(placed(SMALL, &[32, 32, 1]), (2, 2));
    assert_eq!(placed(SMALL, &[32, 31, 2]), (2, 2), "no frame straddles segments");
}

#[test]
fn a_segment_takes_frames_until_its_records_run_out() {
    assert_eq!(placed(SMALL, &[1, 1, 1]), (0, 1));
    assert_eq!(placed(SMALL, &[1, 1, 1, 1]), (0, 1));
    assert_eq!(placed(SMALL, &[1, 1, 1, 1, 1]), (4, 2));
}

#[test]
fn a_frame_beyond_the_shared_maximum_stands_alone() {
    assert_eq!(placed(SMALL, &[1, 31]), (0, 1));
    assert_eq!(placed(SMALL, &[1, 32]), (0, 1));
    assert_eq!(placed(SMALL, &[1, 33]), (1, 2));
    assert_eq!(placed(SMALL, &[1, 33, 1]), (2, 3), "nothing follows it in its segment");
    let all_shared = Options { shared_frame_max: 64, ..SMALL };
    assert_eq!(placed(all_shared, &[0, 63]), (0, 1));
    assert_eq!(placed(all_shared, &[0, 64]), (0, 1));
    assert_eq!(placed(all_shared, &[0, 65]), (1, 2));
}

#[test]
fn an_appended_frame_is_invisible_until_the_commit() {
    let (mut writer, log) = log(SMALL);
    let mut reader = log.reader();
    writer.append(Entry::default(), b"frame");
    assert!(!reader.is_behind());
    assert!(reader.advance().fresh.is_empty());
    assert_eq!(log.reader().head(), 0);
    writer.commit();
    assert!(reader.is_behind());
    assert_eq!(reader.advance().fresh, 0..1);
    assert_eq!(log.reader().head(), 1);
}

#[test]
fn a_reader_is_lapped_when_its_successor_has_left_the_log() {
    for (segments_more, lapped) in [(3, None), (4, None), (5, Some(4..8))] {
        let (mut writer, log) = log(SMALL);
        let mut reader = log.reader();
        publish(&mut writer, 4);
        assert_eq!(reader.advance().fresh, 0..4);
        publish(&mut writer, 4 * segments_more);
        let advance = reader.advance();
        assert_eq!(advance.lapped, lapped, "{segments_more} segments later, four are kept");
        assert_eq!(
            advance.fresh,
            lapped.map_or(4, |missed| missed.end)..4 + 4 * segments_more as u64
        );
        publish(&mut writer, 1);
        assert_eq!(reader.advance().lapped, None, "a lapped reader follows again");
    }
}

#[test]
fn what_a_lapped_reader_held_stays_until_it_is_released() {
    let (mut writer, log) = log(SMALL);
    let mut reader = log.reader();
    publish(&mut writer, 2);
    reader.advance();
    publish(&mut writer, 30);
    let advance = reader.advance();
    assert_eq!((advance.lapped, advance.fresh), (Some(2..16), 16..32));
    let found: Vec<u64> = (0..40).filter(|&index| reader.segment(index).is_some()).collect();
    assert_eq!(found, [0, 1].into_iter().chain(16..32).collect::<Vec<_>>());
    assert_eq!(reader.surplus(), Some(16));
    reader.release_before(16);
    assert_eq!((reader.oldest(), reader.surplus()), (16, None));
}

#[test]
fn a_window_is_in_surplus_when_it_is_longer_than_the_log() {
    let (mut writer, log) = log(SMALL);
    let mut reader = log.reader();
    for segments in 1..=4 {
        publish(&mut writer, 4);
        reader.advance();
        assert_eq!(reader.surplus(), None, "{segments} of 4 segments");
    }
    publish(&mut writer, 4);
    reader.advance();
    assert_eq!(reader.surplus(), Some(4), "5 of 4 segments");
    publish(&mut writer, 4);
    reader.advance();
    assert_eq!(
        (reader.oldest(), reader.surplus()),
        (0, Some(8)),
        "nothing is dropped before it is released"
    );
    reader.release_before(7);
    assert_eq!(reader.oldest(), 4, "the segment of index 7 is needed");
    reader.release_before(8);
    assert_eq!((reader.oldest(), reader.surplus()), (8, None));
    reader.release_before(u64::MAX);
    assert_eq!(reader.oldest(), 20, "the newest segment is never dropped");
}

#[test]
#[should_panic(expected = "bytes 0..6 of a segment with 5 committed ones")]
fn bytes_that_are_not_committed_cannot_be_had() {
    let (mut writer, log) = log(SMALL);
    let mut reader = log.reader();
    writer.append(Entry::default(), b"first");
    writer.commit();
    writer.append(Entry::default(), b"second");
    reader.advance();
    let segment = reader.segment(0).unwrap();
    assert_eq!(segment.bytes(0..5), b"first");
    let _ = segment.bytes(0..6);
}

#[test]
fn a_frame_outlives_the_log_and_its_readers() {
    let (mut writer, log) = log(SMALL);
    let mut reader = log.reader();
    writer.append(Entry::default(), b"kept");
    publish(&mut writer, 3);
    reader.advance();
    let frame = reader.segment(0).unwrap().frame(0);
    publish(&mut writer, 100);
    drop((reader, log, writer));
    assert_eq!(frame, &b"kept"[..]);
}
