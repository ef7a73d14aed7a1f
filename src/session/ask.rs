//! A subscribe that is no message: what a client asks for in the address of an HTTP request, held to the same limits.

use super::message::{Asked, named};
use super::{Limits, Mode, Resume, Session, Subscribe};
use std::collections::HashSet;

impl Session {
    /// A subscribe in mode `all`, to be [joined](Self::join). Names that are not taken are in its
    /// [`rejected`](Subscribe::rejected).
    pub fn ask<'a>(
        &mut self,
        names: impl IntoIterator<Item = &'a str>,
        wants_snapshot: bool,
        from: Option<Resume>,
        limits: &Limits,
    ) -> Subscribe {
        let mut seen = HashSet::new();
        let distinct = names.into_iter().filter(|name| seen.insert(*name));
        let names = distinct.map(|name| named(name, limits)).collect();
        let asked = Asked { names, mode: Mode::All, wants_snapshot, from, on_lag: None };
        self.admit(None, asked, limits)
    }
}

impl Subscribe {
    /// Names that were not taken, in the order asked, each with the code that says why.
    #[must_use]
    pub fn rejected(&self) -> &[(String, &'static str)] {
        &self.rejected
    }
}
