"""Writes tests/expected/opencv.json: what OpenCV finds in pictures that tests/all/detector.rs looks at.

Usage: opencv.py CASCADE_XML > tests/expected/opencv.json     (opencv-python-headless<5)
"""

import glob
import json
import os
import sys

import cv2

SETTINGS = [(1.1, 5, 30), (1.6, 3, 0)]
HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
PICTURES = ["assets/portraits/*.jpg", "../shared/data/sample_faces/*", "../shared/data/cmu_mit/*/*.png"]


def main():
    cv2.setNumThreads(1)
    cascade = cv2.CascadeClassifier(sys.argv[1])
    print("[")
    lines = []
    for path in sorted(p for pattern in PICTURES for p in glob.glob(os.path.join(HERE, pattern))):
        gray = cv2.imread(path, cv2.IMREAD_GRAYSCALE)
        for scale_factor, min_neighbors, min_size in SETTINGS:
            found = cascade.detectMultiScale(
                gray, scaleFactor=scale_factor, minNeighbors=min_neighbors, minSize=(min_size, min_size))
            faces = [[int(v) for v in face] for face in found]
            name = os.path.relpath(path, HERE)
            lines.append(json.dumps([name, scale_factor, min_neighbors, min_size, faces]))
    print(",\n".join(lines))
    print("]")


main()
