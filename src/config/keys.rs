//! What an option is: name, form, range and explanation, once.
//!
//! Flags (`--lag-bytes-max 2MiB`), environment (`LINEAGE_LAG_BYTES_MAX=2MiB`) and file (`lag_bytes_max = "2MiB"`)
//! are three spellings of one row of the table (`rows`). What an embedding program put into a `Config` is checked by the same rows.

use super::rows::KEYS;
use super::settings::Settings;
use super::text::Allowed;
use super::{Config, Error};

/// Options that belong together, in the order of the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Where to listen.
    Listeners,
    /// Where events come from.
    Source,
    /// What runs beside the broadcast.
    Systems,
    /// Markets and agents of the simulation.
    Arena,
    /// The hub of tasks.
    Hub,
    /// The ledger network.
    Chain,
    /// What is made of trades, and who is told.
    Pipeline,
    /// What is kept in a file.
    Store,
    /// Who may publish from outside.
    Publishing,
    /// Sizes of the engine.
    Engine,
    /// Limits on connections.
    Connections,
    /// Limits on a connected client.
    Clients,
    /// The process around the engine.
    Process,
}

impl Group {
    /// The heading in the help.
    #[must_use]
    pub fn heading(self) -> &'static str {
        match self {
            Self::Listeners => "Listeners",
            Self::Source => "Source of events",
            Self::Systems => "Systems",
            Self::Arena => "Arena",
            Self::Hub => "Hub",
            Self::Chain => "Chain",
            Self::Pipeline => "Candles, indicators and alerts",
            Self::Store => "Store",
            Self::Publishing => "Publishing from outside",
            Self::Engine => "Engine",
            Self::Connections => "Connections",
            Self::Clients => "Clients",
            Self::Process => "Process",
        }
    }
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Name in the file, and field of [`Config`] where it has one: `lag_bytes_max`.
    pub name: &'static str,
    /// The form of its value, for the help: `SIZE`.
    pub value: &'static str,
    /// One sentence on what it does.
    pub help: &'static str,
    /// Where it stands in the help.
    pub group: Group,
    /// Reads a value; the error is what is allowed.
    pub(super) apply: fn(&mut Settings, &str) -> Result<(), Allowed>,
    /// The value as text that `apply` takes.
    pub(super) show: fn(&Settings) -> String,
}

impl Key {
    /// All rows.
    pub const ALL: &'static [Self] = KEYS;

    /// The name as a flag, without the dashes in front: `lag-bytes-max`.
    #[must_use]
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// The name in the environment: `LINEAGE_LAG_BYTES_MAX`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("LINEAGE_{}", self.name.to_ascii_uppercase())
    }

    /// Whether its value must not appear in messages, nor on a command line that others can read.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        matches!(self.name, "publish_token" | "webhook_secret")
    }

    /// The default as text; empty where there is none.
    #[must_use]
    pub fn default_text(&self) -> String {
        (self.show)(&Settings::default())
    }
}

/// Checks each field of `config` against its row.
pub(super) fn check_ranges(config: &Config) -> Result<(), Error> {
    let given = Settings { config: config.clone(), ..Settings::default() };
    let mut scratch = Settings::default();
    for key in KEYS {
        let shown = (key.show)(&given);
        (key.apply)(&mut scratch, &shown).map_err(|allowed| {
            let shown = if key.is_secret() { "…" } else { &shown };
            Error::Config(format!("{} = {shown} is not {allowed}", key.name))
        })?;
    }
    Ok(())
}
