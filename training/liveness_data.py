"""What the liveness network learns from: canvases around faces, live ones and photographs of them.

A canvas is a gray square of SIDE pixels, CANVAS times as wide as the detector's box, with the face in
its middle. The real part is `nuaa` (live people and printed photographs held before a webcam). Nine
people are few, so `lfw/train` is added: as it is for live faces, and drawn as a photograph held before
a background of `negatives` for attacks. This drawing is not the product's attack simulator.
"""

import cv2
import numpy as np

import crops
import data

SIDE = 112
CANVAS = 2.8

cv2.setNumThreads(1)


def canvas(picture, box, scale=CANVAS):
    """The surroundings of a face box, edges repeated outside the picture."""
    x, y, w, h = box
    side = scale * w
    step = side / SIDE
    left, top = x + w / 2 - side / 2, y + h / 2 - side / 2
    if step > 1.5:
        # Antialiased, as the product's own reduction.
        factor = 1 / step
        picture = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        left, top, step = left * factor, top * factor, 1.0
    matrix = np.array([[step, 0, left + step / 2 - 0.5], [0, step, top + step / 2 - 0.5]])
    return cv2.warpAffine(
        picture,
        matrix,
        (SIDE, SIDE),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def nuaa_faces():
    """(picture, box, is live, person) of the given part of nuaa; pictures without a box are left out."""
    root = data.shared_root() / "data"
    paths = sorted(str(p.relative_to(root)) for p in (root / "nuaa").glob("*/*/*.jpg"))
    boxes = crops.detect(paths)
    for path in paths:
        box = max(boxes[path], key=lambda box: box[2], default=None)
        if box is not None:
            _, kind, person, _ = path.split("/")
            yield cv2.imread(str(root / path), cv2.IMREAD_GRAYSCALE), box, kind == "live", person


def nuaa():
    """(canvases, is live, person), in the order of `nuaa_faces`."""
    rows = [(canvas(picture, box), live, person) for picture, box, live, person in nuaa_faces()]
    print(f"nuaa: {len(rows)} pictures have a face")
    canvases, live, people = zip(*rows, strict=True)
    return np.stack(canvases), np.array(live), np.array(people)


def background(rng, pictures):
    """A piece of a picture without a face, SIDE pixels square."""
    picture = pictures[rng.integers(len(pictures))]
    h, w = picture.shape
    side = int(rng.uniform(0.4, 1.0) * min(h, w))
    x, y = rng.integers(0, w - side + 1), rng.integers(0, h - side + 1)
    return cv2.resize(picture[y : y + side, x : x + side], (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def print_tones(face, rng):
    """A print or screen does not reach the black, the white and the sharpness of life."""
    low, high = (rng.uniform(0, 70), rng.uniform(185, 255)) if rng.random() < 0.6 else (0, 255)
    face = (np.clip(face / 255.0, 0, 1) ** rng.uniform(0.6, 1.6)) * (high - low) + low
    if rng.random() < 0.4:
        face = cv2.GaussianBlur(face, (0, 0), rng.uniform(0.3, 1.3))
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    if rng.random() < 0.35:  # beats between the screen's or the print's raster and the sensor
        angle, period = rng.uniform(0, np.pi), rng.uniform(2.2, 14)
        wave = np.sin(2 * np.pi / period * (columns * np.cos(angle) + rows * np.sin(angle)) + rng.uniform(0, 6))
        face = face * (1 + rng.uniform(0.02, 0.12) * wave)
    if rng.random() < 0.25:  # bands of a screen's refresh
        face = face * (1 + rng.uniform(0.03, 0.15) * np.sin(2 * np.pi * rows / rng.uniform(20, 90)))
    if rng.random() < 0.4:  # glare
        x, y, spread = rng.uniform(0, SIDE), rng.uniform(0, SIDE), rng.uniform(8, 35)
        face = face + rng.uniform(20, 110) * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 2 / spread**2)
    return face


def somebody(other, rng):
    """Who holds the picture: somebody else, whose own head or body is behind it."""
    if rng.random() < 0.6:  # held before one's own face
        dx, dy, scale = rng.normal(0, 6), rng.uniform(-22, 8), rng.uniform(0.85, 1.25)
    else:
        dx, dy, scale = rng.normal(0, 12), rng.uniform(-60, -15), rng.uniform(0.8, 1.3)
    matrix = np.array([[scale, 0, dx + SIDE / 2 * (1 - scale)], [0, scale, dy + SIDE / 2 * (1 - scale)]])
    return cv2.warpAffine(other, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def photograph(live, rng, backgrounds, other):
    """The same face as a picture held before a background, or before its holder."""
    face = print_tones(live.astype(np.float32), rng)
    under = somebody(other, rng) if rng.random() < 0.45 else background(rng, backgrounds)
    under = under.astype(np.float32)
    # Half-extents of the picture in units of the box: most borders are visible, some just outside.
    unit = SIDE / CANVAS
    widest = rng.choice([0.8, 1.0, 1.5])
    left, right = rng.uniform(0.5, widest, 2) * unit
    top, bottom = rng.uniform(0.55, widest) * unit, rng.uniform(0.6, widest) * unit
    c = SIDE / 2
    corners = np.float32([[c - left, c - top], [c + right, c - top], [c + right, c + bottom], [c - left, c + bottom]])
    angle = rng.normal(0, 0.08)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = (corners - c) @ turn.T + c + rng.normal(0, 1.5, corners.shape)
    if rng.random() < 0.5:
        # A margin of paper, or a phone's bezel.
        width = rng.uniform(0.04, 0.3) * unit
        outer = c + (corners - c) * (1 + width / unit)
        cv2.fillConvexPoly(under, outer.astype(np.int32), float(rng.choice([rng.uniform(180, 255), rng.uniform(0, 60)])))
    mask = np.zeros((SIDE * 4, SIDE * 4), np.uint8)
    cv2.fillConvexPoly(mask, (corners * 4).astype(np.int32), 255)
    share = cv2.resize(mask, (SIDE, SIDE), interpolation=cv2.INTER_AREA)[..., None][..., 0] / 255.0
    picture = under * (1 - share) + face * share
    for _ in range(rng.integers(0, 4)):
        # Fingers over the edge.
        edge = rng.integers(4)
        along = rng.uniform(0, 1)
        x, y = corners[edge] * (1 - along) + corners[(edge + 1) % 4] * along
        skin = rng.uniform(90, 220)
        size = (int(rng.uniform(0.1, 0.22) * unit), int(rng.uniform(0.06, 0.12) * unit))
        layer = picture.copy()
        cv2.ellipse(layer, (int(x), int(y)), size, float(rng.uniform(-40, 40)), 0, 360, float(skin), -1, cv2.LINE_AA)
        picture = cv2.GaussianBlur(layer, (0, 0), 0.6) if rng.random() < 0.2 else layer
    return np.clip(picture, 0, 255).astype(np.uint8)


def beside_something(live, rng, backgrounds):
    """A live face with a post, a frame or a board beside it: straight edges alone are no photograph."""
    if rng.random() > 0.3:
        return live
    picture = live.copy()
    other = background(rng, backgrounds)
    width = int(rng.uniform(0.03, 0.22) * SIDE)
    where = rng.integers(3)
    if where == 0:
        picture[:, :width] = other[:, :width]
    elif where == 1:
        picture[:, -width:] = other[:, -width:]
    else:
        picture[: width // 2] = other[: width // 2]
    return picture


def lfw(rng, every=2):
    """(live canvases, photograph canvases) of every second picture of lfw/train."""
    root = data.shared_root() / "data"
    paths = sorted(str(p.relative_to(root)) for p in (root / "lfw/train").glob("*/*.jpg"))[::every]
    boxes = crops.detect(paths)
    negatives = [
        cv2.imread(str(p), cv2.IMREAD_GRAYSCALE) for p in sorted((root / "negatives").iterdir()) if p.is_file()
    ]
    negatives = [p for p in negatives if p is not None and min(p.shape) >= 100]
    live, photos = [], []
    for path in paths:
        picture = cv2.imread(str(root / path), cv2.IMREAD_GRAYSCALE)
        box = crops.main_box(boxes[path], picture.shape[1], picture.shape[0])
        if box is None:
            continue
        face = canvas(picture, box)
        live.append(beside_something(face, rng, negatives))
        other = live[rng.integers(len(live))]
        photos.append(photograph(face, rng, negatives, other))
    return np.stack(live), np.stack(photos)
