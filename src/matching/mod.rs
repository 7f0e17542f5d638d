//! Matching: embeddings, their distance, and the gallery of templates.

mod embedding;

pub use embedding::{Embedding, Metric};
