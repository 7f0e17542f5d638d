//! ONNX files before tract sees them: read, checked, and weights stored as int8 unfolded.
//!
//! A quantised file keeps each weight tensor as int8 behind a `DequantizeLinear` node. tract folds
//! such nodes only up to a size and dequantises larger weights at every run, so they are folded here.

use std::collections::{HashMap, HashSet};

use prost::Message;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, ValueInfoProto,
    tensor_proto::{DataLocation, DataType},
    tensor_shape_proto::{Dimension, dimension},
    type_proto,
};

/// The most elements a single tensor may have: 256 Mi.
pub(crate) const LARGEST_TENSOR: usize = 1 << 28;

/// Parses an ONNX file and refuses what no embedder is made of.
pub(crate) fn parse(bytes: &[u8]) -> Result<ModelProto, String> {
    if bytes.is_empty() {
        return Err("the file is empty".into());
    }
    let model = ModelProto::decode(bytes).map_err(|e| format!("not an ONNX file, or a damaged one ({e})"))?;
    let Some(graph) = &model.graph else {
        return Err("not an ONNX file, or a damaged one (it holds no graph)".into());
    };
    if graph.node.is_empty() {
        return Err("its graph has no nodes".into());
    }
    let attributes = graph.node.iter().flat_map(|n| &n.attribute);
    let tensors = graph.initializer.iter().chain(attributes.filter_map(|a| a.t.as_ref()));
    for tensor in tensors {
        if tensor.data_location == Some(DataLocation::External as i32) || !tensor.external_data.is_empty() {
            return Err(format!(
                "the weights {:?} are in another file: export the network as one file",
                tensor.name
            ));
        }
        elements(tensor)?;
    }
    Ok(model)
}

/// Number of elements of a tensor.
pub(crate) fn elements(tensor: &TensorProto) -> Result<usize, String> {
    tensor
        .dims
        .iter()
        .try_fold(1usize, |n, d| n.checked_mul(usize::try_from(*d).ok()?))
        .filter(|n| *n <= LARGEST_TENSOR)
        .ok_or_else(|| format!("the tensor {:?} has the impossible size {:?}", tensor.name, tensor.dims))
}

/// The inputs that are not weights.
pub(crate) fn inputs(graph: &GraphProto) -> Vec<&ValueInfoProto> {
    let weights: HashSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    graph.input.iter().filter(|i| !weights.contains(i.name.as_str())).collect()
}

/// The dimensions of an input or output; `None` for one that is a symbol or unknown.
pub(crate) fn shape(value: &ValueInfoProto) -> Option<Vec<Option<i64>>> {
    let Some(type_proto::Value::TensorType(tensor)) = value.r#type.as_ref()?.value.as_ref() else {
        return None;
    };
    let known = |d: &Dimension| match d.value {
        Some(dimension::Value::DimValue(n)) if n > 0 => Some(n),
        _ => None,
    };
    Some(tensor.shape.as_ref()?.dim.iter().map(known).collect())
}

/// Whether an input takes 32-bit floats.
fn is_float(value: &ValueInfoProto) -> bool {
    matches!(
        value.r#type.as_ref().and_then(|t| t.value.as_ref()),
        Some(type_proto::Value::TensorType(t)) if t.elem_type == DataType::Float as i32
    )
}

