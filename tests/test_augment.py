import dataclasses

import numpy as np
import pytest
import torch

from augment import Augment, bspline_weights, process
from dataloader import Augmented
from heatmap import decode_heatmaps, draw_heatmaps
from runtime.files import DataError

NONE = Augment()
EVERYTHING = dataclasses.replace(
    NONE, intensity_scale=0.25, intensity_shift=0.25, translation=0.06, rotation=15, scaling=0.15, stretch=0.05, elastic=0.04
)
GEOMETRIC = {"translation": 0.1, "rotation": 40.0, "scaling": 0.3, "stretch": 0.2, "elastic": 0.06}
CHANGES = GEOMETRIC | {"intensity_scale": 0.3, "intensity_shift": 0.3}


def changed(augment: Augment, images: torch.Tensor, points: torch.Tensor, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Several radiographs (B, C, H, W) and points (B, L, 2), each changed by the next random numbers of one seed."""
    rng = np.random.default_rng(seed)
    done = [augment(image, own, rng) for image, own in zip(images, points, strict=True)]
    return torch.stack([image for image, _ in done]), torch.stack([own for _, own in done])


def dots(batch: int = 4, count: int = 60, height: int = 160, width: int = 128) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures with one dot in each channel, and where the dots are."""
    generator = torch.Generator().manual_seed(7)
    points = 15 + torch.rand(batch, count, 2, generator=generator) * torch.tensor([width - 30.0, height - 30.0])
    return draw_heatmaps(points, height, width, 3.0), points


def test_no_range_is_the_identity():
    images, points = dots()
    same_images, same_points = changed(NONE, images, points)
    assert torch.allclose(same_images, images, atol=1e-4)
    assert torch.allclose(same_points, points, atol=1e-4)


@pytest.mark.parametrize("name", [*CHANGES, "all"])
def test_points_move_with_the_picture(name):
    """A dot in the picture and the point that names it stay together, under each change alone and all at once."""
    images, points = dots()
    augment = EVERYTHING if name == "all" else dataclasses.replace(NONE, **{name: CHANGES[name]})
    moved_images, moved = changed(augment, images, points, 3)
    seen, _ = decode_heatmaps(moved_images)
    size = torch.tensor([images.shape[3], images.shape[2]])
    inner = ((moved > 8) & (moved < size - 9)).all(-1)  # NaN compares false; dots at the border are cut
    assert inner.sum() > 100
    assert (seen - moved)[inner].norm(dim=-1).max() < 0.1
    assert ((moved - points)[inner].norm(dim=-1).mean() > 1) == (name in GEOMETRIC or name == "all")


def test_translation_by_hand():
    """Translation alone moves everything by one vector within its range."""
    _, points = dots(batch=50)
    _, moved = changed(dataclasses.replace(NONE, translation=0.1), torch.zeros(50, 1, 160, 128), points)
    shift = moved - points
    present = shift.isfinite().all(-1)
    for one, there in zip(shift, present, strict=True):
        assert (one[there] - one[there][0]).abs().max() < 1e-3
    assert 0.06 * 128 < shift[present][:, 0].abs().max() <= 0.1 * 128 + 1e-3
    assert 0.06 * 160 < shift[present][:, 1].abs().max() <= 0.1 * 160 + 1e-3


def test_landmarks_moved_off_the_picture_and_missing_ones_are_missing():
    points = torch.tensor([[[1.0, 1.0], [63.0, 63.0], [1.0, 63.0], [63.0, 1.0], [torch.nan, torch.nan], [32.0, 32.0]]])
    _, moved = changed(dataclasses.replace(NONE, translation=0.3), torch.zeros(1, 1, 64, 64), points, 1)
    assert moved[0, :4].isnan().any() and moved[0, 4].isnan().all() and moved[0, 5].isfinite().all()
    inside = moved[moved.isfinite()]
    assert (inside >= -0.5).all() and (inside <= 63.5).all()


def test_intensities_by_hand():
    images = torch.ones(200, 1, 8, 8)
    scaled, _ = changed(dataclasses.replace(NONE, intensity_scale=0.25), images, torch.zeros(200, 1, 2))
    shifted, _ = changed(dataclasses.replace(NONE, intensity_shift=0.1), images, torch.zeros(200, 1, 2))
    assert 0.75 <= scaled.min() < 0.8 and 1.2 < scaled.max() <= 1.25
    assert 0.9 <= shifted.min() < 0.92 and 1.08 < shifted.max() <= 1.1
    assert (scaled.flatten(1).std(1) < 1e-5).all()


def test_same_seed_same_draw_and_every_radiograph_its_own():
    images, points = dots(batch=2, count=5)
    images, points = images[:1].repeat(2, 1, 1, 1), points[:1].repeat(2, 1, 1)
    first, again, other = (changed(EVERYTHING, images, points, seed) for seed in (5, 5, 6))
    assert torch.equal(first[0], again[0]) and first[1].nan_to_num(-9).equal(again[1].nan_to_num(-9))
    assert not torch.equal(first[0], other[0])
    assert not torch.equal(first[0][0], first[0][1])


def test_elastic_that_could_fold_is_refused():
    with pytest.raises(DataError, match=r"elastic must lie in \[0, 0.0625\]"):
        dataclasses.replace(NONE, elastic=0.07)


def test_spline_weights_by_hand():
    """At a control point 1/6, 4/6, 1/6; half-way 1/48, 23/48, 23/48, 1/48; everywhere a sum of one."""
    at, between = bspline_weights(torch.tensor([1.0, 1.5]), 7)
    assert torch.allclose(at, torch.tensor([0, 1, 4, 1, 0, 0, 0]) / 6)
    assert torch.allclose(between, torch.tensor([0, 1, 23, 23, 1, 0, 0]) / 48)
    assert torch.allclose(bspline_weights(torch.linspace(0, 4, 50), 7).sum(-1), torch.ones(50))


def test_processing_takes_its_share():
    """No share draws no number; a half leaves about half as they are."""
    images = torch.randint(0, 256, (40, 1, 32, 32), generator=torch.Generator().manual_seed(0)) / 127.5 - 1
    rng = np.random.default_rng(1)
    before = rng.bit_generator.state
    assert torch.equal(process(images[0], 0.0, None, rng), images[0])
    assert rng.bit_generator.state == before
    all_of_them, half = ([torch.equal(process(image, share, None, rng), image) for image in images] for share in (1.0, 0.5))
    assert sum(all_of_them) < 10 and 8 < sum(half) < 32  # one in twelve goes through nothing


def test_half_of_the_radiographs_are_shown_mirrored():
    """Landmark 0 has the grey 0.5 at (3, 2), landmark 1 has 0.75 at (12, 5); in a mirror these are (12, 2) and (3, 5)."""

    class Data(list):
        profile = None

    image, points = torch.zeros(1, 8, 16), torch.tensor([[3.0, 2], [12, 5]])
    image[0, 2, 3], image[0, 5, 12] = 0.5, 0.75
    shown = Augmented(Data([{"image": image, "points": points}]), NONE, 0, np.array([1, 0]))
    items = [shown[epoch, 0] for epoch in range(40)]
    for item in items:
        first, second = item["points"].round().long().tolist()
        assert [first, second] in ([[3, 2], [12, 5]], [[3, 5], [12, 2]])
        greys = [float(item["image"][0, y, x]) for x, y in (first, second)]
        assert greys == pytest.approx([0.5, 0.75] if first == [3, 2] else [0.75, 0.5], abs=1e-5)
    assert 10 <= sum(item["points"][0, 1] > 4 for item in items) <= 30
