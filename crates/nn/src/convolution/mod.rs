//! Our own 3x3 convolutions, in place of tract's, for a network that mostly is such.
//!
//! [`replace()`] puts them into a network that tract has simplified, together with the sums and ReLUs that
//! follow them. Maps lie channels last between them, so that vectors run along the channels and the lines of
//! a kernel are read where they lie. Arithmetic is of 32-bit floats. What it gains is measured by
//! `make bench-embedder` (docs/design/network-runtime.md). Without AVX2 or NEON tract's own are left.
//!
//! `unsafe` is for vector loads and stores, which take pointers, and for calls of functions that need an
//! instruction set, made only through [`kernels::Kernels`], which exist for those alone that the processor
//! has.

mod direct;
mod kernels;
mod lanes;
mod method;
mod product;
mod replace;
mod step;
mod winograd;

pub(crate) use replace::replace;

use method::{Filters, Geometry, KERNEL, Maps, Method, Padded, Scratch};

/// The instruction set that our convolutions use here, if this processor has one of theirs.
pub(crate) fn instruction_set() -> Option<&'static str> {
    kernels::Kernels::available().first().map(|kernels| kernels.name)
}
