//! The command line: a contract that other tools call.
//!
//! `--json` output is one JSON object a line on stdout, logs go to stderr. Exit status: 0 done,
//! 1 answered "no", 2 usage or input error.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use facelatch_host::console;
pub use facelatch_host::console::{Answer, CommandError};
pub(crate) use facelatch_host::console::{complain, note, print_json, say_text};

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
mod enrol;
mod evaluate;
mod frames;
mod gallery_access;
mod gateway;
mod last_config;
mod liveness_test;
mod manual;
mod mode;
mod model;
mod people;
mod pipeline;
mod progress;
#[cfg(test)]
mod reference;
mod replay;
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
    #[command(visible_alias = "enroll")]
    Enrol(enrol::Args),
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

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    console::main("facelatch", |cli: Cli| match cli.command {
        Command::Demo(args) => demo::run(args),
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::run(args),
        Command::Enrol(args) => enrol::run(args),
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
    })
}
