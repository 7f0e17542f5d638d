//! Our own 3x3 convolutions, in place of tract's, for a network that mostly is such.
//!
//! [`rewrite()`] puts them into a network that tract has simplified, together with the sums and ReLUs that
//! follow them. Maps lie channels last between them, so that vectors run along the channels and the lines of
//! a kernel are read where they lie. Arithmetic is of 32-bit floats. What it gains is measured by
//! `make bench-embedder` (docs/design/network-runtime.md). Without AVX2 or NEON tract's own are left.
//!
//! `unsafe` is for vector loads and stores, which take pointers, and for calls of functions that need an
//! instruction set, made only through [`kernels::Kernels`], which [`dispatch`] hands out for those alone that the
//! processor has.

mod algorithm;
mod direct;
mod dispatch;
mod gemm;
mod geometry;
mod kernels;
mod memory;
mod op;
mod rewrite;
mod simd;
mod winograd;

pub(crate) use dispatch::instruction_set;
pub(crate) use rewrite::rewrite;
