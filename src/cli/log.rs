//! Logging: to stderr, so that stdout belongs to what was asked for; for people or as JSON lines.

use lineage::config::{LogFormat, Settings};
use lineage::error::Error;
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// Sets the process's logging up; once.
///
/// # Errors
/// When the level is not a filter.
pub(super) fn start(settings: &Settings) -> Result<(), Error> {
    let filter = EnvFilter::try_new(&settings.log_level).map_err(|error| {
        Error::Config(format!("log_level = {} is not a filter: {error}", settings.log_level))
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match settings.log_format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    }
    .map_err(|error| Error::Runtime(format!("cannot start logging: {error}")))
}
