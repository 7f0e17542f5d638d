//! The embedder: a face crop to a vector.
//!
//! An [`Embedder`] is a model card ([`Card`], TOML) and the ONNX file it describes, run by tract on
//! one thread. [`Embed`] is what the rest of facelatch sees of it.
//!
//! * [`card`]: what a network file wants as input, how its vectors are compared, where it is from.
//! * [`crop`]: from the detector's box to the network's input.
//! * [`liveness`]: the small network that says whether a face is alive.

pub mod card;
pub mod crop;
pub mod liveness;

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

pub use card::{Card, CropRule};
pub use crop::{CropView, Pixels};
pub use liveness::LivenessNetwork;

use facelatch_core::matching::{Embedding, ModelHash};
use facelatch_core::picture::{GrayView, Rect};
use facelatch_nn::runtime::Network;

const DEFAULT_CARD: &str = include_str!("../../../../models/embedder.toml");
const DEFAULT_NETWORK: &[u8] = include_bytes!("../../../../models/embedder.onnx");

/// Makes a vector of a face in a picture.
pub trait Embed {
    /// The vector of the face in the box `face` of a picture, which need not lie inside it.
    ///
    /// # Errors
    /// When the box has no part in the picture, or the network fails or gives other than numbers.
    fn embed_pixels(
        &mut self,
        pixels: Pixels<'_>,
        face: Rect,
        view: CropView,
    ) -> Result<Embedding, EmbedError>;

    /// [`Embed::embed_pixels`] for a gray picture.
    ///
    /// # Errors
    /// As there.
    fn embed(&mut self, picture: GrayView<'_>, face: Rect) -> Result<Embedding, EmbedError> {
        self.embed_pixels(Pixels::gray(picture), face, CropView::Plain)
    }
}

/// Why there is no embedder, or no embedding.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}; {remedy}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
        /// What to do about it.
        remedy: &'static str,
    },
    /// A model card says what it must not.
    #[error("{path}: {message}")]
    Card {
        /// The card.
        path: PathBuf,
        /// Which line or key, and the remedy.
        message: String,
    },
    /// A network file is not the one its card describes.
    #[error(
        "{path} is not the file that {card} describes: its SHA-256 is {found}, the card says {said}; restore the \
         file, or put its SHA-256 into the card"
    )]
    Hash {
        /// The network file.
        path: PathBuf,
        /// The card.
        card: PathBuf,
        /// The SHA-256 of the file.
        found: String,
        /// The SHA-256 in the card.
        said: String,
    },
    /// A network file cannot be used.
    #[error("{path}: {message}; use another network file, or correct its card")]
    Network {
        /// The network file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The network failed on an input.
    #[error("the network {model} failed: {message}")]
    Run {
        /// Name of the network.
        model: String,
        /// What happened.
        message: String,
    },
    /// There is nothing to embed in the given box.
    #[error("{message}")]
    Face {
        /// What is wrong with the box.
        message: String,
    },
}

impl EmbedError {
    fn card(path: &Path, message: impl Into<String>) -> Self {
        EmbedError::Card { path: path.to_path_buf(), message: message.into() }
    }
}

/// A network with its card, ready to run. One state is reused for all runs.
pub struct Embedder {
    card: Card,
    hash: ModelHash,
    network: Network,
    cropper: crop::Cropper,
    values: Vec<f32>,
}

impl Embedder {
    /// Opens a model card and the ONNX file beside it.
    ///
    /// # Errors
    /// When either cannot be read, makes no sense, or they do not match.
    pub fn open(card: &Path) -> Result<Self, EmbedError> {
        let text = read_card(card)?;
        let parsed = Card::parse(&text, card)?;
        let network = read_network(card, &parsed.model.file)?;
        Self::from_parts(parsed, card, &network)
    }

    /// The default network, which this program carries within.
    ///
    /// # Errors
    /// When the files in `models/` did not match as this program was built.
    pub fn embedded_default() -> Result<Self, EmbedError> {
        let path = Path::new("models/embedder.toml");
        Self::from_parts(Card::parse(DEFAULT_CARD, path)?, path, DEFAULT_NETWORK)
    }

