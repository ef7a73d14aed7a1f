//! The programs that are compared, and how each is started in a setting.

use super::settings::{Load, Setting};
use crate::Outcome;
use crate::line::Line;
use crate::tools;
use std::path::{Path, PathBuf};

/// Where the yardstick is looked for when `LINEAGE_FANBENCH` does not say, and where it is built.
const YARDSTICK: &str = "../shared/tools/fanbench";
const BUILT: &str = "target/fanbench";

const SUBSCRIBE: &str = r#"{"op":"subscribe","topics":["bench"]}"#;
/// Longer than any run: a program that is not ended ends itself.
const SECONDS_MAX: u32 = 180;
/// Bytes of an event's payload, the same for every program.
const SIZE_BYTES: u32 = 200;

/// One program of the rotation.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// What the table calls it.
    pub(crate) label: &'static str,
    kind: Kind,
    path: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A publisher on top of the library: clients subscribe on `/v1`, sweeps are acknowledged by UDP.
    ClosedLoop,
    /// As `ClosedLoop`, but its clients have nothing to subscribe to.
    Plain,
    /// The server itself, without a source.
    Serve,
    /// Raw C: sweeps are acknowledged on the first connection.
    Raw,
    /// A server on other people's libraries: all its clients get everything.
    Rival(&'static str),
}

/// The rivals, by the name that `benches/compare` knows and the one that the table has.
const RIVALS: [(&str, &str); 5] = [
    ("raw", "raw Rust"),
    ("naive", "tokio-tungstenite, naive"),
    ("tuned", "tokio-tungstenite, tuned"),
    ("axum", "axum"),
    ("fastwebsockets", "fastwebsockets"),
];
/// Where they are built.
const RIVALS_BUILT: &str = "target/compare";

/// All that is needed for the figures.
#[derive(Debug)]
pub(crate) struct Programs {
    rawfan: PathBuf,
    other: Option<(Kind, PathBuf)>,
    has_rivals: bool,
    /// The load generator.
    pub(crate) generator: PathBuf,
}

impl Programs {
    /// Builds the release programs and finds or builds the yardstick.
    ///
    /// # Errors
    /// When something cannot be built.
    pub(crate) fn build(with: Option<PathBuf>, plain: Option<PathBuf>) -> Outcome<Self> {
        let other =
            with.map(|path| (Kind::ClosedLoop, path)).or(plain.map(|path| (Kind::Plain, path)));
        if let Some((_, path)) = other.as_ref().filter(|(_, path)| !path.is_file()) {
            return Err(format!("there is no program {}", path.display()));
        }
        Line::new("cargo build --release --bin lineage --example closed_loop").run()?;
        let folder = yardstick()?;
        let (rawfan, generator) = (folder.join("rawfan"), folder.join("fanbench"));
        Ok(Self { rawfan, other, has_rivals: false, generator })
    }

    /// Builds the rivals, and puts them into the rotation.
    ///
    /// # Errors
    /// When they cannot be built.
    pub(crate) fn add_rivals(&mut self) -> Outcome {
        let build = "cargo build --release --bin rivals --manifest-path benches/compare/Cargo.toml";
        Line::new(build).arg("--target-dir").arg(RIVALS_BUILT).run()?;
        self.has_rivals = true;
        Ok(())
    }

    /// The rotation in a setting: ours first, raw C second, then the optional third, the rivals last.
    pub(crate) fn of(&self, setting: &Setting) -> Vec<Program> {
        let program = |label, kind, path: &Path| Program { label, kind, path: path.to_owned() };
        let ours = if setting.is_idle() {
            program("Lineage", Kind::Serve, Path::new("target/release/lineage"))
        } else {
            program("Lineage", Kind::ClosedLoop, Path::new("target/release/examples/closed_loop"))
        };
        let mut all = vec![ours, program("raw C", Kind::Raw, &self.rawfan)];
        all.extend(self.other.as_ref().map(|(kind, path)| program("third", *kind, path)));
        if self.has_rivals && !setting.is_idle() {
            let path = Path::new(RIVALS_BUILT).join("release/rivals");
            all.extend(RIVALS.map(|(name, label)| program(label, Kind::Rival(name), &path)));
        }
        all
    }
}

