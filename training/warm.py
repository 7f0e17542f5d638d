"""Starts a network from one that has learned: from a shipped ONNX file, or from weights kept in half precision."""

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

import networks

# Root mean square of an output channel's weights, where batch norm makes their size free: about where
# Muon's steps and weight decay hold them, so that the first steps are neither leaps nor standstill.
SIZE, STEM_SIZE = 0.03, 0.3


def onnx_layers(path):
    """Weights and biases of a file's convolutions and dense layer, in order; int8 weights as floats."""
    graph = onnx.load(path).graph
    known = {figure.name: numpy_helper.to_array(figure) for figure in graph.initializer}
    layers = []
    for node in graph.node:
        if node.op_type == "DequantizeLinear":
            weight, scale, zero = (known[name] for name in node.input)
            shape = (-1, *[1] * (weight.ndim - 1))
            known[node.output[0]] = (weight.astype(np.float32) - zero.reshape(shape)) * scale.reshape(shape)
        elif node.op_type in ("Conv", "Gemm"):
            layers.append(tuple(torch.tensor(known[name], dtype=torch.float32) for name in node.input[1:3]))
    return layers


def convolutions(network):
    """The network's (convolution, batch norm) in the order of the ONNX file, grown blocks left out."""
    found = [network.stem]
    for down, _relu, *blocks in network.stages:
        found.append(down)
        found += [layer for block in blocks for layer in (block.first, block.second)]
    return found


def from_onnx(path):
    """The network in an ONNX file as one that can learn: its batch norms do nothing yet."""
    stem, *layers, dense = onnx_layers(path)
    inner = []  # how many convolutions follow the first one of each stage: two a block
    for weight, _bias in layers:
        if weight.shape[0] == weight.shape[1]:
            inner[-1] += 1
        else:
            inner.append(0)
    network = networks.DenseResidual(blocks=[count // 2 for count in inner]).eval()
    with torch.no_grad():
        for (convolution, norm), (weight, bias) in zip(convolutions(network), [stem, *layers], strict=True):
            convolution.weight.copy_(weight)
            norm.bias.copy_(bias)
            norm.running_var.fill_(1 - norm.eps)
        network.dense.weight.copy_(dense[0])
        network.dense.bias.copy_(dense[1])
    return network


def settle(network, faces):
    """Gives every batch norm the statistics of `faces` and each channel's weights a fit size; the network
    computes what it computed before."""
    seen = {}

    def watch(module, inputs, _output):
        axes = (0, 2, 3)
        seen[module] = inputs[0].float().mean(axes), inputs[0].float().var(axes)

    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [norm.register_forward_hook(watch) for norm in norms]
    network.eval()
    with torch.no_grad():
        network(faces)
        for hook in hooks:
            hook.remove()
        for convolution, norm in convolutions(network):
            mean, var = seen[norm]
            scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            norm.bias.add_((mean - norm.running_mean) * scale)
            norm.weight.copy_(scale * torch.sqrt(var))
            size = STEM_SIZE if convolution is network.stem[0] else SIZE
            factor = size / convolution.weight.flatten(1).square().mean(1).sqrt().clamp(min=1e-6)
            convolution.weight.mul_(factor[:, None, None, None])
            norm.running_mean.copy_(mean * factor)
            norm.running_var.copy_((var * factor**2 - norm.eps).clamp(min=1e-8))
        # The output is divided by its length, so the dense layer's size as a whole is free too.
        factor = SIZE / network.dense.weight.square().mean().sqrt()
        network.dense.weight.mul_(factor)
        network.dense.bias.mul_(factor)


def grown(old, network):
    """`network` with the weights of `old`; blocks that `old` lacks add nothing until they learn to."""
    missing, unexpected = network.load_state_dict(old.state_dict(), strict=False)
    assert not unexpected
    with torch.no_grad():
        for key in missing:
            if key.endswith("second.1.weight"):
                network.get_parameter(key).zero_()
            elif key.endswith("first.1.weight"):
                network.get_parameter(key).fill_(1)
    return network


def reader_for(network, faces, taught):
    """The linear layer that best makes the taught vectors of the network's, by least squares."""
    with torch.no_grad():
        own = torch.cat([network(part) for part in faces.split(128)])
        answer = torch.linalg.lstsq(own, taught).solution.T.contiguous()
    reader = nn.Linear(own.shape[1], taught.shape[1], bias=False)
    with torch.no_grad():
        reader.weight.copy_(answer * (SIZE / answer.square().mean().sqrt()))
    return reader


def keep(path, network, reader):
    """Weights in half precision, to go on from in another session; the optimisers start afresh."""
    state = {**network.state_dict(), "reader": reader.weight}
    arrays = {k: v.detach().float().numpy().astype(np.float16) for k, v in state.items() if v.is_floating_point()}
    for name, value in state.items():
        if name.endswith("running_var"):  # too small for half precision
            arrays[name] = value.numpy().astype(np.float32)
    unfinished = path.with_suffix(".new.npz")
    np.savez(unfinished, **arrays)
    unfinished.replace(path)


def from_kept(path, network, reader):
    """Loads what `keep` wrote."""
    kept = {name: torch.from_numpy(array.astype(np.float32)) for name, array in np.load(path).items()}
    with torch.no_grad():
        reader.weight.copy_(kept.pop("reader"))
    missing, unexpected = network.load_state_dict(kept, strict=False)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing)
