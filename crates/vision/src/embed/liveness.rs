//! A small network's opinion: the probability that a face is alive.
//!
//! The network that ships is `models/liveness.onnx`. Another classifier can be configured by a card that
//! says what it takes and which of its classes is the living face (`docs/design/liveness.md`).

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::card::{self, CropRule, InputSection, ModelSection, TrainingSection};
use super::{CropView, EmbedError, Pixels, crop, load, read_card, read_network};
use facelatch_core::matching::ModelHash;
use facelatch_core::picture::Rect;

const DEFAULT_CARD: &str = include_str!("../../../../models/liveness.toml");
const DEFAULT_NETWORK: &[u8] = include_bytes!("../../../../models/liveness.onnx");

/// The description of a liveness network, a TOML file beside its ONNX file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LivenessCard {
    /// Which file this card describes.
    pub model: ModelSection,
    /// What the network takes.
    pub input: InputSection,
    /// Which part of the picture around the detector's box it takes.
    #[serde(default)]
    pub crop: CropRule,
    /// What it gives.
    pub output: ClassesSection,
    /// Where it comes from, in plain words.
    #[serde(default)]
    pub training: TrainingSection,
    /// Where the weights of the patterns' cue come from: in the card of the network that ships.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patterns: Option<PatternsSection>,
}

/// `[patterns]`: the weights of [`facelatch_core::liveness::lbp`], plain text for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatternsSection {
    /// The file, which the program carries.
    pub file: String,
    /// Its SHA-256.
    pub sha256: String,
    /// Where every training input comes from.
    pub origin: String,
    /// The terms of those inputs.
    pub terms: String,
    /// What they reach, with the command that measures it.
    pub results: String,
    /// How to learn them from one's own data.
    pub train_your_own: String,
}

/// `[output]`: the classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassesSection {
    /// How many classes, 2 to 100.
    pub classes: usize,
    /// Which of them is the living face, from 0.
    pub live: usize,
    /// True where the values are logits, false where they are probabilities already.
    #[serde(default = "yes")]
    pub logits: bool,
    /// Which of the network's outputs it is, for a network with several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

fn yes() -> bool {
    true
}

impl LivenessCard {
    /// A card from the text of its file; `path` is for messages.
    ///
    /// # Errors
    /// When the text is not a card, or says something that makes no sense.
    pub fn parse(text: &str, path: &Path) -> Result<Self, EmbedError> {
        let card: LivenessCard = card::read(text, path)?;
        card.check().map_err(|message| EmbedError::card(path, message))?;
        Ok(card)
    }

    fn check(&self) -> Result<(), String> {
        self.model.check()?;
        self.input.check()?;
        self.crop.check()?;
        let ClassesSection { classes, live, .. } = self.output;
        if !(2..=100).contains(&classes) {
            return Err(format!("output.classes = {classes} is not within 2 to 100"));
        }
        if live >= classes {
            return Err(format!("output.live = {live} is none of the {classes} classes, which count from 0"));
        }
        Ok(())
    }
}

/// A liveness network with its card, ready to run. One state is reused for all runs.
pub struct LivenessNetwork {
    card: LivenessCard,
    hash: ModelHash,
    network: super::Network,
    cropper: crop::Cropper,
    values: Vec<f32>,
}

impl LivenessNetwork {
    /// Opens a card and the ONNX file beside it.
    ///
    /// # Errors
    /// When either cannot be read, makes no sense, or they do not match.
    pub fn open(card: &Path) -> Result<Self, EmbedError> {
        let parsed = LivenessCard::parse(&read_card(card)?, card)?;
        let network = read_network(card, &parsed.model.file)?;
        Self::from_parts(parsed, card, &network)
    }

    /// The default network, which this program carries within.
    ///
    /// # Errors
    /// When the files in `models/` did not match as this program was built.
    pub fn embedded_default() -> Result<Self, EmbedError> {
        let path = Path::new("models/liveness.toml");
        Self::from_parts(LivenessCard::parse(DEFAULT_CARD, path)?, path, DEFAULT_NETWORK)
    }

    fn from_parts(card: LivenessCard, path: &Path, network: &[u8]) -> Result<Self, EmbedError> {
        let output = (card.output.name.as_deref(), card.output.classes);
        let (hash, network) = load(&card.model, &card.input, output, path, network)?;
        let values = vec![0.5; network.input_len()];
        let mut ready = LivenessNetwork { card, hash, network, cropper: crop::Cropper::new(), values };
        // One run shows whether it runs at all, before anybody stands at the door.
        ready.run().map_err(|message| EmbedError::Network {
            path: path.with_file_name(&ready.card.model.file),
            message,
        })?;
        Ok(ready)
    }

    /// The card.
    pub fn card(&self) -> &LivenessCard {
        &self.card
    }

