//! Which bytes a connection gets next: whole frames, back to back, up to a limit (64 KiB by default); a single
//! longer frame goes alone.
//!
//! Members of the circle are served by their group's runs: one run straight from the segment, several copied once
//! into a scratch buffer and shared by all members at the same cursor. Laggards walk the records themselves, so
//! that the log stays the only queue. Both give the same frames (the model test of the shard compares them).

use super::connections::Remainder;
use super::group::Group;
use crate::log::{Reader, Record};
use std::ops::Range;

/// A tail up to this long is copied, a longer one keeps its segment alive.
const COPIED_TAIL_BYTES_MAX: u32 = 4 * 1024;

/// Where the bytes of a slice are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In the segment that holds this record.
    Segment(u64, Range<u32>),
    /// In the scratch buffer.
    Scratch,
}

/// Whole frames for a cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) place: Place,
    /// The cursor behind it.
    pub(super) next: u64,
    pub(super) frames: u64,
}

impl Slice {
    /// The bytes.
    pub(super) fn bytes<'a>(&self, reader: &'a Reader, scratch: &'a [u8]) -> &'a [u8] {
        match &self.place {
            Place::Scratch => scratch,
            Place::Segment(index, range) => {
                let segment = reader.segment(*index).expect("slices are made from the window");
                segment.bytes(range.clone())
            }
        }
    }
}

fn records(reader: &Reader, range: Range<u64>) -> &[Record] {
    let Some(segment) = reader.segment(range.start) else { return &[] };
    let skip = usize::try_from(range.start - segment.base()).expect("segments are small");
    let records = &segment.records()[skip..];
    let count = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
    &records[..records.len().min(count)]
}

/// How many of `records`, which lie back to back, fit into `room` bytes.
fn fitting(records: &[Record], room: u32) -> usize {
    let Some(start) = records.first().map(|record| record.offset) else { return 0 };
    records.partition_point(|record| record.offset + record.length - start <= room)
}

/// The next slice of a member of the circle; `times` gets (publish time, frames) of what is in it.
pub(super) fn by_runs(
    group: &Group,
    reader: &Reader,
    cursor: u64,
    bytes_max: u32,
    scratch: &mut Vec<u8>,
    times: &mut Vec<(u64, u64)>,
) -> Option<Slice> {
    times.clear();
    let (mut place, mut run) = group.run_at(cursor)?;
    let mut from = cursor.max(run.first);
    let mut slice: Option<Slice> = None;
    scratch.clear();
    loop {
        let all = records(reader, from..run.end);
        let filled = u32::try_from(scratch.len()).unwrap_or(u32::MAX);
        let mut count = fitting(all, bytes_max.saturating_sub(filled));
        if count == 0 && slice.is_none() {
            count = 1.min(all.len());
        }
        let Some(last) = count.checked_sub(1).and_then(|last| all.get(last)) else { break };
        let range = all[0].offset..last.offset + last.length;
        note_times(&all[..count], times);
        let next = from + count as u64;
        let is_whole = count == all.len();
        let following = if is_whole { group.next_run(place) } else { None };
        match &mut slice {
            None if following.is_none() => {
                return Some(Slice {
                    place: Place::Segment(from, range),
                    next,
                    frames: count as u64,
                });
            }
            None => slice = Some(Slice { place: Place::Scratch, next, frames: count as u64 }),
            Some(slice) => {
                slice.next = next;
                slice.frames += count as u64;
            }
        }
        let segment = reader.segment(from).expect("its records were just read");
        scratch.extend_from_slice(segment.bytes(range));
        let Some(following) = following else { break };
        run = following;
        place += 1;
        from = run.first;
    }
    slice
}

fn note_times(records: &[Record], times: &mut Vec<(u64, u64)>) {
    for record in records {
        note_time(times, record.time_us, 1);
    }
}

/// Notes that `count` more frames were published at `time_us`.
pub(super) fn note_time(times: &mut Vec<(u64, u64)>, time_us: u64, count: u64) {
    match times.last_mut() {
        Some((newest_us, noted)) if *newest_us == time_us => *noted += count,
        _ => times.push((time_us, count)),
    }
}

