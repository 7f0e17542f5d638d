"""Makes the files of this folder that the test itself cannot make (python3 make.py; needs Pillow).

stray_before_restart.jpg  a portrait with restart markers and a stray byte before one of them
latin1.xml                a cascade of one stage whose comment is in Latin-1
"""

import os

from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))


def stray():
    path = os.path.join(HERE, "stray_before_restart.jpg")
    picture = Image.open(os.path.join(HERE, "../../assets/portraits/collins.jpg"))
    picture.thumbnail((200, 260))
    picture.save(path, quality=80, restart_marker_rows=1)
    data = open(path, "rb").read()
    at = data.index(b"\xff\xd1", data.index(b"\xff\xda"))
    open(path, "wb").write(data[:at] + b"\x00" + data[at:])


def latin1():
    text = """<?xml version="1.0" encoding="ISO-8859-1"?>
<!-- trained by Jos\xe9 M\xfcller -->
<opencv_storage><cascade><stageType>BOOST</stageType><featureType>HAAR</featureType>
<height>6</height><width>8</width><stages><_><stageThreshold>-5.0e-01</stageThreshold>
<weakClassifiers><_><internalNodes>0 -1 0 1.5e-2</internalNodes><leafValues>1. -2.</leafValues></_>
</weakClassifiers></_></stages><features><_><rects><_>0 0 8 6 -1.</_><_>0 0 4 6 2.</_></rects>
<tilted>0</tilted></_></features></cascade></opencv_storage>
"""
    open(os.path.join(HERE, "latin1.xml"), "wb").write(text.encode("latin-1"))


stray()
latin1()
