//! The embedder: a face crop to a vector.
