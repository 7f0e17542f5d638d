"""Five landmarks: eyes, nose and corners of the mouth, and where the product's crop lies by them.

A similarity (turn, size, place) takes TEMPLATE to a face's landmarks. Points are complex numbers there:
landmark = turn * template + place.
"""

import json

import cv2
import numpy as np

import data

# Where the teachers want the landmarks in 112 x 112.
SIDE = 112
TEMPLATE = np.array([[38.29, 51.70], [73.53, 51.50], [56.03, 71.74], [41.55, 92.37], [70.73, 92.20]])
SCORE = 0.5

# The product's crop in the template: the mean over `lfw/train` (`python landmarks.py` measures it).
CENTRE = complex(55.5, 63.5)
WIDTH, HEIGHT = 91.6, 105.9


def similarity(points):
    """(turn, place) that takes TEMPLATE nearest to five points, as complex numbers."""
    ours, theirs = (np.asarray(p, float) @ [1, 1j] for p in (TEMPLATE, points))
    middle, target = ours.mean(), theirs.mean()
    turn = np.vdot(ours - middle, theirs - target) / (abs(ours - middle) ** 2).sum()
    return turn, target - turn * middle


def crop(points):
    """The product's crop by landmarks: (x, y, width, height) of the upright rectangle, and the face's roll
    in radians, by which the rectangle is to be turned about its middle to stand level with the eyes."""
    turn, place = similarity(points)
    middle = turn * CENTRE + place
    width, height = WIDTH * abs(turn), HEIGHT * abs(turn)
    return (middle.real - width / 2, middle.imag - height / 2, width, height), float(np.angle(turn))


def aligned(picture, points, side=SIDE, scale=1.0):
    """The face with its landmarks on the template: `side` pixels square about the template's middle, the
    template enlarged by `scale`."""
    turn, place = similarity(points)
    step = turn / scale
    corner = place + turn * (SIDE - 1) / 2 * (1 + 1j) - step * (side - 1) / 2 * (1 + 1j)
    matrix = np.array([[step.real, -step.imag, corner.real], [step.imag, step.real, corner.imag]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(picture, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)


class Finder:
    """YuNet, of the data folder: five landmarks of the most central face."""

    def __init__(self):
        path = data.shared_root() / "models/yunet.onnx"
        self.network = cv2.FaceDetectorYN.create(str(path), "", (320, 320), SCORE)

    def points(self, picture):
        """Five landmarks as [x, y] in a gray picture, or None."""
        height, width = picture.shape
        self.network.setInputSize((width, height))
        _, found = self.network.detect(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR))
        if found is None:
            return None
        off = np.abs(found[:, :2] + found[:, 2:4] / 2 - [width / 2, height / 2]).max(1)
        return found[off.argmin(), 4:14].reshape(5, 2).astype(float).round(2).tolist()


def find(pictures):
    """Landmarks, or None, of `data.Picture`s, cached."""
    store = data.cache_dir() / "landmarks.json"
    known = json.loads(store.read_text()) if store.exists() else {}
    missing = [picture for picture in pictures if picture.path not in known]
    if missing:
        finder = Finder()
        for picture in missing:
            known[picture.path] = finder.points(picture.load())
        unfinished = store.with_suffix(".new")
        unfinished.write_text(json.dumps(known))
        unfinished.replace(store)
    return [known[picture.path] for picture in pictures]


def main():
    """Measures on `lfw/train` where the product's crop lies in the template, and how much it varies."""
    import crops

    rule = crops.CropRule(0.9, 1.04)
    pictures = data.lfw("train")
    boxes = crops.detect([picture.path for picture in pictures])
    rows = []
    for picture, points in zip(pictures, find(pictures)):
        box = crops.main_box(boxes[picture.path], 250, 250)
        if box is None or points is None:
            continue
        x, y, w, h = rule.rectangle(box)
        turn, place = similarity(points)
        middle = (complex(x + w / 2, y + h / 2) - place) / turn
        rows.append((middle.real, middle.imag, w / abs(turn), h / abs(turn), np.angle(turn)))
    rows = np.array(rows)
    print(f"{len(rows)} faces: centre x, y, width, height, roll")
    for name, values in (
        ("mean", rows.mean(0)),
        ("median", np.median(rows, 0)),
        ("deviation", rows.std(0)),
        ("half lie within, of the median", np.median(np.abs(rows - np.median(rows, 0)), 0)),
    ):
        print(name, np.round(values, 3))


if __name__ == "__main__":
    main()
