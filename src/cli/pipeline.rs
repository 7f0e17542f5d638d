//! What several commands put together alike: configuration, network, detector, pipeline.

use std::fs;
use std::path::Path;

use super::CommandError;
use crate::access::AccessRules;
use crate::attempt::Simulation;
use crate::config::Config;
use crate::detect::{Cascade, Detector};
use crate::door::ModelFacts;
use crate::embed::card::{ColourOrder, InputSection};
use crate::embed::{Card, Embedder, LivenessNetwork};
use crate::liveness::Cue;
use crate::vision::Vision;

/// A configuration with its network and cascade loaded and checked.
pub struct Pipeline {
    /// The configuration.
    pub config: Config,
    /// The rules of access, the threshold among them.
    pub rules: AccessRules,
    /// What the network's card says.
    pub model: ModelFacts,
    embedder: Embedder,
    liveness: Option<LivenessNetwork>,
    cascade: Cascade,
}

impl Pipeline {
    /// Loads what the configuration names; without one, the built-in defaults.
    pub fn load(path: Option<&Path>) -> Result<Self, CommandError> {
        let config = path.map_or_else(|| Ok(Config::default()), Config::load)?;
        Self::from_config(config, path.unwrap_or(Path::new("(defaults)")))
    }

    /// Loads what this configuration names.
    pub fn from_config(config: Config, path: &Path) -> Result<Self, CommandError> {
        let embedder = match &config.model.card {
            Some(card) => Embedder::open(card)?,
            None => Embedder::embedded_default()?,
        };
        let network = config.liveness.check && config.liveness.cues.contains(&Cue::Network);
        let liveness = match &config.liveness.card {
            _ if !network => None,
            Some(card) => Some(LivenessNetwork::open(card)?),
            None => Some(LivenessNetwork::embedded_default()?),
        };
        let cascade = match &config.detector.cascade {
            Some(file) => load_cascade(file)?,
            None => Cascade::frontal_face(),
        };
        let rules = config.access_rules(embedder.card(), path)?;
        let model = model_facts(&embedder);
        Ok(Pipeline { config, rules, model, embedder, liveness, cascade })
    }

    /// The pipeline from frames to sightings.
    pub fn vision(self) -> Vision {
        let rules = self.config.vision_rules();
        let vision =
            Vision::new(rules, Detector::new(self.cascade), Box::new(self.embedder), self.model.metric);
        if self.rules.liveness.is_some() { vision.watching(self.liveness) } else { vision }
    }

    /// The network's card.
    pub fn card(&self) -> &Card {
        self.embedder.card()
    }

    /// Lets pictures of faces count as faces, whatever the configuration says: for recordings that are
    /// made of pictures, and for measurements of identity alone.
    #[must_use]
    pub fn without_liveness(mut self) -> Self {
        self.rules.liveness = None;
        self
    }

    /// Whether a network wants frames in colour.
    pub fn wants_colour(&self) -> bool {
        let coloured = |input: &InputSection| input.colour != ColourOrder::Gray;
        coloured(&self.embedder.card().input)
            || self.liveness.as_ref().is_some_and(|network| coloured(&network.card().input))
    }

    /// The network alone, for single pictures.
    pub fn into_embedder(self) -> Embedder {
        self.embedder
    }

    /// The liveness network alone, for single pictures; `None` where its cue does not count.
    pub fn into_liveness(self) -> Option<LivenessNetwork> {
        self.liveness
    }

    /// A door in simulated time with nobody enrolled.
    pub fn simulation(self) -> Simulation {
        let (rules, model) = (self.rules, self.model);
        Simulation::new(self.vision(), rules, model)
    }
}

/// What the network's card says.
fn model_facts(embedder: &Embedder) -> ModelFacts {
    let card = embedder.card();
    ModelFacts {
        hash: embedder.model_hash(),
        metric: card.metric(),
        distinct_person_threshold: card.distinct_person_threshold(),
    }
}

/// Reads a cascade, in OpenCV's XML or our compact form.
pub fn load_cascade(path: &Path) -> Result<Cascade, CommandError> {
    let bytes = fs::read(path).map_err(|e| {
        format!("cascade {}: cannot be read: {e}; name a readable cascade file", path.display())
    })?;
    Cascade::from_bytes(&bytes).map_err(|e| format!("cascade {}: {e}", path.display()).into())
}
