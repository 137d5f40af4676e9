"""Finding a joint in a picture: the geometry by hand, and the shipped finder on synthetic hands that lie anyhow."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import ROOT

import export
from finder.network import SIDE, Finder, highest, make_network, standardise
from finder.placement import Placement, place, seen_near, support
from finder.template import ShapeTemplate, ranks
from finder.training import Draw, Pool, make_batch, similarity
from heatmap import draw_heatmaps
from joints.hand import MEAN_SHAPE, NAMES
from phantom.drawing import draw_hand
from prediction.held_out import changed, own_proportions
from prediction.predictor import Predictor
from radiographs.view import View, sample
from runtime.checkpoint import read_checkpoint
from runtime.files import DataError

SHAPE = MEAN_SHAPE / np.sqrt((MEAN_SHAPE**2).sum(1).mean())


def test_a_placement_by_hand():
    """(1, 0) turned by 90 degrees, enlarged twice and moved by (10, 20) is (10, 22); mirrored first, (0, 1) is (12, 20)."""
    quarter = Placement(2j, 10 + 20j, mirrored=False)
    assert quarter.apply(np.array([[1.0, 0.0], [0.0, 1.0]])) == pytest.approx(np.array([[10, 22], [8, 20]]))
    assert quarter.degrees == pytest.approx(90)
    mirrored = replace(quarter, mirrored=True)
    assert mirrored.apply(np.array([[1.0, 0.0], [0.0, 1.0]])) == pytest.approx(np.array([[10, 22], [12, 20]]))
    flipped = Placement(-3.0, 0, mirrored=True)  # x -> -3 x, y -> 3 y: a right hand that stands upright
    assert flipped.apply(np.array([[1.0, 2.0]])) == pytest.approx(np.array([[-3, 6]])) and flipped.degrees == pytest.approx(0)
    assert all(one.undo(one.apply(SHAPE)) == pytest.approx(SHAPE) for one in (quarter, mirrored, flipped))


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_hand_is_placed_among_wrong_peaks(mirrored):
    """Of two peaks of each landmark one is right, mostly the lower one; a third of the landmarks has none that is right."""
    rng = np.random.default_rng(1)
    truth = Placement(12 * np.exp(2.5j), 30 + 35j, mirrored)
    points = np.stack([truth.apply(SHAPE) + rng.normal(0, 0.2, SHAPE.shape), rng.uniform(0, SIDE, SHAPE.shape)], 1)
    heights = np.stack([np.full(37, 0.5), rng.uniform(0.3, 0.7, 37)], 1)
    points[::3, 0] = rng.uniform(0, SIDE, (13, 2))
    found = place(SHAPE, points, heights, (False, True))
    assert found.mirrored == mirrored
    assert abs(found.turn - truth.turn) < 0.3 and abs(found.shift - truth.shift) < 0.3
    assert found.support == pytest.approx(support(found, SHAPE, points, heights)) and 0.28 < found.support < 0.45
    only_upright = place(SHAPE, points, heights, (False,))
    assert not only_upright.mirrored and (only_upright.support < 0.6 * found.support) == mirrored


def test_a_joint_is_placed_whose_surest_landmarks_lie_in_one_cluster():
    """As of a long film, whose knee alone is sure: no pair of the surest tells a size, pairs of all do."""
    rng = np.random.default_rng(3)
    film = np.concatenate([middle + rng.normal(0, 0.05, (12, 2)) for middle in ([0, -1.5], [0, 0], [0, 1.5])])
    truth = Placement(9 + 1j, 32 + 30j, False)
    heights = np.full((36, 1), 0.5)
    heights[12:24] = 0.9
    found = place(film, truth.apply(film)[:, None], heights, (False,))
    assert abs(found.turn - truth.turn) < 1e-6 and abs(found.shift - truth.shift) < 1e-6


def test_where_no_peaks_say_anything_the_joint_fills_the_picture(monkeypatch):
    """All peaks of a picture in one place make no similarity; what is shown then is the frame, as large as fits."""
    template = ShapeTemplate(np.array([[-1.0, -1], [1, -1], [0, 2]]), np.zeros((2, 2)), reflections=(False,))
    finder = Finder(template, make_network(3))
    monkeypatch.setattr(finder, "see", lambda pictures: (np.full((1, 3, 1, 2), 5.0), np.ones((1, 3, 1))))
    (found,) = finder.find(np.zeros((300, 100), np.float32))
    assert found.placement.support == 0
    corners = found.placement.apply(found.frame)  # 2 x 3 shape units, so 100 x 150 px in the middle
    assert corners == pytest.approx(np.array([[-0.5, 74.5], [99.5, 224.5]]))


def test_a_spread_finger_is_seen_where_it_lies():
    """Its own peak is 0.7 shape units off the mean shape, and higher than that of the next finger at 0.1; 1.0 is too far."""
    placement = Placement(10 + 0j, 30 + 30j, False)
    points = placement.apply(SHAPE)[:, None] + 10 * np.array([[0.7, 0], [0.1, 0], [1.0, 0]])
    heights = np.tile([0.4, 0.3, 0.9], (37, 1))
    heights[5] = 0.05, 0.04, 0.9
    seen = seen_near(placement, SHAPE, points, heights)
    assert np.delete(seen, 5, 0) == pytest.approx(np.delete(points[:, 0], 5, 0)) and np.isnan(seen[5]).all()


def test_few_landmarks_are_placed_or_nothing_is():
    assert place(np.zeros((1, 2)), np.ones((1, 1, 2)), np.ones((1, 1)), (False,)) is None
    three = np.array([[-1, 0], [1, 0], [0, 1.2]])
    found = place(three, Placement(5j, 1 + 2j, False).apply(three)[:, None], np.ones((3, 1)), (False, True))
    assert found.turn == pytest.approx(5j) and not found.mirrored


def test_peaks_of_heatmaps():
    heatmaps = draw_heatmaps(torch.tensor([[10.3, 20.6], [40.0, 50.0]]), SIDE, SIDE, 1.5)
    heatmaps[0] += 0.6 * draw_heatmaps(torch.tensor([50.2, 8.9]), SIDE, SIDE, 1.5)
    points, heights = (part.numpy() for part in highest(heatmaps))
    assert points[0, :2] == pytest.approx(np.array([[10.3, 20.6], [50.2, 8.9]]), abs=0.02)
    assert heights[0, :2] == pytest.approx([1, 0.6], abs=0.01) and heights[:, 2].max() < 0.1
    assert points[1, 0] == pytest.approx([40, 50], abs=0.02)


def test_exposure_does_not_matter_to_the_finder():
    pictures = torch.rand(2, 1, SIDE, SIDE)
    assert torch.allclose(standardise(pictures), standardise(pictures * 300 - 1000), atol=1e-4)
    picture = np.kron(pictures[0, 0, :32, :32].numpy(), np.ones((2, 2)))
    assert np.array_equal(ranks(picture), ranks(picture**3)) and np.allclose(ranks(picture), -ranks(1 - picture), atol=2e-3)


DOTS = np.array([[30.4, 41.7], [120.0, 60.2], [70.6, 170.3]])


def dots(points: np.ndarray, shape: tuple[int, int], sigma: float) -> np.ndarray:
    return draw_heatmaps(torch.from_numpy(points), *shape, sigma).sum(0).numpy().astype(np.float32)


def centre_near(picture: np.ndarray, point: np.ndarray, radius: int) -> np.ndarray:
    """The centroid of what is bright around a point."""
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    bright = picture * (np.abs(x - point[0]) <= radius) * (np.abs(y - point[1]) <= radius)
    return np.array([(bright * x).sum(), (bright * y).sum()]) / bright.sum()


@pytest.mark.parametrize(
    "view",
    [
        View.letterbox((200, 160), 64),
        View.letterbox((200, 160), 20),
        View.whole((200, 160), (64, 64)),
        View.whole((200, 160), (100, 128)),
        View.of_corners(np.array([[150.0, 10], [170, 190], [10, 20]]), (120, 90)),
        View.of_corners(np.array([[0.0, 200], [150, 190], [10, 5]]), (256, 256)),
    ],
    ids=["letterbox", "coarse", "stretched", "stretched to a wide frame", "turned and mirrored", "enlarged"],
)
def test_dots_move_with_their_view(view):
    """To a twentieth of a pixel, whatever the view averages or interpolates."""
    seen = sample(dots(DOTS, (200, 160), 4.0), view)
    assert seen.shape == view.extent[::-1]
    expected = view.of_picture(DOTS)
    assert view.to_picture(expected) == pytest.approx(DOTS)
    inside = ((expected > 5) & (expected < np.array(view.extent) - 6)).all(1)
    for point in expected[inside]:
        assert centre_near(seen, point, max(2, round(16 / view.scale))) == pytest.approx(point, abs=0.05)
    assert inside.sum() >= 2 or view.extent == (20, 20)


def test_a_view_beyond_the_picture():
    picture = np.arange(12, dtype=np.float32).reshape(3, 4)
    view = View(np.eye(2), np.array([-2.0, -1.0]), (8, 5))
    assert sample(picture, view)[:, 0] == pytest.approx([0, 0, 4, 8, 8], abs=1e-5)
    median = np.median([0, 1, 2, 3, 8, 9, 10, 11, 0, 4, 8, 3, 7, 11])
    assert sample(picture, view, "median")[0] == pytest.approx(np.full(8, median))
    assert sample(picture, view, "median")[1:4, 2:6] == pytest.approx(picture, abs=1e-5)


def test_the_frame_is_that_of_training_radiographs():
    """Margins as parts of the landmarks' extent; a finger that is spread widens it, up to a limit."""
    shape = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]) / np.sqrt(2)
    template = ShapeTemplate(shape, np.array([[0.1, 0.2], [0.3, 0.4]]))
    low, high = -1 / np.sqrt(2), 1 / np.sqrt(2)
    side = high - low
    expected = np.array([[low - 0.1 * side, low - 0.2 * side], [high + 0.3 * side, high + 0.4 * side]])
    assert template.frame() == pytest.approx(expected)
    spread = shape * (1.2, 1)
    spread[0] = np.nan  # as if it were where the mean shape has it
    assert np.ptp(template.frame(spread), axis=0) == pytest.approx([1.2 * side * 1.4, 1.6 * side])
    assert np.ptp(template.frame(shape * 4), axis=0) == pytest.approx([1.3 * side * 1.4, 1.3 * side * 1.6])
    picture_px = Placement(-50.0, 300 + 200j, mirrored=True).apply(spread)
    found = ShapeTemplate(shape, np.zeros((2, 2))).found(np.where(np.isnan(picture_px), np.nan, [500, 0] - picture_px * (1, -1)))
    assert np.isfinite(found.frame).all()


