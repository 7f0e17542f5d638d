"""Trains the default network, with or without the teacher.

`python train_default.py OUT` teaches the network by the teacher's vectors, the reference's
contrastive loss and hard pairs; `--no-teacher` uses margin softmax over identities instead of the
teacher. Both learn from AT&T's first 35 people and `lfw/train` without the calibration people, and
resume from OUT/checkpoint.pt. `lfw/test` is looked at once, after the last step.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import onnx
import torch

import crops
import data
import distil
import evaluate
import export
import loop
import losses
import muon
import networks
import plots
import samples

SEED = 20190401
MARGIN_GROWS = 0.3  # share of the run over which the softmax's margin grows to its full size


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--no-teacher", dest="teacher", action="store_false")
    parser.add_argument("--steps", type=int, default=24000)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--decay", type=float, default=0.05, help="weight decay of the filters")
    parser.add_argument("--average", type=float, default=0.999, help="decay of the weights' moving average")
    parser.add_argument("--contrastive", type=float, default=0.1, help="weight of the hard contrastive loss")
    parser.add_argument("--shards", type=int, default=12, help="thousands of mixed faces, in fives")
    parser.add_argument("--mixed", type=float, default=0.5, help="share of a batch that is mixed faces")
    parser.add_argument("--spread", type=float, default=0.7, help="box jitter")
    parser.add_argument("--strength", type=float, default=0.45, help="how often the door's effects strike")
    parser.add_argument("--crop", nargs=4, type=float, default=[0.9, 1.04, 0.0, 0.0], metavar=("W", "H", "SX", "SY"))
    parser.add_argument("--shape", type=json.loads, default={}, help="JSON arguments of DenseResidual")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--round", type=float, default=1.0, help="share of the steps after which weights are rounded to int8")
    parser.add_argument("--every", type=int, default=200, help="steps between looks at the calibration people")
    parser.add_argument("--until", type=int, help="stop (resumable) at this step")
    return parser.parse_args()


def taught_faces(rule, option):
    """Samples with labels, the teacher's vectors for them, and as many mixed faces as asked for."""
    att, lfw = data.att_train(), data.lfw_learn()
    labels = samples.labels_of(att + lfw)
    faces, kept = samples.boxed_samples(lfw, labels[len(att) :], rule)
    boxed, kept_att = samples.boxed_samples(att, labels[: len(att)], rule)
    whole = samples.whole_samples([att[i] for i in kept_att], [labels[i] for i in kept_att])
    everyone = faces + boxed + whole
    if not option.teacher:
        return everyone, None, [], None
    boxes = crops.detect([picture.path for picture in att])
    att_boxes = [crops.main_box(boxes[att[i].path], WIDTH, HEIGHT) for i in kept_att]
    att_taught = distil.att_vectors([att[i] for i in kept_att], att_boxes)
    taught = np.concatenate([distil.lfw_vectors(lfw)[kept], att_taught, att_taught])
    mixed, mixed_taught = distil.mixtures(option.shards, SEED, rule)
    return everyone, taught, mixed, mixed_taught


WIDTH, HEIGHT = crops.WIDTH, crops.HEIGHT


class Maker:
    """Makes a batch: faces with a partner of the same person each, then mixed faces."""

    def __init__(self, faces, taught, mixed, mixed_taught, option):
        self.faces, self.taught, self.mixed, self.mixed_taught = faces, taught, mixed, mixed_taught
        self.option = option
        self.mixed_count = int(option.batch * option.mixed) if mixed else 0
        self.couples = (option.batch - self.mixed_count) // 2
        self.groups = {}
        for index, face in enumerate(faces):
            self.groups.setdefault(face.label, []).append(index)

    def partner(self, index, rng):
        """Another picture of the same person, or the same one where there is no other."""
        group = self.groups[self.faces[index].label]
        others = [other for other in group if other != index]
        return int(rng.choice(others)) if others else index

    def __call__(self, rng, step):
        first = loop.slice_of_epochs(len(self.faces), self.couples, SEED, step)
        real = list(first) + [self.partner(i, rng) for i in first]
        extra = []
        if self.mixed_count:
            extra = loop.slice_of_epochs(len(self.mixed), self.mixed_count, SEED + 1, step)
        chosen = [self.faces[i] for i in real] + [self.mixed[i] for i in extra]
        option = self.option
        views = np.stack([face.door(rng, option.spread, option.strength) for face in chosen])[:, None]
        labels = np.array([self.faces[i].label for i in real])
        if self.taught is None:
            return views, labels
        return views, labels, np.concatenate([self.taught[real], self.mixed_taught[extra]]).astype(np.float32)


