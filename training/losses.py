"""Losses: the reference's contrastive loss, and what stands beside it."""

import torch
from torch import nn
from torch.nn import functional as F


def distance(a, b):
    """Euclidean distance of rows, sqrt(max(sum((a-b)^2), 1e-7)) as the reference writes it."""
    return torch.sqrt(torch.clamp(((a - b) ** 2).sum(1), min=1e-7))


def contrastive(distances, same):
    """The reference's loss, margin 1: mean(Y * D^2 + (1-Y) * max(1-D, 0)); the second term is not squared."""
    return (same * distances**2 + (1 - same) * torch.clamp(1 - distances, min=0)).mean()


def hard_contrastive(vectors, labels):
    """The contrastive loss on each face's farthest own picture and nearest stranger in the batch."""
    distances = torch.sqrt(torch.clamp(2 - 2 * vectors @ vectors.T, min=1e-7))
    same = labels[:, None] == labels[None, :]
    itself = torch.eye(len(labels), dtype=torch.bool)
    farthest = distances.masked_fill(~same | itself, 0).max(1).values
    nearest = distances.masked_fill(same, 2).min(1).values
    chosen = torch.cat([farthest, nearest])
    return contrastive(chosen, torch.cat([torch.ones(len(labels)), torch.zeros(len(labels))]))


def imitation(read, vectors, taught, queue):
    """How far the student is from the teachers: 1 - cosine of what a linear layer `read` from its vectors, and
    four times the error of the vectors' own similarities, in the batch and to the queue of earlier faces: the
    mean square, and that of each face's NEAREST strangers that the student takes for nearer than the teachers do."""
    alone = 1 - (read * taught).sum(1).mean()
    others, others_taught = queue.beside(vectors, taught)
    own = vectors @ others.T
    error = own - taught @ others_taught.T
    itself = torch.eye(len(vectors), len(others), dtype=torch.bool)
    nearest = own.detach().masked_fill(itself, -1).topk(min(NEAREST, len(others)), 1).indices
    too_near = F.relu(error.gather(1, nearest))
    return alone + 4 * (error**2).mean() + (too_near**2).mean()


NEAREST = 16


class Queue:
    """The last faces' vectors, the student's and the teachers', as more strangers to compare a batch with."""

    def __init__(self, size):
        self.size, self.own, self.taught = size, None, None

    def beside(self, vectors, taught):
        """The batch's faces with the queue's behind them; the batch then joins the queue."""
        if self.own is None:
            others, others_taught = vectors, taught
        else:
            others, others_taught = torch.cat([vectors, self.own]), torch.cat([taught, self.taught])
        self.own, self.taught = others.detach()[: self.size], others_taught[: self.size]
        return others, others_taught


class MarginSoftmax(nn.Module):
    """Softmax over identities with an additive cosine margin (CosFace: Wang et al., CVPR 2018)."""

    def __init__(self, identities, size, scale=30.0, margin=0.3):
        super().__init__()
        self.centres = nn.Parameter(torch.randn(identities, size) * size**-0.5)
        self.scale, self.margin = scale, margin

    def forward(self, vectors, labels, share=1.0):
        """`share` of the margin is applied, so that it can grow while training."""
        cosine = vectors @ F.normalize(self.centres).T
        own = F.one_hot(labels, len(self.centres))
        return F.cross_entropy(self.scale * (cosine - share * self.margin * own), labels)