/// The next slice of a laggard, from the records of `range`. `None`: nothing more is the group's.
pub(super) fn by_walking(
    group: &Group,
    reader: &Reader,
    range: Range<u64>,
    bytes_max: u32,
    scratch: &mut Vec<u8>,
    times: &mut Vec<(u64, u64)>,
) -> Option<Slice> {
    times.clear();
    scratch.clear();
    let mut slice: Option<Slice> = None;
    // A cursor below the window stands before nothing: what was the group's there would have moved it.
    let mut at = range.start.max(reader.oldest());
    while at < range.end {
        let segment = reader.segment(at)?;
        for record in records(reader, at..range.end) {
            at += 1;
            if !group.wants(record.topic) {
                continue;
            }
            let bytes = record.offset..record.offset + record.length;
            match &mut slice {
                None if record.length > bytes_max => {
                    note_times(std::slice::from_ref(record), times);
                    return Some(Slice {
                        place: Place::Segment(at - 1, bytes),
                        next: at,
                        frames: 1,
                    });
                }
                None => slice = Some(Slice { place: Place::Scratch, next: at, frames: 1 }),
                Some(_) if scratch.len() + record.length as usize > bytes_max as usize => {
                    return slice;
                }
                Some(slice) => {
                    slice.next = at;
                    slice.frames += 1;
                }
            }
            note_times(std::slice::from_ref(record), times);
            scratch.extend_from_slice(segment.bytes(bytes));
        }
    }
    slice
}

/// Where a cursor stands after `written` bytes of the frames from `cursor` on: behind the frame that the last
/// byte belongs to, with that frame's unsent tail; and how many frames were begun.
pub(super) fn cut(
    group: &Group,
    reader: &Reader,
    cursor: u64,
    written: usize,
) -> (u64, Remainder, u64) {
    let mut left = u32::try_from(written).expect("a visit writes less than 4 GiB");
    let mut at = cursor.max(reader.oldest());
    let mut frames = 0;
    while left > 0 {
        let segment = reader.segment(at).expect("written frames are in the window");
        for record in records(reader, at..u64::MAX) {
            at += 1;
            if !group.wants(record.topic) {
                continue;
            }
            frames += 1;
            if left < record.length {
                let tail = record.offset + left..record.offset + record.length;
                let remainder = if tail.end - tail.start <= COPIED_TAIL_BYTES_MAX {
                    Remainder::Bytes(segment.bytes(tail).to_vec(), 0)
                } else {
                    Remainder::Segment(segment.clone(), tail)
                };
                return (at, remainder, frames);
            }
            left -= record.length;
            if left == 0 {
                break;
            }
        }
    }
    (at, Remainder::None, frames)
}

/// Publish time of the first record of the group at or above `cursor`.
pub(super) fn oldest_time_us(group: &Group, reader: &Reader, cursor: u64) -> Option<u64> {
    let mut at = cursor.max(reader.oldest());
    while at < reader.head() {
        for record in records(reader, at..reader.head()) {
            at += 1;
            if group.wants(record.topic) {
                return Some(record.time_us);
            }
        }
    }
    None
}

/// Calls `each` for the group's records in `range`, with their index.
pub(super) fn for_each_wanted(
    group: &Group,
    reader: &Reader,
    range: Range<u64>,
    mut each: impl FnMut(u64, &Record),
) {
    for_each(reader, range, |index, record| {
        if group.wants(record.topic) {
            each(index, record);
        }
    });
}

