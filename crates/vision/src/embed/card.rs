//! Model cards: what a network file wants as input, how its vectors are compared, where it is from.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::EmbedError;
use facelatch_core::matching::Metric;

/// The description of one embedding network, a TOML file beside its ONNX file.
///
/// Any face-embedding network can be used by writing such a card for it; `docs/design/network-runtime.md`
/// walks through one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// Which file this card describes.
    pub model: ModelSection,
    /// What the network takes.
    pub input: InputSection,
    /// Which part of the picture around the detector's box it takes.
    #[serde(default)]
    pub crop: CropRule,
    /// What it gives.
    pub output: OutputSection,
    /// When two vectors are of the same person.
    pub thresholds: ThresholdsSection,
    /// Where it comes from, in plain words.
    #[serde(default)]
    pub training: TrainingSection,
}

/// `[model]`: the file and its identity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSection {
    /// A name for people.
    pub name: String,
    /// File name of the ONNX file, in the folder of the card.
    pub file: String,
    /// SHA-256 of that file, 64 hexadecimal digits.
    pub sha256: String,
}

/// `[input]`: size, colour and scaling. A pixel `p` in 0..=255 enters as `(p / 255 - mean) / deviation`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSection {
    /// Columns, 16 to 1024.
    pub width: usize,
    /// Rows, 16 to 1024.
    pub height: usize,
    /// Channels and their order.
    pub colour: ColourOrder,
    /// Order of the axes.
    #[serde(default)]
    pub layout: TensorLayout,
    /// Mean, one figure per channel in the network's channel order, in units of 0..1.
    pub mean: Vec<f32>,
    /// Deviation, one figure per channel, above 0, in units of 0..1.
    pub deviation: Vec<f32>,
}

/// The channels a network takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColourOrder {
    /// One channel.
    Gray,
    /// Three channels: red, green, blue.
    Rgb,
    /// Three channels: blue, green, red.
    Bgr,
}

impl ColourOrder {
    /// Number of channels: 1 or 3.
    pub fn channels(self) -> usize {
        match self {
            ColourOrder::Gray => 1,
            ColourOrder::Rgb | ColourOrder::Bgr => 3,
        }
    }
}

/// The order of the input's axes after the batch of 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TensorLayout {
    /// Channels, rows, columns (PyTorch).
    #[default]
    Nchw,
    /// Rows, columns, channels (TensorFlow).
    Nhwc,
}

/// `[crop]`: the part of the picture that the network sees, in units of the detector's box.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CropRule {
    /// Width of the crop over the width of the box, 0.1 to 10.
    pub width: f64,
    /// Height of the crop over the height of the box, 0.1 to 10.
    pub height: f64,
    /// How far the crop's centre lies right of the box's, in widths of the box, -5 to 5.
    pub shift_x: f64,
    /// How far the crop's centre lies below the box's, in heights of the box, -5 to 5.
    pub shift_y: f64,
}

impl Default for CropRule {
    fn default() -> Self {
        CropRule { width: 1.0, height: 1.0, shift_x: 0.0, shift_y: 0.0 }
    }
}

/// `[output]`: the vector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputSection {
    /// Number of values, 1 to 4096.
    pub size: usize,
    /// How two vectors are compared.
    pub metric: Metric,
    /// Whether to scale vectors to unit length after the network.
    #[serde(default)]
    pub normalise: bool,
    /// Which of the network's outputs is the vector, for a network with several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// `[thresholds]`: similarities (1 - distance) from which on two faces count as one person's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThresholdsSection {
    /// The false-match rate per comparison that is used where none is asked for; a key of `at_fmr`.
    pub default_fmr: f64,
    /// Threshold for each false-match rate per comparison (`"0.01" = 0.43`).
    pub at_fmr: BTreeMap<String, f32>,
    /// Threshold on the mean similarity of a whole attempt (15 frames).
    pub attempt: f32,
}

/// `[training]`: plain text for people.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingSection {
    /// Where every training input comes from.
    pub origin: String,
    /// The terms of those inputs.
    pub terms: String,
    /// What the network reaches, with the command that measures it.
    pub results: String,
    /// How to train one on one's own data.
    pub train_your_own: String,
}

impl ModelSection {
    /// Whether it names a file beside the card; a sentence that names the key at fault if not.
    pub(super) fn check(&self) -> Result<(), String> {
        let ModelSection { file, sha256, .. } = self;
        if file.is_empty() || file.contains(['/', '\\']) || file == ".." {
            return Err(format!(
                "model.file = {file:?} must be the name of a file in the card's folder, without a path"
            ));
        }
        if sha256.len() != 64 || !sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err("model.sha256 must be 64 hexadecimal digits; `sha256sum` prints them".into());
        }
        Ok(())
    }
}

