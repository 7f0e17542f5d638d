"""The teacher: its vectors for real pictures, and for pictures mixed of two faces.

The teacher (`models/mobilefacenet.onnx` of the data folder) is asked once for each picture; its
answers are kept in the cache. It sees the aligned crop of LFW's pictures (133 x 133 at (59, 51) of
250 x 250), as gray in all three channels; the vector is the mean over the picture and its mirror.
"""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import onnxruntime

import crops
import data
from samples import Sample

SIDE = 112
ALIGNED = (59, 51, 133, 133)
MEAN = np.array([0.485, 0.456, 0.406], np.float32)[:, None, None]
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)[:, None, None]

# The part of a mixed picture that is kept: all that jitter can reach.
KEPT = (slice(16, 236), slice(30, 220))
SHARD = 5000


class Teacher:
    """The teaching network; safe to call from several threads."""

    def __init__(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        path = data.shared_root() / "models/mobilefacenet.onnx"
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.name = self.session.get_inputs()[0].name

    def vector(self, picture, rectangle):
        """Unit vector of the face in `rectangle` of a gray picture."""
        x, y, w, h = rectangle
        centre = (x + (w - 1) / 2, y + (h - 1) / 2)
        patch = cv2.getRectSubPix(picture, (round(w), round(h)), centre)
        face = cv2.resize(patch, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        both = np.stack([face, face[:, ::-1]])[:, None].repeat(3, 1)
        answer = self.session.run(None, {self.name: (both - MEAN) / DEVIATION})[0]
        answer = (answer / np.linalg.norm(answer, axis=1, keepdims=True)).sum(0)
        return answer / np.linalg.norm(answer)

    def vectors(self, views):
        """Vectors of an iterable of (picture, rectangle), on two threads."""
        with ThreadPoolExecutor(2) as pool:
            return np.stack(list(pool.map(lambda view: self.vector(*view), views)))


def aligned_like(box):
    """Where the aligned crop lies in a picture that is known by its detector's box only.

    Side and centre are the means over `lfw/train` of where the aligned crop lies relative to the box.
    """
    x, y, w, h = box
    side = ALIGNED_SIDE * w
    return (
        x + w / 2 + ALIGNED_SHIFT[0] * w - side / 2,
        y + h / 2 + ALIGNED_SHIFT[1] * h - side / 2,
        side,
        side,
    )


ALIGNED_SIDE = 1.092
ALIGNED_SHIFT = (0.0, -0.072)


def lfw_vectors(pictures):
    """The teacher's vectors of LFW pictures, cached."""
    store = data.cache_dir() / f"teacher_{len(pictures)}.npy"
    if not store.exists():
        np.save(store, Teacher().vectors((picture.load(), ALIGNED) for picture in pictures))
    return np.load(store)


def att_vectors(pictures, boxes):
    """The teacher's vectors of AT&T pictures by their boxes, cached."""
    store = data.cache_dir() / f"teacher_att_{len(pictures)}.npy"
    if not store.exists():
        views = ((p.load(), aligned_like(box)) for p, box in zip(pictures, boxes))
        np.save(store, Teacher().vectors(views))
    return np.load(store)


def like(picture, model):
    """`picture` with the brightness and contrast of `model`'s face, as float."""
    own, other = picture[60:190, 70:180], model[60:190, 70:180]
    gain = np.clip(other.std() / max(own.std(), 1), 0.5, 2)
    return (picture.astype(np.float32) - own.mean()) * gain + other.mean()


def mixing_mask(rng):
    """How much of the second face is taken where: all over, below or beside a line, or inside."""
    kind = rng.random()
    if kind < 0.35:
        return np.full((250, 250), rng.uniform(0.3, 0.7), np.float32)
    mask = np.zeros((250, 250), np.float32)
    if kind < 0.65:
        mask[int(rng.uniform(95, 160)) :] = 1
    elif kind < 0.8:
        mask[:, int(rng.uniform(100, 150)) :] = 1
    else:
        centre = (int(rng.normal(125, 4)), int(rng.normal(125, 6)))
        cv2.ellipse(mask, centre, (int(rng.uniform(30, 48)), int(rng.uniform(38, 62))), 0, 0, 360, 1.0, -1)
    if rng.random() < 0.5:
        mask = 1 - mask
    return cv2.GaussianBlur(mask, (0, 0), rng.uniform(4, 12)) * np.float32(rng.uniform(0.7, 1))


def bent(picture, rng):
    """The face in another shape: a smooth random displacement of a few pixels."""
    coarse = rng.normal(0, 1, (7, 7, 2)).astype(np.float32)
    field = cv2.resize(coarse, (250, 250), interpolation=cv2.INTER_CUBIC) * np.float32(rng.uniform(2, 6))
    columns, rows = np.meshgrid(np.arange(250, dtype=np.float32), np.arange(250, dtype=np.float32))
    return cv2.remap(
        picture, columns + field[..., 0], rows + field[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def mixed(one, two, rng):
    """A face that nobody has: two aligned faces mixed, often bent; uint8."""
    if rng.random() < 0.5:
        two = two[:, ::-1]
    mask = mixing_mask(rng)
    face = one + mask * (like(two, one) - one)
    face = face.clip(0, 255).astype(np.uint8)
    return bent(face, rng) if rng.random() < 0.4 else face


def make_shard(pictures, boxes, number, seed):
    """SHARD mixed faces of `pictures`: kept parts, mean boxes and the teacher's vectors."""
    rng = np.random.default_rng([seed, 104729, number])
    couples = rng.integers(0, len(pictures), (SHARD, 2))
    faces = [mixed(pictures[a], pictures[b], rng) for a, b in couples]
    vectors = Teacher().vectors((face, ALIGNED) for face in faces)
    kept = np.stack([face[KEPT] for face in faces])
    weights = (np.asarray(boxes, float)[couples[:, 0]] + np.asarray(boxes, float)[couples[:, 1]]) / 2
    return kept, weights.astype(np.float32), vectors.astype(np.float32)


def mixtures(shards, seed, rule):
    """Samples (without label) and the teacher's vectors of `shards` x SHARD mixed faces, cached."""
    learn = data.lfw_learn()
    found = crops.detect([picture.path for picture in learn])
    usable = [(p, crops.main_box(found[p.path], 250, 250)) for p in learn]
    usable = [(p, box) for p, box in usable if box is not None]
    pictures = None
    samples, vectors = [], []
    for number in range(shards):
        names = {part: data.cache_dir() / f"mixed_{seed}_{number}_{part}.npy" for part in ("faces", "boxes", "vectors")}
        if not names["vectors"].exists():
            pictures = pictures or [picture.load() for picture, _ in usable]
            made = make_shard(pictures, [box for _, box in usable], number, seed)
            for part, array in zip(("faces", "boxes", "vectors"), made):
                np.save(names[part], array)
            print(f"mixed faces: shard {number + 1} of {shards}", flush=True)
        faces = np.load(names["faces"], mmap_mode="r")
        for face, box in zip(faces, np.load(names["boxes"])):
            x, y, w, h = rule.rectangle(box)
            samples.append(Sample(face, (x - KEPT[1].start, y - KEPT[0].start, w, h), -1))
        vectors.append(np.load(names["vectors"]))
    return samples, np.concatenate(vectors) if vectors else np.zeros((0, 128), np.float32)
