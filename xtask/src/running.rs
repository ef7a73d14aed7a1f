//! A program that runs beside a task: awaited until it listens, ended by its process id, never left behind.

use crate::Outcome;
use crate::line::Line;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A child process; ended when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    line: Line,
}

impl Running {
    /// Starts `line`; its output goes to the file `log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(line: &Line, log: &Path) -> Outcome<Self> {
        let file =
            std::fs::File::create(log).map_err(|error| format!("{}: {error}", log.display()))?;
        let copy = file.try_clone().map_err(|error| format!("{}: {error}", log.display()))?;
        let child = line.command().stdin(Stdio::null()).stdout(file).stderr(copy).spawn();
        let child = child.map_err(|error| format!("cannot run `{line}`: {error}"))?;
        Ok(Self { child, line: line.clone() })
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `is_ready`, for `limit` at most.
    ///
    /// # Errors
    /// When it ended before, or the limit passed.
    pub(crate) fn wait_until(
        &mut self,
        limit: Duration,
        mut is_ready: impl FnMut() -> bool,
    ) -> Outcome {
        let start = Instant::now();
        while !is_ready() {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("`{}` ended early with {status}", self.line));
            }
            if start.elapsed() > limit {
                return Err(format!("`{}` was not ready within {limit:?}", self.line));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Waits until it ends by itself, for `limit` at most.
    ///
    /// # Errors
    /// When it does not end in time.
    pub(crate) fn wait(&mut self, limit: Duration) -> Outcome<ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < limit {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(format!("`{}` did not end within {limit:?}", self.line))
    }

    /// Asks it to end (SIGTERM) and waits for it, for `limit` at most.
    ///
    /// # Errors
    /// When it does not end in time, or ends with anything but success.
    pub(crate) fn terminate(mut self, limit: Duration) -> Outcome {
        Line::new("kill -TERM").arg(self.id().to_string()).output()?;
        let status = self.wait(limit)?;
        status.success().then_some(()).ok_or_else(|| format!("`{}` ended with {status}", self.line))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(line: &str) -> Running {
        Running::start(&Line::new(line), Path::new("/dev/null")).unwrap()
    }

    #[test]
    fn a_program_that_ends_early_is_an_error() {
        let why = start("false").wait_until(Duration::from_secs(10), || false).unwrap_err();
        assert!(why.contains("ended early"), "{why}");
    }

    #[test]
    fn a_program_is_ended_by_its_id_and_with_its_owner() {
        assert!(start("true").wait(Duration::from_secs(10)).unwrap().success());
        let why = start("sleep 600").terminate(Duration::from_secs(10)).unwrap_err();
        assert!(why.contains("signal"), "{why}");
        let sleeping = start("sleep 600");
        let id = sleeping.id();
        drop(sleeping);
        assert!(!Path::new(&format!("/proc/{id}")).exists());
    }
}
