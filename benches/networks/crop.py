"""What helps a given network at equal cost: the plain box, a box corrected by the eyes, mirror averaging.

`python crop.py FACELATCH CARD DATA EYES.xml` with DATA the folder that holds `lfw/`, EYES.xml OpenCV's eye cascade.
Faces and eyes come from `facelatch detect`; the usual place of the eyes in the box is learned on people of
`lfw/train`; the figures are of the pairs of `lfw/test-pairs.txt`. Printed: accuracy (10 folds) and TAR at
FMR 1 %.
"""

import json
import pathlib
import subprocess
import sys
import tomllib

import numpy as np
import onnxruntime as ort
from PIL import Image

SAMPLE = 800


def detect(program, paths, *options):
    boxes = []
    for start in range(0, len(paths), 400):
        part = [str(p) for p in paths[start : start + 400]]
        run = subprocess.run([program, "detect", "--json", *options, *part], check=True, capture_output=True, text=True)
        lines = [json.loads(line) for line in run.stdout.splitlines()]
        boxes += [[tuple(f[k] for k in ("x", "y", "width", "height")) for f in line["faces"]] for line in lines]
    return boxes


def main_face(boxes, size):
    widest = max((b[2] for b in boxes), default=0)
    large = [b for b in boxes if 2 * b[2] >= widest]
    centre = lambda b: (2 * b[0] + b[2] - size[0]) ** 2 + (2 * b[1] + b[3] - size[1]) ** 2
    return min(large, key=centre, default=None)


def eye_pair(face, eyes):
    """The most level pair of eyes in the upper part of the box, as two centres, or None."""
    x, y, w, h = face
    centres = [(ex + ew / 2, ey + eh / 2) for ex, ey, ew, eh in eyes if 0.12 * w < ew < 0.45 * w]
    inside = [c for c in centres if x < c[0] < x + w and y + 0.2 * h < c[1] < y + 0.55 * h]
    pairs = [
        (abs(a[1] - b[1]), a, b)
        for a in inside
        for b in inside
        if a[0] < x + w / 2 < b[0] and 0.25 * w < b[0] - a[0] < 0.6 * w and abs(a[1] - b[1]) < 0.3 * (b[0] - a[0])
    ]
    return min(pairs)[1:] if pairs else None


def relative(face, pair):
    """Where the eyes are: middle (in box units) and distance (in box widths)."""
    x, y, w, h = face
    (ax, ay), (bx, by) = pair
    return ((ax + bx) / 2 - x) / w, ((ay + by) / 2 - y) / h, np.hypot(bx - ax, by - ay) / w


def corrected(face, pair, usual, strength):
    """The box moved and scaled so that the eyes come to their usual place (or `strength` of the way)."""
    if pair is None:
        return face
    x, y, w, h = face
    mx, my, d = relative(face, pair)
    scale = (d / usual[2]) ** strength
    px, py = x + mx * w, y + my * h
    target_x, target_y = px - usual[0] * w * scale, py - usual[1] * h * scale
    return (x + strength * (target_x - x), y + strength * (target_y - y), w * scale, h * scale)


def turned(picture, pair, fill):
    """The picture turned about the middle of the eyes until they are level."""
    (ax, ay), (bx, by) = pair
    angle = np.degrees(np.arctan2(by - ay, bx - ax))
    return picture.rotate(angle, Image.Resampling.BILINEAR, center=((ax + bx) / 2, (ay + by) / 2), fillcolor=fill)


class Network:
    def __init__(self, card):
        self.card = tomllib.loads(pathlib.Path(card).read_text())
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        path = pathlib.Path(card).with_name(self.card["model"]["file"])
        self.session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.name = self.session.get_inputs()[0].name

    def vector(self, picture, face, mirror=False):
        rule, take = self.card["crop"], self.card["input"]
        x, y, w, h = face
        cw, ch = rule["width"] * w, rule["height"] * h
        left, top = x + w / 2 + rule["shift_x"] * w - cw / 2, y + h / 2 + rule["shift_y"] * h - ch / 2
        left, top, cw, ch = (int(np.floor(v + 0.5)) for v in (left, top, cw, ch))
        pixels = np.asarray(picture)
        rows = np.clip(np.arange(top, top + ch), 0, pixels.shape[0] - 1)
        columns = np.clip(np.arange(left, left + cw), 0, pixels.shape[1] - 1)
        part = Image.fromarray(pixels[np.ix_(rows, columns)])
        crop = np.asarray(part.resize((take["width"], take["height"]), Image.Resampling.BILINEAR), np.float32)
        if mirror:
            crop = crop[:, ::-1]
        values = (crop / 255 - take["mean"][0]) / take["deviation"][0]
        vector = self.session.run(None, {self.name: np.ascontiguousarray(values[None, None], np.float32)})[0].ravel()
        return vector / np.linalg.norm(vector)