impl InputSection {
    /// Whether sizes and scaling make sense; a sentence that names the key at fault if not.
    pub(super) fn check(&self) -> Result<(), String> {
        let InputSection { width, height, colour, mean, deviation, .. } = self;
        for (key, value) in [("width", width), ("height", height)] {
            if !(16..=1024).contains(value) {
                return Err(format!("input.{key} = {value} is not within 16 to 1024"));
            }
        }
        for (key, figures) in [("mean", mean), ("deviation", deviation)] {
            if figures.len() != colour.channels() {
                return Err(format!(
                    "input.{key} has {} figures, one for each of the {} channels is needed",
                    figures.len(),
                    colour.channels()
                ));
            }
        }
        if !mean.iter().all(|m| m.is_finite()) {
            return Err("input.mean must be finite figures".into());
        }
        if !deviation.iter().all(|d| d.is_finite() && *d > 0.0) {
            return Err("input.deviation must be finite figures above 0".into());
        }
        Ok(())
    }
}

impl CropRule {
    /// Whether the crop has a sensible size and place; a sentence that names the key at fault if not.
    pub(super) fn check(&self) -> Result<(), String> {
        let CropRule { width, height, shift_x, shift_y } = *self;
        for (key, value, low, high) in [
            ("width", width, 0.1, 10.0),
            ("height", height, 0.1, 10.0),
            ("shift_x", shift_x, -5.0, 5.0),
            ("shift_y", shift_y, -5.0, 5.0),
        ] {
            if !(low..=high).contains(&value) {
                return Err(format!("crop.{key} = {value} is not within {low} to {high}"));
            }
        }
        Ok(())
    }
}

impl Card {
    /// A card from the text of its file; `path` is for messages.
    ///
    /// # Errors
    /// When the text is not a card, or says something that makes no sense.
    pub fn parse(text: &str, path: &Path) -> Result<Card, EmbedError> {
        let card: Card = read(text, path)?;
        card.check().map_err(|message| EmbedError::card(path, message))?;
        Ok(card)
    }

    /// Whether the figures make sense: ranges, lengths, and thresholds that rise as the rate falls.
    ///
    /// # Errors
    /// A sentence that names the first key at fault and the remedy.
    pub fn check(&self) -> Result<(), String> {
        self.model.check()?;
        self.input.check()?;
        self.crop.check()?;
        if !(1..=4096).contains(&self.output.size) {
            return Err(format!("output.size = {} is not within 1 to 4096", self.output.size));
        }
        self.check_thresholds()
    }

    fn check_thresholds(&self) -> Result<(), String> {
        let ThresholdsSection { default_fmr, at_fmr, attempt } = &self.thresholds;
        for (key, threshold) in at_fmr {
            if !key.parse::<f64>().is_ok_and(|fmr| fmr > 0.0 && fmr <= 1.0) {
                return Err(format!(
                    "thresholds.at_fmr has the key {key:?}, which is not a rate above 0 and up to 1"
                ));
            }
            if !threshold.is_finite() {
                return Err(format!("thresholds.at_fmr.{key:?} = {threshold} must be a finite similarity"));
            }
        }
        if !attempt.is_finite() {
            return Err(format!("thresholds.attempt = {attempt} must be a finite similarity"));
        }
        let rates = self.rates();
        if let Some(pair) = rates.windows(2).find(|p| p[0].1 < p[1].1) {
            return Err(format!(
                "thresholds.at_fmr: the threshold for {} ({}) is below that for {} ({}), but a lower rate needs a \
                 higher threshold",
                pair[0].0, pair[0].1, pair[1].0, pair[1].1
            ));
        }
        if !rates.iter().any(|(fmr, _)| same_rate(*fmr, *default_fmr)) {
            return Err(format!(
                "thresholds.default_fmr = {default_fmr} has no threshold in thresholds.at_fmr: add one"
            ));
        }
        Ok(())
    }

    /// The false-match rates with their thresholds, lowest rate first.
    fn rates(&self) -> Vec<(f64, f32)> {
        let mut rates: Vec<(f64, f32)> =
            self.thresholds.at_fmr.iter().filter_map(|(key, t)| Some((key.parse().ok()?, *t))).collect();
        rates.sort_by(|a, b| a.0.total_cmp(&b.0));
        rates
    }

    /// The similarity from which on two faces match at a false-match rate of at most `fmr` per
    /// comparison: that of the highest rate in the card which is not above `fmr`. `None` when the
    /// card has no rate that low.
    pub fn threshold_at_fmr(&self, fmr: f64) -> Option<f32> {
        self.rates().iter().rev().find(|(rate, _)| *rate <= fmr || same_rate(*rate, fmr)).map(|(_, t)| *t)
    }

    /// The similarity from which on two faces match where no rate is asked for.
    pub fn default_threshold(&self) -> f32 {
        // `check` saw to it that the default rate has a threshold; a card that was not checked
        // matches nothing.
        self.threshold_at_fmr(self.thresholds.default_fmr).unwrap_or(f32::INFINITY)
    }

    /// Two pictures of one person from different occasions that are less similar than this are rare: whoever is
    /// enrolled from pictures that differ more is asked for better ones. One false match in a hundred, because
    /// pictures from different occasions are often not much alike.
    pub fn distinct_person_threshold(&self) -> f32 {
        self.threshold_at_fmr(0.01).unwrap_or_else(|| self.default_threshold())
    }

