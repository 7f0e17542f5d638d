//! One convolution as an operator of tract's.

use std::fmt;
use std::sync::Arc;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

use super::algorithm::Algorithm;
use super::geometry::{Filters, Geometry, Maps};
use super::kernels::Kernels;

/// A convolution made ready, as an operator of tract's: inputs are the map and, if `residual`, one to add.
#[derive(Clone)]
pub(super) struct Convolution {
    geometry: Geometry,
    pub(super) residual: bool,
    pub(super) relu: bool,
    algorithm: Arc<Algorithm>,
}

impl Convolution {
    /// Prepares it; nothing is added and values below 0 stay until `residual` and `relu` are set.
    pub(super) fn new(kernels: &'static Kernels, geometry: Geometry, filters: Filters<'_>) -> Self {
        let algorithm = Algorithm::new(kernels, &geometry, filters);
        Convolution { geometry, residual: false, relu: false, algorithm: Arc::new(algorithm) }
    }
}

impl PartialEq for Convolution {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.algorithm, &other.algorithm)
            && (self.residual, self.relu) == (other.residual, other.relu)
    }
}

impl Eq for Convolution {}

impl fmt::Debug for Convolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Convolution({}, {:?})", self.algorithm.name(), self.geometry)
    }
}

impl Op for Convolution {
    fn name(&self) -> StaticName {
        "FacelatchConvolution".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Convolution {
    op_out_of_plan!();

    fn eval(&self, _context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let g = &self.geometry;
        // SAFETY: every value is written by `run` before anybody reads it.
        let mut output = unsafe { Tensor::uninitialized::<f32>(&[1, g.out_height, g.out_width, g.outputs])? };
        let (input, residual) = (inputs[0].try_as_plain_ram()?, inputs.get(1));
        let residual = residual.map(|r| r.try_as_plain_ram()).transpose()?;
        let mut written = output.try_as_plain_ram_mut()?;
        let maps = Maps {
            input: input.as_slice::<f32>()?,
            residual: residual.as_ref().map(|r| r.as_slice::<f32>()).transpose()?,
            output: written.as_slice_mut::<f32>()?,
        };
        self.algorithm.run(g, self.relu, maps);
        Ok(tvec!(output.into_tvalue()))
    }
}

impl TypedOp for Convolution {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let g = &self.geometry;
        let input = f32::fact([1, g.height, g.width, g.inputs]);
        let output = f32::fact([1, g.out_height, g.out_width, g.outputs]);
        let expected = if self.residual { vec![&input, &output] } else { vec![&input] };
        ensure!(inputs.len() == expected.len(), "{self:?} of {} inputs", inputs.len());
        for (found, expected) in inputs.iter().zip(expected) {
            ensure!(expected.compatible_with(*found), "{self:?} of {found:?}");
        }
        Ok(tvec!(output))
    }

    as_op!();
}
