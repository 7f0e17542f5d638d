"""Judges an ONNX file: LFW's test pairs, AT&T's last five people, webcam clips.

`python evaluate.py MODEL.onnx [--against OTHER.onnx] [--crop W H SX SY]` prints one JSON object.
"""

import argparse
import json
import math

import numpy as np
import onnxruntime

import crops
import data

FOLDS = 10


def runner(model):
    """A function from uint8 or 0..1 faces (N x 112 x 92) to vectors, by onnxruntime on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model if isinstance(model, bytes) else str(model), options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name

    def embed(faces):
        faces = np.asarray(faces)
        scale = 255 if faces.dtype == np.uint8 else 1
        faces = faces.astype(np.float32)[:, None, None] / scale
        return np.concatenate([session.run(None, {name: face})[0] for face in faces])

    return embed


def faces_of(paths, rule):
    """{path: the network's input, or None where no face was found}."""
    found = crops.detect(paths)
    faces = {}
    for path in paths:
        picture = data.Picture(path, "").load()
        box = crops.main_box(found[path], picture.shape[1], picture.shape[0])
        faces[path] = None if box is None else crops.extract(picture, rule.rectangle(box))
    return faces


def both_views(embed, faces):
    """The product's vectors of stills: the unit mean of each face's vector and its mirror image's."""
    both = embed(faces) + embed(np.ascontiguousarray(faces[..., ::-1]))
    return both / np.linalg.norm(both, axis=1, keepdims=True)


def embedded(embed, faces):
    """{path: vector or None} for what `faces_of` returns."""
    seen = [path for path, face in faces.items() if face is not None]
    vectors = dict(zip(seen, both_views(embed, np.stack([faces[path] for path in seen]))))
    return {path: vectors.get(path) for path in faces}


def pair_distances(vectors, pairs):
    """Distances (inf where a face was not found) and labels of (path, path, same) pairs."""
    distances = [
        np.inf if vectors[a] is None or vectors[b] is None else float(np.linalg.norm(vectors[a] - vectors[b]))
        for a, b, _ in pairs
    ]
    return np.array(distances), np.array([same for _, _, same in pairs])


def best_threshold(distances, same):
    """The distance that parts the pairs best: (threshold, share of pairs right)."""
    order = np.argsort(distances)
    right = np.concatenate([[0], np.cumsum(np.where(same[order], 1, -1))]) + (~same).sum()
    best = int(right.argmax())
    ranked = np.concatenate([[0], distances[order]])
    upper = ranked[min(best + 1, len(order))]
    lower = ranked[best]
    return (lower + upper) / 2 if np.isfinite(upper) else lower + 1e-6, right[best] / len(same)


def wilson(right, count):
    """95 % interval of a share (Wilson)."""
    z, share = 1.96, right / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * np.sqrt(share * (1 - share) / count + z * z / (4 * count**2)) / (1 + z * z / count)
    return [round(float(middle - half), 4), round(float(middle + half), 4)]


def verdict(distances, same):
    """Figures of a set of pairs; an undetected pair (distance inf) is an error, never a match.

    `accuracy` is 10-fold cross-validated: each fold is judged by the threshold that is best on the
    other nine. `tar` is the share of genuine pairs accepted at the threshold which the given share
    of the impostor pairs stays below.
    """
    found = np.isfinite(distances)
    fold = np.arange(len(same)) % FOLDS
    right = 0
    for part in range(FOLDS):
        threshold, _ = best_threshold(distances[found & (fold != part)], same[found & (fold != part)])
        own = found & (fold == part)
        right += ((distances[own] < threshold) == same[own]).sum()
    genuine, impostor = distances[same], np.sort(distances[~same])
    tar = {}
    for rate in (0.1, 0.01, 0.001):
        if rate * len(impostor) >= 1:
            limit = impostor[int(np.floor(rate * len(impostor)))]
            tar[str(rate)] = round(float((genuine < limit).mean()), 4)
    auc = (genuine[:, None] < impostor[None, :]).mean() + 0.5 * (genuine[:, None] == impostor[None, :]).mean()
    return {
        "pairs": len(same),
        "undetected": int((~found).sum()),
        "accuracy": round(float(right / len(same)), 4),
        "interval": wilson(right, len(same)),
        "auc": round(float(auc), 5),
        "tar_at_fmr": tar,
    }


def against(distances, other, same):
    """Pairs that the first file alone has right and the other alone, each at its own best threshold, and how
    likely chance is to part them at least so unevenly (two-sided sign test; the pairs taken as independent)."""
    first, second = ((d < best_threshold(d, same)[0]) == same for d in (distances, other))
    alone = int((first & ~second).sum()), int((second & ~first).sum())
    ways = sum(math.comb(sum(alone), count) for count in range(min(alone) + 1))
    return {"first_alone": alone[0], "other_alone": alone[1], "p": round(min(1.0, 2 * ways / 2 ** sum(alone)), 4)}


def all_pairs(pictures):
    """Every pair of (path, subject) pictures as (path, path, same)."""
    return [
        (a.path, b.path, a.subject == b.subject) for i, a in enumerate(pictures) for b in pictures[i + 1 :]
    ]


def lfw_test(embed, rule):
    """The verdict on the 600 LFW test pairs, with its distances."""
    pairs = data.lfw_test_pairs()
    paths = sorted({path for a, b, _ in pairs for path in (a, b)})
    return pair_distances(embedded(embed, faces_of(paths, rule)), pairs)


def att_test(embed):
    """Distances of all pairs of AT&T's last five people, whole pictures."""
    pictures = data.att_test()
    faces = {}
    for p in pictures:
        picture = p.load()
        faces[p.path] = crops.extract(picture, crops.whole(picture))
    return pair_distances(embedded(embed, faces), all_pairs(pictures))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--against", metavar="OTHER", help="another file, compared pair by pair")
    parser.add_argument("--crop", nargs=4, type=float, default=[0.9, 1.04, 0.0, 0.0], metavar=("W", "H", "SX", "SY"))
    options = parser.parse_args()
    rule = crops.CropRule(*options.crop)

    def distances(model):
        embed = runner(model)
        return {"lfw_test": lfw_test(embed, rule), "att_test": att_test(embed)}

    own = distances(options.model)
    report = {name: verdict(*judged) for name, judged in own.items()}
    if options.against:
        for name, (other, same) in distances(options.against).items():
            report[name]["against"] = against(own[name][0], other, same)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
