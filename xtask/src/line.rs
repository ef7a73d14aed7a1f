//! A command line: shown as a person would type it, then run. Never through a shell.

use crate::Outcome;
use std::fmt;
use std::process::{Command, Stdio};

/// A program, its arguments and its own environment.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    words: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Line {
    /// Splits `line` at white space.
    pub(crate) fn new(line: &str) -> Self {
        let words = line.split_whitespace().map(str::to_owned).collect();
        Self { words, environment: Vec::new() }
    }

    /// Adds one argument, white space and all.
    pub(crate) fn arg(mut self, argument: impl Into<String>) -> Self {
        self.words.push(argument.into());
        self
    }

    /// Sets a variable.
    pub(crate) fn env(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.environment.push((name.to_owned(), value.to_string()));
        self
    }

    /// The command, ready to run.
    pub(crate) fn command(&self) -> Command {
        let (program, arguments) = self.words.split_first().expect("a line has a program");
        let mut command = Command::new(program);
        command.args(arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Shows the line, runs it with the terminal's input and output, and waits.
    ///
    /// # Errors
    /// When it cannot be started, or ends with anything but success.
    pub(crate) fn run(&self) -> Outcome {
        println!("$ {self}");
        let status = self.command().stdin(Stdio::null()).status();
        let status = status.map_err(|error| format!("cannot run `{self}`: {error}"))?;
        status.success().then_some(()).ok_or_else(|| format!("`{self}` ended with {status}"))
    }

    /// Runs it quietly and returns what it wrote to standard output; errors go to the terminal.
    ///
    /// # Errors
    /// When it cannot be started, or ends with anything but success.
    pub(crate) fn output(&self) -> Outcome<String> {
        let output = self.command().stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let output = output.map_err(|error| format!("cannot run `{self}`: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let status = output.status;
        status.success().then_some(text).ok_or_else(|| format!("`{self}` ended with {status}"))
    }
}

impl fmt::Display for Line {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |word: &str| {
            let is_plain = word
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_=./:,+".contains(&byte));
            if is_plain { word.to_owned() } else { format!("'{word}'") }
        };
        let variables =
            self.environment.iter().map(|(name, value)| format!("{name}={}", quoted(value)));
        let all: Vec<String> =
            variables.chain(self.words.iter().map(|word| quoted(word))).collect();
        out.write_str(&all.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown_as_it_would_be_typed() {
        let line = Line::new("cargo test  --release").env("RUSTFLAGS", "--cfg x").arg("{\"a\":1}");
        assert_eq!(line.to_string(), "RUSTFLAGS='--cfg x' cargo test --release '{\"a\":1}'");
    }

    #[test]
    fn a_line_that_fails_is_an_error_with_its_name() {
        assert!(Line::new("true").run().is_ok());
        assert!(Line::new("false").run().is_err_and(|why| why.starts_with("`false` ended with")));
        assert!(Line::new("no-such-program-here").run().is_err());
        assert_eq!(Line::new("echo a").output().unwrap(), "a\n");
    }
}
