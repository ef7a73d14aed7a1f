//! A worker at the other end of a channel: a thread of this program, or a process that is spoken to in lines of JSON.

use std::io::{self, BufRead as _, BufReader, Write};
use std::process::{Child, ChildStdin, Command as Process, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::{Assignment, Command, Report, RunError, run};

/// Words on their way; a worker that is not heard for so long waits.
const WORDS_MAX: usize = 1_024;

/// A worker, seen from the coordinator.
#[derive(Debug)]
pub struct Link {
    /// What it says.
    pub reports: Receiver<Report>,
    commands: Commands,
}

#[derive(Debug)]
enum Commands {
    Thread(SyncSender<Command>),
    Process(ChildStdin, Child),
}

impl Link {
    /// A worker on a thread of this process.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn thread(assignment: Assignment, has_latency: bool) -> io::Result<Self> {
        let (commands, inbox) = sync_channel(WORDS_MAX);
        let (outbox, reports) = sync_channel(WORDS_MAX);
        let work = move || {
            let mut report = |report| {
                // A coordinator that is gone needs no report.
                let _ = outbox.send(report);
            };
            if let Err(error) = run(&assignment, has_latency, &inbox, &mut report) {
                report(Report::Failed(error.to_string()));
            }
        };
        thread::Builder::new().name("clients".to_owned()).spawn(work)?;
        Ok(Self { reports, commands: Commands::Thread(commands) })
    }

    /// A worker in a process of its own: this program again, told so.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn process(assignment: &Assignment, has_latency: bool) -> io::Result<Self> {
        let mut child = Process::new(std::env::current_exe()?)
            .arg("worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("a worker process without pipes"));
        };
        serde_json::to_writer(&mut stdin, &(assignment, has_latency))?;
        stdin.write_all(b"\n")?;
        let (outbox, reports) = sync_channel(WORDS_MAX);
        let read = move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let report = serde_json::from_str(&line)
                    .unwrap_or_else(|error| Report::Failed(format!("unreadable report: {error}")));
                if outbox.send(report).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("reports".to_owned()).spawn(read)?;
        Ok(Self { reports, commands: Commands::Process(stdin, child) })
    }

    /// Tells the worker something; one that has ended is known by its reports.
    pub fn tell(&mut self, command: &Command) {
        // A worker that is gone is noticed where its reports end.
        let _ = match &mut self.commands {
            Commands::Thread(sender) => sender.send(command.clone()).map_err(|_| ()),
            Commands::Process(stdin, _) => {
                let line = serde_json::to_string(command).unwrap_or_default();
                stdin.write_all(format!("{line}\n").as_bytes()).map_err(|_| ())
            }
        };
    }
}

impl Drop for Link {
    /// Ends the worker's process, if it has one.
    fn drop(&mut self) {
        if let Commands::Process(_, child) = &mut self.commands {
            // One that has ended by itself cannot be ended again.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The other side: a worker process, from the assignment on stdin to the part on stdout.
///
/// # Errors
/// What [`run`] says, and an assignment that cannot be read.
pub fn serve_commands() -> Result<(), RunError> {
    let mut first = String::new();
    io::stdin().read_line(&mut first)?;
    let (assignment, has_latency): (Assignment, bool) = serde_json::from_str(&first)
        .map_err(|error| RunError::Worker(format!("unreadable assignment: {error}")))?;
    let (commands, inbox) = sync_channel(WORDS_MAX);
    let read = move || {
        // The coordinator's end is this worker's end: the channel closes with the pipe.
        for line in io::stdin().lines().map_while(Result::ok) {
            if let Ok(command) = serde_json::from_str(&line)
                && commands.send(command).is_err()
            {
                return;
            }
        }
    };
    thread::Builder::new().name("commands".to_owned()).spawn(read)?;
    let mut say = |report: Report| {
        let line = serde_json::to_string(&report).unwrap_or_default();
        let mut out = io::stdout().lock();
        // The coordinator is gone: nobody is left to tell.
        let _ = out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush());
    };
    let outcome = run(&assignment, has_latency, &inbox, &mut say);
    if let Err(error) = &outcome {
        say(Report::Failed(error.to_string()));
    }
    outcome
}
