"""Trains the default network, with or without the teachers.

`python train_default.py OUT` goes on from the weights that a file holds (`--start`) and teaches the network by
the vectors of two teachers and by pairs of one person, from `data/faces`, `lfw/train` without the calibration
people, AT&T's first 35 people and mixed faces. The rate stays level to step `--steps`; then a copy in OUT/cooled
cools down for `--cool` steps, its weights rounded to int8, and becomes OUT/cooled/float.onnx. `--cool-now` cools a
copy of the last checkpoint at once, and the level run can go on. `--no-teacher` uses margin softmax over
identities instead, from nothing. Everything resumes from its checkpoint.pt. `lfw/test` is looked at once, after
the last step.
"""

import argparse
import json
import shutil
import sys
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
import warm

SEED = 20190401
KEPT, SHIPPED = data.REPOSITORY / "training/resume/weights.npz", data.REPOSITORY / "models/embedder.onnx"
MARGIN_GROWS = 0.3  # share of the run over which the softmax's margin grows to its full size


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--no-teacher", dest="teacher", action="store_false")
    parser.add_argument("--start", type=Path, default=KEPT if KEPT.exists() else SHIPPED, help="kept weights (.npz), an older network (.onnx), or none")
    parser.add_argument("--keep", type=Path, help="where to keep the averaged weights in half precision at each look")
    parser.add_argument("--steps", type=int, default=150000)
    parser.add_argument("--cool", type=int, default=3000, help="steps over which the rate falls at the end")
    parser.add_argument("--cool-now", action="store_true", help="cool a copy of the last checkpoint now")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=1.2e-3)
    parser.add_argument("--decay", type=float, default=0.05, help="weight decay of the filters")
    parser.add_argument("--average", type=float, default=0.999, help="decay of the weights' moving average")
    parser.add_argument("--contrastive", type=float, default=0.1, help="weight of the hard contrastive loss")
    parser.add_argument("--queue", type=int, default=2048, help="earlier faces that a batch is compared with")
    parser.add_argument("--shards", type=int, default=0, help="thousands of mixed faces, in fives")
    parser.add_argument("--mixed", type=float, default=0.25, help="share of a batch that is mixed faces")
    parser.add_argument("--named", type=float, default=0.35, help="share of a batch that are people with names")
    parser.add_argument("--aligned", type=float, default=0.5, help="share of faces cropped by landmarks")
    parser.add_argument("--spread", type=float, default=0.7, help="box jitter")
    parser.add_argument("--strength", type=float, default=0.45, help="how often the door's effects strike")
    parser.add_argument("--crop", nargs=4, type=float, default=[0.9, 1.04, 0.0, 0.0], metavar=("W", "H", "SX", "SY"))
    parser.add_argument("--shape", type=json.loads, default={}, help="JSON arguments of DenseResidual")
    parser.add_argument("--freeze", type=int, default=0, help="stages that do not learn, the stem with them: a step is cheaper")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--round", type=float, default=0.5, help="share of the cooling after which weights are rounded to int8")
    parser.add_argument("--every", type=int, default=500, help="steps between looks at the calibration people")
    parser.add_argument("--until", type=int, help="stop (resumable) at this step")
    return parser.parse_args()


def named_faces(rule):
    """AT&T's first 35 people, boxed and whole, and `lfw/train` without the calibration people; the indices of
    those kept, of each."""
    att, lfw = data.att_train(), data.lfw_learn()
    labels = samples.labels_of(att + lfw)
    faces, kept = samples.landmarked_samples(lfw, labels[len(att) :], rule)
    boxed, kept_att = samples.boxed_samples(att, labels[: len(att)], rule)
    whole = samples.whole_samples([att[i] for i in kept_att], [labels[i] for i in kept_att])
    return faces + boxed + whole, kept, kept_att


def taught_faces(rule, option):
    """Named, nameless and mixed faces, each with the teachers' vectors; the named ones alone without teachers."""
    named, kept, kept_att = named_faces(rule)
    if not option.teacher:
        return [(named, None)]
    att = distil.att_vectors([data.att_train()[i] for i in kept_att])
    sets = [(named, np.concatenate([distil.lfw_vectors(data.lfw_learn())[kept], att, att]))]
    sets.append((samples.varied(), distil.varied_vectors()))
    if option.shards:
        sets.append(distil.mixtures(option.shards, SEED))
    return sets