/// Makes the graph one of a single float input of exactly `wanted` and a single output, without
/// shapes noted elsewhere that could contradict it.
///
/// `output` names the output to keep where there are several.
pub(crate) fn fix_shapes(
    model: &mut ModelProto,
    wanted: &[usize],
    output: Option<&str>,
) -> Result<(), String> {
    let graph = model.graph.as_mut().ok_or("it holds no graph")?;
    let found = inputs(graph);
    let [input] = found[..] else {
        let names: Vec<&str> = found.iter().map(|i| i.name.as_str()).collect();
        return Err(format!("it has {} inputs ({}), an embedder has one", names.len(), names.join(", ")));
    };
    if !is_float(input) {
        return Err(format!("its input {:?} does not take 32-bit floats", input.name));
    }
    if let Some(shape) = shape(input) {
        let fits = |(known, wanted): (&Option<i64>, &usize)| known.is_none_or(|n| n == *wanted as i64);
        // A symbolic or larger batch is made 1 by the caller's shape; a fixed one must be 1.
        if shape.len() != wanted.len() || !shape.iter().zip(wanted).all(fits) {
            return Err(format!(
                "its input {:?} is {}, the card describes {}",
                input.name,
                product(shape.iter().map(|d| d.map_or("?".into(), |n| n.to_string()))),
                product(wanted.iter().map(usize::to_string)),
            ));
        }
    }
    let name = input.name.clone();
    graph.input.retain(|i| i.name == name);
    graph.input[0].r#type = Some(float_tensor(wanted));
    if let Some(kept) = output {
        let names: Vec<String> = graph.output.iter().map(|o| o.name.clone()).collect();
        graph.output.retain(|o| o.name == kept);
        if graph.output.is_empty() {
            return Err(format!("it has no output {kept:?}; its outputs are {}", names.join(", ")));
        }
    }
    let names: Vec<&str> = graph.output.iter().map(|o| o.name.as_str()).collect();
    if names.len() != 1 {
        return Err(format!(
            "it has {} outputs ({}), an embedder has one vector: name it as output.name in the card",
            names.len(),
            names.join(", ")
        ));
    }
    let made = graph.node.iter().flat_map(|n| &n.output).any(|o| o == names[0]);
    if !made {
        return Err(format!("no node makes its output {:?}", names[0]));
    }
    graph.output[0].r#type = None;
    graph.value_info.clear();
    Ok(())
}

fn product(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join("x")
}

fn float_tensor(shape: &[usize]) -> TypeProto {
    let dim = shape
        .iter()
        .map(|n| Dimension { denotation: String::new(), value: Some(dimension::Value::DimValue(*n as i64)) });
    TypeProto {
        denotation: String::new(),
        value: Some(type_proto::Value::TensorType(type_proto::Tensor {
            elem_type: DataType::Float as i32,
            shape: Some(tract_onnx::pb::TensorShapeProto { dim: dim.collect() }),
        })),
    }
}

/// Replaces every `DequantizeLinear` of stored weights by the float weights it stands for. Returns
/// how many there were.
pub(crate) fn fold_dequantize(model: &mut ModelProto) -> Result<usize, String> {
    let graph = model.graph.as_mut().ok_or("it holds no graph")?;
    let mut folded = Vec::new();
    {
        let stored: HashMap<&str, &TensorProto> =
            graph.initializer.iter().map(|t| (t.name.as_str(), t)).chain(constants(&graph.node)).collect();
        for (index, node) in graph.node.iter().enumerate() {
            if node.op_type != "DequantizeLinear" || node.output.len() != 1 {
                continue;
            }
            let tensors: Vec<Option<&TensorProto>> =
                node.input.iter().map(|name| stored.get(name.as_str()).copied()).collect();
            let dequantized = match tensors[..] {
                [Some(x), Some(scale)] => dequantize(node, x, scale, None),
                [Some(x), Some(scale), Some(zero)] => dequantize(node, x, scale, Some(zero)),
                _ => continue,
            };
            folded.push((index, dequantized.map_err(|e| format!("the weights {:?}: {e}", node.input[0]))?));
        }
    }
    let count = folded.len();
    for (index, tensor) in folded.into_iter().rev() {
        graph.node.remove(index);
        graph.initializer.push(tensor);
    }
    let used: HashSet<&str> = graph.node.iter().flat_map(|n| &n.input).map(String::as_str).collect();
    let outputs: HashSet<&str> = graph.output.iter().map(|o| o.name.as_str()).collect();
    let has_subgraphs = graph.node.iter().flat_map(|n| &n.attribute).any(|a| a.g.is_some());
    // A subgraph may use an outer weight without naming it as an input.
    if count > 0 && !has_subgraphs {
        let keep: Vec<bool> = graph
            .initializer
            .iter()
            .map(|t| used.contains(t.name.as_str()) || outputs.contains(t.name.as_str()))
            .collect();
        let mut keep = keep.into_iter();
        graph.initializer.retain(|_| keep.next() == Some(true));
    }
    Ok(count)
}

