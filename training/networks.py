"""The networks: gray 1 x 112 x 92 in 0..1 in, a 128-vector out."""

import torch
from torch import nn
from torch.nn import functional as F

VECTOR = 128


def on_grid(weight):
    """The weights as the shipped int8 file holds them, in floats: each output channel in steps of its
    largest magnitude / 127 (crates/nn/src/quantize.rs). Batch norm scales whole channels, so folding it in
    keeps them on the grid. Gradients pass as if nothing were rounded (straight-through estimator, Bengio
    et al., 2013, arXiv:1308.3432)."""
    step = weight.abs().flatten(1).amax(1).clamp(min=1e-12).view(-1, *[1] * (weight.dim() - 1)) / 127
    return weight + ((weight / step).round() * step - weight).detach()


class Convolution(nn.Conv2d):
    """A convolution that can see its weights `rounded` to the int8 grid."""

    rounded = False

    def forward(self, x):
        return self._conv_forward(x, on_grid(self.weight) if self.rounded else self.weight, self.bias)


class Dense(nn.Linear):
    """A dense layer that can see its weights `rounded` to the int8 grid."""

    rounded = False

    def forward(self, x):
        return F.linear(x, on_grid(self.weight) if self.rounded else self.weight, self.bias)


def round_weights(network):
    """From now on the network computes with weights on the int8 grid, and learns with that."""
    for module in network.modules():
        if isinstance(module, (Convolution, Dense)):
            module.rounded = True


def bake_rounding(network):
    """Replaces the weights of a network with `rounded` layers by what it computes with."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, (Convolution, Dense)) and module.rounded:
                module.weight.copy_(on_grid(module.weight))


def convolution(inputs, outputs, stride=1, size=3):
    """Convolution and batch norm; the norm is folded into the weights at export."""
    return nn.Sequential(
        Convolution(inputs, outputs, size, stride, size // 2, bias=False), nn.BatchNorm2d(outputs)
    )


class Residual(nn.Module):
    """Two 3x3 convolutions beside an identity."""

    def __init__(self, channels):
        super().__init__()
        self.first = convolution(channels, channels)
        self.second = convolution(channels, channels)

    def forward(self, x):
        return F.relu(x + self.second(F.relu(self.first(x))))


class DenseResidual(nn.Module):
    """Plain 3x3 convolutions, which tract runs at full speed; output L2-normalised.

    A stem at stride 2, then stages of a stride-2 convolution and residual blocks, then a
    7 x 6 map flattened into one dense layer. `squeeze` puts a 1x1 convolution before it.
    """

    frozen = 0

    def __init__(self, stem=20, widths=(40, 80, 144), blocks=(1, 2, 1), squeeze=None):
        super().__init__()
        self.stem = convolution(1, stem, stride=2)
        self.stages = nn.ModuleList()
        inputs = stem
        for width, count in zip(widths, blocks):
            self.stages.append(
                nn.Sequential(
                    convolution(inputs, width, stride=2),
                    nn.ReLU(inplace=True),
                    *(Residual(width) for _ in range(count)),
                )
            )
            inputs = width
        self.squeeze = convolution(inputs, squeeze, size=1) if squeeze else None
        self.dense = Dense((squeeze or inputs) * 7 * 6, VECTOR)

    def features(self, x):
        """The vector before normalisation."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            x = F.relu(self.stem(x))
            for stage in self.stages[: self.frozen]:
                x = stage(x)
        for stage in self.stages[self.frozen :]:
            x = stage(x)
        if self.squeeze:
            x = F.relu(self.squeeze(x))
        return self.dense(x.flatten(1))

    def freeze(self, stages):
        """The stem and this many stages stay as they are from now on, which makes a step cheaper."""
        self.frozen = stages
        for part in [self.stem, *self.stages[:stages]] if stages else []:
            part.eval().requires_grad_(False)

    def forward(self, x):
        return normalised(self.features(x).float())


class Reference(nn.Module):
    """The reference system's shared network (R3), 64 or 128 filters in its first layer."""

    def __init__(self, filters=64):
        super().__init__()
        self.first = nn.Conv2d(1, filters, 3)
        self.second = nn.Conv2d(filters, 64, 3)
        self.dense = nn.Linear(64 * 53 * 43, VECTOR)
        # Keras' defaults, which the reference relies on: Glorot-uniform weights, zero biases.
        for layer in (self.first, self.second, self.dense):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.first(x)), 2)
        x = F.relu(self.second(x))
        return torch.sigmoid(self.dense(x.flatten(1)))


def normalised(vectors):
    """Unit length; written so that it exports as Mul, ReduceSum, Add, Sqrt and Div."""
    return vectors / torch.sqrt((vectors * vectors).sum(1, keepdim=True) + 1e-12)


def parameters(network):
    """How many figures the network has once batch norm is folded."""
    total = 0
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            total += module.weight.numel() + module.weight.shape[0]
    return total


def multiply_adds(network):
    """Multiply-adds of one 112 x 92 picture."""
    total = 0

    def count(module, _inputs, output):
        nonlocal total
        positions = output.shape[2] * output.shape[3] if output.dim() == 4 else 1
        total += module.weight.numel() * positions

    layers = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    mode = network.training
    network.eval()
    with torch.no_grad():
        network(torch.zeros(1, 1, 112, 92))
    network.train(mode)
    for hook in hooks:
        hook.remove()
    return total
