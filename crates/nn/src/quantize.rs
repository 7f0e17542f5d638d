//! The quantiser: float weights of an ONNX file to int8, a quarter of the size.
//!
//! Each output channel of a weight tensor gets its own scale, `largest magnitude / 127`, and the
//! weights are rounded to the nearest multiple of it (symmetric, no zero point). The file keeps the
//! integers behind a `DequantizeLinear` node, which any ONNX runtime understands; biases and all
//! arithmetic stay in floats. The same input gives the same bytes.

use std::collections::{HashMap, HashSet};

use prost::Message;
use tract_onnx::pb::{
    AttributeProto, ModelProto, NodeProto, TensorProto, attribute_proto::AttributeType,
    tensor_proto::DataType,
};

use crate::graph;

/// Weight tensors with fewer elements than this stay floats: their scales would eat the gain.
const SMALLEST: usize = 64;
/// The first operator set whose `DequantizeLinear` knows scales per channel.
const OPSET: i64 = 13;

/// A quantised file and what was done.
#[derive(Debug, PartialEq)]
pub struct Quantized {
    /// The bytes of the new ONNX file.
    pub bytes: Vec<u8>,
    /// Number of weight tensors that are int8 now.
    pub tensors: usize,
    /// Number of their elements.
    pub weights: usize,
}

/// Quantises the weights of an ONNX file.
///
/// # Errors
/// A sentence on why this file cannot be quantised, with the remedy.
pub fn quantize(onnx: &[u8]) -> Result<Quantized, String> {
    let mut model = graph::parse(onnx)?;
    let opset = model.opset_import.iter().find(|o| o.domain.is_empty() || o.domain == "ai.onnx");
    let opset = opset.map_or(0, |o| o.version);
    if opset < OPSET {
        return Err(format!(
            "it uses operator set {opset}, scales per channel need {OPSET}: export it again with operator set \
             {OPSET} or newer"
        ));
    }
    let axes = channel_axes(&model)?;
    if axes.is_empty() {
        return Err(
            "it holds no float weights of convolutions or dense layers; is it quantised already?".into()
        );
    }
    let graph = model.graph.as_mut().ok_or("it holds no graph")?;
    let mut quantized = Quantized { bytes: Vec::new(), tensors: 0, weights: 0 };
    let mut stored = Vec::with_capacity(graph.initializer.len() + 2 * axes.len());
    let mut nodes = Vec::with_capacity(graph.node.len() + axes.len());
    let mut taken: HashSet<String> = graph.initializer.iter().map(|t| t.name.clone()).collect();
    for tensor in std::mem::take(&mut graph.initializer) {
        let Some(axis) = axes.get(&tensor.name) else {
            stored.push(tensor);
            continue;
        };
        let name = tensor.name.clone();
        let [steps, scales] = split(&tensor, *axis).map_err(|e| format!("the weights {name:?}: {e}"))?;
        quantized.tensors += 1;
        quantized.weights += graph::elements(&steps)?;
        let zeros = TensorProto {
            dims: scales.dims.clone(),
            data_type: DataType::Int8 as i32,
            name: format!("{name}_zero"),
            raw_data: vec![0; graph::elements(&scales)?],
            ..TensorProto::default()
        };
        let inputs: Vec<String> = [&steps, &scales, &zeros].map(|t| t.name.clone()).to_vec();
        if let Some(double) = inputs.iter().find(|n| !taken.insert((*n).clone())) {
            return Err(format!("it already has weights named {double:?}; is it quantised already?"));
        }
        nodes.push(NodeProto {
            input: inputs,
            output: vec![name.clone()],
            name: format!("{name}_float"),
            op_type: "DequantizeLinear".into(),
            attribute: vec![AttributeProto {
                name: "axis".into(),
                r#type: AttributeType::Int as i32,
                i: *axis as i64,
                ..AttributeProto::default()
            }],
            ..NodeProto::default()
        });
        stored.extend([steps, scales, zeros]);
    }
    // Files of old exporters list weights among the inputs; a quantised one is no input any more.
    graph.input.retain(|i| !axes.contains_key(&i.name));
    nodes.append(&mut graph.node);
    graph.node = nodes;
    graph.initializer = stored;
    quantized.bytes = model.encode_to_vec();
    Ok(quantized)
}

/// The float weights to quantise, with the axis of their output channels.
fn channel_axes(model: &ModelProto) -> Result<HashMap<String, usize>, String> {
    let graph = model.graph.as_ref().ok_or("it holds no graph")?;
    let weights: HashMap<&str, &TensorProto> = graph
        .initializer
        .iter()
        .filter(|t| t.data_type == DataType::Float as i32 && t.dims.len() >= 2)
        .map(|t| (t.name.as_str(), t))
        .collect();
    let mut axes: HashMap<String, usize> = HashMap::new();
    let mut unfit: HashSet<&str> = graph.output.iter().map(|o| o.name.as_str()).collect();
    for node in &graph.node {
        for (index, name) in node.input.iter().enumerate() {
            let Some(tensor) = weights.get(name.as_str()) else { continue };
            let rank = tensor.dims.len();
            let axis = match (node.op_type.as_str(), index) {
                ("Conv", 1) => Some(0),
                ("Gemm", 1) if graph::integer(&node.attribute, "transB") == Some(1) => Some(0),
                ("Gemm" | "MatMul", 1) => Some(rank - 1),
                _ => None,
            };
            let large = graph::elements(tensor)? >= SMALLEST;
            match axis {
                Some(axis) if large && axes.get(name).is_none_or(|known| *known == axis) => {
                    axes.insert(name.clone(), axis);
                }
                // Used in another way as well: left alone.
                _ => {
                    unfit.insert(name);
                }
            }
        }
    }
    axes.retain(|name, _| !unfit.contains(name.as_str()));
    Ok(axes)
}

