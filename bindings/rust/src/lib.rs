//! Martlet runs neural networks on CPUs, in float32 or as fast as the chip's bf16 units allow.
//!
//! ```
//! use martlet::{Model, Tensor};
//!
//! # fn main() -> martlet::Result<()> {
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Examples/models/digits.onnx");
//! martlet::set_float32_fast_math_mode("BF16")?; // the one line
//! let model = Model::load(path)?;
//! let image = vec![0.0f32; 64];
//! let outputs = model.run(&[&Tensor::borrow(&image, &[1, 1, 8, 8])?])?;
//! let scores = outputs[0].to_vec::<f32>()?;
//! # assert_eq!(scores.len(), 10);
//! # Ok(())
//! # }
//! ```
//!
//! - [`Tensor`]: elements that are copied, taken over or borrowed; [`TensorMut`]: memory for results.
//! - [`Model`]: loaded with [`LoadOptions`], run in order or by name.
//! - [`Context`]: the state of one run at a time, for many runs: progress and cancellation, limits,
//!   reports, profiles.
//! - [`Value`]: sequences, optionals, maps and states.
//! - [`matmul`], [`conv`], ... and [`op_run`]: single operators.
//! - [`set_float32_fast_math_mode`], [`with_math_mode`]: what products may be lowered to.
//!
//! The crate is a layer over the library's C ABI, whose header, `martlet.h`, says in detail what is
//! computed. Whatever safe code does, nothing is undefined, and nothing ends the process; what can
//! fail returns a [`Result`]. The one thing that the compiler cannot hold is that a model's file is
//! not changed in place while the model is in use.
#![forbid(unsafe_op_in_unsafe_fn)]
#![deny(missing_docs)]

/// The programs of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod context;
mod dtype;
mod error;
mod ffi;
mod functions;
mod model;
mod process;
mod tensor;
mod value;

pub use context::{Context, ContextMemory, NodeInfo};
pub use dtype::{DType, Element, Number, BF16, F16};
pub use error::{Error, Result, Status};
pub use functions::{
    attention, conv, gelu, layer_norm, linear, matmul, op_run, operators, pack, softmax, Attribute,
    ConvOptions,
};
pub use model::{LoadOptions, Model, ModelMemory, ValueInfo};
pub use process::{
    cpu_features, cpu_isa, cpu_name, float32_fast_math_mode, memory_in_use, num_threads,
    set_float32_fast_math_mode, set_isa, set_num_threads, set_spin_microseconds, spin_microseconds,
    trim, version, version_string, with_math_mode, MathMode, Pool,
};
pub use tensor::{NamedTensors, Tensor, TensorMut};
pub use value::{Value, ValueKind};
