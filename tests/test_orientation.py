import numpy as np
import torch

from prediction.orientation import SIDE, VARIANTS, OrientationNet, ranks, variants


def test_points_go_back_with_their_picture():
    picture = np.random.default_rng(0).integers(0, 255, (9, 9))
    for orientation in VARIANTS:
        upright = orientation.apply(picture)
        expected = picture.max() + picture.min() - picture if orientation.negative else picture
        for y in range(9):
            for x in range(9):
                back_x, back_y = orientation.undo(np.array([x, y]), 9)
                assert upright[y, x] == expected[back_y, back_x], orientation


def test_the_network_sees_the_variants_that_are_applied():
    """Batch code and picture code agree: variant k of a picture is what VARIANTS[k] makes of it."""
    picture = np.random.default_rng(1).normal(size=(SIDE, SIDE)).astype(np.float32)
    seen = variants(ranks(torch.from_numpy(picture)[None, None]))
    for k, orientation in enumerate(VARIANTS):
        upright = torch.from_numpy(orientation.apply(picture).copy())[None, None]
        assert torch.allclose(seen[k], ranks(upright)[0], atol=1e-5), orientation


def test_ranks_know_no_contrast():
    pictures = torch.randint(0, 256, (2, 1, 2 * SIDE, 2 * SIDE)).float()
    assert ranks(pictures).abs().max() <= 1
    assert torch.equal(ranks(pictures), ranks(4 * pictures - 64))
    assert torch.equal(ranks(pictures), -ranks(255 - pictures))
    assert (ranks(torch.ones(1, 1, SIDE, SIDE)) == 0).all()


def test_turning_a_picture_turns_the_answer():
    torch.manual_seed(0)
    net, picture = OrientationNet(), np.random.default_rng(2).normal(size=(SIDE, SIDE)).astype(np.float32)
    best = VARIANTS[net.scores(torch.from_numpy(picture)[None, None]).argmax()]
    upright = best.apply(picture)
    for orientation in VARIANTS:
        other = orientation.apply(picture).copy()
        found = VARIANTS[net.scores(torch.from_numpy(other)[None, None]).argmax()]
        assert np.allclose(found.apply(other), upright, atol=1e-5), orientation
