"""The small liveness network: nuaa by people, folds and the shipped weights.

What lfw teaches is learned once; nuaa then adds to it, for each fold without its people.

`python train_liveness.py OUT --folds` prints APCER and BPCER per fold of people never trained on;
`python train_liveness.py OUT` trains on all given people and writes OUT/liveness.onnx (float).
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from torch import nn

import export
import liveness_data
from data import cache_dir
from networks import convolution

INPUT = 80
# Width of the network's crop in boxes: what fits an LFW picture, and shows a held photograph's borders.
CROP = 2.2
FOLDS = 5


class Small(nn.Module):
    """Four stride-2 convolutions, one residual block each for the last two, mean, two classes."""

    def __init__(self, widths=(16, 24, 40, 64)):
        super().__init__()
        a, b, c, d = widths
        self.layers = nn.ModuleList([convolution(1, a, 2), convolution(a, b, 2), convolution(b, c, 2)])
        self.inner = nn.ModuleList([convolution(c, c), convolution(c, c)])
        self.last = convolution(c, d, 2)
        self.drop = nn.Dropout(0.2)
        self.dense = nn.Linear(d, 2)

    def forward(self, x):
        for layer in self.layers:
            x = F.relu(layer(x))
        x = F.relu(x + self.inner[1](F.relu(self.inner[0](x))))
        x = F.relu(self.last(x))
        return self.dense(self.drop(x.mean((2, 3))))

    def onnx(self):
        """The float ONNX model, batch norm folded: one gray crop to the two classes' logits, live first."""
        graph = export.Graph()
        x = "face"
        for layer in self.layers:
            x = graph.relu(graph.convolution(x, layer))
        inner = graph.convolution(graph.relu(graph.convolution(x, self.inner[0])), self.inner[1])
        x = graph.relu(graph.node("Add", [x, inner]))
        x = graph.relu(graph.convolution(x, self.last))
        x = graph.node("GlobalAveragePool", [x])
        return graph.model(graph.dense(x, self.dense), [1, 1, INPUT, INPUT], 2)


def augmented(canvases, generator):
    """A batch of network inputs (0..1) of a batch of canvases: box jitter, light, blur, resolution, noise."""
    n = len(canvases)

    def uniform(low, high, *shape):
        return torch.rand(shape or (n,), generator=generator) * (high - low) + low

    def normal(scale):
        return torch.randn(n, generator=generator) * scale

    x = canvases[:, None].float() / 255
    scale = CROP / liveness_data.CANVAS * torch.exp(normal(0.08))
    mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    angle = normal(0.06)
    matrix = torch.stack(
        [
            torch.stack([scale * angle.cos() * mirror, -scale * angle.sin(), normal(0.04)], 1),
            torch.stack([scale * angle.sin() * mirror, scale * angle.cos(), normal(0.04)], 1),
        ],
        1,
    )
    grid = F.affine_grid(matrix, [n, 1, INPUT, INPUT], align_corners=False)
    x = F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
    # A poor camera: the whole batch through fewer pixels, half of the time.
    if torch.rand(1, generator=generator).item() < 0.6:
        columns = int(torch.randint(26, INPUT, (1,), generator=generator))
        x = F.interpolate(x, (columns, columns), mode="area")
        x = F.interpolate(x, (INPUT, INPUT), mode="bilinear", align_corners=False)
    gamma = torch.exp(normal(0.3))[:, None, None, None]
    gain, lift = torch.exp(normal(0.2))[:, None, None, None], normal(0.08)[:, None, None, None]
    side = (normal(0.25)[:, None] * torch.linspace(-1, 1, INPUT))[:, None, None, :]
    x = x.clamp(1e-3, 1) ** gamma * gain * (1 + side) + lift
    x = x + torch.randn(x.shape, generator=generator) * uniform(0, 0.04)[:, None, None, None]
    return x.clamp(0, 1)


