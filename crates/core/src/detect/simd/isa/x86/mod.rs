//! x86-64: SSE2 to SSE4.2 in one file, AVX2 in another, what both use in `common`.

pub(in super::super) mod avx2;
mod common;
pub(in super::super) mod sse;
