//! The command line: a contract that other tools call.
//!
//! `--json` output is one JSON object a line on stdout, logs go to stderr. Exit status: 0 done,
//! 1 answered "no", 2 usage or input error.

mod cascade;
mod compare;
mod detect;
mod doctor;
mod evaluate;
mod model;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "facelatch", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

// One line a command: each lives in its own file with an `Args` and a `run`.
#[derive(Subcommand)]
enum Command {
    Cascade(cascade::Args),
    Compare(compare::Args),
    Detect(detect::Args),
    Evaluate(evaluate::Args),
    Model(model::Args),
    Doctor(doctor::Args),
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
    let cli = Cli::parse();
    let answer: Result<Answer, CommandError> = match cli.command {
        Command::Cascade(args) => cascade::run(args),
        Command::Compare(args) => compare::run(args),
        Command::Detect(args) => detect::run(args),
        Command::Evaluate(args) => evaluate::run(args),
        Command::Model(args) => model::run(args),
        Command::Doctor(args) => doctor::run(args),
    };
    match answer {
        Ok(Answer::Done) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Err(error) => {
            eprintln!("facelatch: {error}");
            ExitCode::from(2)
        }
    }
}
