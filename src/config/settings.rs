//! What the `lineage` binary is told, gathered in layers: defaults, then a file, then the environment, then flags.
//!
//! Each layer overwrites what it names and nothing else. A layer that names something wrong is refused as a whole
//! with the place, the key, the value and what is allowed; secrets are never repeated.

use super::keys::Key;
use super::{Config, Profile, text};
use crate::error::Error;
use crate::http::PublishAccess;
use std::path::{Path, PathBuf};

/// The switch by which older deployments turn the hub off.
const ARCHITECTURE_VARIABLE: &str = "USE_NEW_ARCHITECTURE";

/// Everything `lineage serve` is told: the engine's [`Config`] and what concerns the process around it.
#[derive(Clone)]
pub struct Settings {
    /// For the engine; complete after [`finish`](Self::finish).
    pub config: Config,
    /// Form of the log.
    pub log_format: LogFormat,
    /// Filter of the log, as `tracing_subscriber::EnvFilter` reads it.
    pub log_level: String,
    /// Where to write the addresses listened on.
    pub ports_file: Option<PathBuf>,
    /// What stands for the options that are not given.
    pub profile: Profile,
    pub(super) publish: PublishMode,
    pub(super) publish_token: Option<String>,
    /// Names of the options that some layer has set.
    pub(super) given: Vec<&'static str>,
}

/// Form of the log on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    pub(super) fn parse(text: &str) -> Result<Self, text::Allowed> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("`text` or `json`".to_owned()),
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// [`PublishAccess`] while the token may still be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PublishMode {
    Off,
    Loopback,
    Token,
}

impl PublishMode {
    pub(super) fn parse(text: &str) -> Result<Self, text::Allowed> {
        match text {
            "off" => Ok(Self::Off),
            "loopback" => Ok(Self::Loopback),
            "token" => Ok(Self::Token),
            _ => Err("`off`, `loopback` or `token`".to_owned()),
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Loopback => "loopback",
            Self::Token => "token",
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            config: Config::default(),
            log_format: LogFormat::Text,
            log_level: "info".to_owned(),
            ports_file: None,
            profile: Profile::All,
            publish: PublishMode::Off,
            publish_token: None,
            given: Vec::new(),
        }
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("config", &self.config)
            .field("log_format", &self.log_format)
            .field("log_level", &self.log_level)
            .field("ports_file", &self.ports_file)
            .field("profile", &self.profile)
            .field("publish", &self.publish)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// Lays a TOML file over what is there.
    ///
    /// # Errors
    /// [`Error::Config`] when it cannot be read, or as [`apply_toml`](Self::apply_toml).
    pub fn apply_file(&mut self, path: &Path) -> Result<(), Error> {
        let origin = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::Config(format!("cannot read {origin}: {error}")))?;
        self.apply_toml(&text, &origin)
    }

    /// Lays TOML text over what is there; `origin` names it in errors.
    ///
    /// # Errors
    /// [`Error::Config`] when it is not TOML, or names an unknown key or a value that is not allowed.
    pub fn apply_toml(&mut self, text: &str, origin: &str) -> Result<(), Error> {
        let table: toml::Table =
            text.parse().map_err(|error| Error::Config(format!("{origin}: {error}")))?;
        for (name, value) in &flat(table) {
            let key = Key::ALL.iter().find(|key| key.name == name.replace('.', "_")).ok_or_else(
                || {
                    let hint = nearest(name).map_or_else(
                        || "`lineage serve --help` lists them".to_owned(),
                        |key| format!("did you mean `{key}`?"),
                    );
                    Error::Config(format!("{origin}: unknown key `{name}`; {hint}"))
                },
            )?;
            let shown = if key.is_secret() { "…".to_owned() } else { value.to_string() };
            let text = plain(value).ok_or_else(|| {
                Error::Config(format!("{origin}: {name} = {shown} is not one {}", key.value))
            })?;
            self.lay(key, &text).map_err(|allowed| {
                Error::Config(format!("{origin}: {name} = {shown} is not {allowed}"))
            })?;
        }
        Ok(())
    }

