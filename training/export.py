"""Writes a network as ONNX by hand: static batch 1, batch norm folded, only operators tract likes.

`python export.py CHECKPOINT OUT.onnx` turns a training checkpoint into the float file that
`facelatch model quantize` makes the shipped int8 file of.
"""

import sys

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

import networks

OPSET = 13


class Graph:
    """An ONNX graph under construction; each method adds a node and returns its output's name."""

    def __init__(self):
        self.nodes, self.figures, self.count = [], [], 0

    def constant(self, array, name):
        self.figures.append(numpy_helper.from_array(array, name))
        return name

    def node(self, kind, inputs, **attributes):
        self.count += 1
        output = f"{kind.lower()}_{self.count}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def layer(self, kind, x, weight, bias, **attributes):
        number = self.count + 1
        weight = self.constant(np.ascontiguousarray(weight, np.float32), f"weight_{number}")
        bias = self.constant(np.ascontiguousarray(bias, np.float32), f"bias_{number}")
        return self.node(kind, [x, weight, bias], **attributes)

    def convolution(self, x, layer):
        """A Conv2d, or a Conv2d and BatchNorm2d folded into one."""
        if isinstance(layer, torch.nn.Sequential):
            weight, bias, layer = *folded(*layer), layer[0]
        else:
            weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        pad, stride, size = layer.padding[0], layer.stride[0], layer.kernel_size[0]
        return self.layer(
            "Conv", x, weight, bias, kernel_shape=[size, size], pads=[pad] * 4, strides=[stride] * 2
        )

    def dense(self, x, layer):
        flat = self.node("Flatten", [x], axis=1)
        return self.layer("Gemm", flat, layer.weight.detach().numpy(), layer.bias.detach().numpy(), transB=1)

    def relu(self, x):
        return self.node("Relu", [x])

    def unit_length(self, x):
        norm = self.node("ReduceL2", [x], axes=[1], keepdims=1)
        return self.node("Div", [x, norm])

    def model(self, output, shape=(1, 1, 112, 92), size=networks.VECTOR):
        self.nodes[-1].output[0] = "vector"
        assert self.nodes[-1].name == output
        graph = helper.make_graph(
            self.nodes,
            "facelatch",
            [helper.make_tensor_value_info("face", TensorProto.FLOAT, list(shape))],
            [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [1, size])],
            self.figures,
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="facelatch training"
        )
        model.ir_version = 8
        onnx.checker.check_model(model, full_check=True)
        return model


def folded(convolution, norm):
    """The weights and bias of a convolution with its batch norm folded in."""
    scale = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach()
    weight = convolution.weight.detach() * scale[:, None, None, None]
    bias = norm.bias.detach() - norm.running_mean * scale
    return weight.numpy(), bias.numpy()


def dense_residual(network):
    """The ONNX model of a DenseResidual."""
    graph = Graph()
    x = graph.relu(graph.convolution("face", network.stem))
    for down, _relu, *blocks in network.stages:
        x = graph.relu(graph.convolution(x, down))
        for block in blocks:
            inner = graph.convolution(graph.relu(graph.convolution(x, block.first)), block.second)
            x = graph.relu(graph.node("Add", [x, inner]))
    if network.squeeze:
        x = graph.relu(graph.convolution(x, network.squeeze))
    return graph.model(graph.unit_length(graph.dense(x, network.dense)))


def reference(network):
    """The ONNX model of the Reference network."""
    graph = Graph()
    x = graph.relu(graph.convolution("face", network.first))
    x = graph.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
    x = graph.relu(graph.convolution(x, network.second))
    return graph.model(graph.node("Sigmoid", [graph.dense(x, network.dense)]))


def onnx_of(network):
    """The float ONNX model of any of the networks here."""
    network = network.cpu().float().eval()
    write = reference if isinstance(network, networks.Reference) else dense_residual
    return write(network)


def load_checkpoint(path):
    """The network of a checkpoint of `train_default.py` or `train_first.py`, averaged weights if it has them."""
    state = torch.load(path, weights_only=True)
    network = networks.DenseResidual()
    network.load_state_dict(state.get("average", state["network"]))
    return network.eval()


if __name__ == "__main__":
    onnx.save(onnx_of(load_checkpoint(sys.argv[1])), sys.argv[2])
