"""The pictures that the networks learn from and are judged on, and their splits.

Everything is read from the folder that holds AT&T, LFW and the webcam clips (see
`shared_root`); nothing of it is ever copied into the repository.
"""

import csv
import os
import zipfile
from collections import defaultdict
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from PIL import Image

REPOSITORY = Path(__file__).resolve().parent.parent

# The one part of the data that calibrates thresholds instead of teaching: one person in ten.
CALIBRATION_SHARE = 10

LANDMARKS = ("eye1", "eye2", "nose", "mouth1", "mouth2")


def shared_root():
    """The folder with `data/` and `models/`: $FACELATCH_SHARED, or `../shared` beside the checkout."""
    root = Path(os.environ.get("FACELATCH_SHARED", REPOSITORY.parent / "shared"))
    if not (root / "data").is_dir():
        raise SystemExit(
            f"training needs the data folder {root / 'data'}: put it there or name its parent in FACELATCH_SHARED"
        )
    return root


def cache_dir():
    """Where boxes, teacher's vectors and checkpoints live: $FACELATCH_TRAIN_CACHE or the user's cache."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "facelatch" / "training"
    path = Path(os.environ.get("FACELATCH_TRAIN_CACHE", default))
    path.mkdir(parents=True, exist_ok=True)
    return path


@dataclass(frozen=True)
class Picture:
    """One picture of one person; `path` is relative to the data folder."""

    path: str
    subject: str

    def load(self):
        """The picture as a gray uint8 array."""
        return np.asarray(Image.open(shared_root() / "data" / self.path).convert("L"))


def att_subjects():
    """AT&T's 40 subject folders sorted by NAME as text (s1, s10, s11, ...), as the reference does."""
    return sorted(p.name for p in (shared_root() / "data/att_faces").iterdir() if p.is_dir())


def att_pictures(subject):
    """The pictures of one AT&T subject, 1.pgm to 10.pgm in numerical order."""
    folder = shared_root() / "data/att_faces" / subject
    names = sorted((p.name for p in folder.glob("*.pgm")), key=lambda name: int(name.split(".")[0]))
    return [Picture(f"att_faces/{subject}/{name}", f"att/{subject}") for name in names]


def att_train():
    """Pictures of the first 35 AT&T subjects."""
    return [picture for subject in att_subjects()[:35] for picture in att_pictures(subject)]


def att_test():
    """Pictures of the last 5 AT&T subjects, never trained on."""
    return [picture for subject in att_subjects()[35:] for picture in att_pictures(subject)]


def lfw(split):
    """All pictures of `lfw/train` or `lfw/test`."""
    folder = shared_root() / "data/lfw" / split
    return [
        Picture(f"lfw/{split}/{person.name}/{file.name}", f"lfw/{person.name}")
        for person in sorted(folder.iterdir())
        for file in sorted(person.glob("*.jpg"))
    ]


def is_calibration(subject):
    """True for the tenth of `lfw/train` people that no default network learns from."""
    return int.from_bytes(sha256(subject.encode()).digest()[:4], "big") % CALIBRATION_SHARE == 0


def lfw_learn():
    """`lfw/train` without the calibration people."""
    return [p for p in lfw("train") if not is_calibration(p.subject)]


def lfw_calibration():
    """The calibration people of `lfw/train`."""
    return [p for p in lfw("train") if is_calibration(p.subject)]


def varied():
    """The nameless faces of `data/faces`, in the order of its index: gray pictures and five landmarks.
    The unpacked pictures are kept in the cache."""
    folder = shared_root() / "data/faces"
    with (folder / "index.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    store = cache_dir() / "varied.npy"
    if not store.exists():
        archives = [zipfile.ZipFile(path) for path in sorted(folder.glob("faces-*.zip"))]
        packed = {name: archive for archive in archives for name in archive.namelist()}
        pictures = [Image.open(packed[row["file"]].open(row["file"])).convert("L") for row in rows]
        np.save(store, np.stack([np.asarray(picture) for picture in pictures]))
    points = [[[float(row[f"{part}_{axis}"]) for axis in "xy"] for part in LANDMARKS] for row in rows]
    return list(zip(np.load(store, mmap_mode="r"), points))


def lfw_test_pairs():
    """The 600 test pairs as (path, path, same person), paths relative to the data folder."""

    def path(name, number):
        return f"lfw/test/{name}/{name}_{int(number):04d}.jpg"

    pairs = []
    for line in (shared_root() / "data/lfw/test-pairs.txt").read_text().splitlines():
        fields = line.split()
        if len(fields) == 3:
            pairs.append((path(fields[0], fields[1]), path(fields[0], fields[2]), True))
        elif len(fields) == 4:
            pairs.append((path(fields[0], fields[1]), path(fields[2], fields[3]), False))
    return pairs


def by_subject(pictures):
    """Indices of `pictures` grouped by person, in order of first appearance."""
    groups = defaultdict(list)
    for index, picture in enumerate(pictures):
        groups[picture.subject].append(index)
    return dict(groups)


def reference_pairs(pictures, rng):
    """The reference's pairs (R4): (index, index, label), positives and negatives alternating.

    For each subject and each picture n but the last: (n, n+1) of the subject with label 1, then
    (n of the subject, n of a random other subject) with label 0.
    """
    groups = by_subject(pictures)
    subjects = list(groups)
    pairs = []
    for own, subject in enumerate(subjects):
        for n in range(len(groups[subject]) - 1):
            pairs.append((groups[subject][n], groups[subject][n + 1], 1))
            other = (own + 1 + int(rng.integers(len(subjects) - 1))) % len(subjects)
            stranger = groups[subjects[other]]
            pairs.append((groups[subject][n], stranger[min(n, len(stranger) - 1)], 0))
    return pairs
