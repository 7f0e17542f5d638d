//! Puts [`Convolution`]s into a network in place of tract's.

use std::collections::{HashMap, HashSet};

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cnn::{Conv, KernelFormat};
use tract_onnx::tract_core::ops::math::{Add, Max};
use tract_onnx::tract_core::ops::nn::DataFormat;

use super::kernels::Kernels;
use super::step::Convolution;
use super::{Geometry, KERNEL};

/// The network with our own 3x3 convolutions where they apply: of floats, ungrouped, undilated, channels
/// first, with constant weights and one picture at a time. `model` has been decluttered.
///
/// # Errors
/// When tract cannot put the network together again.
pub(in super::super) fn replace(model: TypedModel) -> TractResult<TypedModel> {
    match Kernels::available().first() {
        Some(kernels) => with_kernels(model, kernels),
        None => Ok(model),
    }
}

pub(super) fn with_kernels(model: TypedModel, kernels: &'static Kernels) -> TractResult<TypedModel> {
    let mut chains = HashMap::new();
    let mut absorbed = HashSet::new();
    for node in &model.nodes {
        if let Some(convolution) = convolution(&model, node, kernels)? {
            let chain = Chain::of(&model, node, convolution)?;
            absorbed.extend(chain.nodes.iter().copied());
            if let Some(last) = chain.nodes.last() {
                chains.insert(*last, chain);
            }
        }
    }
    if chains.is_empty() {
        return Ok(model);
    }
    let mut builder = Builder { out: TypedModel::default(), outlets: HashMap::new(), last: HashMap::new() };
    for id in model.eval_order()? {
        let node = model.node(id);
        if let Some(chain) = chains.remove(&id) {
            builder.wire_chain(node, chain)?;
        } else if !absorbed.contains(&id) {
            builder.copy(&model, node)?;
        }
    }
    let mut out = builder.out;
    let outputs = model.output_outlets()?.iter().map(|o| builder.outlets[o]).collect::<Vec<_>>();
    out.select_output_outlets(&outputs)?;
    Ok(out)
}

/// A convolution and what follows it, done in one go.
struct Chain {
    input: OutletId,
    residual: Option<OutletId>,
    convolution: Convolution,
    /// In order; the last one's output is the chain's.
    nodes: Vec<usize>,
}

impl Chain {
    fn of(model: &TypedModel, node: &TypedNode, convolution: Convolution) -> TractResult<Self> {
        let mut chain = Chain { input: node.inputs[0], residual: None, convolution, nodes: vec![node.id] };
        let mut last = node;
        while let Some(next) = only_successor(model, last)? {
            let Some(op) = next.op_as::<TypedBinOp>() else { break };
            let other = next.inputs[usize::from(next.inputs[0].node == last.id)];
            let fact = model.outlet_fact(other)?;
            if op.0.is::<Add>()
                && !chain.convolution.relu
                && chain.residual.is_none()
                && fact.konst.is_none()
                && fact.without_value() == last.outputs[0].fact.without_value()
            {
                chain.residual = Some(other);
                chain.convolution.residual = true;
            } else if op.0.is::<Max>() && !chain.convolution.relu && is_zero(fact) {
                chain.convolution.relu = true;
            } else {
                break;
            }
            chain.nodes.push(next.id);
            last = next;
        }
        Ok(chain)
    }
}

/// The node that alone reads the only output of `node`, once.
fn only_successor<'a>(model: &'a TypedModel, node: &TypedNode) -> TractResult<Option<&'a TypedNode>> {
    if model.output_outlets()?.contains(&node.id.into()) {
        return Ok(None);
    }
    match &*node.outputs[0].successors {
        [inlet] => Ok(Some(model.node(inlet.node))),
        _ => Ok(None),
    }
}

fn is_zero(fact: &TypedFact) -> bool {
    let uniform = fact.uniform.as_ref().or(fact.konst.as_ref().filter(|k| k.len() == 1));
    uniform.is_some_and(|value| value.cast_to_scalar::<f32>().is_ok_and(|v| v == 0.0))
}

