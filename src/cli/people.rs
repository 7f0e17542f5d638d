//! `facelatch people`: who is enrolled.

use clap::{Args as ClapArgs, Subcommand};

use super::office::Office;
use super::{Answer, CommandError, print_json};
use crate::config::Config;
use crate::daemon::protocol::Person;

/// List or remove the people enrolled
#[derive(ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    config: super::ConfigFile,
}

#[derive(Subcommand)]
enum What {
    /// List everybody enrolled
    List {
        /// One JSON object a line instead of text
        #[arg(long)]
        json: bool,
    },
    /// Remove a person and every template of theirs
    Remove {
        /// The name given at enrolment
        name: String,
    },
}

/// Runs the command.
pub fn run(args: Args) -> Result<Answer, CommandError> {
    let mut office = Office::open(&Config::load(&args.config.path)?)?;
    match args.what {
        What::List { json } => {
            let people = office.people()?;
            if people.is_empty() && !json {
                say!("nobody is enrolled");
            }
            for person in people {
                if json {
                    print_json(&serde_json::to_value(person)?);
                } else {
                    let Person { name, id, templates, model, .. } = person;
                    say!("{name}  (id {id}, {templates} template(s) of model {model})");
                }
            }
        }
        What::Remove { name } => {
            office.remove(&name)?;
            say!("removed {name}");
        }
    }
    Ok(Answer::Done)
}
