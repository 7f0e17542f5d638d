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


def imitation(vectors, taught):
    """How far the student is from the teacher: 1 - cosine, and twice the squared error of the
    batch's similarity matrix."""
    alone = 1 - (vectors * taught).sum(1).mean()
    together = ((vectors @ vectors.T - taught @ taught.T) ** 2).mean()
    return alone + 2 * together


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
