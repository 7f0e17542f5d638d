"""Pictures held in memory, each with the rectangle that its crop is taken from."""

from dataclasses import dataclass

import numpy as np

import augment
import crops
import data
import landmarks

# Around the crop, so that jitter finds picture and not a repeated edge.
MARGIN = 0.35

# Jitter of a crop by landmarks as a share of a box's: they are off by 3.5 % of the eyes' distance in the
# middle case. A rectangle that stands for a box but was made from landmarks is moved more than a real box.
LEVEL, LOOSE = 0.45, 1.4


@dataclass
class Sample:
    """A gray picture, the rectangle of its face in it, and whose face it is (-1: unknown); where landmarks
    are known, `level` is the rectangle by them and the face's roll."""

    picture: np.ndarray
    rectangle: tuple
    label: int
    level: tuple | None = None
    spread: float = 1.0

    def door(self, rng, spread=1.0, strength=1.0, aligned=0.0):
        """The face as a door might deliver it, in the share `aligned` of cases cropped by its landmarks."""
        if self.level and aligned and rng.random() < aligned:
            rectangle, turn = self.level
            face = augment.jittered(self.picture, rectangle, rng, spread * LEVEL, turn)
        else:
            face = augment.jittered(self.picture, self.rectangle, rng, spread * self.spread)
        return augment.door(face, rng, strength)

    def plain(self):
        """The face as the product crops it, in 0..1."""
        return crops.extract(self.picture, self.rectangle).astype(np.float32) / 255

    def upright(self):
        """The face cropped by its landmarks, in 0..1; by its box where none are known."""
        if not self.level:
            return self.plain()
        rectangle, turn = self.level
        return augment.warped(self.picture, rectangle, turn).astype(np.float32) / 255


def corner(rectangle):
    """The first column and row that jitter of the rectangle can reach."""
    x, y, w, h = rectangle
    return max(0, int(x - MARGIN * w)), max(0, int(y - MARGIN * h))


def trimmed(picture, rectangle):
    """The part of the picture that jitter can reach, and the rectangle in it."""
    x, y, w, h = rectangle
    left, top = corner(rectangle)
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


def landmarked_samples(pictures, labels, rule):
    """Faces by the detector's box and by landmarks, and the indices kept. Where the detector found none, the
    landmarks' rectangle stands for the box; pictures with neither are left out."""
    boxes = crops.detect([picture.path for picture in pictures])
    samples, kept = [], []
    for index, (picture, label, points) in enumerate(zip(pictures, labels, landmarks.find(pictures))):
        pixels = picture.load()
        box = crops.main_box(boxes[picture.path], pixels.shape[1], pixels.shape[0])
        level = landmarks.crop(points) if points else None
        if box is None and level is None:
            continue
        rectangle = rule.rectangle(box) if box else level[0]
        left, top = corner(rectangle)
        if level:
            (x, y, w, h), turn = level
            level = (x - left, y - top, w, h), turn
        samples.append(Sample(*trimmed(pixels, rectangle), label, level, 1.0 if box else LOOSE))
        kept.append(index)
    return samples, kept


def varied():
    """The nameless faces of `data/faces`, by the landmarks that come with them."""
    levels = ((picture, landmarks.crop(points)) for picture, points in data.varied())
    return [Sample(picture, level[0], -1, level, LOOSE) for picture, level in levels]


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
