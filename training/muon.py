"""Muon: momentum whose every matrix is made orthogonal before it is applied.

K. Jordan et al., 2024; scaled to the size of AdamW's steps as in Liu et al., "Muon is scalable for
LLM training", 2025. On this network it learned more than AdamW from the same pictures
(docs/design/network.md).
"""

import torch

import loop


def orthogonal(matrices):
    """The nearest orthogonal matrices, roughly, by five Newton-Schulz steps."""
    x = matrices.to(loop.short_floats())
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x + (-4.775 * square + 2.0315 * square @ square) @ x
    return (x.T if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """For weights of two or more axes; a convolution's are taken as outputs x everything else."""

    def __init__(self, weights, lr, momentum=0.95, weight_decay=0.0):
        super().__init__(weights, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        assert closure is None
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                average = state["momentum"]
                average.lerp_(weight.grad, 1 - group["momentum"])
                ahead = weight.grad.lerp(average, group["momentum"])
                update = orthogonal(ahead.reshape(len(weight), -1)).reshape(weight.shape)
                size = 0.2 * max(len(weight), weight[0].numel()) ** 0.5
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(update, alpha=-group["lr"] * size)
