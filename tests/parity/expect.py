"""Writes gray frames and the rectangles that OpenCV finds in them, for examples/parity.rs.

Usage: expect.py --cascade XML --data DIR --set full|sample|small --cache DIR [--part I/N]

Frames: cmu_mit, negatives, sample_faces, every 10th walkup and nuaa frame, and random crops of odd
sizes (seeded). What OpenCV said is kept in the cache, so that a broken-off run continues.

One scan serves all min neighbors of a frame, scale factor and min size: `detectMultiScale` without
neighbors, then `cv2.groupRectangles`, which is what OpenCV does inside. Where a rectangle touches the
edge, OpenCV may have cut it after the grouping, so there every case is a scan of its own; so is
every tenth, to see that both ways agree.
"""

import argparse
import glob
import hashlib
import itertools
import os
import random
import struct
import sys

import cv2
import numpy as np

cv2.setNumThreads(1)

GRID = list(itertools.product((1.05, 1.1, 1.2, 1.37, 1.6), (0, 3, 5), (0, 24, 80)))


def frames(data, which):
    """Yields (name, gray picture, cases)."""
    def files(*patterns):
        return sorted(f for p in patterns for f in glob.glob(os.path.join(data, p)))
    cmu = files("cmu_mit/*/*.png", "cmu_mit/*/*.gif", "cmu_mit/*/*.pgm")
    negatives = files("negatives/*")
    sample = files("sample_faces/*")
    walkup = files("walkup/*/*")[::10]
    nuaa = files("nuaa/*/*/*.jpg")[::10]
    chosen = cmu + negatives + sample + walkup + nuaa
    dice = random.Random(20)
    crops = 1000
    if which == "sample":
        chosen = cmu[::10] + negatives[::60] + sample[:2] + walkup[::25] + nuaa[::15]
        crops = 60
    elif which == "small":
        chosen = cmu[::40] + negatives[::300] + walkup[::100]
        crops = 6
    for f in chosen:
        picture = cv2.imread(f, cv2.IMREAD_GRAYSCALE)
        if picture is not None:
            cases = GRID if which == "full" else dice.sample(GRID, 5)
            yield os.path.relpath(f, data), picture, cases
    pool = cmu + negatives + walkup + nuaa
    for i in range(crops):
        picture = cv2.imread(dice.choice(pool), cv2.IMREAD_GRAYSCALE)
        h, w = picture.shape
        cw, ch = dice.randint(20, min(w, 400)), dice.randint(20, min(h, 400))
        x, y = dice.randint(0, w - cw), dice.randint(0, h - ch)
        cases = [(dice.choice((1.05, 1.1, 1.2, 1.37, 1.6, dice.uniform(1.03, 2.5))),
                  dice.choice((0, 1, 3, 5)), dice.choice((0, 24, 33, 80, 500)))]
        yield f"crop {i}", np.ascontiguousarray(picture[y:y + ch, x:x + cw]), cases


class Oracle:
    """What OpenCV finds in one picture."""

    def __init__(self, classifier, picture):
        self.classifier, self.picture = classifier, picture
        self.window = min(classifier.getOriginalWindowSize())
        self.raw = {}

    def scan(self, factor, neighbors, least):
        found = self.classifier.detectMultiScale(self.picture, factor, neighbors, minSize=(least, least))
        return [tuple(map(int, r)) for r in found]

    def find(self, factor, neighbors, least, directly):
        # No scale is below the window, so a smaller limit is none.
        key = factor, max(least, self.window)
        if key not in self.raw:
            self.raw[key] = self.scan(factor, 0, least)
        raw = self.raw[key]
        height, width = self.picture.shape
        edge = any(x + w >= width or y + h >= height for x, y, w, h in raw)
        if neighbors == 0 and not directly:
            return raw
        if edge:
            return self.scan(factor, neighbors, least)
        grouped = [tuple(map(int, r)) for r in cv2.groupRectangles(raw, neighbors, 0.2)[0]]
        if directly and grouped != self.scan(factor, neighbors, least):
            sys.exit("expect.py: OpenCV groups otherwise than this program supposes")
        return grouped


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--cascade", required=True)
    arguments.add_argument("--data", required=True)
    arguments.add_argument("--set", choices=("full", "sample", "small"), default="sample")
    arguments.add_argument("--cache", required=True)
    arguments.add_argument("--part", default="0/1", help="I/N: every N-th frame from the I-th on")
    a = arguments.parse_args()
    part, parts = map(int, a.part.split("/"))
    classifier = cv2.CascadeClassifier(a.cascade)
    if classifier.empty():
        sys.exit(f"expect.py: {a.cascade}: OpenCV does not load it")
    key = hashlib.sha256(open(a.cascade, "rb").read() + cv2.__version__.encode()).hexdigest()[:16]
    folder = os.path.join(a.cache, key)
    os.makedirs(folder, exist_ok=True)
    for i, (_, picture, cases) in enumerate(frames(a.data, a.set)):
        if i % parts != part:
            continue
        blob = struct.pack("<III", picture.shape[1], picture.shape[0], len(cases))
        blob += picture.tobytes()
        name = hashlib.sha256(blob + repr(cases).encode()).hexdigest()[:24]
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            answers = b""
            oracle = Oracle(classifier, picture)
            for number, (factor, neighbors, least) in enumerate(cases):
                found = oracle.find(factor, neighbors, least, (i + number) % 10 == 0)
                answers += struct.pack("<dIII", factor, neighbors, least, len(found))
                answers += b"".join(struct.pack("<iiii", *r) for r in found)
            with open(path + f".{part}.new", "wb") as f:
                f.write(answers)
            os.replace(path + f".{part}.new", path)
        sys.stdout.buffer.write(blob + open(path, "rb").read())


main()