/// The tensors of `Constant` nodes, by the name of their output.
fn constants(nodes: &[NodeProto]) -> impl Iterator<Item = (&str, &TensorProto)> {
    nodes.iter().filter(|n| n.op_type == "Constant").filter_map(|n| {
        let value = n.attribute.iter().find(|a| a.name == "value")?.t.as_ref()?;
        Some((n.output.first()?.as_str(), value))
    })
}

/// An integer attribute of a node.
pub(crate) fn integer(attributes: &[AttributeProto], name: &str) -> Option<i64> {
    attributes.iter().find(|a| a.name == name).map(|a| a.i)
}

/// `(x - zero) * scale`, scale and zero being one figure or one per slice along the node's axis.
fn dequantize(
    node: &NodeProto,
    x: &TensorProto,
    scale: &TensorProto,
    zero: Option<&TensorProto>,
) -> Result<TensorProto, String> {
    if integer(&node.attribute, "block_size").is_some_and(|b| b != 0) {
        return Err("scales per block are not supported: quantise per channel".into());
    }
    let steps = integers(x)?;
    let scales = floats(scale)?;
    let zeros = zero.map(integers).transpose()?.unwrap_or_else(|| vec![0; scales.len()]);
    if zeros.len() != scales.len() || scales.is_empty() {
        return Err(format!("{} scales, but {} zero points", scales.len(), zeros.len()));
    }
    let (slices, inner) = if scales.len() == 1 {
        (1, steps.len().max(1))
    } else {
        let rank = x.dims.len() as i64;
        let axis = integer(&node.attribute, "axis").unwrap_or(1);
        let axis = if axis < 0 { axis + rank } else { axis };
        if !(0..rank).contains(&axis) {
            return Err(format!("no axis {axis} in a tensor of {rank} dimensions"));
        }
        // `integers` has checked that the dimensions multiply without overflow.
        let axis = axis as usize;
        let inner = x.dims[axis + 1..].iter().map(|d| *d as usize).product();
        (x.dims[axis] as usize, inner)
    };
    if slices != scales.len() {
        return Err(format!("{} scales for {slices} slices", scales.len()));
    }
    let mut raw = Vec::with_capacity(steps.len() * 4);
    for (index, step) in steps.iter().enumerate() {
        let slice = if scales.len() == 1 { 0 } else { index / inner % slices };
        let value = (i64::from(*step) - i64::from(zeros[slice])) as f32 * scales[slice];
        raw.extend_from_slice(&value.to_le_bytes());
    }
    Ok(TensorProto {
        dims: x.dims.clone(),
        data_type: DataType::Float as i32,
        name: node.output[0].clone(),
        raw_data: raw,
        ..TensorProto::default()
    })
}

/// The values of an integer tensor of up to 32 bits.
fn integers(tensor: &TensorProto) -> Result<Vec<i32>, String> {
    let raw = &tensor.raw_data;
    let values: Vec<i32> = match DataType::try_from(tensor.data_type) {
        Ok(_) if raw.is_empty() => tensor.int32_data.clone(),
        Ok(DataType::Int8) => raw.iter().map(|b| i32::from(*b as i8)).collect(),
        Ok(DataType::Uint8) => raw.iter().map(|b| i32::from(*b)).collect(),
        Ok(DataType::Int16) => {
            raw.as_chunks::<2>().0.iter().map(|b| i32::from(i16::from_le_bytes(*b))).collect()
        }
        Ok(DataType::Uint16) => {
            raw.as_chunks::<2>().0.iter().map(|b| i32::from(u16::from_le_bytes(*b))).collect()
        }
        Ok(DataType::Int32) => raw.as_chunks::<4>().0.iter().map(|b| i32::from_le_bytes(*b)).collect(),
        _ => return Err(format!("quantised type {} is not supported", tensor.data_type)),
    };
    whole(tensor, values)
}

/// The values of a tensor of 32-bit floats.
pub(crate) fn floats(tensor: &TensorProto) -> Result<Vec<f32>, String> {
    if tensor.data_type != DataType::Float as i32 {
        return Err(format!("type {} where 32-bit floats are needed", tensor.data_type));
    }
    let values = if tensor.raw_data.is_empty() {
        tensor.float_data.clone()
    } else {
        tensor.raw_data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    };
    whole(tensor, values)
}

