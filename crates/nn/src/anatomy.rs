//! What a network file is made of: size, parameters, multiply-adds, which arithmetic runs.

use std::collections::BTreeMap;

use tract_onnx::pb::{GraphProto, tensor_proto::DataType};

use crate::{convolution, graph, runtime};

/// What a network file is made of.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Anatomy {
    /// Size of the file in bytes.
    pub bytes: usize,
    /// Shape of the input, batch first.
    pub input: Vec<usize>,
    /// Number of values of the output.
    pub output: usize,
    /// Stored figures of weights, biases and other tensors (scales and zero points of quantised ones
    /// not counted).
    pub parameters: usize,
    /// Of these, stored in 8 bits.
    pub parameters_int8: usize,
    /// Multiply-adds of one run.
    pub multiply_adds: u64,
    /// Which arithmetic runs, in words.
    pub arithmetic: &'static str,
    /// Who does its 3x3 convolutions on this processor, in words.
    pub convolutions: String,
    /// How often each operator occurs in the file.
    pub operators: BTreeMap<String, usize>,
}

/// Looks into a network file. Without `shape` the input's shape is the file's own, with a batch of 1.
///
/// # Errors
/// A sentence on why the network cannot be used.
pub fn anatomy(onnx: &[u8], shape: Option<&[usize]>, output: Option<&str>) -> Result<Anatomy, String> {
    let model = graph::parse(onnx)?;
    let parts = model.graph.as_ref().ok_or("it holds no graph")?;
    let shape = match shape {
        Some(shape) => shape.to_vec(),
        None => own_shape(parts)?,
    };
    let mut operators: BTreeMap<String, usize> = BTreeMap::new();
    for node in &parts.node {
        *operators.entry(node.op_type.clone()).or_default() += 1;
    }
    let aside = scales_and_zeros(parts);
    let (mut parameters, mut parameters_int8) = (0, 0);
    for tensor in parts.initializer.iter().filter(|t| !aside.contains(&t.name.as_str())) {
        let elements = graph::elements(tensor)?;
        match DataType::try_from(tensor.data_type) {
            Ok(DataType::Float | DataType::Float16 | DataType::Double) => parameters += elements,
            Ok(DataType::Int8 | DataType::Uint8) => {
                parameters += elements;
                parameters_int8 += elements;
            }
            // 64-bit integers are shapes and indices; 32-bit ones are biases of integer layers.
            Ok(DataType::Int32) => parameters += elements,
            _ => {}
        }
    }
    let integer = ["QLinearConv", "ConvInteger", "MatMulInteger", "QLinearMatMul"];
    let arithmetic = if integer.iter().any(|op| operators.contains_key(*op)) {
        "integer products"
    } else if operators.contains_key("QuantizeLinear") {
        "float, rounded to 8 bits between layers"
    } else if parameters_int8 > 0 {
        "float; weights are stored as int8 and unfolded at load"
    } else {
        "float"
    };
    let (output, multiply_adds) = runtime::measure(onnx, &shape, output)?;
    Ok(Anatomy {
        bytes: onnx.len(),
        input: shape,
        output,
        parameters,
        parameters_int8,
        multiply_adds,
        arithmetic,
        convolutions: match convolution::instruction_set() {
            Some(set) => format!("3x3 by our own code with {set}, others by tract"),
            None => "by tract".into(),
        },
        operators,
    })
}

/// The input's shape as the file says it, with a batch of 1.
fn own_shape(graph: &GraphProto) -> Result<Vec<usize>, String> {
    let inputs = graph::inputs(graph);
    let [input] = inputs[..] else {
        return Err(format!("it has {} inputs, an embedder has one", inputs.len()));
    };
    let dims = graph::shape(input).ok_or("it does not say the shape of its input; describe it in a card")?;
    let known = |(axis, dim): (usize, &Option<i64>)| match dim {
        // The batch.
        _ if axis == 0 && dims.len() > 1 => Ok(1),
        Some(n) => usize::try_from(*n).map_err(|e| e.to_string()),
        None => Err("its input has an open size; describe it in a card".to_string()),
    };
    dims.iter().enumerate().map(known).collect()
}

/// The tensors that only scale others: inputs 1 and 2 of the (de)quantising operators.
fn scales_and_zeros(graph: &GraphProto) -> Vec<&str> {
    let quantising = |op: &str| matches!(op, "QuantizeLinear" | "DequantizeLinear");
    let mut names: Vec<&str> = graph
        .node
        .iter()
        .filter(|n| quantising(&n.op_type))
        .flat_map(|n| n.input.iter().skip(1))
        .map(String::as_str)
        .collect();
    for node in graph.node.iter().filter(|n| n.op_type == "QLinearConv") {
        // x, its scale and zero, w, its scale and zero, y's scale and zero, the bias.
        names.extend(
            node.input.iter().enumerate().filter(|(i, _)| ![0, 3, 8].contains(i)).map(|(_, n)| n.as_str()),
        );
    }
    names
}
