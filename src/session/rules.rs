//! What a connection is subscribed to, and in which mode it gets a topic that several of its patterns name.
//!
//! The algebra of the protocol: an exact pattern decides, else the latest wildcard that matches. Mode `latest` is for
//! state topics only, so a pattern in that mode says nothing about an event topic. [`Rules`] is what one connection
//! has asked for; a [`Selection`] is what follows from it for one mode, in a form that is equal for connections that
//! get the same: connections with equal selections share a group.
//!
//! Pure; called when a subscription changes and when a topic appears, never per event.

use crate::event::{Class, Pattern};

/// How often a conflated view may say something about a topic, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rate(u8);

impl Rate {
    /// The rates there are, in events per second.
    pub const HZ: [u64; 7] = [1, 2, 5, 10, 20, 50, 100];
    /// The rate of a subscribe that names none: 10 per second.
    pub const DEFAULT: Self = Self(3);

    /// The rate of `hz` per second, if there is one.
    #[must_use]
    pub fn of_hz(hz: u64) -> Option<Self> {
        let place = Self::HZ.iter().position(|&known| known == hz)?;
        u8::try_from(place).ok().map(Self)
    }

    /// Per second.
    #[must_use]
    pub fn hz(self) -> u64 {
        Self::HZ[self.place()]
    }

    /// Place in [`HZ`](Self::HZ).
    #[must_use]
    pub fn place(self) -> usize {
        usize::from(self.0)
    }

    /// All of them, slowest first.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..7).map(Self)
    }
}

/// What of a topic is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// Every event.
    All,
    /// The newest, at most so often.
    Latest(Rate),
}

impl Mode {
    /// Whether a pattern in this mode says something about topics of `class`.
    #[must_use]
    pub fn applies_to(self, class: Class) -> bool {
        self == Self::All || class == Class::State
    }
}

/// The patterns of one connection, each with its mode.
#[derive(Debug, Default)]
pub struct Rules {
    /// Sorted by pattern.
    exact: Vec<(Pattern, Mode)>,
    /// Sorted by stem; each with the number of its asking, which grows.
    wild: Vec<(Wild, Mode)>,
    asked: u64,
}

/// A wildcard and its rank: of two that match, the one with the higher rank decides.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Wild {
    /// Its text without the star.
    stem: Box<str>,
    rank: u64,
}

/// What decides about `name` among wildcards sorted by stem: of those that match and are usable the one with the
/// highest rank. A name has as many possible stems as segments, so it does not matter how many wildcards there are.
fn deciding<'a, M>(
    wild: &'a [(Wild, M)],
    name: &str,
    is_usable: impl Fn(&M) -> bool,
) -> Option<&'a M> {
    let ends = name.bytes().enumerate().filter(|(_, byte)| *byte == b':').map(|(at, _)| at + 1);
    let found = std::iter::once(0)
        .chain(ends)
        .filter_map(|end| wild.binary_search_by(|(known, _)| (*known.stem).cmp(&name[..end])).ok());
    let usable = found.map(|place| &wild[place]).filter(|(_, what)| is_usable(what));
    usable.max_by_key(|(known, _)| known.rank).map(|(_, what)| what)
}

fn stem(wildcard: &Pattern) -> &str {
    wildcard.as_str().trim_end_matches('*')
}

impl Rules {
    /// How many patterns there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.exact.len() + self.wild.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The patterns, sorted by their text.
    #[must_use]
    pub fn patterns(&self) -> Vec<Pattern> {
        let wild = self
            .wild
            .iter()
            .filter_map(|(known, _)| Pattern::parse(&format!("{}*", known.stem)).ok());
        let mut patterns: Vec<Pattern> =
            self.exact.iter().map(|(pattern, _)| pattern.clone()).chain(wild).collect();
        patterns.sort_unstable();
        patterns
    }

    /// Whether this pattern, by its text, is one of them.
    #[must_use]
    pub fn has(&self, pattern: &Pattern) -> bool {
        if pattern.is_exact() {
            self.find(pattern.as_str()).is_ok()
        } else {
            self.find_wild(pattern).is_ok()
        }
    }

    /// Adds a pattern, or gives it another mode; of wildcards it is then the latest.
    pub fn add(&mut self, pattern: Pattern, mode: Mode) {
        if pattern.is_exact() {
            match self.find(pattern.as_str()) {
                Ok(place) => self.exact[place].1 = mode,
                Err(place) => self.exact.insert(place, (pattern, mode)),
            }
            return;
        }
        self.asked += 1;
        let wild = (Wild { stem: stem(&pattern).into(), rank: self.asked }, mode);
        match self.find_wild(&pattern) {
            Ok(place) => self.wild[place] = wild,
            Err(place) => self.wild.insert(place, wild),
        }
    }