def plain(canvases):
    """Network inputs without chance."""
    x = torch.as_tensor(canvases)[:, None].float() / 255
    n = len(x)
    scale = CROP / liveness_data.CANVAS
    matrix = torch.tensor([[[scale, 0, 0], [0, scale, 0]]]).expand(n, 2, 3)
    grid = F.affine_grid(matrix, [n, 1, INPUT, INPUT], align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


def train(groups, steps, seed=1, batch=64, begun_with=None):
    """A network taught on [(canvases, is live, share of a batch), ...], from new or from another's weights."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    network, rate = Small().train(), 3e-3
    if begun_with is not None:
        network.load_state_dict(begun_with.state_dict())
        rate = 1.5e-3
    optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, steps, pct_start=0.15)
    groups = [(torch.as_tensor(c), live, max(1, round(share * batch))) for c, live, share in groups]
    target = torch.cat([torch.full((count,), 0 if live else 1) for _, live, count in groups])
    begun, seen = time.time(), 0.0
    for step in range(steps):
        picked = [c[torch.randint(len(c), (count,), generator=generator)] for c, _, count in groups]
        loss = F.cross_entropy(network(augmented(torch.cat(picked), generator)), target, label_smoothing=0.05)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        seen += loss.item()
        if (step + 1) % 100 == 0:
            print(f"  step {step + 1}: loss {seen / 100:.4f}, {time.time() - begun:.0f} s", flush=True)
            seen = 0.0
    return network.eval()


def groups_of(canvases, live, faces, photos):
    """The parts of a batch: half live and half attack, nuaa and lfw in each alike."""
    return [
        (canvases[live], True, 0.25),
        (canvases[~live], False, 0.25),
        (faces, True, 0.25),
        (photos, False, 0.25),
    ]


def scores(network, canvases):
    """The network's probability that a canvas shows a live face."""
    with torch.no_grad():
        return network(plain(canvases)).softmax(1)[:, 0].numpy()


def interval(errors, trials):
    """Wilson's 95 % interval of a share."""
    if trials == 0:
        return (0.0, 1.0)
    z, p = 1.959964, errors / trials
    middle = (p + z * z / 2 / trials) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(p * (1 - p) / trials + z * z / 4 / trials**2)
    return (max(0.0, middle - half), min(1.0, middle + half))


def told(name, errors, trials):
    low, high = interval(errors, trials)
    return f"{name} {errors}/{trials} = {100 * errors / max(1, trials):.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--folds", action="store_true")
    parser.add_argument("--first-steps", type=int, default=800, help="on lfw alone")
    parser.add_argument("--steps", type=int, default=400, help="with nuaa")
    options = parser.parse_args()
    torch.set_num_threads(2)
    options.out.mkdir(parents=True, exist_ok=True)
    canvases, live, people = liveness_data.nuaa()
    kept = cache_dir() / "liveness_lfw.npz"
    if not kept.exists():
        faces, photos = liveness_data.lfw(np.random.default_rng(1))
        np.savez(kept, faces=faces, photos=photos)
    lfw = np.load(kept)
    faces, photos = lfw["faces"], lfw["photos"]
    first = Small()
    if (options.out / "first.pt").exists():
        first.load_state_dict(torch.load(options.out / "first.pt", weights_only=True))
    else:
        first = train([(faces, True, 0.5), (photos, False, 0.5)], options.first_steps)
        torch.save(first.state_dict(), options.out / "first.pt")
    if not options.folds:
        network = train(groups_of(canvases, live, faces, photos), options.steps, begun_with=first)
        torch.save(network.state_dict(), options.out / "liveness.pt")
        onnx.save(network.onnx(), options.out / "liveness.onnx")
        return
    names = np.unique(people)
    missed = passed = lives = attacks = 0
    for fold in range(FOLDS):
        test = np.isin(people, names[fold::FOLDS])
        rest = groups_of(canvases[~test], live[~test], faces, photos)
        network = train(rest, options.steps, seed=fold + 1, begun_with=first)
        torch.save(network.state_dict(), options.out / f"fold{fold}.pt")
        judged = scores(network, canvases[test]) >= 0.5
        truth = live[test]
        a, b = int((judged & ~truth).sum()), int((~judged & truth).sum())
        passed, missed, attacks, lives = passed + a, missed + b, attacks + int((~truth).sum()), lives + int(truth.sum())
        who = " ".join(names[fold::FOLDS])
        rates = f"{told('APCER', a, int((~truth).sum()))}, {told('BPCER', b, int(truth.sum()))}"
        print(f"fold {fold} (people {who}): {rates}", flush=True)
    print(f"all folds: {told('APCER', passed, attacks)}, {told('BPCER', missed, lives)}")


if __name__ == "__main__":
    main()
