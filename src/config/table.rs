//! The table of keys. `section!` takes one section as a list of keys, each with its words, type, default,
//! range and unit. From this list follow the section's type, its default, the check of its ranges, its part of
//! `config/facelatch.toml` and its part of `docs/reference/config.md`.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;

use serde::Serialize;

use facelatch_host::config_file::ConfigError;

/// A section of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Its name in the file.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// Its keys, in the order of the shipped file.
    pub keys: &'static [Key],
}

/// A key of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name in the file.
    pub name: &'static str,
    /// The name it had in the version before, which is still accepted.
    pub old: Option<&'static str>,
    /// What it does.
    pub words: &'static str,
    /// Its range, with the unit.
    pub range: Option<&'static str>,
    /// A value in TOML, for a key without a default; for a table, its lines.
    pub example: Option<&'static str>,
    /// Its default in TOML; `None` for a key that is not set by default.
    pub default: fn() -> Option<String>,
}

/// A value that cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Section and key.
    pub key: &'static str,
    /// The value as read.
    pub value: String,
    /// What would be right.
    pub problem: &'static str,
}

impl Fault {
    /// `value` is written as Rust writes it: text in quotes, a number that is not a number as `NaN`.
    pub(super) fn new(key: &'static str, value: impl fmt::Debug, problem: &'static str) -> Self {
        Fault { key, value: format!("{value:?}"), problem }
    }

    /// The error for the file that the value comes from.
    pub(super) fn in_file(self, path: &Path) -> ConfigError {
        let Fault { key, value, problem } = self;
        ConfigError::Value { path: path.to_owned(), key, value, problem }
    }
}

/// Defines a section:
///
/// ```text
/// section! {
///     /// What the section is about.
///     [name] Type;
///
///     /// What the key does.
///     key: Type = default, range 500 to 60_000 ms, old its_former_name;
///     /// What a key without a default does; the example is TOML.
///     other: Option<Type> = None, range 0.0 to 1.0, example "0.3";
/// }
/// ```
///
/// Range, unit, example and old name may be left out, but keep this order.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        [$name:ident] $Section:ident;
        $(
            $(#[doc = $words:literal])+
            $key:ident: $type:ty = $default:expr
            $(, range $min:literal to $max:literal $($unit:ident)?)?
            $(, example $example:literal)?
            $(, old $old:ident)?;
        )+
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $Section {
            $(
                $(#[doc = $words])+
                $(#[doc = concat!("\n\nRange: ", $min, " to ", $max $(, " ", stringify!($unit))?, ".")])?
                pub $key: $type,
            )+
        }

        impl Default for $Section {
            fn default() -> Self {
                $Section { $($key: $default),+ }
            }
        }

        impl $Section {
            pub(super) const TABLE: $crate::config::table::Section = $crate::config::table::Section {
                name: stringify!($name),
                about: concat!($($about),+).trim_ascii(),
                keys: &[$(
                    $crate::config::table::Key {
                        name: stringify!($key),
                        old: $crate::config::table::optional!($(stringify!($old))?),
                        words: concat!($($words),+).trim_ascii(),
                        range: $crate::config::table::optional!($(concat!($min, " to ", $max $(, " ", stringify!($unit))?))?),
                        example: $crate::config::table::optional!($($example)?),
                        default: || $crate::config::table::as_toml(&$Section::default().$key),
                    }
                ),+],
            };

            /// Checks each value against its range.
            pub(super) fn check_ranges(&self) -> Result<(), $crate::config::table::Fault> {
                $($(
                    $crate::config::table::check_range(
                        &self.$key,
                        $min..=$max,
                        concat!(stringify!($name), ".", stringify!($key)),
                        concat!("must be ", $min, " to ", $max $(, " ", stringify!($unit))?),
                    )?;
                )?)+
                Ok(())
            }
        }
    };
}

/// What a macro's optional part becomes.
macro_rules! optional {
    () => {
        None
    };
    ($value:expr) => {
        Some($value)
    };
}

pub(super) use {optional, section};

/// The value in TOML; `None` for a value that is not set.
pub(super) fn as_toml(value: &impl Serialize) -> Option<String> {
    let mut text = String::new();
    // TOML has no null: that is the one value of a configuration that it refuses.
    value.serialize(toml::ser::ValueSerializer::new(&mut text)).ok()?;
    Some(text)
}

/// A value that can have a range: a number, or one that may not be set.
pub(super) trait Ranged {
    type Number: PartialOrd + fmt::Debug;

    /// The number, where it is set.
    fn number(&self) -> Option<Self::Number>;
}

macro_rules! ranged {
    ($($number:ty)+) => {
        $(
            impl Ranged for $number {
                type Number = $number;

                fn number(&self) -> Option<$number> {
                    Some(*self)
                }
            }
        )+
    };
}

ranged!(u8 u32 u64 usize i32 f32 f64);

impl<T: Ranged> Ranged for Option<T> {
    type Number = T::Number;

    fn number(&self) -> Option<T::Number> {
        self.as_ref().and_then(T::number)
    }
}

pub(super) fn check_range<T: Ranged>(
    value: &T,
    range: RangeInclusive<T::Number>,
    key: &'static str,
    problem: &'static str,
) -> Result<(), Fault> {
    match value.number() {
        Some(number) if !range.contains(&number) => Err(Fault::new(key, number, problem)),
        _ => Ok(()),
    }
}
