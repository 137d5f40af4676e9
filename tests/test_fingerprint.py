"""Fingerprints, by hand and on copies."""

import imageio.v3 as iio
import numpy as np
from conftest import made_radiograph

from experiments.knee import COUNTS, knee
from radiographs.fingerprint import SIDE, alike, fingerprint, from_text, to_text


def test_by_hand():
    """Columns that grow brighter to the right, then darker; a flat row between says nothing."""
    picture = np.tile(np.r_[np.arange(9), np.arange(8)[::-1]] * 10.0, (SIDE, 1))
    picture[5] = 40
    signs = fingerprint(picture).reshape(SIDE, SIDE)
    assert (signs[0] == [1] * 8 + [-1] * 8).all() and not signs[5].any()
    assert (from_text(to_text(signs.ravel())) == signs.ravel()).all()


def test_copies_are_alike_and_others_are_not():
    pictures = [made_radiograph(seed)[0] for seed in range(8)]
    copies = [iio.imread(iio.imwrite("<bytes>", one, extension=".jpg", quality=80)) for one in pictures]
    prints, of_copies = (np.array(list(map(fingerprint, some))) for some in (pictures, copies))
    assert (alike(prints, of_copies) == np.eye(8, dtype=bool)).all()
    flat = fingerprint(np.full((90, 60), 7))[None]
    assert not alike(flat, flat).any() and not alike(flat, prints).any()  # they show nothing to go by


def test_of_100_pairs_that_say_something_one_may_differ():
    signs = np.r_[np.ones(100), np.zeros(SIDE**2 - 100)].astype(np.int8)
    one, two = (np.r_[-signs[:count], signs[count:]] for count in (1, 2))
    assert alike(signs[None], np.stack([signs, one, two])).tolist() == [[True, True, False]]


def test_the_knees_that_a_reader_begins_with_are_no_copies():
    rng = np.random.default_rng(0)
    prints = np.array([fingerprint(knee(rng)[0]) for _ in range(sum(COUNTS.values()))])
    assert (alike(prints, prints) == np.eye(len(prints), dtype=bool)).all()


def test_a_growing_grey_scale_changes_nothing():
    picture = made_radiograph(3)[0].astype(float)
    assert alike(fingerprint(picture)[None], fingerprint(255 * (picture / 255) ** 0.6)[None]).all()
    for shape in ((16, 17), (352, 128), (9, 40)):
        assert fingerprint(np.random.default_rng(0).uniform(0, 255, shape)).shape == (SIDE**2,)