    /// Lays environment variables over what is there; those that are empty or not ours are passed over (an
    /// orchestrator may put others called `LINEAGE_…` there). `USE_NEW_ARCHITECTURE=false`, which other task hubs
    /// know, turns the hub off unless `LINEAGE_HUB_ENABLED` says otherwise.
    ///
    /// # Errors
    /// [`Error::Config`] for a value that is not allowed.
    pub fn apply_environment(
        &mut self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<(), Error> {
        let is_old =
            variable(ARCHITECTURE_VARIABLE).is_some_and(|text| text.eq_ignore_ascii_case("false"));
        if is_old {
            self.config.hub_enabled = false;
            self.given.push("hub_enabled");
        }
        for key in Key::ALL {
            let name = key.variable();
            let Some(text) = variable(&name).filter(|text| !text.is_empty()) else { continue };
            self.lay(key, &text).map_err(|allowed| {
                let shown = if key.is_secret() { "…" } else { &text };
                Error::Config(format!("{name}={shown} is not {allowed}"))
            })?;
        }
        Ok(())
    }

    /// Lays one flag over what is there.
    ///
    /// # Errors
    /// [`Error::Usage`] for a value that is not allowed.
    pub fn apply_flag(&mut self, key: &Key, text: &str) -> Result<(), Error> {
        self.lay(key, text)
            .map_err(|allowed| Error::Usage(format!("--{} {text} is not {allowed}", key.flag())))
    }

    /// Sets an option, which is then no longer the profile's to set.
    fn lay(&mut self, key: &Key, text: &str) -> Result<(), text::Allowed> {
        (key.apply)(self, text)?;
        self.given.push(key.name);
        Ok(())
    }

    /// Sets what no layer has set as the profile has it.
    fn lay_profile(&mut self) -> Result<(), Error> {
        let wanted = Self { config: self.profile.config(), ..Self::default() };
        let free = |key: &&Key| key.name != "profile" && !self.given.contains(&key.name);
        for key in Key::ALL.iter().filter(free).collect::<Vec<_>>() {
            let text = (key.show)(&wanted);
            if text != key.default_text() {
                (key.apply)(self, &text).map_err(|allowed| {
                    let (profile, name) = (self.profile.word(), key.name);
                    Error::Config(format!("profile {profile}: {name} = {text} is not {allowed}"))
                })?;
            }
        }
        Ok(())
    }

    /// Puts the parts together that need each other, the profile below all of them, and checks the whole.
    ///
    /// # Errors
    /// [`Error::Config`] when a token is asked for and none is set, or as [`Config::validate`].
    pub fn finish(mut self) -> Result<Self, Error> {
        self.lay_profile()?;
        self.config.publish = match (self.publish, self.publish_token.take()) {
            (PublishMode::Off, _) => PublishAccess::Off,
            (PublishMode::Loopback, _) => PublishAccess::Loopback,
            (PublishMode::Token, Some(token)) => PublishAccess::Token(token),
            (PublishMode::Token, None) => {
                let reason = "publish = token needs a token: set LINEAGE_PUBLISH_TOKEN, or publish_token in the file";
                return Err(Error::Config(reason.to_owned()));
            }
        };
        self.config.validate()?;
        Ok(self)
    }
}

/// The values of a table and of the tables in it, under names joined with a dot: `path` of `[store]` is `store.path`.
fn flat(table: toml::Table) -> Vec<(String, toml::Value)> {
    let mut found = Vec::new();
    for (name, value) in table {
        match value {
            toml::Value::Table(inner) => found.extend(
                flat(inner).into_iter().map(|(rest, value)| (format!("{name}.{rest}"), value)),
            ),
            value => found.push((name, value)),
        }
    }
    found
}

/// The value as it would be written in a flag; `None` for tables, dates and lists of anything but text.
fn plain(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Array(values) => values
            .iter()
            .map(toml::Value::as_str)
            .collect::<Option<Vec<_>>>()
            .map(|words| words.join(",")),
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

/// The key that `name` was probably meant to be: few letters apart, or the same words in another order.
fn nearest(name: &str) -> Option<&'static str> {
    let words = |name: &str| {
        let mut words: Vec<_> = name.split(['_', '-', '.']).map(str::to_ascii_lowercase).collect();
        words.sort_unstable();
        words.join("_")
    };
    let distance = |key: &Key| {
        distance(&name.replace('-', "_"), key.name).min(distance(&words(name), &words(key.name)))
    };
    Key::ALL
        .iter()
        .map(|key| (distance(key), key.name))
        .min()
        .filter(|(distance, _)| *distance <= (name.chars().count() / 3).max(2))
        .map(|(_, name)| name)
}

/// Letters to insert, remove or replace to get from one word to the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}
