//! Topics by client: one text that stands for many.
//!
//! ```text
//! {i}          the client's number, from 0          user:{i}        user:17
//! {i%32}       the same, modulo                     desk:{i%32}     desk:17
//! {0..100}     each number, the last not included   t:{0..3}        t:0 t:1 t:2
//! {20/5000}    20 different numbers below 5000,     t:{20/5000}     t:4711 t:93 …
//!              the same ones for the same client
//! ```

use std::fmt::Write as _;

/// The most topics that one template may stand for.
pub const TOPICS_MAX: u64 = 65_536;

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Client(Option<u64>),
    Range(u64, u64),
    Pick(u64, u64),
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// What is wrong with it, and what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            format!("{text:?}: {what}; {{i}}, {{i%32}}, {{0..100}} and {{20/5000}} are known")
        };
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some(open) = rest.find('{') {
            let close =
                rest[open..].find('}').ok_or_else(|| wrong("a brace is not closed"))? + open;
            pieces.push(Piece::Text(rest[..open].to_owned()));
            let inside = &rest[open + 1..close];
            pieces.push(
                piece(inside).ok_or_else(|| wrong(&format!("{{{inside}}} is no placeholder")))?,
            );
            rest = &rest[close + 1..];
        }
        pieces.push(Piece::Text(rest.to_owned()));
        let many = pieces.iter().map(|piece| match piece {
            Piece::Range(from, to) => to - from,
            Piece::Pick(count, _) => *count,
            Piece::Text(_) | Piece::Client(_) => 1,
        });
        let topics = many.fold(1_u64, u64::saturating_mul);
        if topics > TOPICS_MAX {
            return Err(wrong(&format!("{topics} topics are more than {TOPICS_MAX}")));
        }
        Ok(Self(pieces))
    }

    /// What it stands for, for a client.
    #[must_use]
    pub fn expand(&self, client: u64) -> Vec<String> {
        let mut all = vec![String::new()];
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => all.iter_mut().for_each(|topic| topic.push_str(text)),
                Piece::Client(modulo) => {
                    let number = modulo.map_or(client, |modulo| client % modulo);
                    all = each(&all, std::iter::once(number));
                }
                Piece::Range(from, to) => all = each(&all, *from..*to),
                Piece::Pick(count, below) => all = each(&all, picked(client, *count, *below)),
            }
        }
        all
    }
}

fn piece(text: &str) -> Option<Piece> {
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let text = text.trim();
    if text == "i" {
        return Some(Piece::Client(None));
    }
    if let Some(modulo) = text.strip_prefix('i').and_then(|rest| rest.trim().strip_prefix('%')) {
        return number(modulo)
            .filter(|modulo| *modulo > 0)
            .map(|modulo| Piece::Client(Some(modulo)));
    }
    if let Some((from, to)) = text.split_once("..") {
        let (from, to) = (number(from)?, number(to)?);
        return (from < to).then_some(Piece::Range(from, to));
    }
    let (count, below) = text.split_once('/')?;
    let (count, below) = (number(count)?, number(below)?);
    (count > 0 && count <= below).then_some(Piece::Pick(count, below))
}

fn each(all: &[String], numbers: impl Iterator<Item = u64>) -> Vec<String> {
    let numbered = |number: u64| {
        all.iter().map(move |start| {
            let mut topic = start.clone();
            // Writing to a string cannot fail.
            let _ = write!(topic, "{number}");
            topic
        })
    };
    numbers.flat_map(numbered).collect()
}

/// `count` different numbers below `below`: a start and a step that depend on the client; a step without a common
/// divisor with `below` meets every number before it meets one again.
fn picked(client: u64, count: u64, below: u64) -> impl Iterator<Item = u64> {
    let mixed = (client + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let start = (mixed >> 32) % below;
    let mut step = (mixed & 0xffff_ffff) % below;
    while divisor(step, below) != 1 {
        step = (step + 1) % below.max(1);
        if below == 1 {
            break;
        }
    }
    (0..count).map(move |nth| {
        let at = u128::from(start) + u128::from(nth) * u128::from(step);
        u64::try_from(at % u128::from(below)).unwrap_or_default()
    })
}

fn divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn expand(text: &str, client: u64) -> Vec<String> {
        Template::parse(text).unwrap().expand(client)
    }

    #[test]
    fn each_placeholder_stands_for_what_the_table_says() {
        assert_eq!(expand("bench", 5), ["bench"]);
        assert_eq!(expand("u:{i}:x", 17), ["u:17:x"]);
        assert_eq!(expand("d:{ i % 8 }", 17), ["d:1"]);
        assert_eq!(expand("t:{0..3}", 9), ["t:0", "t:1", "t:2"]);
        assert_eq!(expand("d{i%2}:t{0..2}", 3), ["d1:t0", "d1:t1"]);
        let own = expand("t:{20/5000}", 3);
        assert_eq!((own.len(), &own), (20, &expand("t:{20/5000}", 3)));
        assert_ne!(own, expand("t:{20/5000}", 4));
        assert_eq!(expand("t:{1/1}", 3), ["t:0"]);
    }

    #[test]
    fn what_is_no_template_is_refused_with_what_is_known() {
        for bad in ["{", "{x}", "{i%0}", "{3..3}", "{4..3}", "{6/5}", "{0/5}", "{i%}", "{}"] {
            assert!(Template::parse(bad).unwrap_err().contains("{0..100}"), "{bad}");
        }
        for (topics, is_ok) in [(65_535, true), (65_536, true), (65_537, false)] {
            assert_eq!(Template::parse(&format!("{{0..{topics}}}")).is_ok(), is_ok, "{topics}");
        }
    }

    proptest! {
        #[test]
        fn picked_numbers_differ_and_stay_below(client: u32, below in 1_u64..6_000, count in 1_u64..60) {
            let count = count.min(below);
            let all: Vec<u64> = picked(u64::from(client), count, below).collect();
            prop_assert!(all.iter().all(|number| *number < below));
            prop_assert_eq!(all.iter().collect::<HashSet<_>>().len() as u64, count);
        }

        #[test]
        fn any_text_is_parsed_without_a_panic(text in ".{0,20}") {
            let _ = Template::parse(&text);
        }
    }
}
