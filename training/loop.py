"""Things every training run shares: batches from worker processes, schedule, checkpoints, curve."""

import copy
import csv
import time
from pathlib import Path

import numpy as np
import torch

FLAGS = set(Path("/proc/cpuinfo").read_text().split())
BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}


def quiet_threads(count):
    """`count` threads for PyTorch, made for a machine that others use too."""
    torch.set_num_threads(count)


def short_floats():
    """bfloat16 where the processor multiplies it, else float32: without, PyTorch takes many times as long."""
    return torch.bfloat16 if BFLOAT16 & FLAGS else torch.float32


def autocast():
    """Products in `short_floats`, for a forward pass."""
    return torch.autocast("cpu", torch.bfloat16, enabled=short_floats() is torch.bfloat16)


def laid_out(network):
    """The network in the memory layout that is fastest here: channels last pays on one thread only,
    because its batch norm runs on one."""
    return network.to(memory_format=torch.channels_last) if torch.get_num_threads() == 1 else network


class Batches(torch.utils.data.Dataset):
    """Batch number -> tensors, by `make(rng, step)`, whose chance depends on seed and step alone.

    So a run resumed at a step sees the batches that it would have seen, whatever the workers do.
    """

    def __init__(self, make, seed, steps):
        self.make, self.seed, self.steps = make, seed, steps

    def __len__(self):
        return self.steps

    def __getitem__(self, step):
        rng = np.random.default_rng([self.seed, step])
        return [torch.from_numpy(array) for array in self.make(rng, step)]


def batches(make, seed, first, steps, workers=2):
    """Iterates the batches of steps `first` to `steps`, made ahead by worker processes."""
    return torch.utils.data.DataLoader(
        Batches(make, seed, steps),
        batch_size=None,
        sampler=range(first, steps),
        num_workers=workers,
        prefetch_factor=4,
    )


def epoch_order(count, seed, epoch):
    """The order in which an epoch visits `count` pictures."""
    return np.random.default_rng([seed, 7919, epoch]).permutation(count)


def slice_of_epochs(count, size, seed, step):
    """The pictures of batch `step` when epochs of shuffled pictures are strung together."""
    start = step * size
    picked = []
    while len(picked) < size:
        epoch, offset = divmod(start + len(picked), count)
        order = epoch_order(count, seed, epoch)
        picked.extend(order[offset : offset + size - len(picked)])
    return np.array(picked)


def rate(step, steps, peak, warmup=200, fall=0.4):
    """Learning rate: linear warm-up, a plateau, and over the last `fall` of the steps down to a hundredth.

    The plateau does not know how long the run is, so a run can be made longer when it is resumed.
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    left = (steps - step) / (fall * steps)
    return peak * (0.01 + 0.99 * min(1.0, left))


def plateau(step, peak, warmup=200, cool_from=None, cool=0):
    """Learning rate of a run without an end: linear warm-up, then level; from step `cool_from` on it falls
    over `cool` steps to a hundredth."""
    if cool_from is not None:
        return peak * max(0.01, 1 - (step - cool_from) / cool)
    return peak * min(1.0, (step + 1) / warmup)


class Average:
    """Exponential moving average of a network's weights and norms (EMA)."""

    def __init__(self, network, decay):
        self.network = copy.deepcopy(network).eval()
        self.decay = decay

    def update(self, network, step):
        decay = min(self.decay, (step + 1) / (step + 10))
        with torch.no_grad():
            own, new = self.network.state_dict(), network.state_dict()
            floats = [key for key in own if own[key].is_floating_point()]
            torch._foreach_lerp_([own[k] for k in floats], [new[k] for k in floats], 1 - decay)


class Run:
    """A run's folder: `checkpoint.pt` to resume from, `curve.csv`, and the time it has used."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.checkpoint = folder / "checkpoint.pt"
        self.seconds = 0.0
        self.started = time.monotonic()

    def resume(self, parts):
        """Loads `parts` (name -> module or optimiser) and returns the step to go on from."""
        if not self.checkpoint.exists():
            return 0
        state = torch.load(self.checkpoint, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        self.seconds = state["seconds"]
        print(f"resuming at step {state['step']}", flush=True)
        return state["step"]

    def elapsed(self):
        """Seconds of training so far, earlier sittings counted in."""
        return self.seconds + time.monotonic() - self.started

    def save(self, parts, step):
        """Writes the checkpoint in one piece, so that a killed run never leaves half a file."""
        state = {name: part.state_dict() for name, part in parts.items()}
        unfinished = self.checkpoint.with_suffix(".new")
        torch.save({**state, "step": step, "seconds": self.elapsed()}, unfinished)
        unfinished.replace(self.checkpoint)

    def log(self, **figures):
        """Appends a row to the curve and prints it."""
        file = self.folder / "curve.csv"
        new = not file.exists()
        with file.open("a", newline="") as out:
            writer = csv.writer(out)
            if new:
                writer.writerow(figures)
            writer.writerow(figures.values())
        print(" ".join(f"{k}={v:.5g}" if isinstance(v, float) else f"{k}={v}" for k, v in figures.items()), flush=True)