    /// An embedder from a card and the bytes of its network; `path` is the card's, for messages.
    ///
    /// # Errors
    /// As [`Embedder::open`].
    pub fn from_parts(card: Card, path: &Path, network: &[u8]) -> Result<Self, EmbedError> {
        card.check().map_err(|message| EmbedError::card(path, message))?;
        let (hash, mut loaded) =
            load(&card.model, &card.input, (card.output.name.as_deref(), card.output.size), path, network)?;
        // One run shows whether it runs at all, before anybody stands at the door.
        let values = vec![0.5; loaded.input_len()];
        loaded.run(&values).map_err(|message| EmbedError::Network {
            path: path.with_file_name(&card.model.file),
            message,
        })?;
        Ok(Embedder { card, hash, network: loaded, cropper: crop::Cropper::new(), values })
    }

    /// The card.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// The SHA-256 of the network file: templates made by one file mean nothing to another.
    pub fn model_hash(&self) -> ModelHash {
        self.hash
    }

    /// Shape of the network's input: a batch of 1, then the axes in the card's layout.
    pub fn input_shape(&self) -> [usize; 4] {
        input_shape(&self.card.input)
    }

    /// Number of values of the network's input.
    pub fn input_len(&self) -> usize {
        self.network.input_len()
    }

    /// The network's input for a face: the crop, scaled, in the card's layout. For pictures of it and
    /// for measurements; [`Embed::embed_pixels`] does this itself.
    ///
    /// # Errors
    /// When the box has no part in the picture.
    pub fn input_values(&mut self, pixels: Pixels<'_>, face: Rect) -> Result<&[f32], EmbedError> {
        let crop = self.card.crop;
        self.fill(pixels, face, CropView::Plain, &crop)?;
        Ok(&self.values)
    }

    fn fill(
        &mut self,
        pixels: Pixels<'_>,
        face: Rect,
        view: CropView,
        crop: &CropRule,
    ) -> Result<(), EmbedError> {
        self.cropper
            .fill(pixels, face, view, crop, &self.card.input, &mut self.values)
            .map_err(|message| EmbedError::Face { message })
    }

    /// The vector of a crop that somebody else has chosen, without the card's crop rule.
    ///
    /// # Errors
    /// As [`Embed::embed_pixels`].
    pub fn embed_crop(
        &mut self,
        pixels: Pixels<'_>,
        crop: Rect,
        view: CropView,
    ) -> Result<Embedding, EmbedError> {
        self.fill(pixels, crop, view, &CropRule::default())?;
        let vector = self.network.run(&self.values);
        self.finish(vector)
    }

    /// The vector of given input values, as [`Embedder::input_values`] makes them.
    ///
    /// # Errors
    /// When there are not [`Embedder::input_len`] values, or the network fails.
    pub fn embed_values(&mut self, values: &[f32]) -> Result<Embedding, EmbedError> {
        let vector = self.network.run(values);
        self.finish(vector)
    }

    fn finish(&self, vector: Result<Vec<f32>, String>) -> Result<Embedding, EmbedError> {
        let failed = |message: String| EmbedError::Run { model: self.card.model.name.clone(), message };
        let mut vector = vector.map_err(failed)?;
        if !vector.iter().all(|v| v.is_finite()) {
            return Err(failed("it gave values that are not numbers".into()));
        }
        if self.card.output.normalise {
            let length = vector.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
            if length <= 0.0 {
                return Err(failed("it gave a vector of zeros, which has no direction".into()));
            }
            vector.iter_mut().for_each(|v| *v = (f64::from(*v) / length) as f32);
        }
        Ok(Embedding::new(vector))
    }
}

fn read_card(card: &Path) -> Result<String, EmbedError> {
    fs::read_to_string(card).map_err(|source| EmbedError::Read {
        path: card.to_path_buf(),
        source,
        remedy: "give the path of a model card (a TOML file such as models/embedder.toml)",
    })
}

fn read_network(card: &Path, file: &str) -> Result<Vec<u8>, EmbedError> {
    let file = card.with_file_name(file);
    fs::read(&file).map_err(|source| EmbedError::Read {
        path: file.clone(),
        source,
        remedy: "the model card names this network file: put it beside the card, or train it first (training/)",
    })
}

