"""Annotations of public challenges, as these publish them: cephalograms of ISBI 2015, spines of AASCE 2019."""

from pathlib import Path

import numpy as np
from PIL import Image

from joints.formats import CENTRE, Annotations, Format, id_of
from runtime.files import DataError

CEPHALOGRAM = (
    "sella", "nasion", "orbitale", "porion", "A point", "B point", "pogonion", "menton", "gnathion", "gonion",
    "lower incisal edge", "upper incisal edge", "upper lip", "lower lip", "subnasale", "soft-tissue pogonion",
    "posterior nasal spine", "anterior nasal spine", "articulare",
)  # fmt: skip
VERTEBRAE = [*(f"T{i}" for i in range(1, 13)), *(f"L{i}" for i in range(1, 6))]
CORNERS = "upper left", "upper right", "lower left", "lower right"  # of the picture
SPINE = [f"{vertebra} {corner}" for vertebra in VERTEBRAE for corner in CORNERS]


def read_isbi2015(path: Path, images: dict[str, Path]) -> Annotations:
    """A folder of NNN.txt, one annotator's: 19 lines x,y in px of the BMP file, then other things; of `images`, or of all."""
    found, files = Annotations(names=list(CEPHALOGRAM)), sorted(path.glob("*.txt"))
    own = [file for file in files if not images or id_of(file.stem) in images]
    if len(own) < len(files):
        print(f"{path}: {len(files) - len(own)} of {len(files)} left out, which are not in --images")
    for file in own:
        rows = [line.split(",") for line in file.read_text().splitlines()[: len(CEPHALOGRAM)]]
        found.add(file, file.stem, zip(CEPHALOGRAM, [(float(x), float(y)) for x, y in rows], strict=True))
    return found


def read_aasce2019(path: Path, images: dict[str, Path]) -> Annotations:
    """landmarks.csv, 68 x and then 68 y as shares of the picture's sides, beside filenames.csv with its name.

    Some spines begin with the last vertebra, at the top; these are put in order, and told, as are points outside a picture,
    which are left blank.
    """
    files = [line.strip() for line in path.with_name("filenames.csv").read_text().splitlines() if line.strip()]
    values = np.loadtxt(path, delimiter=",", ndmin=2)
    if not images or len(files) != len(values):
        raise DataError(f"{path}: expected --images, and as many rows as {path.with_name('filenames.csv')}; give both")
    found, turned, outside = Annotations(names=list(SPINE)), [], []
    for file, row in zip(files, values):
        id = id_of(file)
        if id not in images:
            raise DataError(f"{path}: expected the picture {file} in --images, found none; add it")
        with Image.open(images[id]) as picture:
            points = row.reshape(2, len(SPINE)).T * picture.size
            beside = ((points < -0.5) | (points > np.subtract(picture.size, 0.5))).any(1)
        if points[-4:, 1].mean() < points[:4, 1].mean():
            points, beside, turned = np.roll(points, 4, 0), np.roll(beside, 4), [*turned, id]
        points[beside] = np.nan
        outside += [f"{id}: {SPINE[i]}" for i in np.flatnonzero(beside)]
        found.add(path, file, zip(SPINE, map(tuple, points.tolist())))
    if turned:
        print(f"{path}: put in order {len(turned)} spines whose last vertebra was the first ({', '.join(turned)})")
    if outside:
        print(f"{path}: left blank {len(outside)} points that lie outside their picture ({', '.join(outside)})")
    return found


CHALLENGES = {"isbi2015": Format(CENTRE, read_isbi2015, None), "aasce2019": Format(CENTRE, read_aasce2019, None)}
