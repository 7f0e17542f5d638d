"""Pictures held in memory, each with the rectangle that its crop is taken from."""

from dataclasses import dataclass

import numpy as np

import augment
import crops
import data

# Around the crop, so that jitter finds picture and not a repeated edge.
MARGIN = 0.35


@dataclass
class Sample:
    """A gray picture, the rectangle of its face in it, and whose face it is (-1: unknown)."""

    picture: np.ndarray
    rectangle: tuple
    label: int

    def door(self, rng, spread=1.0, strength=1.0):
        """The face as a door might deliver it."""
        return augment.door(augment.jittered(self.picture, self.rectangle, rng, spread), rng, strength)

    def plain(self):
        """The face as the product crops it, in 0..1."""
        return crops.extract(self.picture, self.rectangle).astype(np.float32) / 255


def trimmed(picture, rectangle):
    """The part of the picture that jitter can reach, and the rectangle in it."""
    x, y, w, h = rectangle
    left, top = max(0, int(x - MARGIN * w)), max(0, int(y - MARGIN * h))
    part = picture[top : int(y + h + MARGIN * h) + 1, left : int(x + w + MARGIN * w) + 1]
    return np.ascontiguousarray(part), (x - left, y - top, w, h)


def whole_samples(pictures, labels):
    """Whole pictures as faces (AT&T)."""
    loaded = [picture.load() for picture in pictures]
    return [Sample(p, crops.whole(p), label) for p, label in zip(loaded, labels)]


def boxed_samples(pictures, labels, rule):
    """Faces where the detector found them; pictures without one are left out. Also the indices kept."""
    boxes = crops.detect([picture.path for picture in pictures])
    samples, kept = [], []
    for index, (picture, label) in enumerate(zip(pictures, labels)):
        pixels = picture.load()
        box = crops.main_box(boxes[picture.path], pixels.shape[1], pixels.shape[0])
        if box is not None:
            samples.append(Sample(*trimmed(pixels, rule.rectangle(box)), label))
            kept.append(index)
    return samples, kept


def labels_of(pictures):
    """A number a person, in order of first appearance."""
    numbers = {}
    return [numbers.setdefault(picture.subject, len(numbers)) for picture in pictures]


def identities(rule):
    """AT&T's first 35 people, whole and boxed, and `lfw/train` without the calibration people."""
    att, lfw = data.att_train(), data.lfw_learn()
    labels = labels_of(att + lfw)
    att_labels, lfw_labels = labels[: len(att)], labels[len(att) :]
    boxed, _ = boxed_samples(att, att_labels, rule)
    faces, _ = boxed_samples(lfw, lfw_labels, rule)
    return whole_samples(att, att_labels) + boxed + faces
