//! One network in tract: loaded once, run with one reused state on one thread.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Once};

use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::{Cost, DimLike};

use crate::convolution;
use crate::graph::{self, LARGEST_TENSOR};

/// A loaded network with a single float input of fixed shape and a single output.
pub struct Network {
    state: TypedSimpleState,
    plan: Arc<TypedRunnableModel>,
    shape: Vec<usize>,
    size: usize,
}

impl Network {
    /// Loads an ONNX file whose input has the given shape (batch of 1 first).
    ///
    /// # Errors
    /// A sentence on what is wrong with the file.
    pub fn load(bytes: &[u8], shape: &[usize], output: Option<&str>) -> Result<Network, String> {
        let proto = readable(bytes, shape, output)?;
        contained(|| {
            let model = simplified(&proto)?;
            drop(proto);
            let model = convolution::rewrite(model).map_err(explain)?;
            Self::of(model, shape)
        })
    }

    fn of(model: TypedModel, shape: &[usize]) -> Result<Network, String> {
        let model = model.into_optimized().map_err(explain)?;
        let fact = model.output_fact(0).map_err(explain)?;
        let Some(dims) = fact.shape.as_concrete() else {
            return Err(format!("the size of its output ({:?}) depends on more than its input", fact.shape));
        };
        if fact.datum_type != f32::datum_type() {
            return Err(format!("its output is of type {:?}, not 32-bit floats", fact.datum_type));
        }
        let size = dims.iter().product();
        let plan = model.into_runnable().map_err(explain)?;
        let state = plan.spawn().map_err(explain)?;
        Ok(Network { state, plan, shape: shape.to_vec(), size })
    }

    /// Number of values of the output.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Number of values of the input.
    pub fn input_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Runs the network once on the values of one input.
    pub fn run(&mut self, values: &[f32]) -> Result<Vec<f32>, String> {
        let input = Tensor::from_shape(&self.shape, values).map_err(explain)?;
        let state = &mut self.state;
        let output = contained(|| {
            let outputs = state.run(tvec![input.into()]).map_err(explain)?;
            let output = outputs.first().ok_or("it gave no output")?;
            let view = output.to_plain_array_view::<f32>().map_err(explain)?;
            Ok(view.iter().copied().collect::<Vec<f32>>())
        });
        if output.is_err() {
            // A state that stopped half way is not used again.
            self.state = self.plan.spawn().map_err(explain)?;
        }
        output
    }
}

/// The number of output values and of multiply-adds of a network.
pub fn measure(bytes: &[u8], shape: &[usize], output: Option<&str>) -> Result<(usize, u64), String> {
    let proto = readable(bytes, shape, output)?;
    contained(|| {
        let model = simplified(&proto)?;
        let mut multiply_adds = 0;
        for node in model.nodes() {
            let inputs = model.node_input_facts(node.id).map_err(explain)?;
            for (kind, count) in node.op.cost(&inputs).map_err(explain)? {
                if matches!(kind, Cost::FMA(_)) {
                    multiply_adds += count.to_i64().map_err(|e| e.to_string())?.unsigned_abs();
                }
            }
        }
        let size =
            model.output_fact(0).map_err(explain)?.shape.volume().to_usize().map_err(|e| e.to_string())?;
        Ok((size, multiply_adds))
    })
}

/// The file's graph as tract can read it: shapes fixed, stored int8 unfolded, operators known.
fn readable(bytes: &[u8], shape: &[usize], output: Option<&str>) -> Result<ModelProto, String> {
    let mut proto = graph::parse(bytes)?;
    graph::fix_shapes(&mut proto, shape, output)?;
    graph::fold_dequantize(&mut proto)?;
    check_operators(&proto)?;
    Ok(proto)
}

