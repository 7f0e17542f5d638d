//! Puts [`Convolution`]s into a network in place of tract's.

use std::collections::{HashMap, HashSet};

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cnn::{Conv, KernelFormat};
use tract_onnx::tract_core::ops::math::{Add, Max};
use tract_onnx::tract_core::ops::nn::DataFormat;

use super::algorithm::Algorithm;
use super::dispatch::available;
use super::geometry::{Filters, Geometry, KERNEL};
use super::kernels::Kernels;
use super::op::Convolution;

/// The most floats of weights, in our own layout, that a network may have: 256 MiB of them. tract does the
/// convolutions beyond; a file can name one tensor as the weights of any number of them.
const MAX_WEIGHTS: usize = 1 << 26;

/// The network with our own 3x3 convolutions where they apply: of floats, ungrouped, undilated, channels
/// first, with constant weights and one picture at a time. `model` has been decluttered.
///
/// # Errors
/// When tract cannot put the network together again.
pub(crate) fn rewrite(model: TypedModel) -> TractResult<TypedModel> {
    match available().next() {
        Some(kernels) => with_kernels(model, kernels),
        None => Ok(model),
    }
}

/// [`rewrite()`] with these kernels.
fn with_kernels(model: TypedModel, kernels: &'static Kernels) -> TractResult<TypedModel> {
    let mut chains = HashMap::new();
    let mut absorbed = HashSet::new();
    let mut weights_left = MAX_WEIGHTS;
    for node in &model.nodes {
        if let Some(convolution) = convolution(&model, node, kernels, &mut weights_left)? {
            let chain = Chain::of(&model, node, convolution, &absorbed)?;
            absorbed.extend(chain.nodes.iter().copied());
            if let Some(last) = chain.nodes.last() {
                chains.insert(*last, chain);
            }
        }
    }
    if chains.is_empty() {
        return Ok(model);
    }
    // Open sizes are symbols, which only their own scope understands.
    let out = TypedModel { symbols: model.symbols.clone(), ..TypedModel::default() };
    let mut builder = Builder { out, outlets: HashMap::new(), last: HashMap::new() };
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
    /// As far as it goes without the nodes that other chains have `absorbed`.
    fn of(
        model: &TypedModel,
        node: &TypedNode,
        convolution: Convolution,
        absorbed: &HashSet<usize>,
    ) -> TractResult<Self> {
        let mut chain = Chain { input: node.inputs[0], residual: None, convolution, nodes: vec![node.id] };
        let mut last = node;
        while let Some(next) = only_successor(model, last)? {
            let Some(op) = next.op_as::<TypedBinOp>().filter(|_| !absorbed.contains(&next.id)) else { break };
            let other = next.inputs[usize::from(next.inputs[0].node == last.id)];
            let fact = model.outlet_fact(other)?;
            if next.outputs[0].fact.without_value() != node.outputs[0].fact.without_value() {
                break;
            }
            if op.0.is::<Add>()
                && !chain.convolution.relu
                && chain.residual.is_none()
                && fact.konst.is_none()
                && fact.without_value() == node.outputs[0].fact.without_value()
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

/// Our convolution for tract's, where it can take its place; its weights come off `weights_left`.
fn convolution(
    model: &TypedModel,
    node: &TypedNode,
    kernels: &'static Kernels,
    weights_left: &mut usize,
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
    if weights.shape() != [geometry.outputs, inputs, KERNEL, KERNEL] || !geometry.is_ours() {
        return Ok(None);
    }
    let Some(left) = weights_left.checked_sub(Algorithm::weights(kernels, &geometry)) else {
        return Ok(None);
    };
    *weights_left = left;
    let weights = weights.try_as_plain_ram()?.as_slice::<f32>()?;
    let bias = bias.cast_to::<f32>()?;
    let bias = bias.try_as_plain_ram()?.as_slice::<f32>()?;
    let biases = if bias.len() == 1 { vec![bias[0]; geometry.outputs] } else { bias.to_vec() };
    let filters = Filters { weights, inputs, bias: &biases };
    Ok(Some(Convolution::new(kernels, geometry, filters)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use tract_onnx::tract_core::ops::cnn::{PaddingSpec, PoolSpec};
    use tract_onnx::tract_core::ops::math::{add, max};

    fn source(model: &mut TypedModel) -> OutletId {
        model.add_source("input", f32::fact([1, 6, 9, 11])).unwrap()
    }

    fn conv(model: &mut TypedModel, name: &str, from: OutletId, stride: usize, group: usize) -> OutletId {
        let numbers = |n: usize| (0..n).map(|i| (i * 29 % 17) as f32 / 17.0 - 0.5).collect::<Vec<_>>();
        let kernel = Tensor::from_shape(&[6, 6 / group, 3, 3], &numbers(324 / group)).unwrap();
        let kernel = model.add_const(format!("{name}.kernel"), kernel).unwrap();
        let bias = model.add_const(format!("{name}.bias"), tensor1(&numbers(6))).unwrap();
        let one = || tvec!(1, 1);
        let pool_spec = PoolSpec::new(
            DataFormat::NCHW,
            tvec!(3, 3),
            PaddingSpec::Explicit(one(), one()),
            None,
            Some(tvec!(stride, stride)),
            6,
            6,
        );
        let op = Conv { pool_spec, kernel_fmt: KernelFormat::OIHW, group, q_params: None };
        model.wire_node(name, op, &[from, kernel, bias]).unwrap()[0]
    }

    fn sum(model: &mut TypedModel, name: &str, a: OutletId, b: OutletId) -> OutletId {
        model.wire_node(name, add(), &[a, b]).unwrap()[0]
    }

    fn relu(model: &mut TypedModel, name: &str, from: OutletId) -> OutletId {
        let zero =
            model.add_const(format!("{name}.zero"), tensor0(0f32).broadcast_into_rank(4).unwrap()).unwrap();
        model.wire_node(name, max(), &[from, zero]).unwrap()[0]
    }

    /// The network gives what it gave; returns how many steps of ours and of tract's it has, and sums.
    fn counts_of_same(mut model: TypedModel, outputs: &[OutletId]) -> (usize, usize, usize) {
        model.select_output_outlets(outputs).unwrap();
        let Some(kernels) = available().next() else { panic!("no kernels to test") };
        let replaced = with_kernels(model.clone(), kernels).unwrap();
        let input: Vec<f32> = (0..594).map(|i| (i * 31 % 23) as f32 / 23.0 - 0.5).collect();
        let input = tvec!(Tensor::from_shape(&[1, 6, 9, 11], &input).unwrap().into());
        let of = |op: &str| replaced.nodes.iter().filter(|n| n.op.name() == op).count();
        let counts = (of("FacelatchConvolution"), of("Conv"), of("Add"));
        let run =
            |model: TypedModel| model.into_optimized().unwrap().into_runnable().unwrap().run(input.clone());
        for (a, b) in run(replaced).unwrap().iter().zip(run(model).unwrap()) {
            a.close_enough(&b, Approximation::Approximate).unwrap();
        }
        counts
    }

    #[test]
    fn a_sum_of_two_convolutions_goes_to_one_of_them() {
        let mut model = TypedModel::default();
        let input = source(&mut model);
        let (a, b) = (conv(&mut model, "a", input, 1, 1), conv(&mut model, "b", input, 1, 1));
        let sum = sum(&mut model, "sum", a, b);
        let out = relu(&mut model, "relu", sum);
        assert_eq!(counts_of_same(model, &[out]), (2, 0, 0));
    }

    #[test]
    fn what_is_read_elsewhere_too_is_left_as_it_is() {
        let mut model = TypedModel::default();
        let input = source(&mut model);
        let a = conv(&mut model, "a", input, 1, 1);
        let first = relu(&mut model, "first", a);
        let b = conv(&mut model, "b", first, 1, 1);
        let sum = sum(&mut model, "sum", b, first);
        assert_eq!(counts_of_same(model, &[sum, a]), (2, 0, 0));
    }

    #[test]
    fn a_sum_after_a_relu_and_a_grouped_convolution_stay_tracts() {
        let mut model = TypedModel::default();
        let input = source(&mut model);
        let a = conv(&mut model, "a", input, 2, 1);
        let first = relu(&mut model, "first", a);
        let b = conv(&mut model, "b", input, 2, 2);
        let sum = sum(&mut model, "sum", first, b);
        assert_eq!(counts_of_same(model, &[sum]), (1, 1, 1));
    }
}