/// The network that `model` names, if these are its bytes and it takes and gives what its card says.
/// `output` is the name of the output, where it has one, and its size.
fn load(
    model: &card::ModelSection,
    input: &card::InputSection,
    (name, size): (Option<&str>, usize),
    path: &Path,
    network: &[u8],
) -> Result<(ModelHash, Network), EmbedError> {
    let file = path.with_file_name(&model.file);
    let refuse = |message: String| EmbedError::Network { path: file.clone(), message };
    if network.is_empty() {
        return Err(refuse("the file is empty".into()));
    }
    let hash = ModelHash(Sha256::digest(network).into());
    let found = hex(&hash);
    if !found.eq_ignore_ascii_case(&model.sha256) {
        let said = model.sha256.clone();
        return Err(EmbedError::Hash { path: file, card: path.to_path_buf(), found, said });
    }
    let loaded = Network::load(network, &input_shape(input), name).map_err(refuse)?;
    if loaded.size() != size {
        return Err(EmbedError::Network {
            path: path.with_file_name(&model.file),
            message: format!("it gives {} values, the card says output.size = {size}", loaded.size()),
        });
    }
    Ok((hash, loaded))
}

/// A network without a card: for measurements of any ONNX file.
pub struct BareNetwork(Network);

impl BareNetwork {
    /// Loads a network whose input has the given shape, batch of 1 first.
    ///
    /// # Errors
    /// A sentence on what is wrong with the file.
    pub fn load(onnx: &[u8], shape: &[usize]) -> Result<Self, String> {
        Network::load(onnx, shape, None).map(BareNetwork)
    }

    /// The output for one input.
    ///
    /// # Errors
    /// When the values are too few or many, or the network fails.
    pub fn run(&mut self, values: &[f32]) -> Result<Vec<f32>, String> {
        self.0.run(values)
    }
}

impl Embed for Embedder {
    fn embed_pixels(
        &mut self,
        pixels: Pixels<'_>,
        face: Rect,
        view: CropView,
    ) -> Result<Embedding, EmbedError> {
        let crop = self.card.crop;
        self.fill(pixels, face, view, &crop)?;
        let vector = self.network.run(&self.values);
        self.finish(vector)
    }
}

impl std::fmt::Debug for Embedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Embedder({}, {})", self.card.model.name, self.hash)
    }
}

/// The input's shape, with a batch of 1.
fn input_shape(input: &card::InputSection) -> [usize; 4] {
    let channels = input.colour.channels();
    match input.layout {
        card::TensorLayout::Nchw => [1, channels, input.height, input.width],
        card::TensorLayout::Nhwc => [1, input.height, input.width, channels],
    }
}

/// All hexadecimal digits of a hash.
fn hex(hash: &ModelHash) -> String {
    hash.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use facelatch_core::picture::Gray;

    #[test]
    fn the_default_network_runs_and_tells_pictures_apart() {
        let mut embedder = Embedder::embedded_default().unwrap();
        let metric = embedder.card().metric();
        let pixels = (0..200 * 200).map(|i| ((i % 200) ^ (i / 200)) as u8).collect();
        let stripes = Gray::from_pixels(200, 200, pixels).unwrap();
        let face = Rect::new(20, 30, 100, 100);
        let a = embedder.embed(stripes.view(), face).unwrap();
        assert_eq!(a.values().len(), embedder.card().output.size);
        assert_eq!(embedder.embed(stripes.view(), face).unwrap(), a, "a reused state must not remember");
        let b = embedder.embed(Gray::filled(200, 200, 90).view(), face).unwrap();
        assert!(metric.distance(&a, &b).unwrap() > 0.01);
        assert!(matches!(
            embedder.embed(stripes.view(), Rect::new(300, 0, 50, 50)),
            Err(EmbedError::Face { .. })
        ));
    }

    #[test]
    fn another_file_than_the_cards_is_refused() {
        let path = Path::new("cards/x.toml");
        let card = Card::parse(DEFAULT_CARD, path).unwrap();
        let told = |card: &Card, network: &[u8]| {
            let error = Embedder::from_parts(card.clone(), path, network).unwrap_err().to_string();
            assert!(error.starts_with("cards/embedder.onnx") && !error.contains('\n'), "{error}");
            error
        };
        assert!(told(&card, b"").contains("empty"));
        assert!(told(&card, &DEFAULT_NETWORK[..1000]).contains("SHA-256"));
        let mut wrong = card.clone();
        wrong.output.size = 64;
        assert!(told(&wrong, DEFAULT_NETWORK).contains("output.size = 64"));
        let mut wrong = card.clone();
        wrong.input.width = 96;
        assert!(told(&wrong, DEFAULT_NETWORK).contains("1x1x112x96"));
    }
}