/// The integers and the scales of a weight tensor.
fn split(tensor: &TensorProto, axis: usize) -> Result<[TensorProto; 2], String> {
    let values = graph::floats(tensor)?;
    if !values.iter().all(|v| v.is_finite()) {
        return Err("they hold values that are not numbers".into());
    }
    let channels = tensor.dims[axis] as usize;
    let inner: usize = tensor.dims[axis + 1..].iter().map(|d| *d as usize).product();
    let channel = |index: usize| index / inner.max(1) % channels.max(1);
    let mut scales = vec![1e-12f32; channels];
    for (index, value) in values.iter().enumerate() {
        let scale = &mut scales[channel(index)];
        *scale = scale.max(value.abs());
    }
    scales.iter_mut().for_each(|s| *s /= 127.0);
    let step = |(index, value): (usize, &f32)| {
        (value / scales[channel(index)]).round_ties_even().clamp(-127.0, 127.0) as i8 as u8
    };
    let steps = TensorProto {
        dims: tensor.dims.clone(),
        data_type: DataType::Int8 as i32,
        name: format!("{}_int8", tensor.name),
        raw_data: values.iter().enumerate().map(step).collect(),
        ..TensorProto::default()
    };
    let scales = TensorProto {
        dims: vec![channels as i64],
        data_type: DataType::Float as i32,
        name: format!("{}_scale", tensor.name),
        raw_data: scales.iter().flat_map(|s| s.to_le_bytes()).collect(),
        ..TensorProto::default()
    };
    Ok([steps, scales])
}

#[cfg(test)]
mod tests {
    use super::*;
    use tract_onnx::pb::{GraphProto, OperatorSetIdProto};

    fn weights(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
        TensorProto {
            dims: dims.to_vec(),
            data_type: DataType::Float as i32,
            name: name.into(),
            raw_data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            ..TensorProto::default()
        }
    }

    fn model(op: &str, tensor: TensorProto) -> ModelProto {
        let node = NodeProto {
            op_type: op.into(),
            input: vec!["x".into(), tensor.name.clone()],
            output: vec!["y".into()],
            ..NodeProto::default()
        };
        ModelProto {
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 13 }],
            graph: Some(GraphProto { node: vec![node], initializer: vec![tensor], ..GraphProto::default() }),
            ..ModelProto::default()
        }
    }

    #[test]
    fn each_channel_has_its_own_scale_and_comes_back() {
        // 4 output channels of very different size, the last one all zeros.
        let sizes = [1.0f32, 100.0, 0.01, 0.0];
        for (op, dims, channel) in [("Conv", [4i64, 30], 0usize), ("MatMul", [30, 4], 1)] {
            let of = |i: usize| if channel == 0 { i / 30 } else { i % 4 };
            let values: Vec<f32> =
                (0..120).map(|i| ((i * 37 % 101) as f32 / 50.0 - 1.0) * sizes[of(i)]).collect();
            let bytes = model(op, weights("w", &dims, &values)).encode_to_vec();
            let done = quantize(&bytes).unwrap();
            assert_eq!((done.tensors, done.weights), (1, 120));
            assert_eq!(quantize(&bytes).unwrap().bytes, done.bytes, "the same input gives the same bytes");
            let mut back = graph::parse(&done.bytes).unwrap();
            assert_eq!(graph::fold_dequantize(&mut back), Ok(1));
            let graph = back.graph.unwrap();
            assert_eq!((graph.node.len(), graph.initializer.len()), (1, 1));
            let got = graph::floats(&graph.initializer[0]).unwrap();
            for (i, (a, b)) in values.iter().zip(&got).enumerate() {
                assert!((a - b).abs() <= sizes[of(i)] / 127.0 * 0.5001, "{i}: {a} {b}");
            }
        }
    }

    #[test]
    fn what_cannot_be_quantised_says_why() {
        let told = |m: &ModelProto| quantize(&m.encode_to_vec()).unwrap_err();
        let good = model("Conv", weights("w", &[4, 30], &[0.5; 120]));
        let mut old = good.clone();
        old.opset_import[0].version = 11;
        assert!(told(&old).contains("operator set 11"));
        assert!(told(&model("Relu", weights("w", &[4, 30], &[0.5; 120]))).contains("no float weights"));
        assert!(told(&model("Conv", weights("w", &[2, 2], &[0.5; 4]))).contains("no float weights"));
        assert!(told(&model("Conv", weights("w", &[4, 30], &[f32::NAN; 120]))).contains("not numbers"));
        assert!(told(&model("Conv", weights("w", &[4, 31], &[0.5; 120]))).contains("120 values"));
        let again = quantize(&good.encode_to_vec()).unwrap().bytes;
        assert!(quantize(&again).unwrap_err().contains("already"));
    }

    #[test]
    fn weights_with_a_second_use_stay_floats() {
        let mut shared = model("Conv", weights("w", &[4, 30], &[0.5; 120]));
        let graph = shared.graph.as_mut().unwrap();
        let mut second = graph.node[0].clone();
        second.op_type = "Add".into();
        graph.node.push(second);
        assert!(quantize(&shared.encode_to_vec()).unwrap_err().contains("no float weights"));
    }
}
