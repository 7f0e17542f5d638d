//! The gallery as commands reach it: through the running daemon, or on disk when there is none.

use std::time::Duration;

use super::{CommandError, frames};
use crate::config::Config;
use crate::daemon::protocol::{Person, Request, people};
use crate::daemon::socket::Client;
use crate::matching::{Embedding, template};
use crate::store::{FrameStore, GalleryStore, StoreKey};

/// What to do about a name with hours that nobody enrolled has.
pub const STRANGER_REMEDY: &str = "write the name as facelatch people list prints it, or enrol the person";

/// An answer from the daemon takes at most this long; enrolments wait for their own end.
const ANSWER: Duration = Duration::from_secs(10);

/// Where changes to the gallery go.
pub enum Office {
    /// The daemon runs and owns the gallery.
    Daemon(Client),
    /// No daemon runs: the file is ours as long as we hold its lock.
    File(GalleryStore, FrameStore),
}

impl Office {
    /// Finds the daemon of this configuration, or opens its gallery.
    pub fn open(config: &Config) -> Result<Self, CommandError> {
        if let Some(client) = Client::connect(&config.daemon.socket)? {
            client.limit(ANSWER)?;
            return Ok(Office::Daemon(client));
        }
        let key = StoreKey::open_or_create(&config.store.key)?;
        let store = GalleryStore::open(&config.store.gallery, key)?;
        Ok(Office::File(store, frames::open(config)?))
    }

    /// Everybody enrolled.
    pub fn people(&mut self) -> Result<Vec<Person>, CommandError> {
        match self {
            Office::Daemon(client) => Ok(serde_json::from_value(client.ask(&Request::People {}, |_| {})?)?),
            Office::File(store, _) => Ok(people(&store.load()?)),
        }
    }

    /// Removes a person and everything known of them. Recorded frames go all: nobody can say in which of
    /// them a person is not.
    pub fn remove(&mut self, name: &str) -> Result<(), CommandError> {
        match self {
            Office::Daemon(client) => {
                client.ask(&Request::Remove { name: name.to_owned() }, |_| {})?;
            }
            Office::File(store, frames) => {
                let mut gallery = store.load()?;
                let _ = gallery.remove(name)?;
                store.save(&gallery)?;
                frames.erase()?;
            }
        }
        Ok(())
    }

    /// Enrols a person from embeddings of pictures.
    pub fn add(&mut self, name: &str, embeddings: &[Embedding], facts: &Facts) -> Result<(), CommandError> {
        match self {
            Office::Daemon(client) => {
                let request = Request::Add {
                    name: name.to_owned(),
                    model: facts.model.hash,
                    embeddings: embeddings.iter().map(|e| e.values().to_vec()).collect(),
                };
                client.ask(&request, |_| {})?;
            }
            Office::File(store, _) => {
                let mut gallery = store.load()?;
                let template = template(embeddings, facts.model.metric, facts.threshold)?;
                let _ = gallery.enrol(name, vec![template], facts.model.hash, crate::clock::unix())?;
                store.save(&gallery)?;
            }
        }
        Ok(())
    }
}

/// Names with hours of their own (`schedule.people`) that nobody enrolled has. Nothing is made on the
/// disk for it.
pub fn strangers(config: &Config) -> Result<Vec<String>, CommandError> {
    let hours = &config.schedule.people;
    if hours.is_empty() {
        return Ok(Vec::new());
    }
    let enrolled = match Client::connect(&config.daemon.socket)? {
        Some(client) => {
            client.limit(ANSWER)?;
            Office::Daemon(client).people()?
        }
        None if !config.store.gallery.try_exists()? => Vec::new(),
        None => {
            let key = StoreKey::open(&config.store.key)?;
            people(&GalleryStore::for_reading(&config.store.gallery, key).load()?)
        }
    };
    Ok(hours.keys().filter(|name| enrolled.iter().all(|person| person.name != **name)).cloned().collect())
}

/// What enrolling needs to know of the network in use.
pub struct Facts {
    /// The model and its metric.
    pub model: crate::door::ModelFacts,
    /// The similarity from which two vectors count as one person's.
    pub threshold: f32,
}