def test_the_frame_of_a_straight_joint_has_room_at_its_sides_and_holds_every_landmark():
    """A spine 10 units long and 0.1 wide: its narrow side counts as a third of the long one; a point far beside it is kept."""
    spine = np.stack([np.tile([-0.05, 0.05], 5), np.linspace(-5, 5, 10)], -1)
    template = ShapeTemplate(spine, np.full((2, 2), 0.3))
    assert np.ptp(template.frame(), axis=0) == pytest.approx([0.1 + 0.6 * 10 / 3, 16])
    bent = spine + np.where(np.arange(10) == 4, 4.0, 0)[:, None] * (1, 0)
    view = template.found(bent * 20 + 300).view()
    at = view.of_picture(bent * 20 + 300)
    assert at.min() > 20 and (at < np.array(view.extent) - 20).all()


def test_the_template_of_either_side_is_that_of_one():
    rng = np.random.default_rng(0)
    knee = np.array([[-1.0, -2], [2, -1], [1, 2], [0, 0.5]]) * 50
    sides = np.where(np.arange(9) % 3 == 0, -1.0, 1.0)
    points = knee * np.stack([sides, np.ones(9)], -1)[:, None] + rng.normal(0, 1, (9, 4, 2)) + 300
    template = ShapeTemplate.of_landmarks(points, np.zeros((2, 2)), of_either=True)
    assert [template.shows_other_side(one) for one in points] == (sides < 0).tolist()
    extent = np.ptp(knee, axis=0) / np.sqrt(((knee - knee.mean(0)) ** 2).sum(1).mean())
    assert np.ptp(template.shape, axis=0) == pytest.approx(extent, rel=0.05)
    assert not any(ShapeTemplate.of_landmarks(points, np.zeros((2, 2))).shows_other_side(one) for one in points)
    points[:, 2:] = np.nan
    assert not any(template.shows_other_side(one) for one in points)  # two landmarks look alike either way