class Calibration:
    """The calibration people: genuine pairs (at most ten a person) and impostor pairs, judged."""

    def __init__(self, rule):
        pictures = data.lfw_calibration()
        faces, kept = samples.boxed_samples(pictures, [0] * len(pictures), rule)
        self.inputs = torch.from_numpy(np.stack([face.plain() for face in faces]))[:, None]
        people = [pictures[i].subject for i in kept]
        rng = np.random.default_rng(SEED)
        groups = {}
        for index, person in enumerate(people):
            groups.setdefault(person, []).append(index)
        genuine = []
        for group in groups.values():
            pairs = [(a, b) for i, a in enumerate(group) for b in group[i + 1 :]]
            rng.shuffle(pairs)
            genuine += pairs[:10]
        firsts = [group[0] for group in groups.values()]
        impostor = [(a, b) for i, a in enumerate(firsts) for b in firsts[i + 1 :]]
        self.pairs = np.array(genuine + impostor)
        self.genuine = len(genuine)

    def distances(self, network):
        """Distances of the genuine and of the impostor pairs."""
        with torch.no_grad():
            vectors = torch.cat([network(part) for part in self.inputs.split(128)]).numpy()
        every = np.linalg.norm(vectors[self.pairs[:, 0]] - vectors[self.pairs[:, 1]], axis=1)
        return every[: self.genuine], every[self.genuine :]

    def figures(self, network):
        """Share of genuine pairs accepted at FMR 1 % and 0.1 %, and the equal error rate."""
        genuine, impostor = self.distances(network)
        at = {rate: float((genuine < np.quantile(impostor, rate)).mean()) for rate in (0.01, 0.001)}
        limits = np.quantile(impostor, np.linspace(0.001, 0.3, 600))
        misses = np.array([(genuine >= limit).mean() for limit in limits])
        equal = int(np.abs(misses - np.linspace(0.001, 0.3, 600)).argmin())
        return {"tar_1": at[0.01], "tar_01": at[0.001], "eer": float(misses[equal])}


def main():
    option = options()
    torch.manual_seed(SEED)
    loop.quiet_threads(option.threads)
    rule = crops.CropRule(*option.crop)
    faces, taught, mixed, mixed_taught = taught_faces(rule, option)
    identities = 1 + max(face.label for face in faces)
    make = Maker(faces, taught, mixed, mixed_taught, option)
    calibration = Calibration(rule)
    network = loop.laid_out(networks.DenseResidual(**option.shape))
    print(
        f"{len(faces)} faces of {identities} people, {len(mixed)} mixed faces; "
        f"{networks.parameters(network)} parameters, {networks.multiply_adds(network)} multiply-adds",
        flush=True,
    )

    parts = {"network": network}
    if not option.teacher:
        parts["softmax"] = losses.MarginSoftmax(identities, networks.VECTOR)
    trained = [parameter for part in parts.values() for parameter in part.parameters()]
    # Muon takes the filters and the dense layer; AdamW the norms, biases and identities.
    filters = [p for p in network.parameters() if p.dim() > 1 and p.shape[1] > 1]
    others = [p for p in trained if all(p is not filter_ for filter_ in filters)]
    optimisers = {
        "muon": muon.Muon(filters, lr=option.rate, weight_decay=option.decay),
        "adam": torch.optim.AdamW(others, weight_decay=0.0, fused=True),
    }
    average = loop.Average(network, option.average)
    parts |= optimisers | {"average": average.network}
    run = loop.Run(option.out)
    step = run.resume(parts)
    until = min(option.until or option.steps, option.steps)
    network.train()
    total, since = 0.0, step
    for views, labels, *answers in loop.batches(make, SEED, step, until):
        if step >= option.round * option.steps:
            networks.round_weights(network)
            networks.round_weights(average.network)
        for optimiser in optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = loop.rate(step, option.steps, option.rate)
        with loop.autocast():
            features = network.features(views)
        vectors = networks.normalised(features.float())
        loss = option.contrastive * losses.hard_contrastive(vectors[: len(labels)], labels)
        if option.teacher:
            loss = loss + losses.imitation(vectors, answers[0])
        else:
            share = min(1.0, step / (MARGIN_GROWS * option.steps))
            loss = loss + parts["softmax"](vectors, labels, share)
        for optimiser in optimisers.values():
            optimiser.zero_grad(set_to_none=True)
        loss.backward()
        for optimiser in optimisers.values():
            optimiser.step()
        average.update(network, step)
        step += 1
        total += loss.item()
        if step % option.every == 0 or step == until:
            run.log(
                step=step,
                loss=total / (step - since),
                **calibration.figures(average.network),
                seconds=run.elapsed(),
            )
            total, since = 0.0, step
            run.save(parts, step)
            plots.curve(option.out / "curve.csv", option.out / "curve.png")
    if step == option.steps:
        finish(average.network, option, rule)


def finish(network, option, rule):
    """Writes the float ONNX file and the final figures beside the checkpoint."""
    networks.bake_rounding(network)
    model = export.onnx_of(network)
    onnx.save(model, option.out / "float.onnx")
    embed = evaluate.runner(model.SerializeToString())
    report = {
        "options": {key: str(value) for key, value in vars(option).items()},
        "lfw_test": evaluate.verdict(*evaluate.lfw_test(embed, rule)),
        "att_test": evaluate.verdict(*evaluate.att_test(embed)),
    }
    (option.out / "report.json").write_text(json.dumps(report, indent=1))
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
