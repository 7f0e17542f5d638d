"""The two teachers: their joined vectors for real pictures, and for pictures mixed of two faces.

The teachers (`models/edgeface_xs.onnx` and `mobilefacenet.onnx` of the data folder) see a face aligned by five
landmarks, gray in all three channels, and its mirror image. Their vectors are joined and turned into the target,
SIZE values of length 1, by `data/faces/target.npz`. The data folder has the answers for `data/faces` and
`lfw/train`; answers for other pictures are kept in the cache.
"""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import onnxruntime

import data
import landmarks
import samples

SIZE = 256
MEAN = np.array([0.485, 0.456, 0.406], np.float32)[:, None, None]
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)[:, None, None]

# Mixed faces are made of faces on the template, this much larger than it, in FACE pixels square: as `data/faces`.
FACE, ENLARGED = 128, 43 / 35.24
SHARD = 5000


class Teachers:
    """Both teaching networks; safe to call from several threads."""

    def __init__(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.sessions = [
            onnxruntime.InferenceSession(
                str(data.shared_root() / "models" / name), options, providers=["CPUExecutionProvider"]
            )
            for name in ("edgeface_xs.onnx", "mobilefacenet.onnx")
        ]
        self.target = dict(np.load(data.shared_root() / "data/faces/target.npz"))

    def vector(self, face):
        """The target of an aligned gray face, SIDE pixels square."""
        both = np.stack([face, face[:, ::-1]])[:, None].repeat(3, 1).astype(np.float32)
        seen = ((both - 127.5) / 127.5, (both / 255 - MEAN) / DEVIATION)
        edge, mobile = (
            unit(unit(session.run(None, {session.get_inputs()[0].name: views})[0]).mean(0))
            for session, views in zip(self.sessions, seen)
        )
        target = self.target
        edge, mobile = unit(edge - target["mean_xs"]), unit(mobile - target["mean_mfn"])
        return unit(np.concatenate([edge, target["weight_mfn"] * mobile]) @ target["pca"]).astype(np.float32)

    def vectors(self, faces):
        """Targets of an iterable of aligned faces, on two threads."""
        with ThreadPoolExecutor(2) as pool:
            return np.stack(list(pool.map(self.vector, faces)))


def unit(rows):
    """Rows divided by their length."""
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def known():
    """True where the data folder has the teachers' answers."""
    return (data.shared_root() / "data/faces/lfw-train-teacher.npy").exists()


def varied_vectors():
    """The targets of `data/faces`."""
    return unit(np.load(data.shared_root() / "data/faces/teacher.npy").astype(np.float32))


def lfw_vectors(pictures):
    """The targets of pictures in `lfw/train`."""
    folder = data.shared_root() / "data/faces"
    names = (folder / "lfw-train.csv").read_text().split()[1:]
    rows = {f"lfw/train/{name}": row for row, name in enumerate(names)}
    answers = np.load(folder / "lfw-train-teacher.npy").astype(np.float32)
    return unit(answers[[rows[picture.path] for picture in pictures]])


def att_vectors(pictures):
    """The targets of AT&T pictures, cached. Where no landmarks are found, the mean over the person's others."""
    store = data.cache_dir() / f"targets_att_{len(pictures)}.npy"
    if not store.exists():
        points = landmarks.find(pictures)
        faces = [landmarks.aligned(p.load(), q) for p, q in zip(pictures, points) if q]
        answers = iter(Teachers().vectors(faces))
        vectors = np.stack([next(answers) if q else np.zeros(SIZE, np.float32) for q in points])
        people = np.array([picture.subject for picture in pictures])
        for index in (i for i, q in enumerate(points) if not q):
            vectors[index] = unit(vectors[people == people[index]].sum(0))
        np.save(store, vectors)
    return np.load(store)


def like(picture, model):
    """`picture` with the brightness and contrast of `model`'s face, as float."""
    own, other = picture[15:115, 20:108], model[15:115, 20:108]
    gain = np.clip(other.std() / max(own.std(), 1), 0.5, 2)
    return (picture.astype(np.float32) - own.mean()) * gain + other.mean()


def mixing_mask(rng):
    """How much of the second face is taken where: all over, below or beside a line, or inside."""
    kind, size = rng.random(), FACE
    if kind < 0.35:
        return np.full((size, size), rng.uniform(0.3, 0.7), np.float32)
    mask = np.zeros((size, size), np.float32)
    if kind < 0.65:
        mask[int(rng.uniform(0.33, 0.72) * size) :] = 1
    elif kind < 0.8:
        mask[:, int(rng.uniform(0.33, 0.67) * size) :] = 1
    else:
        centre = (int(rng.normal(0.5, 0.03) * size), int(rng.normal(0.5, 0.05) * size))
        axes = (int(rng.uniform(0.2, 0.33) * size), int(rng.uniform(0.26, 0.42) * size))
        cv2.ellipse(mask, centre, axes, 0, 0, 360, 1.0, -1)
    if rng.random() < 0.5:
        mask = 1 - mask
    return cv2.GaussianBlur(mask, (0, 0), rng.uniform(3, 9)) * np.float32(rng.uniform(0.7, 1))


def bent(picture, rng):
    """The face in another shape: a smooth random displacement of a few pixels."""
    coarse = rng.normal(0, 1, (5, 5, 2)).astype(np.float32)
    field = cv2.resize(coarse, (FACE, FACE), interpolation=cv2.INTER_CUBIC) * np.float32(rng.uniform(1.5, 4.5))
    columns, rows = np.meshgrid(np.arange(FACE, dtype=np.float32), np.arange(FACE, dtype=np.float32))
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


def level_points():
    """Where the landmarks of a face on the enlarged template are."""
    return (landmarks.TEMPLATE - (landmarks.SIDE - 1) / 2) * ENLARGED + (FACE - 1) / 2


def make_shard(faces, number, seed):
    """SHARD mixed faces of faces on the enlarged template, and the teachers' vectors."""
    rng = np.random.default_rng([seed, 104729, number])
    couples = rng.integers(0, len(faces), (SHARD, 2))
    made = [mixed(faces[a], faces[b], rng) for a, b in couples]
    points = level_points()
    return np.stack(made), Teachers().vectors(landmarks.aligned(face, points) for face in made)


def on_template():
    """`data/faces` and the taught part of `lfw/train` on the enlarged template."""
    learn = data.lfw_learn()
    found = [(picture, points) for picture, points in zip(learn, landmarks.find(learn)) if points]
    pairs = [(picture.load(), points) for picture, points in found] + data.varied()
    return [landmarks.aligned(picture, points, FACE, ENLARGED) for picture, points in pairs]


def mixtures(shards, seed):
    """Samples (without label) and the teachers' vectors of up to `shards` thousand mixed faces, cached."""
    faces, made, vectors = None, [], []
    for number in range(shards // (SHARD // 1000)):
        names = [data.cache_dir() / f"mixed_{seed}_{number}_{part}.npy" for part in ("pictures", "targets")]
        if not names[1].exists():
            faces = faces or on_template()
            for name, array in zip(names, make_shard(faces, number, seed)):
                np.save(name, array)
            print(f"mixed faces: shard {number + 1}", flush=True)
        level = landmarks.crop(level_points())
        made += [samples.Sample(face, level[0], -1, level, samples.LOOSE) for face in np.load(names[0], mmap_mode="r")]
        vectors.append(np.load(names[1]))
    return made, np.concatenate(vectors)
