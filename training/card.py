"""Makes the files that ship: the int8 network, its card and the checksums.

`python card.py RUN [--out models]` takes RUN/float.onnx, has `facelatch model quantize`
make the int8 file, measures the thresholds on the calibration people with that very file, and
writes `embedder.onnx`, `embedder.toml` and their lines in SHA256SUMS.
"""

import argparse
import json
import math
import subprocess
from hashlib import sha256
from pathlib import Path

import numpy as np

import crops
import data
import evaluate
import samples

SEED = 20190401
WINDOW = 15
# A threshold holds its rate with this confidence, and is only stated where so many false matches decide it.
CONFIDENCE = 0.95
ENOUGH = 5
RATES = (0.1, 0.01, 0.001, 0.0001, 0.00003)

CARD = """\
# Written by training/card.py; every figure is measured on the file named here.
[model]
name = "{name}"
file = "embedder.onnx"
sha256 = "{digest}"

[input]
width = 92
height = 112
colour = "gray"
mean = [0.0]
deviation = [1.0]

# In units of the detector's box, centred on it.
[crop]
width = {crop.width}
height = {crop.height}
shift_x = {crop.shift_x}
shift_y = {crop.shift_y}

[output]
size = 128
metric = "euclidean"
normalise = false # the network itself ends in a division by the length

# similarity = 1 - distance. Per comparison of two pictures: {comparisons} impostor comparisons of
# {people} people that the network never learned from; each threshold holds its rate with 95 % confidence.
# Each was before another camera. Before one and the same camera strangers look more alike, so the
# default is the strictest rate that these pictures can show. The attempt's threshold is for the mean of 15 frames; chosen between the right and the
# wrong people of the webcam clips (docs/results/2026-11-network.md). Harder, with pictures from different occasions:
# {attempts}
[thresholds]
default_fmr = {default_fmr}
at_fmr = {{ {at_fmr} }}
attempt = {attempt}

[training]
origin = "{origin}"
terms = "{terms}"
results = "{results}"
train_your_own = "{own}"
"""

ORIGIN = (
    "32,910 faces without names (19,410 of UTKFace, 13,500 of CelebA), lfw/train without the calibration people "
    "(8,612 pictures of 4,010 people), {mixed:,} faces mixed from them, and AT&T's first 35 people (350 pictures); "
    "taught by two larger networks' joined vectors and the reference's contrastive loss on hard pairs "
    "(training/train_default.py). It began from the network of versions before it, which had learned from LFW and "
    "AT&T alone."
)
OWN_ORIGIN = (
    "lfw/train without the calibration people (8,612 pictures of 4,010 people) and AT&T's first 35 people (350 "
    "pictures); learned from names alone (training/train_default.py --no-teacher)."
)
NAMED_TERMS = (
    "Labeled Faces in the Wild: published for research, no terms in the copy used. "
    "AT&T/ORL: 'please give credit to Olivetti Research Laboratory' (Samaria and Harter, 1994). "
)
TAUGHT_TERMS = (
    "This network was taught with pictures that may be used for non-commercial research only: UTKFace and CelebA. "
    "If you want to use it for anything else, you have to judge yourself whether you may. "
)
TEACHERS = (
    "Teachers: EdgeFace-XS (Idiap; BSD-3 in its repository, CC BY-NC-SA 4.0 on another page) and MobileFaceNet "
    "(foamliu, Apache-2.0, taught on MS-Celeb-1M); they were asked for vectors only and are not shipped. "
)
LEFT_OUT = "None of the pictures is in this repository, and none can be had back from the file."
OWN = (
    "Lay out pictures as in docs/design/network.md (a folder a person), name the folder in FACELATCH_SHARED "
    "and run training/train.sh default, or default-no-teacher."
)


def decimal(rate):
    """A rate as the card names it: no exponent, no trailing zeros."""
    return f"{rate:.6f}".rstrip("0")


def quantise(source, target):
    """The int8 file by the product's own quantiser."""
    command = [crops.detector_binary(), "model", "quantize", str(source), str(target)]
    subprocess.run(command, check=True)


def calibration_vectors(embed, rule):
    """The calibration people's faces, their vectors, and whose they are."""
    pictures = data.lfw_calibration()
    faces, kept = samples.boxed_samples(pictures, samples.labels_of(pictures), rule)
    vectors = evaluate.both_views(embed, np.stack([face.plain() for face in faces]))
    return faces, vectors, np.array([face.label for face in faces])


def impostor_distances(vectors, labels):
    """Distances between pictures of different people; how many people."""
    distances = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    return distances[labels[:, None] < labels[None]], len(np.unique(labels))


def threshold_for(rate, impostor):
    """The lowest similarity at which the false match rate is at most `rate` with CONFIDENCE, by the one-sided
    Clopper-Pearson bound; None where the sample cannot show it. The comparisons count as independent, which
    those of one person are not quite."""
    count = len(impostor)
    ways = np.array([-math.lgamma(k + 1) - math.lgamma(count - k + 1) for k in range(count + 1)]) + math.lgamma(count + 1)
    matches = np.arange(count + 1)
    chance = np.cumsum(np.exp(ways + matches * math.log(rate) + (count - matches) * math.log1p(-rate)))
    allowed = int(np.searchsorted(chance, 1 - CONFIDENCE, side="right")) - 1
    if allowed < ENOUGH:
        return None
    nearest = np.sort(impostor)
    return 1 - float(nearest[allowed - 1] + nearest[allowed]) / 2