    /// The SHA-256 of the network file.
    pub fn model_hash(&self) -> ModelHash {
        self.hash
    }

    /// The probability, 0 to 1, that the face in the box `face` is alive.
    ///
    /// # Errors
    /// When the box has no part in the picture, or the network fails or gives other than numbers.
    pub fn score(&mut self, pixels: Pixels<'_>, face: Rect) -> Result<f32, EmbedError> {
        let LivenessCard { crop, input, .. } = &self.card;
        self.cropper
            .fill(pixels, face, CropView::Plain, crop, input, &mut self.values)
            .map_err(|message| EmbedError::Face { message })?;
        self.run().map_err(|message| EmbedError::Run { model: self.card.model.name.clone(), message })
    }

    fn run(&mut self) -> Result<f32, String> {
        let classes = self.network.run(&self.values)?;
        let live = probability(&classes, self.card.output.live, self.card.output.logits);
        live.ok_or_else(|| "it gave values that are not probabilities".to_owned())
    }
}

impl std::fmt::Debug for LivenessNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LivenessNetwork({}, {})", self.card.model.name, self.hash)
    }
}

/// The probability of one class; `None` when there is none.
fn probability(classes: &[f32], class: usize, logits: bool) -> Option<f32> {
    let value = *classes.get(class)?;
    let share = if logits {
        let largest = classes.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
        let sum: f32 = classes.iter().map(|v| (v - largest).exp()).sum();
        (value - largest).exp() / sum
    } else {
        value
    };
    (0.0..=1.0).contains(&share).then_some(share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use facelatch_core::picture::Gray;

    #[test]
    fn the_default_network_runs_and_does_not_remember() {
        let mut network = LivenessNetwork::embedded_default().unwrap();
        let pixels = (0..200 * 200).map(|i| ((i % 200) ^ (i / 200)) as u8).collect();
        let stripes = Gray::from_pixels(200, 200, pixels).unwrap();
        let face = Rect::new(60, 60, 80, 80);
        let a = network.score(Pixels::gray(stripes.view()), face).unwrap();
        let b = network.score(Pixels::gray(Gray::filled(200, 200, 90).view()), face).unwrap();
        assert!((0.0..=1.0).contains(&a) && (0.0..=1.0).contains(&b));
        assert_eq!(network.score(Pixels::gray(stripes.view()), face).unwrap(), a);
        let outside = network.score(Pixels::gray(stripes.view()), Rect::new(900, 0, 50, 50));
        assert!(matches!(outside, Err(EmbedError::Face { .. })));
    }

    #[test]
    fn the_card_describes_the_patterns_that_ship() {
        let card = LivenessCard::parse(DEFAULT_CARD, Path::new("card.toml")).unwrap();
        let patterns = card.patterns.unwrap();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models").join(&patterns.file);
        let bytes = std::fs::read(path).unwrap();
        let sum = <sha2::Sha256 as sha2::Digest>::digest(&bytes);
        assert_eq!(sum.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), patterns.sha256);
    }

    #[test]
    fn probabilities() {
        assert_eq!(probability(&[0.0, 0.0], 0, true), Some(0.5));
        assert!(probability(&[9.0, -9.0], 0, true).unwrap() > 0.999);
        assert_eq!(probability(&[0.2, 0.7, 0.1], 1, false), Some(0.7));
        assert_eq!(probability(&[0.2, 7.0], 1, false), None);
        assert_eq!(probability(&[f32::NAN, 1.0], 1, true), None);
        assert_eq!(probability(&[1.0], 1, true), None);
    }

    #[test]
    fn each_fault_of_a_card_is_named() {
        let path = Path::new("card.toml");
        for (from, to, told) in [
            ("classes = 2", "classes = 1", "output.classes = 1"),
            ("live = 0", "live = 2", "output.live = 2"),
            ("width = 80", "width = 8", "input.width = 8"),
            ("[output]", "[outptu]", "outptu"),
            ("liveness.onnx", "../liveness.onnx", "model.file"),
        ] {
            assert!(DEFAULT_CARD.contains(from), "{from}");
            let error =
                LivenessCard::parse(&DEFAULT_CARD.replacen(from, to, 1), path).unwrap_err().to_string();
            assert!(error.contains(told) && error.starts_with("card.toml: "), "{error}");
        }
        let mut card = LivenessCard::parse(DEFAULT_CARD, path).unwrap();
        assert!(
            LivenessNetwork::from_parts(card.clone(), path, b"x")
                .unwrap_err()
                .to_string()
                .contains("SHA-256")
        );
        card.output.classes = 3;
        let error = LivenessNetwork::from_parts(card, path, DEFAULT_NETWORK).unwrap_err().to_string();
        assert!(error.contains("gives 2 values"), "{error}");
    }
}