class Maker:
    """Makes a batch: named faces with a partner of the same person each, then nameless and mixed faces."""

    def __init__(self, sets, option):
        self.sets, self.option = sets, option
        mixed = int(option.batch * option.mixed) if len(sets) > 2 else 0
        self.couples = (int(option.batch * option.named) if len(sets) > 1 else option.batch) // 2
        self.counts = [option.batch - 2 * self.couples - mixed, mixed][: len(sets) - 1]
        self.groups = {}
        for index, face in enumerate(sets[0][0]):
            self.groups.setdefault(face.label, []).append(index)

    def partner(self, index, rng):
        """Another picture of the same person, or the same one where there is no other."""
        group = self.groups[self.sets[0][0][index].label]
        others = [other for other in group if other != index]
        return int(rng.choice(others)) if others else index

    def __call__(self, rng, step):
        first = loop.slice_of_epochs(len(self.sets[0][0]), self.couples, SEED, step)
        chosen = [list(first) + [self.partner(i, rng) for i in first]]
        for number, (count, (faces, _)) in enumerate(zip(self.counts, self.sets[1:]), 1):
            chosen.append(loop.slice_of_epochs(len(faces), count, SEED + number, step))
        option = self.option
        views = [
            faces[i].door(rng, option.spread, option.strength, option.aligned)
            for (faces, _), indices in zip(self.sets, chosen)
            for i in indices
        ]
        labels = np.array([self.sets[0][0][i].label for i in chosen[0]])
        if self.sets[0][1] is None:
            return np.stack(views)[:, None], labels
        taught = np.concatenate([vectors[indices] for (_, vectors), indices in zip(self.sets, chosen)])
        return np.stack(views)[:, None], labels, taught


class Calibration:
    """The calibration people, judged as `facelatch evaluate` does: all pairs, stills in both views."""

    def __init__(self, rule):
        pictures = data.lfw_calibration()
        faces, kept = samples.landmarked_samples(pictures, samples.labels_of(pictures), rule)
        self.inputs = {"": [face.plain() for face in faces], "level_": [face.upright() for face in faces]}
        labels = np.array([face.label for face in faces])
        pairs = np.triu(np.ones((len(labels), len(labels)), bool), 1)
        same = labels[:, None] == labels[None]
        self.genuine, self.impostor = pairs & same, pairs & ~same
        self.taught = distil.lfw_vectors(pictures)[kept] if distil.known() else None

    def figures(self, network, reader=None):
        """Share of genuine pairs accepted at FMR 1 %, 0.1 % and 0.01 %, by boxes and by landmarks, and the
        cosine to the teachers' vectors."""
        answer = {}
        for name, inputs in self.inputs.items():
            faces = torch.from_numpy(np.stack(inputs))[:, None]
            with torch.no_grad():
                vectors = torch.cat([network(part) + network(part.flip(3)) for part in faces.split(128)])
            vectors = networks.normalised(vectors)
            distances = torch.sqrt((2 - 2 * vectors @ vectors.T).clamp(min=0)).numpy()
            genuine, impostor = distances[self.genuine], distances[self.impostor]
            for rate, short in ((0.01, "tar_1"), (0.001, "tar_01"), (0.0001, "tar_001")):
                answer[name + short] = float((genuine < np.quantile(impostor, rate)).mean())
            if reader is not None:
                with torch.no_grad():
                    read = networks.normalised(reader(vectors))
                answer[name + "cosine"] = float((read * torch.from_numpy(self.taught)).sum(1).mean())
        return answer


def begun(option, make):
    """The network and its reader as `--start` has them; the reader of an older network is fitted."""
    network, reader = networks.DenseResidual(**option.shape), torch.nn.Linear(networks.VECTOR, distil.SIZE, bias=False)
    if (option.out / "checkpoint.pt").exists():
        return network, reader  # the checkpoint has them
    if option.start.suffix == ".npz":
        warm.from_kept(option.start, network, reader)
    elif option.start.suffix == ".onnx":
        some = [make(np.random.default_rng([SEED, 1, n]), n) for n in range(24)]
        faces, taught = (torch.from_numpy(np.concatenate([batch[part] for batch in some])) for part in (0, 2))
        old = warm.from_onnx(option.start)
        reader = warm.reader_for(old, faces, taught)
        warm.settle(warm.grown(old, network), faces[:2048])
    return network, reader


