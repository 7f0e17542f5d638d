//! The command line: a contract that other tools call.
//!
//! `--json` output is one JSON object a line on stdout, logs go to stderr. Exit status: 0 done,
//! 1 answered "no", 2 usage or input error.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Prints a line on stdout. A reader that has gone (`| head`) ends the program quietly.
macro_rules! say {
    ($($part:tt)*) => { $crate::cli::say_line(format_args!($($part)*)) };
}

mod attack;
mod attempt;
mod audit;
mod calibrate;
mod cascade;
mod check;
mod compare;
mod completions;
mod demo;
mod detect;
mod doctor;
mod enroll;
mod evaluate;
mod frames;
mod gateway;
mod in_force;
mod liveness_test;
mod manual;
mod mode;
mod model;
mod office;
mod people;
mod progress;
#[cfg(test)]
mod reference;
mod replay;
mod rig;
mod run;
mod secure;
mod sheet;
mod status;

/// Where the package puts the configuration.
const CONFIG_PATH: &str = "/etc/facelatch/facelatch.toml";

/// The option that all commands of an installed door share.
#[derive(clap::Args)]
struct ConfigFile {
    /// The configuration
    #[arg(id = "config", long, value_name = "FILE", default_value = CONFIG_PATH, global = true)]
    path: PathBuf,
}

#[derive(Parser)]
#[command(name = "facelatch", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

// One line a command: each lives in its own file with an `Args` and a `run`.
#[derive(Subcommand)]
enum Command {
    Demo(demo::Args),
    Run(run::Args),
    Check(check::Args),
    #[command(visible_alias = "enrol")]
    Enroll(enroll::Args),
    People(people::Args),
    Status(status::Args),
    Secure(secure::Args),
    Mode(mode::Args),
    Replay(replay::Args),
    Audit(audit::Args),
    Frames(frames::Args),
    Gateway(gateway::Args),
    Attempt(attempt::Args),
    LivenessTest(liveness_test::Args),
    Attack(attack::Args),
    Detect(detect::Args),
    Compare(compare::Args),
    Evaluate(evaluate::Args),
    Calibrate(calibrate::Args),
    Model(model::Args),
    Doctor(doctor::Args),
    Cascade(cascade::Args),
    Completions(completions::Args),
    Manual(manual::Args),
}

/// The command line's own definition.
pub(crate) fn definition() -> clap::Command {
    Cli::command()
}

/// What a command has to say, as its exit status.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Exit status 0.
    Done,
    /// Exit status 1: the question was understood and the answer is "no".
    No,
}

/// The error of a command: one line for the user, exit status 2.
pub type CommandError = Box<dyn std::error::Error + Send + Sync>;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misused(&error),
    };
    crate::journal::start();
    let answer = match cli.command {
        Command::Demo(args) => demo::run(args),
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::run(args),
        Command::Enroll(args) => enroll::run(args),
        Command::People(args) => people::run(args),
        Command::Status(args) => status::run(args),
        Command::Secure(args) => secure::run(args),
        Command::Mode(args) => mode::run(args),
        Command::Replay(args) => replay::run(args),
        Command::Audit(args) => audit::run(args),
        Command::Frames(args) => frames::run(args),
        Command::Gateway(args) => gateway::run(args),
        Command::Attempt(args) => attempt::run(args),
        Command::LivenessTest(args) => liveness_test::run(args),
        Command::Attack(args) => attack::run(args),
        Command::Detect(args) => detect::run(args),
        Command::Compare(args) => compare::run(args),
        Command::Evaluate(args) => evaluate::run(args),
        Command::Calibrate(args) => calibrate::run(args),
        Command::Model(args) => model::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Cascade(args) => cascade::run(args),
        Command::Completions(args) => completions::run(args),
        Command::Manual(args) => manual::run(args),
    };
    match answer {
        Ok(Answer::Done) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(2)
        }
    }
}

/// Help and version as they are asked for; what clap says of a mistake in several lines, in one.
fn misused(error: &clap::Error) -> ExitCode {
    let whole_help = error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if whole_help || !error.use_stderr() {
        // Whoever has stopped reading wants no more.
        let _ = error.print();
        return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
    }
    let text = error.render().to_string();
    let (said, usage) = text.split_once("Usage: ").unwrap_or((&text, ""));
    let said = said.split("For more information").next().unwrap_or_default();
    let said = said.trim().trim_start_matches("error: ").split("\n\n").map(one_line);
    let command: Vec<&str> = usage
        .split_whitespace()
        .take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
        .collect();
    let command = if command.is_empty() { "facelatch".to_owned() } else { command.join(" ") };
    complain(&format!("{}; `{command} --help` says more", said.collect::<Vec<_>>().join("; ")));
    ExitCode::from(2)
}

/// A text without line ends and other control characters, which names of files may hold.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// Says what is wrong, in one line on stderr; where that cannot be written, there is nobody to tell.
pub(crate) fn complain(text: &str) {
    note(&format!("facelatch: {text}"));
}

/// Prints a line on stderr.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{}", one_line(text));
}

pub(crate) fn say_line(line: std::fmt::Arguments<'_>) {
    written(writeln!(io::stdout(), "{line}"));
}

/// Writes a finished text on stdout, with the same end when its reader has gone.
pub(crate) fn say_text(text: &[u8]) {
    let mut stdout = io::stdout();
    written(stdout.write_all(text).and_then(|()| stdout.flush()));
}

fn written(outcome: io::Result<()>) {
    if let Err(error) = outcome {
        let quiet = error.kind() == io::ErrorKind::BrokenPipe;
        if !quiet {
            complain(&format!("cannot write the answer: {error}"));
        }
        std::process::exit(if quiet { 0 } else { 2 });
    }
}

/// Prints one JSON object on a line of its own.
pub(crate) fn print_json(value: &serde_json::Value) {
    say!("{value}");
}
