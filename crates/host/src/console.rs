//! A command's manners, the same for each program of ours.
//!
//! `--json` output is one JSON object a line on standard output, logs go to standard error. Exit status: 0
//! success, 1 negative answer, 2 error, in one line that begins with the program's name.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

use clap::Parser;

static PROGRAM: OnceLock<&'static str> = OnceLock::new();

/// Prints a line on standard output. A reader that has gone (`| head`) ends the program quietly.
#[macro_export]
macro_rules! say {
    ($($part:tt)*) => { $crate::console::say_line(format_args!($($part)*)) };
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

/// Runs the command line of this process, which is called `program`.
pub fn main<C: Parser>(
    program: &'static str,
    run: impl FnOnce(C) -> Result<Answer, CommandError>,
) -> ExitCode {
    let program = PROGRAM.get_or_init(|| program);
    let command = match C::try_parse() {
        Ok(command) => command,
        Err(error) => return misused(&error),
    };
    crate::journal::start(program);
    match run(command) {
        Ok(Answer::Done) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(2)
        }
    }
}

fn program() -> &'static str {
    PROGRAM.get().copied().unwrap_or("facelatch")
}

/// Help and version as they are asked for; what clap says of a mistake in several lines, in one.
fn misused(error: &clap::Error) -> ExitCode {
    let whole_help = error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if whole_help || !error.use_stderr() {
        // The reader has closed the pipe.
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
    let command = if command.is_empty() { program().to_owned() } else { command.join(" ") };
    complain(&format!("{}; `{command} --help` says more", said.collect::<Vec<_>>().join("; ")));
    ExitCode::from(2)
}

/// A text without line ends and other control characters, which names of files may hold.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// Says what is wrong, in one line on standard error; where that cannot be written, there is nobody to tell.
pub fn complain(text: &str) {
    note(&format!("{}: {text}", program()));
}

/// Prints a line on standard error.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{}", one_line(text));
}

/// Prints a line on standard output: what [`say!`](crate::say) calls.
pub fn say_line(line: fmt::Arguments<'_>) {
    written(writeln!(io::stdout(), "{line}"));
}

/// Writes a finished text on standard output, with the same end when its reader has gone.
pub fn say_text(text: &[u8]) {
    let mut stdout = io::stdout();
    written(stdout.write_all(text).and_then(|()| stdout.flush()));
}

/// Prints one JSON object on a line of its own.
pub fn print_json(value: &serde_json::Value) {
    say!("{value}");
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
