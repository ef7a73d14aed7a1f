//! Lineage against raw C, in alternation, on one core each: the figures of docs/benchmarks.
//!
//! Method: for each setting and round, each program in turn is started on core 0, the load generator runs on core 1,
//! and the program is ended by its process id. Every run is a line in `target/figures/`; what is printed are medians
//! of the ratios of programs within one round, because the machine drifts between rounds.

mod machine;
mod programs;
mod runs;
mod settings;
mod table;

use crate::{Outcome, only_known, option};
use programs::Programs;
use runs::{Recorder, Run};
use settings::{SETTINGS, Setting};

/// What the rivals are measured in unless `--only` says otherwise.
const RIVALS_SETTINGS: &str = "single,flight-16,bursts-64";

/// `cargo xtask figures`.
///
/// # Errors
/// When a program cannot be built or started, or a run fails.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    only_known(
        arguments,
        &["--rivals"],
        &["--only", "--rounds", "--seconds", "--clients", "--with", "--with-plain"],
    )?;
    let has_rivals = arguments.iter().any(|argument| argument == "--rivals");
    let only = option(arguments, "--only")?;
    let only = only.or_else(|| has_rivals.then(|| RIVALS_SETTINGS.to_owned()));
    let mut chosen = chosen(only)?;
    if let Some(clients) = option(arguments, "--clients")? {
        chosen.iter_mut().for_each(|setting| setting.clients = clients);
    }
    let rounds: u32 = option(arguments, "--rounds")?.unwrap_or(3);
    let seconds = option(arguments, "--seconds")?;
    let mut programs =
        Programs::build(option(arguments, "--with")?, option(arguments, "--with-plain")?)?;
    if has_rivals {
        programs.add_rivals()?;
    }
    let machine = machine::describe();
    let mut recorder = Recorder::create(&machine)?;
    println!("{machine}\nevery run: {}\n", recorder.path().display());
    let mut all = Vec::new();
    for setting in &chosen {
        all.extend(measure(setting, rounds, seconds, &programs, &mut recorder)?);
    }
    println!("\n{machine}; {rounds} rounds; server on one core, generator on the other\n");
    print!("{}", table::text(&all));
    let lossy = all.iter().filter(|run| run.lost_connections() > 0.0).count();
    if lossy > 0 { Err(format!("connections were lost in {lossy} runs")) } else { Ok(()) }
}

fn measure(
    setting: &Setting,
    rounds: u32,
    seconds: Option<u32>,
    programs: &Programs,
    recorder: &mut Recorder,
) -> Outcome<Vec<Run>> {
    let mut done = Vec::new();
    for round in 1..=rounds {
        for program in programs.of(setting) {
            let seconds = seconds.unwrap_or(setting.seconds);
            let run = runs::run(setting, round, &program, seconds, &programs.generator)?;
            println!("{}", run.summary());
            recorder.write(&run)?;
            done.push(run);
        }
    }
    Ok(done)
}

fn chosen(only: Option<String>) -> Outcome<Vec<Setting>> {
    let Some(only) = only else { return Ok(SETTINGS.to_vec()) };
    let names: Vec<&str> = only.split(',').collect();
    if let Some(unknown) =
        names.iter().find(|name| SETTINGS.iter().all(|setting| setting.name != **name))
    {
        let all: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
        return Err(format!("no setting `{unknown}`; there are: {}", all.join(" ")));
    }
    Ok(SETTINGS.iter().filter(|setting| names.contains(&setting.name)).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_chosen_by_name_and_unknown_ones_refused() {
        assert_eq!(chosen(None).unwrap().len(), SETTINGS.len());
        let some = chosen(Some("flight-16,idle-2000".to_owned())).unwrap();
        assert_eq!(
            some.iter().map(|setting| setting.name).collect::<Vec<_>>(),
            ["flight-16", "idle-2000"]
        );
        assert!(chosen(Some("flight-16,no-such".to_owned())).unwrap_err().contains("`no-such`"));
        assert_eq!(chosen(Some(RIVALS_SETTINGS.to_owned())).unwrap().len(), 3);
    }
}
