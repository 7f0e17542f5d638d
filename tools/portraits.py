#!/usr/bin/env python3
"""Makes assets/portraits/*: crops of two public-domain portraits and masks of the person in them.

The portraits are taken from the PyPI packages scikit-image and matplotlib, whose versions are
pinned below; the script makes a virtual environment for them in the user's cache directory.
GrabCut (Rother, Kolmogorov, Blake 2004) finds the outline from the rough shapes given here.

    python3 tools/portraits.py           # writes assets/portraits
    python3 tools/portraits.py --check   # says whether the files there are what it would write
"""

import os
import pathlib
import subprocess
import sys
import tempfile

PINNED = [
    "scikit-image==0.26.0",
    "matplotlib==3.11.2",
    "opencv-python-headless==4.14.0.94",
    "pillow==13.0.0",
    "numpy==2.4.6",
]
ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
VENV = CACHE / "facelatch" / "portraits-venv"


def in_own_environment():
    """Runs this script again inside its own virtual environment, made on the first run."""
    python = VENV / "bin" / "python"
    ready = VENV / "installed"
    if not ready.exists() or ready.read_text() != "\n".join(PINNED):
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PINNED], check=True)
        ready.write_text("\n".join(PINNED))
    environment = dict(os.environ, FACELATCH_PORTRAITS_VENV="1")
    os.execve(str(python), [str(python), __file__, *sys.argv[1:]], environment)


def ellipse(mask, value, centre, axes):
    import cv2

    cv2.ellipse(mask, centre, axes, 0, 0, 360, value, -1)


def polygon(mask, value, points):
    import cv2
    import numpy

    cv2.fillPoly(mask, [numpy.array([points])], value)


def collins_shapes(mask, maybe, sure, never):
    ellipse(mask, maybe, (225, 85), (84, 90))
    polygon(mask, maybe, [(112, 160), (310, 160), (372, 260), (372, 350), (20, 350), (40, 270)])
    ellipse(mask, sure, (225, 95), (56, 62))
    ellipse(mask, sure, (209, 222), (85, 58))
    polygon(mask, sure, [(110, 250), (310, 250), (330, 350), (60, 350)])
    mask[:12] = never
    mask[:140, :130] = never
    mask[:140, 315:] = never
    mask[:, 365:] = never


def hopper_shapes(mask, maybe, sure, never):
    ellipse(mask, maybe, (262, 130), (118, 115))
    ellipse(mask, maybe, (265, 230), (118, 110))
    polygon(mask, maybe, [(200, 310), (330, 310), (512, 380), (512, 600), (0, 600), (40, 380)])
    ellipse(mask, sure, (265, 225), (98, 98))
    polygon(mask, sure, [(158, 100), (366, 100), (366, 160), (158, 160)])
    ellipse(mask, sure, (262, 75), (80, 45))
    polygon(mask, sure, [(200, 340), (330, 340), (470, 400), (490, 600), (40, 600), (60, 400)])
    mask[:20] = never
    mask[:300, :152] = never
    mask[:300, 385:] = never
    polygon(mask, never, [(0, 300), (40, 300), (38, 400), (22, 600), (0, 600)])


# Per portrait: the package and the file in it, the crop (left, top, right, bottom) and its size
# in the repository.
PORTRAITS = {
    "collins": ("skimage", "data/astronaut.png", (22, 0, 372, 334), (350, 334), collins_shapes),
    "hopper": (
        "matplotlib",
        "mpl-data/sample_data/grace_hopper.jpg",
        (12, 0, 512, 570),
        (250, 285),
        hopper_shapes,
    ),
}


def person_mask(rgb, shapes):
    """255 where the person is, 0 where the background is, with a soft edge."""
    import cv2
    import numpy

    marks = numpy.full(rgb.shape[:2], cv2.GC_PR_BGD, numpy.uint8)
    shapes(marks, cv2.GC_PR_FGD, cv2.GC_FGD, cv2.GC_BGD)
    cv2.setRNGSeed(1)
    background, foreground = numpy.zeros((1, 65)), numpy.zeros((1, 65))
    bgr = numpy.ascontiguousarray(rgb[:, :, ::-1])
    cv2.grabCut(bgr, marks, None, background, foreground, 6, cv2.GC_INIT_WITH_MASK)
    person = ((marks == cv2.GC_FGD) | (marks == cv2.GC_PR_FGD)).astype(numpy.uint8)
    # Only the largest piece is the person, and small holes in it are not background.
    _, labels, stats, _ = cv2.connectedComponentsWithStats(person)
    person = (labels == 1 + numpy.argmax(stats[1:, cv2.CC_STAT_AREA])).astype(numpy.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(1 - person)
    for hole in range(1, count):
        if stats[hole, cv2.CC_STAT_AREA] < 800:
            person[labels == hole] = 1
    person = cv2.medianBlur(person * 255, 5)
    person = cv2.erode(person, numpy.ones((3, 3)))
    return cv2.GaussianBlur(person, (0, 0), 1.2)


def make(out):
    import importlib.util

    import numpy
    from PIL import Image

    for name, (package, path, box, size, shapes) in PORTRAITS.items():
        folder = pathlib.Path(importlib.util.find_spec(package).origin).parent
        portrait = Image.open(folder / path).convert("RGB")
        mask = Image.fromarray(person_mask(numpy.asarray(portrait), shapes))
        portrait = portrait.crop(box).resize(size, Image.LANCZOS)
        mask = mask.crop(box).resize(size, Image.LANCZOS)
        portrait.save(out / f"{name}.jpg", quality=88, optimize=True)
        mask.save(out / f"{name}-mask.png", optimize=True)


def main():
    if "FACELATCH_PORTRAITS_VENV" not in os.environ:
        in_own_environment()
    shipped = ROOT / "assets" / "portraits"
    if sys.argv[1:] == ["--check"]:
        with tempfile.TemporaryDirectory() as folder:
            made = pathlib.Path(folder)
            make(made)
            same = {f.name: f.read_bytes() == (shipped / f.name).read_bytes() for f in sorted(made.iterdir())}
        for name, equal in same.items():
            print(f"{name}: {'same' if equal else 'DIFFERS'}")
        sys.exit(0 if all(same.values()) else 1)
    if sys.argv[1:]:
        sys.exit(__doc__)
    make(shipped)


if __name__ == "__main__":
    main()