impl Program {
    /// The line that starts it, on core 0.
    pub(crate) fn server(&self, setting: &Setting, port: u16, ack_port: u16) -> Line {
        let mut pinned = Line::new("taskset -c 0").arg(self.path.display().to_string());
        if let Kind::Rival(name) = self.kind {
            pinned = pinned.arg(name);
        }
        if self.kind == Kind::Serve {
            let listen = format!(
                "serve --source none --ws 127.0.0.1:{port} --http 127.0.0.1:0 --metrics 127.0.0.1:0"
            );
            return listen.split(' ').fold(pinned, Line::arg);
        }
        let line = pinned.env("PORT", port).env("SECS", SECONDS_MAX).env("SIZE", SIZE_BYTES);
        let line = match setting.load {
            Load::Idle { .. } => line.env("START_AT", 20_000),
            _ => line.env("START_AT", setting.clients),
        };
        let line = match (setting.load, self.kind) {
            (Load::Closed { window, raw_burst, .. }, Kind::Raw | Kind::Rival("raw")) => {
                line.env("WINDOW", window).env("BURST", raw_burst)
            }
            (Load::Closed { window, burst, .. }, _) => {
                line.env("WINDOW", window).env("BURST", burst)
            }
            (Load::Open { rate }, Kind::Raw | Kind::Rival("raw")) => {
                line.env("RATE", rate).env("BURST", 0)
            }
            (Load::Open { rate }, _) => line.env("RATE", rate),
            (Load::Idle { .. }, _) => line,
        };
        match self.kind {
            Kind::Raw | Kind::Serve => line,
            Kind::ClosedLoop | Kind::Rival(_) => line.env("ACK_UDP", ack_port),
            Kind::Plain => line.env("ACK_UDP", ack_port).env("LOOP", "block"),
        }
    }

    /// The line that loads it, on core 1.
    pub(crate) fn load(
        &self,
        generator: &Path,
        setting: &Setting,
        port: u16,
        ack_port: u16,
        seconds: u32,
    ) -> Line {
        let mut line = Line::new("taskset -c 1").arg(generator.display().to_string());
        let mut add = |arguments: &str| line = arguments.split(' ').fold(line.clone(), Line::arg);
        add(&format!("--port {port} --conns {} --only-timed --seconds {seconds}", setting.clients));
        match setting.load {
            Load::Idle { inflight } => {
                add(&format!("--warmup 0 --settle 11 --inflight {inflight}"))
            }
            Load::Open { rate: ..10 } => add("--warmup 2"),
            Load::Open { .. } => add("--warmup 1"),
            Load::Closed { .. } => add("--warmup 0.5"),
        }
        let is_closed = matches!(setting.load, Load::Closed { .. });
        match self.kind {
            Kind::Raw if is_closed => add("--ack"),
            Kind::ClosedLoop | Kind::Plain | Kind::Rival(_) if is_closed => {
                add(&format!("--ack-udp {ack_port}"))
            }
            _ => {}
        }
        match self.kind {
            Kind::ClosedLoop => line.arg("--path").arg("/v1").arg("--subscribe").arg(SUBSCRIBE),
            _ => line,
        }
    }
}

/// The folder with the built yardstick.
fn yardstick() -> Outcome<PathBuf> {
    if let Some(folder) = std::env::var_os("LINEAGE_FANBENCH").map(PathBuf::from) {
        let is_built = ["fanbench", "rawfan"].iter().all(|name| folder.join(name).is_file());
        return is_built.then_some(folder).ok_or_else(|| {
            "LINEAGE_FANBENCH names no folder with the built fanbench and rawfan".to_owned()
        });
    }
    let built = PathBuf::from(BUILT);
    std::fs::create_dir_all(&built).map_err(|error| format!("{BUILT}: {error}"))?;
    for name in ["Makefile", "fanbench.c", "rawfan.c"] {
        let from = Path::new(YARDSTICK).join(name);
        let is_same = std::fs::read(&from)
            .ok()
            .is_some_and(|text| std::fs::read(built.join(name)).is_ok_and(|old| old == text));
        if !is_same {
            std::fs::copy(&from, built.join(name)).map_err(|error| {
                format!("the yardstick is not at {YARDSTICK} ({error}); set LINEAGE_FANBENCH to its folder")
            })?;
        }
    }
    tools::install("liburing-dev", || Path::new("/usr/include/liburing.h").is_file())?;
    Line::new("make -s -C").arg(BUILT).run()?;
    Ok(built)
}