    /// Takes a pattern out; false when it was not there.
    pub fn remove(&mut self, pattern: &Pattern) -> bool {
        if pattern.is_exact() {
            self.find(pattern.as_str()).map(|place| drop(self.exact.remove(place))).is_ok()
        } else {
            self.find_wild(pattern).map(|place| drop(self.wild.remove(place))).is_ok()
        }
    }

    /// The mode in which a topic is delivered, if it is.
    #[must_use]
    pub fn mode_of(&self, name: &str, class: Class) -> Option<Mode> {
        let exact = self.find(name).ok().map(|place| self.exact[place].1);
        exact
            .filter(|mode| mode.applies_to(class))
            .or_else(|| deciding(&self.wild, name, |mode: &Mode| mode.applies_to(class)).copied())
    }

    /// The modes that occur, each once.
    #[must_use]
    pub fn modes(&self) -> Vec<Mode> {
        let exact = self.exact.iter().map(|(_, mode)| *mode);
        let mut modes: Vec<Mode> = exact.chain(self.wild.iter().map(|(_, mode)| *mode)).collect();
        modes.sort_unstable();
        modes.dedup();
        modes
    }

    /// What is delivered in `mode`.
    #[must_use]
    pub fn selection(&self, mode: Mode) -> Selection {
        let mut exact: Vec<_> =
            self.exact.iter().map(|(pattern, own)| (pattern.clone(), *own == mode)).collect();
        let mut wild: Vec<_> =
            self.wild.iter().map(|(known, own)| (known.clone(), *own == mode)).collect();
        let included: Vec<_> = wild.iter().filter(|(_, is_in)| *is_in).cloned().collect();
        let is_within = |name: &str| deciding(&included, name, |_: &bool| true).is_some();
        // Of the others only those matter that take something from a wildcard of this mode.
        exact.retain(|(pattern, is_in)| *is_in || is_within(pattern.as_str()));
        wild.retain(|(known, is_in)| {
            *is_in
                || included
                    .iter()
                    .any(|(other, _)| other.rank < known.rank && overlap(known, other))
        });
        if exact.iter().all(|(_, is_in)| *is_in) && wild.iter().all(|(_, is_in)| *is_in) {
            exact.retain(|(pattern, _)| !is_within(pattern.as_str()));
            // A wildcard's stem without its colon is a name that only wider wildcards match.
            wild.retain(|(known, _)| {
                known.stem.strip_suffix(':').is_none_or(|name| !is_within(name))
            });
            wild.iter_mut().for_each(|(known, _)| known.rank = 0);
        } else {
            let mut ranks: Vec<u64> = wild.iter().map(|(known, _)| known.rank).collect();
            ranks.sort_unstable();
            for (known, _) in &mut wild {
                known.rank = ranks.partition_point(|&rank| rank < known.rank) as u64;
            }
        }
        Selection { is_conflated: mode != Mode::All, exact: exact.into(), wild: wild.into() }
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.exact.binary_search_by(|(pattern, _)| pattern.as_str().cmp(name))
    }

    fn find_wild(&self, pattern: &Pattern) -> Result<usize, usize> {
        self.wild.binary_search_by(|(known, _)| (*known.stem).cmp(stem(pattern)))
    }
}

fn overlap(one: &Wild, other: &Wild) -> bool {
    one.stem.starts_with(&*other.stem) || other.stem.starts_with(&*one.stem)
}

/// The topics that a connection gets in one mode: patterns that are in, and patterns that take something from them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Selection {
    is_conflated: bool,
    /// Sorted.
    exact: Box<[(Pattern, bool)]>,
    /// Sorted by stem.
    wild: Box<[(Wild, bool)]>,
}

impl Selection {
    /// Every event of the topics that any of `patterns` names.
    #[must_use]
    pub fn of(patterns: impl IntoIterator<Item = Pattern>) -> Self {
        let mut rules = Rules::default();
        patterns.into_iter().for_each(|pattern| rules.add(pattern, Mode::All));
        rules.selection(Mode::All)
    }

    /// Whether a topic is delivered.
    #[must_use]
    pub fn wants(&self, name: &str, class: Class) -> bool {
        if self.is_conflated && class == Class::Event {
            return false;
        }
        // What is not in is in mode `latest` elsewhere, or this is a conflated selection, of state topics only.
        let counts = |is_in: bool| is_in || class == Class::State;
        let exact = self.exact.binary_search_by(|(pattern, _)| pattern.as_str().cmp(name));
        if let Ok(place) = exact
            && counts(self.exact[place].1)
        {
            return self.exact[place].1;
        }
        deciding(&self.wild, name, |is_in: &bool| counts(*is_in)).is_some_and(|is_in| *is_in)
    }