    /// The threshold on the mean similarity of an attempt.
    pub fn attempt_threshold(&self) -> f32 {
        self.thresholds.attempt
    }

    /// How much higher a threshold divides the false-match rate by ten, by the card's two strictest rates;
    /// 0 where it has but one. The means of attempts spread less than single comparisons do, so for them
    /// it divides by more.
    pub fn tenfold_step(&self) -> f32 {
        match self.rates()[..] {
            [(strict, high), (lax, low), ..] => {
                let tenfolds = (lax / strict).log10();
                if tenfolds > 0.0 {
                    ((f64::from(high) - f64::from(low)) / tenfolds).max(0.0) as f32
                } else {
                    0.0
                }
            }
            _ => 0.0,
        }
    }

    /// How two vectors of this network are compared.
    pub fn metric(&self) -> Metric {
        self.output.metric
    }
}

/// A card's text as what it says; `path` is for messages.
pub(super) fn read<T: serde::de::DeserializeOwned>(text: &str, path: &Path) -> Result<T, EmbedError> {
    toml::from_str(text).map_err(|e| {
        let line = e.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
        let key = text.lines().nth(line - 1).unwrap_or("").trim();
        EmbedError::card(path, format!("line {line} (`{key}`): {}", e.message().trim()))
    })
}

fn same_rate(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const CARD: &str = r#"
[model]
name = "a network"
file = "network.onnx"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
[input]
width = 92
height = 112
colour = "gray"
mean = [0.0]
deviation = [1.0]
[crop]
width = 1.0
height = 1.2
[output]
size = 128
metric = "cosine"
[thresholds]
default_fmr = 0.01
at_fmr = { "0.1" = 0.2, "0.01" = 0.4, "0.001" = 0.5 }
attempt = 0.6
"#;

    fn parse(text: &str) -> Result<Card, String> {
        Card::parse(text, Path::new("card.toml")).map_err(|e| e.to_string())
    }

    #[test]
    fn a_good_card_is_read_and_survives_writing() {
        let card = parse(CARD).unwrap();
        assert_eq!(card.crop, CropRule { height: 1.2, ..CropRule::default() });
        assert_eq!(card.input.layout, TensorLayout::Nchw);
        assert_eq!(parse(&toml::to_string(&card).unwrap()).unwrap(), card);
    }

    #[test]
    fn thresholds_are_those_of_the_next_lower_rate() {
        let card = parse(CARD).unwrap();
        assert_eq!(card.default_threshold(), 0.4);
        assert_eq!(card.threshold_at_fmr(0.01), Some(0.4));
        assert_eq!(card.threshold_at_fmr(0.05), Some(0.4));
        assert_eq!(card.threshold_at_fmr(0.009), Some(0.5));
        assert_eq!(card.threshold_at_fmr(1.0), Some(0.2));
        assert_eq!(card.threshold_at_fmr(0.0001), None);
        assert_eq!(card.threshold_at_fmr(f64::NAN), None);
        assert_eq!(card.distinct_person_threshold(), 0.4);
        assert_eq!(card.attempt_threshold(), 0.6);
        let (strict, lax) = (card.rates()[0], card.rates()[1]);
        let tenfolds = (lax.0 / strict.0).log10() as f32;
        assert!((card.tenfold_step() * tenfolds - (strict.1 - lax.1)).abs() < 1e-6);
    }

    #[test]
    fn each_fault_is_named() {
        let cases = [
            ("width = 92", "width = 8", "input.width = 8"),
            ("[input]", "[input]\nwidht = 1", "widht"),
            ("colour = \"gray\"", "colour = \"rgb\"", "input.mean has 1 figures"),
            ("colour = \"gray\"", "colour = \"green\"", "green"),
            ("deviation = [1.0]", "deviation = [0.0]", "input.deviation"),
            ("height = 1.2", "height = nan", "crop.height"),
            ("network.onnx", "../network.onnx", "model.file"),
            ("sha256 = \"00", "sha256 = \"0", "model.sha256"),
            ("size = 128", "size = 0", "output.size"),
            ("\"0.01\" = 0.4", "\"0.01\" = 0.1", "a lower rate needs a higher threshold"),
            ("\"0.01\" = 0.4", "\"none\" = 0.4", "\"none\""),
            ("default_fmr = 0.01", "default_fmr = 0.02", "thresholds.default_fmr"),
            ("attempt = 0.6", "attempt = inf", "thresholds.attempt"),
            ("attempt = 0.6", "", "attempt"),
            ("[output]", "[outptu]", "outptu"),
            ("default_fmr = 0.01", "default_fmr = ", "line 19 (`default_fmr =`)"),
        ];
        for (from, to, told) in cases {
            assert!(CARD.contains(from), "{from}");
            let error = parse(&CARD.replacen(from, to, 1)).unwrap_err();
            assert!(error.contains(told) && error.starts_with("card.toml: "), "{from} -> {to}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