/// What tract makes of it before it chooses how to run it.
fn simplified(proto: &ModelProto) -> Result<TypedModel, String> {
    let mut model = onnx().model_for_proto_model(proto).and_then(|m| m.into_typed()).map_err(explain)?;
    model.declutter().map_err(explain)?;
    check_sizes(&model)?;
    Ok(model)
}

/// Refuses a network with operators that tract does not know, by name.
fn check_operators(proto: &ModelProto) -> Result<(), String> {
    let known = onnx().op_register.0;
    let nodes = proto.graph.iter().flat_map(|g| &g.node);
    let mut unknown: Vec<&str> =
        nodes.map(|n| n.op_type.as_str()).filter(|op| !known.contains_key(*op)).collect();
    unknown.sort_unstable();
    unknown.dedup();
    if unknown.is_empty() {
        return Ok(());
    }
    let names = unknown.iter().take(6).copied().collect::<Vec<_>>().join(", ");
    Err(format!(
        "it uses operators that the network runtime lacks ({names}): export it with ONNX's own operators, and \
         quantise it by `facelatch model quantize`"
    ))
}

/// Refuses a network that would need absurd amounts of memory.
fn check_sizes(model: &TypedModel) -> Result<(), String> {
    for node in model.nodes() {
        for output in &node.outputs {
            let Some(dims) = output.fact.shape.as_concrete() else { continue };
            let elements = dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
            if elements.is_none_or(|n| n > LARGEST_TENSOR) {
                return Err(format!("its layer {:?} has the impossible size {dims:?}", node.name));
            }
        }
    }
    Ok(())
}

/// tract's error chain as one line: the cause last, long dumps of operators cut short.
fn explain(error: TractError) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let line = cause.to_string().lines().next().unwrap_or("").trim().to_string();
        if line.is_empty() || text.ends_with(&line) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.extend(line.chars().take(160));
    }
    text
}

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`, a call into tract, and turns a panic there into an error: files from outside have
/// made it panic, and a damaged file must be an ordinary error here.
fn contained<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    static HOOK: Once = Once::new();
    // The panic is reported as our error; its own message would be a second one.
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !CONTAINED.get() {
                usual(info);
            }
        }));
    });
    let before = CONTAINED.replace(true);
    // Unwind safe: on a panic the caller drops or replaces everything that `work` touched.
    let outcome = panic::catch_unwind(AssertUnwindSafe(work));
    CONTAINED.set(before);
    outcome.unwrap_or_else(|payload| {
        let message = payload
            .downcast_ref::<&str>()
            .map(|s| (*s).to_string())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        let line = message.lines().next().unwrap_or("").chars().take(160).collect::<String>();
        Err(format!("the network runtime gave up on it ({line})"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Our convolutions, and the sums and ReLUs that they take over, change nothing but the rounding.
    #[test]
    fn the_shipped_network_gives_what_tracts_own_convolutions_give() {
        let shape = [1, 1, 112, 92];
        let bytes: &[u8] = include_bytes!("../../../models/embedder.onnx");
        let proto = readable(bytes, &shape, None).unwrap();
        let mut own = Network::load(bytes, &shape, None).unwrap();
        let mut tracts = Network::of(simplified(&proto).unwrap(), &shape).unwrap();
        for seed in 1..5 {
            let values: Vec<f32> = (0..112 * 92).map(|i| (i * seed * 37 % 256) as f32 / 255.0).collect();
            let (a, b) = (own.run(&values).unwrap(), tracts.run(&values).unwrap());
            assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-5), "{a:?}\n{b:?}");
        }
        let replaced = |model: &TypedModel| {
            let of = |name: &str| model.nodes.iter().filter(|n| n.op.name() == name).count();
            (of("FacelatchConvolution"), of("Conv"))
        };
        let before = simplified(&proto).unwrap();
        assert_eq!(replaced(&before), (0, 10));
        if convolution::instruction_set().is_some() {
            assert_eq!(replaced(&convolution::rewrite(before).unwrap()), (10, 0));
        }
    }
}