#[cfg(test)]
mod tests {
    use super::super::settings::SETTINGS;
    use super::*;

    fn lines(name: &str, at: usize) -> (String, String) {
        let programs = Programs {
            rawfan: "rawfan".into(),
            has_rivals: true,
            other: Some((Kind::Plain, "door".into())),
            generator: "fanbench".into(),
        };
        let setting = SETTINGS.iter().find(|setting| setting.name == name).unwrap();
        let program = &programs.of(setting)[at];
        let load = program.load(&programs.generator, setting, 9001, 9100, setting.seconds);
        (program.server(setting, 9001, 9100).to_string(), load.to_string())
    }

    #[test]
    fn the_lines_are_those_of_the_method() {
        let (server, load) = lines("flight-16", 0);
        assert_eq!(
            server,
            "PORT=9001 SECS=180 SIZE=200 START_AT=1000 WINDOW=16 BURST=1 ACK_UDP=9100 taskset -c 0 \
             target/release/examples/closed_loop"
        );
        assert_eq!(
            load,
            "taskset -c 1 fanbench --port 9001 --conns 1000 --only-timed --seconds 3 --warmup 0.5 --ack-udp 9100 \
             --path /v1 --subscribe '{\"op\":\"subscribe\",\"topics\":[\"bench\"]}'"
        );
        let (server, load) = lines("flight-16", 1);
        assert_eq!(
            server,
            "PORT=9001 SECS=180 SIZE=200 START_AT=1000 WINDOW=16 BURST=0 taskset -c 0 rawfan"
        );
        assert!(load.ends_with("--warmup 0.5 --ack"), "{load}");
    }

    #[test]
    fn an_open_loop_is_not_acknowledged_and_idle_clients_get_no_event() {
        let (server, load) = lines("open-500", 1);
        assert!(server.contains("RATE=500 BURST=0") && !load.contains("--ack"), "{server} {load}");
        let (server, load) = lines("idle-2000", 0);
        assert!(server.contains("lineage serve --source none --ws 127.0.0.1:9001"), "{server}");
        assert!(
            load.contains("--settle 11 --inflight 2000") && !load.contains("--subscribe"),
            "{load}"
        );
        assert!(lines("idle-2000", 1).0.contains("START_AT=20000"));
    }

    #[test]
    fn the_third_program_has_nothing_to_subscribe_to() {
        let (server, load) = lines("single", 2);
        assert!(server.contains("LOOP=block taskset -c 0 door"), "{server}");
        assert!(load.contains("--ack-udp 9100") && !load.contains("--subscribe"), "{load}");
    }
    #[test]
    fn rivals_have_nothing_to_subscribe_to_and_raw_ones_merge_what_is_due() {
        let (server, load) = lines("flight-16", 3);
        assert_eq!(
            server,
            "PORT=9001 SECS=180 SIZE=200 START_AT=1000 WINDOW=16 BURST=0 ACK_UDP=9100 taskset -c 0 \
             target/compare/release/rivals raw"
        );
        assert!(load.contains("--ack-udp 9100") && !load.contains("--subscribe"), "{load}");
        let (server, _) = lines("flight-16", 4);
        assert!(server.contains("BURST=1") && server.ends_with("rivals naive"), "{server}");
        let (server, load) = lines("open-500", 3);
        assert!(server.contains("RATE=500 BURST=0") && !load.contains("--ack"), "{server} {load}");
    }

    #[test]
    fn rivals_stay_out_of_the_idle_settings() {
        let programs = Programs {
            rawfan: "rawfan".into(),
            has_rivals: true,
            other: None,
            generator: "fanbench".into(),
        };
        let count = |name| {
            let setting = SETTINGS.iter().find(|setting| setting.name == name).unwrap();
            programs.of(setting).len()
        };
        assert_eq!((count("single"), count("idle-128")), (7, 2));
    }
}