def test_margins_of_weights_from_before_are_those_of_the_own_extent():
    """A straight joint's frame comes out as it was: 0.3 of 0.1 at each side. A hand's is the same either way."""
    spine = np.stack([np.tile([-0.05, 0.05], 5), np.linspace(-5, 5, 10)], -1)
    stored = Finder(ShapeTemplate(spine, np.full((2, 2), 0.3)), make_network(10)).to_file()
    for file, width in ((stored, 0.1 + 0.6 * 10 / 3), ({k: v for k, v in stored.items() if k != "narrowest"}, 0.16)):
        frame = Finder.from_file(file, torch.device("cpu")).template.frame()
        assert np.ptp(frame[:, 0]) == pytest.approx(width, rel=1e-5)


def likeness_in_batches(off_px: float) -> float:
    """How alike training pictures of dots and their heatmaps are, with landmarks that are so far beside the dots."""
    size, rng, seen = 128, np.random.default_rng(3), []
    at = rng.uniform(20, 108, (4, 3, 2))
    pictures = torch.stack([torch.from_numpy(dots(points, (size, size), 3.0)) for points in at])[:, None].clamp(0, 1)
    extents = torch.tensor([[0.7, 1.0], [1.0, 1.0], [1.0, 0.6], [0.9, 1.0]])  # tall, square and wide
    frame = ((torch.from_numpy(at + off_px).float() + 0.5) / size - 0.5) * extents[:, None]
    pool, generator = Pool(pictures, frame, extents), torch.Generator().manual_seed(0)
    for _ in range(12):
        images, heatmaps = make_batch(pool, generator)
        assert images.shape == (8, 1, SIDE, SIDE) and heatmaps.shape == (8, 3, SIDE, SIDE)
        bright = (images - images.flatten(1).median(1).values[:, None, None, None]).abs().flatten(1)
        bright, maps = bright - bright.median(1, keepdim=True).values, heatmaps.amax(1).flatten(1)
        seen += torch.nn.functional.cosine_similarity(bright, maps).abs().tolist()
    return float(np.median(seen))


