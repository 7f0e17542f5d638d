"""From a picture to the network's input: the detector's box, the crop rule, the resize.

The boxes are those of `facelatch detect`, so that the network learns from exactly the crops that
it will be given; they are kept in a JSON file in the cache.
"""

import json
import os
import subprocess
from dataclasses import dataclass

import numpy as np
from PIL import Image

from data import REPOSITORY, cache_dir, shared_root

WIDTH, HEIGHT = 92, 112
# A still shows one face, and the most central box is taken: few neighbours lose fewer faces (of
# 9,502 in lfw/train 4 neighbours lose 38, 2 lose 20) and the false boxes do not matter.
STILL = ["--scale-factor", "1.1", "--min-neighbors", "2", "--min-size", "40"]
PATHS_PER_CALL = 500


def detector_binary():
    """The facelatch program: $FACELATCH_BIN, or the release build of this checkout."""
    return os.environ.get("FACELATCH_BIN", str(REPOSITORY / "target/release/facelatch"))


def detect(paths, settings=STILL):
    """{path: [(x, y, width, height), ...]} for paths absolute or relative to the data folder, cached."""
    store = cache_dir() / f"boxes_{'_'.join(settings[1::2])}.json"
    boxes = json.loads(store.read_text()) if store.exists() else {}
    missing = [path for path in paths if path not in boxes]
    root = shared_root() / "data"
    for start in range(0, len(missing), PATHS_PER_CALL):
        part = missing[start : start + PATHS_PER_CALL]
        command = [detector_binary(), "detect", "--json", *settings, *(str(root / path) for path in part)]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        for path, line in zip(part, map(json.loads, lines), strict=True):
            boxes[path] = [[face[key] for key in ("x", "y", "width", "height")] for face in line["faces"]]
    if missing:
        unfinished = store.with_suffix(".new")
        unfinished.write_text(json.dumps(boxes))
        unfinished.replace(store)
    return {path: [tuple(box) for box in boxes[path]] for path in paths}


def main_box(faces, picture_width, picture_height):
    """The person a portrait is of, or None: the most central box of those at least half as wide as
    the widest, as `facelatch compare` chooses."""

    def off_centre(box):
        x, y, w, h = box
        return (x + w / 2 - picture_width / 2) ** 2 + (y + h / 2 - picture_height / 2) ** 2

    widest = max((box[2] for box in faces), default=0)
    return min((box for box in faces if 2 * box[2] >= widest), key=off_centre, default=None)


@dataclass(frozen=True)
class CropRule:
    """The card's `[crop]`: sizes and shifts in units of the detector's box."""

    width: float = 1.0
    height: float = 1.0
    shift_x: float = 0.0
    shift_y: float = 0.0

    def rectangle(self, box):
        """(x, y, width, height) around `box`, not yet rounded."""
        x, y, w, h = box
        width, height = self.width * w, self.height * h
        return (
            x + w / 2 + self.shift_x * w - width / 2,
            y + h / 2 + self.shift_y * h - height / 2,
            width,
            height,
        )


def whole(picture):
    """The rectangle that takes the entire picture as the face (AT&T)."""
    return (0, 0, picture.shape[1], picture.shape[0])


def extract(picture, rectangle):
    """The network's input for one rectangle: uint8, HEIGHT rows x WIDTH columns.

    The rectangle is rounded to whole pixels, pixels outside the picture repeat its edge, and the
    resize is the antialiased triangle filter that the product uses.
    """
    x, y, w, h = (int(np.floor(value + 0.5)) for value in rectangle)
    rows = np.clip(np.arange(y, y + h), 0, picture.shape[0] - 1)
    columns = np.clip(np.arange(x, x + w), 0, picture.shape[1] - 1)
    part = Image.fromarray(picture[np.ix_(rows, columns)])
    return np.asarray(part.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR))