def unit(v):
    return v / np.linalg.norm(v)


def figures(scores, genuine):
    folds = np.zeros(len(scores), int)
    for kind in (True, False):
        index = np.flatnonzero(genuine == kind)
        folds[index] = np.arange(len(index)) * 10 // len(index)
    right = 0
    for fold in range(10):
        train = folds != fold
        order = np.sort(scores[train])
        cuts = (order[1:] + order[:-1]) / 2
        hits = [((scores[train] >= cut) == genuine[train]).sum() for cut in cuts]
        best = cuts[np.flatnonzero(hits == np.max(hits))]
        right += ((scores[~train] >= best[len(best) // 2]) == genuine[~train]).sum()
    impostor = np.sort(scores[~genuine])[::-1]
    tar = (scores[genuine] > impostor[int(0.01 * len(impostor))]).mean()
    return right / len(scores), tar


def main():
    program, card, data, eye_cascade = sys.argv[1:]
    root = pathlib.Path(data) / "lfw"
    finding_faces = ["--scale-factor", "1.1", "--min-neighbors", "2", "--min-size", "40"]
    finding_eyes = ["--cascade", eye_cascade, "--scale-factor", "1.05", "--min-neighbors", "3", "--min-size", "20"]

    def located(paths):
        faces = detect(program, paths, *finding_faces)
        eyes = detect(program, paths, *finding_eyes)
        sizes = [Image.open(p).size for p in paths]
        faces = [main_face(f, s) or (s[0] // 4, s[1] // 4, s[0] // 2, s[1] // 2) for f, s in zip(faces, sizes)]
        return faces, [eye_pair(f, e) for f, e in zip(faces, eyes)]

    train = sorted(root.glob("train/*/*.jpg"))
    faces, pairs = located(train[:: max(1, len(train) // SAMPLE)])
    usual = np.median([relative(f, p) for f, p in zip(faces, pairs) if p], axis=0)
    print(f"usual eyes: middle at ({usual[0]:.3f}, {usual[1]:.3f}) of the box, {usual[2]:.3f} widths apart")

    lines = [line.split("\t") for line in (root / "test-pairs.txt").read_text().split("\n") if line.strip()]
    names = [((a[0], a[1]), (a[0], a[2]) if len(a) == 3 else (a[2], a[3])) for a in lines]
    genuine = np.array([len(a) == 3 for a in lines])
    path = lambda n: root / "test" / n[0] / f"{n[0]}_{int(n[1]):04d}.jpg"
    paths = sorted({path(n) for pair in names for n in pair})
    place = {p: i for i, p in enumerate(paths)}
    index = [(place[path(a)], place[path(b)]) for a, b in names]
    faces, pairs = located(paths)
    pictures = [Image.open(p).convert("L") for p in paths]
    print(f"eyes found in {np.mean([p is not None for p in pairs]):.1%} of {len(paths)} pictures")
    network = Network(card)

    plain = [network.vector(i, f) for i, f in zip(pictures, faces)]
    mirror = [network.vector(i, f, mirror=True) for i, f in zip(pictures, faces)]
    both = [unit(a + b) for a, b in zip(plain, mirror)]
    variants = {
        "plain box": (plain, plain),
        "mirror averaging of the template": (both, plain),
        "mirror averaging of both": (both, both),
    }
    for strength in (0.5, 1.0):
        moved = [corrected(f, p, usual, strength) for f, p in zip(faces, pairs)]
        vectors = [network.vector(i, f) for i, f in zip(pictures, moved)]
        variants[f"eyes, box moved {strength:.0%} of the way"] = (vectors, vectors)
        level = [turned(i, p, 128) if p else i for i, p in zip(pictures, pairs)]
        vectors = [network.vector(i, f) for i, f in zip(level, moved)]
        variants[f"eyes, moved {strength:.0%} and levelled"] = (vectors, vectors)
    level = [turned(i, p, 128) if p else i for i, p in zip(pictures, pairs)]
    vectors = [network.vector(i, f) for i, f in zip(level, faces)]
    variants["eyes, levelled alone"] = (vectors, vectors)
    for name, (a, b) in variants.items():
        scores = np.array([a[i] @ b[j] for i, j in index])
        accuracy, tar = figures(scores, genuine)
        print(f"{name:36} accuracy {accuracy:.4f}  TAR at FMR 1 % {tar:.4f}")


if __name__ == "__main__":
    main()