def test_training_pictures_show_their_landmarks():
    """Dots at the landmarks of pictures stay at the peaks of the heatmaps, wherever a batch puts them."""
    assert likeness_in_batches(0) > 0.4  # noise, surroundings and small hands take the rest
    assert likeness_in_batches(10) < 0.2


def test_a_joint_without_sides_is_not_shown_mirrored():
    """The turn of every picture of a batch keeps left and right; with sides half of them exchange these."""
    for reflected, expected in ((False, 0), (True, 20)):
        matrices = similarity(Draw(40, torch.Generator().manual_seed(0)), torch.ones(40), reflected)
        assert (torch.linalg.det(matrices) < 0).sum() == pytest.approx(expected, abs=8 * reflected)


def test_landmarks_of_held_out_copies_move_along():
    points = np.array([[20.0, 30], [44, 100], [90, 60]])
    square = (255 * dots(points, (128, 128), 2.5)).clip(0, 255).astype(np.uint8)
    picture, at = own_proportions(square, points, np.array([300, 400]))
    assert picture.shape == (128, 96)
    for mirrored in (False, True):
        copy, moved = changed(picture, at, mirrored, np.random.default_rng(2))
        for point in moved:
            assert centre_near(copy - copy.min(), point, 5) == pytest.approx(point, abs=0.3)
        turns = [np.linalg.det(np.stack([part[1] - part[0], part[2] - part[0]])) for part in (at, moved)]
        assert (turns[0] * turns[1] < 0) == mirrored


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(ROOT / "weights" / "scn_hand.pt", "cpu")