def main():
    option = options()
    torch.manual_seed(SEED)
    loop.quiet_threads(option.threads)
    rule = crops.CropRule(*option.crop)
    sets = taught_faces(rule, option)
    identities = 1 + max(face.label for face in sets[0][0])
    make = Maker(sets, option)
    calibration = Calibration(rule)
    parts = {}
    if option.teacher:
        network, parts["reader"] = begun(option, make)
    else:
        network = networks.DenseResidual(**option.shape)
        parts["softmax"] = losses.MarginSoftmax(identities, networks.VECTOR)
    network = parts["network"] = loop.laid_out(network)
    print(
        f"{[len(faces) for faces, _ in sets]} faces, named ones of {identities} people; "
        f"{networks.parameters(network)} parameters, {networks.multiply_adds(network)} multiply-adds",
        flush=True,
    )
    network.train()
    network.freeze(option.freeze)
    trained = [parameter for part in parts.values() for parameter in part.parameters() if parameter.requires_grad]
    # Muon takes the filters, the dense layer and the reader; AdamW the norms, biases and identities.
    filters = [p for name in ("network", "reader") if name in parts for p in parts[name].parameters()]
    filters = [p for p in filters if p.requires_grad and p.dim() > 1 and p.shape[1] > 1]
    others = [p for p in trained if all(p is not filter_ for filter_ in filters)]
    optimisers = {
        "muon": muon.Muon(filters, lr=option.rate, weight_decay=option.decay),
        "adam": torch.optim.AdamW(others, weight_decay=0.0, fused=True),
    }
    average = loop.Average(network, option.average)
    parts |= optimisers | {"average": average.network}
    folder, cool_from = option.out, None
    if option.cool_now:
        folder = option.out / "cooled"
        if not (folder / "checkpoint.pt").exists():
            folder.mkdir(exist_ok=True)
            shutil.copy(option.out / "checkpoint.pt", folder / "begun.pt")
            shutil.copy(option.out / "checkpoint.pt", folder / "checkpoint.pt")
        cool_from = torch.load(folder / "begun.pt", weights_only=True)["step"]
    run = loop.Run(folder)
    step = run.resume(parts)
    steps = option.steps if cool_from is None else cool_from + option.cool
    until = min(option.until or steps, steps)
    if step == 0:
        run.log(step=0, loss=0.0, **calibration.figures(average.network, parts.get("reader")), seconds=run.elapsed())
    queue = losses.Queue(option.queue)
    total, since = 0.0, step
    for views, labels, *answers in loop.batches(make, SEED, step, until, workers=option.threads):
        if cool_from is not None and step >= cool_from + option.round * option.cool:
            networks.round_weights(network)
            networks.round_weights(average.network)
        for optimiser in optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = loop.plateau(step, option.rate, cool_from=cool_from, cool=option.cool)
        with loop.autocast():
            features = network.features(views)
        vectors = networks.normalised(features.float())
        loss = option.contrastive * losses.hard_contrastive(vectors[: len(labels)], labels)
        if option.teacher:
            read = networks.normalised(parts["reader"](vectors))
            loss = loss + losses.imitation(read, vectors, answers[0], queue)
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
                **calibration.figures(average.network, parts.get("reader")),
                seconds=run.elapsed(),
            )
            total, since = 0.0, step
            run.save(parts, step)
            if option.keep and option.teacher:
                warm.keep(option.keep, average.network, parts["reader"])
            plots.curve(folder / "curve.csv", folder / "curve.png")
    if step == steps and cool_from is None:
        sys.argv.append("--cool-now")
        main()
    elif step == steps:
        finish(average.network, option, rule)


def finish(network, option, rule):
    """Writes the float ONNX file and the final figures beside the cooled checkpoint."""
    networks.bake_rounding(network)
    model = export.onnx_of(network)
    onnx.save(model, option.out / "cooled/float.onnx")
    embed = evaluate.runner(model.SerializeToString())
    report = {
        "options": {key: str(value) for key, value in vars(option).items()},
        "lfw_test": evaluate.verdict(*evaluate.lfw_test(embed, rule)),
        "att_test": evaluate.verdict(*evaluate.att_test(embed)),
    }
    (option.out / "cooled/report.json").write_text(json.dumps(report, indent=1))
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