def attempts(embed, faces, labels, people=100):
    """Mean similarities of 15 synthetic frames against a template of 15: (right, wrong) people.

    A person's first picture gives the template, the last one the attempt; each frame is the picture
    as a door's camera may have seen it.
    """
    rng = np.random.default_rng(SEED)
    groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    groups = [group for group in groups if len(group) > 1][:people]

    def clip(face):
        return embed(np.stack([face.door(rng, spread=0.7, strength=0.5) for _ in range(WINDOW)]))

    templates = np.stack([clip(faces[group[0]]).mean(0) for group in groups])
    templates /= np.linalg.norm(templates, axis=1, keepdims=True)
    right, wrong = [], []
    for own, group in enumerate(groups):
        frames = clip(faces[group[-1]])
        means = (1 - np.linalg.norm(frames[:, None] - templates[None], axis=2)).mean(0)
        right.append(means[own])
        wrong += list(np.delete(means, own))
    return np.array(right), np.array(wrong)


def checksums(folder, names):
    """Replaces the lines of `names` in the folder's SHA256SUMS."""
    table = folder / "SHA256SUMS"
    lines = table.read_text().splitlines() if table.exists() else []
    kept = [line for line in lines if line.split("  ", 1)[-1] not in names]
    new = [f"{sha256((folder / name).read_bytes()).hexdigest()}  {name}" for name in names]
    table.write_text("\n".join(sorted(kept + new, key=lambda line: line.split("  ", 1)[-1])) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--name", default="facelatch default")
    parser.add_argument("--out", type=Path, default=data.REPOSITORY / "models")
    parser.add_argument("--crop", nargs=4, type=float, default=[0.9, 1.04, 0.0, 0.0], metavar=("W", "H", "SX", "SY"))
    parser.add_argument("--attempt", type=float, help="the attempt's threshold, chosen by a person")
    parser.add_argument("--origin", help="where the training came from, if not what train_default.py says")
    parser.add_argument("--results", default="", help="more results to report on the card")
    parser.add_argument("--no-teacher", dest="teacher", action="store_false", help="no teachers took part")
    option = parser.parse_args()
    rule = crops.CropRule(*option.crop)
    options = json.loads((option.run / "report.json").read_text())["options"]
    target = option.out / "embedder.onnx"
    quantise(option.run / "float.onnx", target)
    embed = evaluate.runner(target)

    faces, vectors, labels = calibration_vectors(embed, rule)
    impostor, people = impostor_distances(vectors, labels)
    limits = {rate: threshold_for(rate, impostor) for rate in RATES}
    limits = {rate: limit for rate, limit in limits.items() if limit is not None}
    right, wrong = attempts(embed, faces, labels)
    attempt = option.attempt
    if attempt is None:
        attempt = round(float(max(np.quantile(wrong, 0.999), limits[0.01])), 3)
    said = (
        f"of {len(right)} right attempts synthesised from such pictures it refuses {(right < attempt).mean():.0%}, "
        f"of {len(wrong)} wrong ones it releases to {(wrong >= attempt).sum()}."
    )
    lfw, att = evaluate.lfw_test(embed, rule), evaluate.att_test(embed)
    verdict = evaluate.verdict(*lfw)
    default = min(limits)
    limit = 1 - limits[default]
    results = (
        f"LFW fold 8, in Python (600 pairs, {verdict['undetected']} undetected counted as errors): "
        f"accuracy {verdict['accuracy']:.3f} (10-fold cross-validated threshold; 95 % interval "
        f"{verdict['interval'][0]:.3f} to {verdict['interval'][1]:.3f}), "
        f"TAR {verdict['tar_at_fmr']['0.01']:.3f} at FMR 1 %. AT&T's last 5 people, whole pictures, all pairs: "
        f"accuracy {((att[0] <= limit) == att[1]).mean():.4f} at the threshold for FMR {decimal(default)}. {option.results}"
    ).strip()
    card = CARD.format(
        name=option.name,
        digest=sha256(target.read_bytes()).hexdigest(),
        crop=rule,
        comparisons=len(impostor),
        people=people,
        attempts=said,
        at_fmr=", ".join(f'"{decimal(rate)}" = {value:.3f}' for rate, value in limits.items()),
        attempt=attempt,
        default_fmr=decimal(default),
        origin=option.origin or (ORIGIN if option.teacher else OWN_ORIGIN).format(mixed=1000 * int(options["shards"])),
        terms=(TAUGHT_TERMS + NAMED_TERMS + TEACHERS if option.teacher else NAMED_TERMS) + LEFT_OUT,
        results=results,
        own=OWN,
    )
    (option.out / "embedder.toml").write_text(card)
    checksums(option.out, ["embedder.onnx", "embedder.toml"])
    print(card)
    print(json.dumps({"lfw": verdict, "att": evaluate.verdict(*att)}))


if __name__ == "__main__":
    main()