/// Calls `each` for the records in `range` that are in the window, with their index.
pub(super) fn for_each(reader: &Reader, range: Range<u64>, mut each: impl FnMut(u64, &Record)) {
    let mut at = range.start.max(reader.oldest());
    while at < range.end {
        let found = records(reader, at..range.end);
        if found.is_empty() {
            return;
        }
        for record in found {
            each(at, record);
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::group::Key;
    use super::super::lanes::Lane;
    use super::*;
    use crate::event::Pattern;
    use crate::log::{Entry, Options, log};
    use crate::session::Selection;

    /// Topic and length of each frame; topic 1 is the group's. Three records fill a segment.
    const FRAMES: [(u16, usize); 13] = [
        (1, 5),
        (1, 9),
        (2, 7),
        (1, 30),
        (1, 6_000),
        (1, 1),
        (2, 8),
        (1, 11),
        (2, 3),
        (1, 64),
        (1, 2),
        (1, 40),
        (2, 1),
    ];

    /// The group, a window on the frames above, and the bytes of those that are the group's, with their ends.
    fn stretch() -> (Group, Reader, Vec<u8>, Vec<usize>) {
        let options = Options {
            segment_bytes: 8_192,
            segment_records: 3,
            segments_max: 8,
            shared_frame_max: 8_192,
        };
        let (mut writer, log) = log(options);
        let mut reader = log.reader();
        let selection = Selection::of([Pattern::parse("desk:*").expect("a pattern")]);
        let mut group = Group::new(Key { lane: Lane::V1, selection }, 0, 0);
        group.add_topic(1);
        group.enter(0);
        let (mut stream, mut ends) = (Vec::new(), Vec::new());
        for (place, (topic, length)) in (b'a'..).zip(FRAMES) {
            let frame = vec![place; length];
            writer.append(Entry { topic, time_us: place.into(), ..Entry::default() }, &frame);
            if topic == 1 {
                stream.extend_from_slice(&frame);
                ends.push(stream.len());
            }
        }
        writer.commit();
        reader.advance();
        let mut wanted = Vec::new();
        for_each_wanted(&group, &reader, 0..u64::MAX, |index, record| {
            wanted.push((index, *record))
        });
        for (index, record) in wanted {
            group.push(index, index + 1, record.offset, record.offset + record.length);
        }
        (group, reader, stream, ends)
    }

    /// What a cut leaves: the tail, and the group's frames from the cursor on.
    fn left(group: &Group, reader: &Reader, next: u64, remainder: &Remainder) -> Vec<u8> {
        let mut left = match remainder {
            Remainder::None => Vec::new(),
            Remainder::Bytes(bytes, 0) => bytes.clone(),
            Remainder::Bytes(..) => panic!("nothing of the tail is written yet"),
            Remainder::Segment(segment, range) => segment.bytes(range.clone()).to_vec(),
        };
        for_each_wanted(group, reader, next..u64::MAX, |index, record| {
            let segment = reader.segment(index).expect("all is in the window");
            left.extend_from_slice(segment.bytes(record.range()));
        });
        left
    }

    #[test]
    fn a_cut_at_any_byte_leaves_exactly_the_bytes_behind_it() {
        let (group, reader, stream, ends) = stretch();
        for written in 0..=stream.len() {
            let (next, remainder, frames) = cut(&group, &reader, 0, written);
            assert!(left(&group, &reader, next, &remainder) == stream[written..], "at {written}");
            let begun = ends.partition_point(|&end| end < written) + usize::from(written > 0);
            assert_eq!(frames, begun as u64, "at {written}");
            let end = ends.iter().copied().find(|&end| end >= written).expect("the last end");
            let tail = if written == 0 || end == written { 0 } else { end - written };
            match remainder {
                Remainder::None => assert_eq!(tail, 0, "at {written}"),
                Remainder::Bytes(..) => assert!((1..=4_096).contains(&tail), "at {written}"),
                Remainder::Segment(..) => assert!(tail > 4_096, "at {written}"),
            }
        }
    }

    #[test]
    fn slices_are_as_long_as_the_limit_lets_them_be_by_runs_and_by_walking() {
        let (group, reader, stream, ends) = stretch();
        for bytes_max in (1..200).chain(5_990..stream.len() + 2) {
            let (mut cursor, mut sent, mut frames_sent) = (0, 0, 0);
            while sent < stream.len() {
                let (mut scratch, mut times) = (Vec::new(), Vec::new());
                let limit = u32::try_from(bytes_max).expect("short");
                let by_runs = by_runs(&group, &reader, cursor, limit, &mut scratch, &mut times)
                    .expect("more");
                let bytes = by_runs.bytes(&reader, &scratch).to_vec();
                let (mut walked, mut walked_times) = (Vec::new(), Vec::new());
                let range = cursor..reader.head();
                let by_walking =
                    by_walking(&group, &reader, range, limit, &mut walked, &mut walked_times);
                let by_walking = by_walking.expect("more");
                assert!(by_walking.bytes(&reader, &walked) == bytes, "{bytes_max} at {cursor}");
                assert_eq!((by_walking.next, by_walking.frames), (by_runs.next, by_runs.frames));
                assert_eq!(walked_times, times);
                assert!(bytes == stream[sent..sent + bytes.len()], "{bytes_max} at {cursor}");
                assert!(bytes.len() <= bytes_max || by_runs.frames == 1, "{bytes_max} at {cursor}");
                sent += bytes.len();
                frames_sent += usize::try_from(by_runs.frames).expect("few");
                assert_eq!(ends[frames_sent - 1], sent, "whole frames");
                let following = ends.get(frames_sent).map_or(bytes_max, |end| end - sent);
                assert!(bytes.len() + following > bytes_max || sent == stream.len());
                cursor = by_runs.next;
            }
            let (mut scratch, mut times) = (Vec::new(), Vec::new());
            assert_eq!(by_runs(&group, &reader, cursor, 1, &mut scratch, &mut times), None);
            let range = cursor..reader.head();
            assert_eq!(by_walking(&group, &reader, range, 1, &mut scratch, &mut times), None);
        }
    }
}
