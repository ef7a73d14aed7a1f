//! The `lineage` binary. Everything it does is in `cli`; everything the engine does is in the library.

#[cfg(not(lineage_loom))]
mod cli;

#[cfg(not(lineage_loom))]
fn main() -> std::process::ExitCode {
    cli::run(std::env::args_os())
}

/// The model checker builds the lock-free parts alone; cargo builds the binary beside them.
#[cfg(lineage_loom)]
fn main() {}