/// Our convolution for tract's, where it can take its place.
fn convolution(
    model: &TypedModel,
    node: &TypedNode,
    kernels: &'static Kernels,
) -> TractResult<Option<Convolution>> {
    let Some(conv) = node.op_as::<Conv>() else { return Ok(None) };
    let pool = &conv.pool_spec;
    if conv.q_params.is_some()
        || conv.group != 1
        || conv.kernel_fmt != KernelFormat::OIHW
        || pool.data_format != DataFormat::NCHW
        || pool.kernel_shape.as_slice() != [KERNEL, KERNEL]
        || pool.dilations.iter().flatten().any(|d| *d != 1)
    {
        return Ok(None);
    }
    let facts = model.node_input_facts(node.id)?;
    let (Some(shape), Some(weights), Some(bias)) =
        (facts[0].shape.as_concrete(), &facts[1].konst, &facts[2].konst)
    else {
        return Ok(None);
    };
    let &[1, inputs, height, width] = shape else { return Ok(None) };
    if facts[0].datum_type != f32::datum_type() || weights.datum_type() != f32::datum_type() {
        return Ok(None);
    }
    let stride = (pool.stride(0), pool.stride(1));
    let padded =
        pool.padding.compute(&[height, width], &pool.kernel_shape, &pool.dilations(), &pool.strides());
    let geometry = Geometry {
        inputs,
        outputs: pool.output_channels,
        height,
        width,
        out_height: padded[0].convoluted,
        out_width: padded[1].convoluted,
        stride,
        before: (padded[0].pad_before, padded[1].pad_before),
    };
    let weights = weights.try_as_plain_ram()?.as_slice::<f32>()?;
    let weight = |output: usize, input: usize, line: usize, column: usize| {
        weights[((output * inputs + input) * KERNEL + line) * KERNEL + column]
    };
    let bias = bias.cast_to::<f32>()?;
    let bias = bias.try_as_plain_ram()?.as_slice::<f32>()?;
    let biases = if bias.len() == 1 { vec![bias[0]; geometry.outputs] } else { bias.to_vec() };
    Ok(Some(Convolution::new(kernels, geometry, weight, &biases)))
}

/// The new network as it grows.
struct Builder {
    out: TypedModel,
    /// Where each value of the old network is now.
    outlets: HashMap<OutletId, OutletId>,
    /// Values that exist with channels last too.
    last: HashMap<OutletId, OutletId>,
}

impl Builder {
    fn copy(&mut self, model: &TypedModel, node: &TypedNode) -> TractResult<()> {
        let wires = if model.input_outlets()?.contains(&node.id.into()) {
            tvec!(self.out.add_source(&*node.name, node.outputs[0].fact.clone())?)
        } else {
            let inputs = node.inputs.iter().map(|i| self.outlets[i]).collect::<TVec<_>>();
            self.out.wire_node(&*node.name, node.op.clone(), &inputs)?
        };
        for (slot, wire) in wires.into_iter().enumerate() {
            self.outlets.insert(OutletId::new(node.id, slot), wire);
        }
        Ok(())
    }

    fn wire_chain(&mut self, node: &TypedNode, chain: Chain) -> TractResult<()> {
        let name = &node.name;
        let mut inputs = tvec!(self.channels_last(name, chain.input)?);
        if let Some(residual) = chain.residual {
            inputs.push(self.channels_last(name, residual)?);
        }
        let wire = self.out.wire_node(&**name, chain.convolution, &inputs)?[0];
        let first = self.out.wire_node(format!("{name}.channels_first"), AxisOp::Move(3, 1), &[wire])?[0];
        self.outlets.insert(node.id.into(), first);
        self.last.insert(first, wire);
        Ok(())
    }

    /// A value of the old network with its channels last.
    fn channels_last(&mut self, name: &str, old: OutletId) -> TractResult<OutletId> {
        let first = self.outlets[&old];
        if let Some(last) = self.last.get(&first) {
            return Ok(*last);
        }
        let name = format!("{name}.channels_last.{}", self.last.len());
        let last = self.out.wire_node(name, AxisOp::Move(1, 3), &[first])?[0];
        self.last.insert(first, last);
        Ok(last)
    }
}
