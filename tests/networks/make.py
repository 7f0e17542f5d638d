"""Makes the small networks of this folder: one of random weights, and what onnxruntime quantises it to.

`python make.py` with numpy, onnx and onnxruntime; the files are kept, so that the tests need neither.
They show which of onnxruntime's quantised forms facelatch loads, and what it says to the others.
"""

import pathlib
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

HERE = pathlib.Path(__file__).parent
SHAPE = [1, 1, 32, 24]


def network():
    random = np.random.default_rng(7)
    figures = []

    def weights(name, *shape):
        scale = np.sqrt(2 / max(1, np.prod(shape[1:])))
        array = random.normal(0, scale, shape).astype(np.float32)
        figures.append(numpy_helper.from_array(array, name))
        return name

    layer = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["face", weights("w1", 8, 1, 3, 3), weights("b1", 8)], ["c1"], **layer),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", weights("w2", 16, 8, 3, 3), weights("b2", 16)], ["c2"], **layer),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node("Flatten", ["r2"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", weights("w3", 32, 768), weights("b3", 32)], ["dense"], transB=1),
        helper.make_node("ReduceL2", ["dense"], ["length"], axes=[1], keepdims=1),
        helper.make_node("Div", ["dense", "length"], ["vector"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("face", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [1, 32])],
        figures,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="facelatch tests")
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return model


class Faces(CalibrationDataReader):
    def __init__(self):
        random = np.random.default_rng(8)
        self.left = iter([{"face": random.random(SHAPE, np.float32)} for _ in range(16)])

    def get_next(self):
        return next(self.left, None)


def without_shapes(path):
    """The quantisers note shapes that the file does not need."""
    model = onnx.load(path)
    del model.graph.value_info[:]
    onnx.save(model, path)


def main():
    source = HERE / "float.onnx"
    onnx.save(network(), source)
    with tempfile.TemporaryDirectory() as folder:
        plain = f"{folder}/plain.onnx"
        onnx.save(onnx.load(source), plain)
        quantize_dynamic(plain, HERE / "dynamic-int8.onnx", weight_type=QuantType.QUInt8)
        for name, form in (("qdq", QuantFormat.QDQ), ("qoperator", QuantFormat.QOperator)):
            out = HERE / f"{name}.onnx"
            quantize_static(plain, out, Faces(), quant_format=form, per_channel=True, weight_type=QuantType.QInt8)
    for path in HERE.glob("*.onnx"):
        without_shapes(path)


if __name__ == "__main__":
    main()