@pytest.fixture(scope="module")
def hand() -> tuple[np.ndarray, np.ndarray]:
    picture, points = draw_hand(4)
    return picture[::2, ::2].astype(np.float32), (points - 0.5) / 2


def lying(hand, degrees: float, size: float, mirrored: bool) -> tuple[np.ndarray, np.ndarray]:
    """A hand in a square frame: the picture, and its landmarks there."""
    picture, points = hand
    turn = size * np.exp(1j * np.radians(degrees))
    matrix = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]]) @ np.diag([-1 if mirrored else 1, 1])
    middle, inverse = (np.array(picture.shape[::-1]) - 1) / 2, np.linalg.inv(matrix)
    view = View(inverse, middle - inverse @ np.full(2, 400), (800, 800))
    return sample(picture, view, "median"), (points - middle) @ matrix.T + 400


@pytest.mark.parametrize(
    ("degrees", "size", "mirrored", "negative"),
    [(0, 1.0, False, False), (30, 0.6, False, False), (-100, 0.8, True, False), (160, 0.5, True, True)],
)
def test_the_shipped_network_finds_a_hand_that_lies_anyhow(predictor, hand, degrees, size, mirrored, negative):
    picture, points = lying(hand, degrees, size, mirrored)
    ((found,),) = predictor.predict([255 - picture if negative else picture])
    assert found.side == ("right" if mirrored else "left") and found.hand == 1
    assert ("inverted" in found.orientation) == negative and ("mirrored" in found.orientation) == mirrored
    assert np.median(np.linalg.norm(found.points_px - points, axis=1)) < 2.5 * size  # px of a picture of 512 rows
    assert not {"not a hand"} & set(found.flags)


def test_two_hands_are_told_apart(predictor, hand):
    one, other = lying(hand, 10, 0.8, True), lying(hand, -15, 0.7, False)
    film = np.concatenate([one[0], other[0]], 1)
    ((first, second),) = predictor.predict([film])
    assert [(hand.hand, hand.side) for hand in (first, second)] == [(1, "right"), (2, "left")]
    for found, points in ((first, one[1]), (second, other[1] + (800, 0))):
        assert np.median(np.linalg.norm(found.points_px - points, axis=1)) < 2


def test_what_is_no_hand_is_said_to_be_none(predictor):
    rows, columns = np.mgrid[:300, :240]
    for picture in (np.sin(rows / 9) + np.sin(columns / 7), np.random.default_rng(0).normal(size=(300, 240))):
        ((found,),) = predictor.predict([picture.astype(np.float32)])
        assert found.flags[0] == "not a hand"


def test_export_takes_a_finder_of_other_weights():
    shipped = ROOT / "weights" / "scn_hand.pt"
    taken = export.finder_of(shipped, list(NAMES))
    assert torch.equal(taken["shape"], read_checkpoint(shipped)["finder"]["shape"])
    for weights, names, found in (
        (ROOT / "weights" / "scn_synthetic.pt", list(NAMES), "without a finder"),
        (shipped, [*NAMES[1:], NAMES[0]], "of other landmarks"),
    ):
        with pytest.raises(DataError, match=f"found some {found}; leave out --finder"):
            export.finder_of(weights, names)
