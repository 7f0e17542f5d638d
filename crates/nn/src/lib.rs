//! Small ONNX networks on one thread, by tract with our own 3x3 convolutions.
//!
//! | Module | Holds |
//! |---|---|
//! | [`runtime`] | a loaded network: values in, values out |
//! | [`quantize`] | a float file to one with int8 weights |
//! | [`anatomy`] | what a file is made of: parameters, multiply-adds, arithmetic |
//! | `graph` | reading, checking and rewriting the ONNX graph |
//! | `convolution` | Winograd and direct kernels for AVX-512, AVX2 and NEON |
//!
//! Nothing here knows of faces: what goes in and what comes out is the caller's business.

pub mod anatomy;
mod convolution;
mod graph;
pub mod quantize;
pub mod runtime;
