//! Matching: embeddings, their distance, and the gallery of templates.

mod embedding;
mod gallery;

pub use embedding::{Embedding, Metric};
pub use gallery::{Gallery, GalleryError, ModelHash, Subject};
