"""What a door does to a face: box jitter, light, blur, low resolution, noise, glasses.

All chance comes from the generator passed in. Pictures are gray; light is worked in 0..1.
"""

import cv2
import numpy as np

from crops import HEIGHT, WIDTH

cv2.setNumThreads(1)

COLUMNS, ROWS = np.meshgrid(
    np.linspace(-1, 1, WIDTH, dtype=np.float32), np.linspace(-1, 1, HEIGHT, dtype=np.float32)
)


def jittered(picture, rectangle, rng, spread=1.0, turn=0.0):
    """The rectangle's content after shift, scale, stretch, rotation, shear and mirror, as uint8.

    `spread` scales the jitter: at 1 the box moves by 4 % and scales by 7 % (one standard
    deviation each), about what the cascade's boxes do between frames of one face. `turn` is the
    face's roll in radians: the rectangle is turned with it.
    """
    x, y, w, h = rectangle
    scale = np.exp(rng.normal(0, 0.07 * spread))
    stretch = np.exp(rng.normal(0, 0.03 * spread))
    angle = turn + rng.normal(0, 0.09 * spread)
    shear = rng.normal(0, 0.03 * spread)
    x += rng.normal(0, 0.04 * spread) * w + w * (1 - scale * stretch) / 2
    y += rng.normal(0, 0.04 * spread) * h + h * (1 - scale / stretch) / 2
    rectangle = (x, y, scale * stretch * w, scale / stretch * h)
    return warped(picture, rectangle, angle, shear, mirror=rng.random() < 0.5)


def warped(picture, rectangle, angle=0.0, shear=0.0, mirror=False):
    """The content of a rectangle that is turned and sheared about its middle, as uint8."""
    x, y, w, h = rectangle
    centre_x, centre_y = x + w / 2, y + h / 2
    step_x, step_y = w / WIDTH, h / HEIGHT
    if mirror:
        step_x = -step_x
    cos, sin = np.cos(angle), np.sin(angle)
    # From the crop's pixel to the picture's, as warpAffine's WARP_INVERSE_MAP wants it.
    a, b = cos * step_x, (shear * cos - sin) * step_y
    c, d = sin * step_x, (shear * sin + cos) * step_y
    matrix = np.array(
        [
            [a, b, centre_x - a * (WIDTH - 1) / 2 - b * (HEIGHT - 1) / 2 - 0.5],
            [c, d, centre_y - c * (WIDTH - 1) / 2 - d * (HEIGHT - 1) / 2 - 0.5],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(picture, matrix, (WIDTH, HEIGHT), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def low_resolution(face, rng):
    """The face as a far or cheap camera sees it: 20 to 64 columns, blown up again."""
    columns = int(rng.integers(20, 65))
    small = cv2.resize(face, (columns, columns * HEIGHT // WIDTH), interpolation=cv2.INTER_AREA)
    way = cv2.INTER_LINEAR if rng.random() < 0.6 else cv2.INTER_CUBIC
    return cv2.resize(small, (WIDTH, HEIGHT), interpolation=way)


def jpeg(face, rng):
    """Through a JPEG of quality 25 to 90."""
    quality = int(rng.integers(25, 91))
    return cv2.imdecode(
        cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE
    )


def blurred(face, rng):
    """Out of focus, or moved along one direction."""
    if rng.random() < 0.6:
        return cv2.GaussianBlur(face, (0, 0), rng.uniform(0.5, 2.0))
    length = int(rng.integers(3, 8))
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0, np.pi)
    middle = (length - 1) / 2
    reach_x, reach_y = np.cos(angle) * middle, np.sin(angle) * middle
    cv2.line(
        kernel,
        (round(middle - reach_x), round(middle - reach_y)),
        (round(middle + reach_x), round(middle + reach_y)),
        1.0,
    )
    return cv2.filter2D(face, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)


def occluded(face, rng):
    """Glasses (dark or clear lenses with a frame) or a patch before the face."""
    face = face.copy()
    if rng.random() < 0.7:
        row = int(HEIGHT * rng.uniform(0.28, 0.42))
        middle = int(WIDTH * rng.uniform(0.44, 0.56))
        apart = int(WIDTH * rng.uniform(0.17, 0.23))
        size = (int(WIDTH * rng.uniform(0.11, 0.17)), int(HEIGHT * rng.uniform(0.06, 0.12)))
        tone = int(rng.integers(0, 90))
        thickness = -1 if rng.random() < 0.25 else int(rng.integers(1, 4))
        for side in (-1, 1):
            cv2.ellipse(face, (middle + side * apart, row), size, 0, 0, 360, tone, thickness)
        cv2.line(face, (middle - apart + size[0], row), (middle + apart - size[0], row), tone, 2)
    else:
        w, h = int(WIDTH * rng.uniform(0.15, 0.5)), int(HEIGHT * rng.uniform(0.1, 0.35))
        x, y = int(rng.integers(0, WIDTH - w)), int(rng.integers(0, HEIGHT - h))
        face[y : y + h, x : x + w] = int(rng.integers(0, 256))
    return face


def relit(face, rng):
    """Exposure, gamma, light from one side, backlight and veil, on a face in 0..1."""
    if rng.random() < 0.8:
        face = face ** np.float32(np.exp(rng.normal(0, 0.3)))
        face = face * np.float32(np.exp(rng.normal(0, 0.25))) + np.float32(rng.normal(0, 0.06))
    if rng.random() < 0.35:
        angle = rng.uniform(0, 2 * np.pi)
        slope = (np.cos(angle) * COLUMNS + 0.6 * np.sin(angle) * ROWS).astype(np.float32)
        face = face * np.exp(np.float32(rng.uniform(0.2, 1.1)) * slope)
    if rng.random() < 0.12:
        veil = np.float32(rng.uniform(0.05, 0.4))
        face = face * np.float32(rng.uniform(0.25, 0.7)) + veil * np.float32(rng.uniform(0, 1))
    return face


def door(face, rng, strength=1.0):
    """A uint8 crop as a door's camera may deliver it: float32 in 0..1.

    `strength` scales how often each of the harsher effects strikes.
    """
    if rng.random() < 0.12 * strength:
        face = occluded(face, rng)
    if rng.random() < 0.3 * strength:
        face = low_resolution(face, rng)
    if rng.random() < 0.2 * strength:
        face = blurred(face, rng)
    if rng.random() < 0.12 * strength:
        face = jpeg(face, rng)
    face = relit(face.astype(np.float32) / 255, rng)
    if rng.random() < 0.3 * strength:
        deviation = np.float32(rng.uniform(0.005, 0.06))
        face = face + deviation * rng.standard_normal(face.shape, dtype=np.float32)
    return np.clip(face, 0, 1)
