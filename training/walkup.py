"""The webcam clips: who is let in, in Python's terms.

`python walkup.py MODEL.onnx [--crop W H SX SY]` enrols each person from clip 1, plays each clip 2
against each template and prints the best mean cosine of 15 frames, right people and wrong.
"""

import argparse

import numpy as np
from PIL import Image

import crops
import data
import evaluate

PEOPLE = ["00", "02", "03", "07"]
WINDOW = 15
COUNTDOWN = 100  # frames with a face in the enrolment countdown: 5 s at 20 frames a second
SIZE = (640, 480)
DOOR = ["--scale-factor", "1.2", "--min-neighbors", "4", "--min-size", "80"]


def gray(picture):
    """OpenCV's gray of an RGB picture."""
    r, g, b = np.moveaxis(np.asarray(picture.convert("RGB")).astype(np.int64), 2, 0)
    return ((3735 * b + 19235 * g + 9798 * r + (1 << 14)) >> 15).astype(np.uint8)


def frames(clip):
    """Paths of a clip's frames at the size of the door's camera, gray, made once in the cache."""
    folder = data.cache_dir() / "walkup640" / clip
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for source in sorted((data.shared_root() / "data/walkup" / clip).glob("*.jpg")):
        path = folder / f"{source.stem}.png"
        if not path.exists():
            scaled = Image.open(source).convert("RGB").resize(SIZE, Image.Resampling.BILINEAR)
            Image.fromarray(gray(scaled)).save(path, compress_level=1)
        paths.append(str(path))
    return paths


def vectors(embed, rule, clip):
    """A vector a frame, None where no face is: the largest box counts."""
    paths = frames(clip)
    found = crops.detect(paths, DOOR)
    answer = []
    for path in paths:
        box = max(found[path], key=lambda box: box[2] * box[3], default=None)
        if box is None:
            answer.append(None)
        else:
            face = crops.extract(np.asarray(Image.open(path)), rule.rectangle(box))
            answer.append(embed(face[None])[0])
    return answer


def template(sequence):
    """Unit mean of 15 frames spread evenly over the countdown's frames with a face, as enrolment does."""
    seen = [vector for vector in sequence if vector is not None][:COUNTDOWN]
    chosen = np.linspace(0, len(seen) - 1, WINDOW).round().astype(int)
    mean = np.mean([seen[i] for i in chosen], axis=0)
    return mean / np.linalg.norm(mean)


def window_means(scores):
    """Means of each full window of consecutive frames with a face; no face clears the window."""
    window, means = [], []
    for score in scores:
        window = [] if score is None else (window + [score])[-WINDOW:]
        if len(window) == WINDOW:
            means.append(float(np.mean(window)))
    return means


def table(embed, rule):
    """(best mean cosine, best mean similarity = 1 - distance) for each probe (row) and template."""
    templates = {person: template(vectors(embed, rule, f"{person}-1")) for person in PEOPLE}
    cosine, similarity = np.zeros((4, 4)), np.zeros((4, 4))
    for row, probe in enumerate(PEOPLE):
        sequence = vectors(embed, rule, f"{probe}-2")
        for column, person in enumerate(PEOPLE):
            own = templates[person]
            cosine[row, column] = max(window_means([None if v is None else float(v @ own) for v in sequence]))
            similarity[row, column] = max(
                window_means([None if v is None else 1 - float(np.linalg.norm(v - own)) for v in sequence])
            )
    return cosine, similarity


def gap(values):
    """(lowest right, highest wrong) of a table."""
    right = np.eye(len(values), dtype=bool)
    return float(values[right].min()), float(values[~right].max())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--crop", nargs=4, type=float, default=[0.9, 1.04, 0.0, 0.0], metavar=("W", "H", "SX", "SY"))
    options = parser.parse_args()
    for name, values in zip(
        ("cosine", "similarity"), table(evaluate.runner(options.model), crops.CropRule(*options.crop))
    ):
        print(name, "lowest right %.3f, highest wrong %.3f" % gap(values))
        print(np.round(values, 3))


if __name__ == "__main__":
    main()
