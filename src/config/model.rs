//! `[model]`

use std::path::PathBuf;

use super::table::section;

section! {
    /// Which network compares faces.
    [model] ModelConfig;

    /// Model card of another network instead of the built-in one.
    card: Option<PathBuf> = None, example r#""model.toml""#;
}
