//! Matching: embeddings, their distance, and the gallery of templates.

mod compact;
mod embedding;
mod gallery;
mod matcher;
pub mod name;
mod template;

pub use compact::{Bytes, CompactTemplates, Hit};
pub use embedding::{Embedding, Metric};
pub use facelatch_simd::InstructionSet;
pub use gallery::{Gallery, GalleryError, MOST_LOOKS, ModelHash, Note, Subject};
pub use matcher::Matcher;
pub use template::{TemplateError, TemplateRules, mean, templates};
