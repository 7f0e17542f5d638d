//! The trained classifier, and the forms that it is read from.

mod compact;
mod formats;
mod model;
mod xml;

pub use model::{Cascade, CascadeError, Feature, Node, Stage, Tree, WeightedRect};
