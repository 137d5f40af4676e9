"""What other equipment makes of radiographs: nothing moves, and what is changed is what is meant."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from phantom.drawing import draw_hand
from radiographs.network_frame import intensity_profile, resize_to
from radiographs.processing import CHANCES, collimation, cut, labels, mask, processed, skin_outline
from radiographs.view import border_grey

HAND = resize_to(draw_hand(2)[0].astype(np.float32), (128, 128))
PALM = np.s_[75:100, 45:65]
GREY = (HAND - HAND.min()) / np.ptp(HAND)


@pytest.mark.parametrize("process", CHANCES, ids=lambda process: process.__name__)
def test_pictures_keep_their_form_and_their_hand(process):
    """Bone stays brighter than what lies beside it at the middle of the hand, whatever is done; nothing is turned or moved."""
    for seed in range(8):
        changed = process(GREY.copy(), np.random.default_rng(seed)).clip(0, 1)
        assert changed.shape == GREY.shape and changed.dtype == np.float32 and np.isfinite(changed).all()
        assert spearmanr(changed[PALM].ravel(), GREY[PALM].ravel()).statistic > 0.3, seed


def test_the_same_random_numbers_give_the_same_picture():
    picture = np.rint(255 * GREY).astype(np.uint8)
    profile = intensity_profile(HAND)
    first, again, other = (processed(picture, profile, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert first.dtype == np.uint8 and np.array_equal(first, again) and not np.array_equal(first, other)


def test_a_mask_leaves_the_hand_and_one_grey():
    for seed in range(6):
        masked = mask(GREY, np.random.default_rng(seed))
        kept = masked == GREY
        assert 0.2 < kept.mean() < 0.9 and len(np.unique(masked[~kept])) == 1
        assert kept[PALM].all()
    assert np.array_equal(mask(np.zeros((9, 9), np.float32), np.random.default_rng(0)), np.zeros((9, 9)))


def test_the_skin_lies_around_the_bones():
    picture, points = draw_hand(3)
    x, y = points.round().astype(int).T
    assert skin_outline(picture.astype(np.float32), 0.3)[y, x].all()


def test_collimation_labels_and_cuts_cover_what_they_say():
    flat = np.full((100, 80), 0.5, np.float32)
    for seed in range(10):
        covered = collimation(flat, np.random.default_rng(seed)) != 0.5
        assert not covered[30:70, 30:50].any() and covered.mean() < 0.5
        assert 0 < (labels(flat, np.random.default_rng(seed)) != 0.5).mean() < 0.1
    ramp = np.add.outer(np.arange(100.0), 1000 * np.arange(80.0)).astype(np.float32)
    kept = cut(ramp, np.random.default_rng(1))
    assert np.array_equal(kept[20:80, 20:60], ramp[20:80, 20:60]) and not np.array_equal(kept, ramp)
    assert set(np.unique(kept)) < set(np.unique(ramp))  # an edge is repeated, nothing new is drawn


def test_the_grey_of_a_border():
    picture = np.full((10, 10), 3.0)
    picture[2:8, 2:8] = 100
    assert border_grey(picture) == 3