fn whole<T>(tensor: &TensorProto, values: Vec<T>) -> Result<Vec<T>, String> {
    let needed = elements(tensor)?;
    if values.len() == needed {
        Ok(values)
    } else {
        Err(format!("{} values where {needed} are needed", values.len()))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn tensor(dims: &[i64], data_type: DataType, raw: &[u8], name: &str) -> TensorProto {
        TensorProto {
            dims: dims.to_vec(),
            data_type: data_type as i32,
            name: name.into(),
            raw_data: raw.to_vec(),
            ..TensorProto::default()
        }
    }

    fn float_bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    fn axis(value: i64) -> AttributeProto {
        AttributeProto { name: "axis".into(), i: value, r#type: 2, ..AttributeProto::default() }
    }

    #[test]
    fn weights_are_unfolded_along_any_axis() {
        for (along, expected) in
            [(0, [1.0, 2.0, 3.0, -10.0, -20.0, -30.0]), (-2, [1.0, 2.0, 3.0, -10.0, -20.0, -30.0])]
        {
            let node = NodeProto {
                input: vec!["w8".into(), "s".into()],
                output: vec!["w".into()],
                op_type: "DequantizeLinear".into(),
                attribute: vec![axis(along)],
                ..NodeProto::default()
            };
            let user = NodeProto { input: vec!["w".into()], op_type: "Relu".into(), ..NodeProto::default() };
            let mut model = ModelProto {
                graph: Some(GraphProto {
                    node: vec![node, user],
                    initializer: vec![
                        tensor(&[2, 3], DataType::Int8, &[1, 2, 3, 255, 254, 253], "w8"),
                        tensor(&[2], DataType::Float, &float_bytes(&[1.0, 10.0]), "s"),
                    ],
                    ..GraphProto::default()
                }),
                ..ModelProto::default()
            };
            assert_eq!(fold_dequantize(&mut model), Ok(1));
            let graph = model.graph.unwrap();
            assert_eq!(graph.node.len(), 1);
            assert_eq!(graph.initializer.len(), 1);
            assert_eq!(floats(&graph.initializer[0]).unwrap(), expected);
        }
    }

    #[test]
    fn zero_points_and_single_scales() {
        let node = NodeProto { output: vec!["w".into()], ..NodeProto::default() };
        let x = tensor(&[3], DataType::Uint8, &[0, 128, 255], "x");
        let scale = tensor(&[], DataType::Float, &float_bytes(&[0.5]), "s");
        let zero = tensor(&[], DataType::Uint8, &[128], "z");
        let w = dequantize(&node, &x, &scale, Some(&zero)).unwrap();
        assert_eq!(floats(&w).unwrap(), [-64.0, 0.0, 63.5]);
    }

    #[test]
    fn contradictions_are_refused() {
        let node = NodeProto { output: vec!["w".into()], attribute: vec![axis(1)], ..NodeProto::default() };
        let x = tensor(&[2, 3], DataType::Int8, &[0; 6], "x");
        let two = tensor(&[2], DataType::Float, &float_bytes(&[1.0; 2]), "s");
        assert!(dequantize(&node, &x, &two, None).unwrap_err().contains("2 scales for 3 slices"));
        let short = tensor(&[2, 3], DataType::Int8, &[0; 5], "x");
        assert!(dequantize(&node, &short, &two, None).is_err());
        let far = NodeProto { attribute: vec![axis(7)], ..node.clone() };
        assert!(dequantize(&far, &x, &two, None).unwrap_err().contains("no axis"));
        let huge = tensor(&[i64::MAX, 2], DataType::Int8, &[0; 6], "x");
        assert!(dequantize(&node, &huge, &two, None).unwrap_err().contains("impossible"));
        let negative = tensor(&[-1], DataType::Int8, &[0; 6], "x");
        assert!(elements(&negative).is_err());
    }

    #[test]
    fn what_is_no_network_is_refused() {
        assert!(parse(b"").unwrap_err().contains("empty"));
        assert!(parse(b"\x89PNG\r\n").unwrap_err().contains("not an ONNX file"));
        assert!(parse(&[0x08, 0x08]).unwrap_err().contains("no graph"));
    }
}