    /// Whether it is every topic (of a conflated selection: every state topic).
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.exact.is_empty() && matches!(&*self.wild, [(known, true)] if known.stem.is_empty())
    }

    /// The patterns whose topics are in, sorted by their text.
    #[must_use]
    pub fn patterns(&self) -> Vec<Pattern> {
        let wild = self.wild.iter().filter(|(_, is_in)| *is_in);
        let wild = wild.filter_map(|(known, _)| Pattern::parse(&format!("{}*", known.stem)).ok());
        let exact = self.exact.iter().filter(|(_, is_in)| *is_in);
        let mut patterns: Vec<_> = exact.map(|(pattern, _)| pattern.clone()).chain(wild).collect();
        patterns.sort_unstable();
        patterns
    }

    /// Whether topics may come to it whose names it does not have.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.wild.is_empty()
    }

    /// The names it has of its own.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.exact.iter().filter(|(_, is_in)| *is_in).map(|(pattern, _)| pattern.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PATTERNS: [&str; 9] = ["*", "a:*", "a:b:*", "c:*", "a:b", "a:b:c", "a:d", "c:d", "e"];
    const NAMES: [&str; 8] = ["a:b", "a:b:c", "a:b:f", "a:d", "c:d", "c:g", "e", "h:i:j"];

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).expect("a pattern")
    }

    fn mode(number: usize) -> Mode {
        [Mode::All, Mode::Latest(Rate(0)), Mode::Latest(Rate(5))][number]
    }

    proptest! {
        #[test]
        fn every_topic_is_in_the_selection_of_its_mode_and_in_no_other(
            steps in prop::collection::vec((0..PATTERNS.len(), 0..4usize), 0..14)
        ) {
            let mut rules = Rules::default();
            let mut order: Vec<(&str, usize)> = Vec::new();
            for (place, what) in steps {
                let text = PATTERNS[place];
                let was_there = order.iter().any(|(known, _)| *known == text);
                order.retain(|(known, _)| *known != text);
                if what == 3 {
                    prop_assert_eq!(rules.remove(&pattern(text)), was_there);
                } else {
                    rules.add(pattern(text), mode(what));
                    order.push((text, what));
                }
                prop_assert_eq!(rules.len(), order.len());
                for (name, class) in NAMES.iter().flat_map(|name| [(name, Class::State), (name, Class::Event)]) {
                    let usable = |what: usize| class == Class::State || what == 0;
                    let exact = order.iter().find(|(text, what)| text == name && usable(*what));
                    let wild = order.iter().rev().find(|(text, what)| {
                        text.ends_with('*') && usable(*what) && pattern(text).matches(name)
                    });
                    let expected = exact.or(wild).map(|(_, what)| mode(*what));
                    prop_assert_eq!(rules.mode_of(name, class), expected, "{} {:?}", name, class);
                    for what in 0..3 {
                        let selection = rules.selection(mode(what));
                        let is_in = expected == Some(mode(what));
                        prop_assert_eq!(selection.wants(name, class), is_in, "{} {:?}", name, selection);
                    }
                }
            }
        }
    }

    #[test]
    fn connections_that_get_the_same_have_equal_selections() {
        let all = |names: &[&str]| Selection::of(names.iter().map(|name| pattern(name)));
        assert_eq!(all(&["a:b", "a:*", "c:*"]), all(&["c:*", "a:*"]));
        assert_eq!(all(&["a:*", "*", "e"]), all(&["*"]));
        assert!(all(&["a:*", "*"]).is_all() && !all(&["a:*"]).is_all());
        let mut both = Rules::default();
        both.add(pattern("a:*"), Mode::All);
        both.add(pattern("c:*"), Mode::Latest(Rate::DEFAULT));
        assert_eq!(both.selection(Mode::All), all(&["a:*"]));
        both.add(pattern("a:b"), Mode::Latest(Rate::DEFAULT));
        assert_ne!(both.selection(Mode::All), all(&["a:*"]));
    }

    #[test]
    fn rates_are_those_of_the_protocol() {
        for hz in 0..=101 {
            let rate = Rate::of_hz(hz);
            assert_eq!(rate.is_some(), [1, 2, 5, 10, 20, 50, 100].contains(&hz), "{hz}");
            assert!(rate.is_none_or(|rate| rate.hz() == hz));
        }
        assert_eq!(Rate::DEFAULT.hz(), 10);
        assert_eq!(Rate::all().map(Rate::hz).collect::<Vec<_>>(), Rate::HZ);
    }
}
