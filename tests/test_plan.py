"""How long a training lasts: by epochs that are given, or by validation; worked out by hand."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from solver import Solver
from training.plan import MOST, ByValidation, Laid, mean_shape_error


def run(plan: ByValidation, error_at, most: int = 200) -> list[dict]:
    """All epochs of a plan, whose validation errors are error_at(size, number of epochs at that size)."""
    rows: list[dict] = []
    while (epoch := plan.next(rows)) and len(rows) < most:
        count = sum(row["size"] == epoch.size for row in rows)
        row = {"size": epoch.size, "valid_near_px": error_at(epoch.size, count), "fall": epoch.fall, "seconds": 60.0}
        rows.append(row | {"says": epoch.says, "factors": (epoch.factor(0, 2), epoch.factor(1, 2))})
    return rows


def test_epochs_that_are_given_keep_their_schedule():
    """The frame has 16 px, so progress is 0, 0.2, 0.4, 1."""
    plan = Laid([8, 8, 16], "linear", 16)
    epochs = [plan.next([{}] * n) for n in range(3)]
    assert [epoch.size for epoch in epochs] == [8, 8, 16] and plan.next([{}] * 3) is None
    assert np.allclose([epoch.factor(i, 2) for epoch in epochs for i in (0, 1)], [1, 0.9, 0.8, 0.7, 0.6, 0.3])
    fall = Laid([8] * 2 + [16] * 6, "fall", 16)  # of six epochs at the last size the last two, a half of the four before
    factors = [fall.next([{}] * n).factor(i, 2) for n in range(8) for i in (0, 1)]
    assert factors == [1] * 12 + [1, 0.75, 0.5, 0.25]


ERRORS = {64: [8.0, 6.0, 5.0, 4.95, 4.9], 128: [4.0, 3.0, 2.95, 2.92, 2.8, 2.7]}
FLAT = [8, 6, 5, 4.98, 4.96, 4.955, 4.97, 4, 4, 4, 4, 4]


def test_a_stage_ends_when_a_round_brings_little_or_at_the_last_size_two():
    """Least before them and in them: 5 and 4.95 px, 3 and 2.92 px."""
    plan = ByValidation([64, 128], 256, 1, unlearnt_px=40)
    rows = run(plan, lambda size, n: ERRORS[size][n])
    assert [row["size"] for row in rows] == [64] * 4 + [128] * 6
    assert [row["fall"] for row in rows] == [0] * 8 + [0.5, 1]  # four epochs at 128 px, so two of fall
    assert rows[4]["says"] == "validation error 5.00 -> 4.95 px in 1 epochs: on to 128 px"
    assert rows[8]["says"] == "validation error 3.00 -> 2.92 px in 2 epochs: the learning rate falls over 2 epochs"
    assert [row["factors"] for row in rows[7:]] == [(1, 1), (1, 0.75), (0.5, 0.25)] and not plan.unfinished


@pytest.mark.parametrize(
    ("round_epochs", "more", "errors", "falls"),
    [
        # less patience where the landmarks are known
        (1, {"patience": 1}, [8, 6, 5, 4.95, 4, 4], [0] * 4 + [0.5, 1]),
        # rounds of two epochs, of 7, 6, 5.95 and 5.9 px: the third and fourth bring little; single epochs had ended it before
        (2, {}, [6, 8, 6.1, 5.9, 6, 5.9, 5.9, 5.9, 5, 5, 5, 5], [0] * 8 + [0.25, 0.5, 0.75, 1]),
        # the mean shape has 10 px: at nine nothing has begun, so a flat error is no end
        (1, {"unlearnt_px": 10}, [9.1, 9.1, 9.1, 9.1, 4, 3.99, 3.98, 3.8, 3.7, 3.6, 3.5], [0] * 7 + [0.25, 0.5, 0.75, 1]),
        # least of the last two rounds and before: 4.96 and 5 px; with hours of the last four, 4.94 and 5 px
        (1, {}, FLAT, [0] * 5 + [1 / 3, 2 / 3, 1]),
        (1, {"seconds": 36000}, FLAT, [0] * 7 + [0.25, 0.5, 0.75, 1]),
        # a single radiograph, learnt and validated: its own mean shape is no bar; and below 0.1 px the error has stopped falling
        (1, {"unlearnt_px": 0}, [0.3, 0.2, 0.19, 0.19, 0.19, 0.19, 0.19, 0.19, 0.19], [0] * 5 + [1 / 3, 2 / 3, 1]),
        (1, {"unlearnt_px": 0}, [0.3, 0.2, 0.09, 0.05, 0.04, 0.03, 0.02, 0.01], [0] * 3 + [0.5, 1]),
        # without a landmark in validation it ends
        (1, {"unlearnt_px": math.nan}, [math.nan] * 9, [0] * 3 + [0.5, 1]),
    ],
)
def test_the_epochs_of_one_size_by_hand(round_epochs, more, errors, falls):
    rows = run(ByValidation([64], 256, round_epochs, **({"unlearnt_px": 40} | more)), lambda size, n: errors[n])
    assert [row["fall"] for row in rows] == pytest.approx(falls)


def test_a_network_that_never_learns_is_given_up_and_said_so():
    plan = ByValidation([64], 256, 1, unlearnt_px=10)
    rows = run(plan, lambda size, n: 9.5)
    assert sum(not row["fall"] for row in rows) == MOST
    assert rows[MOST]["says"] == "validation error 9.50 -> 9.50 px in 2 epochs: the learning rate falls over 12 epochs"
    falls = ByValidation([64], 256, 1, unlearnt_px=10)
    run(falls, lambda size, n: 9.0 * 0.9**n)
    assert f"px in 2 epochs, still falling after the {MOST} that are allowed" in falls.unfinished


def test_time_that_ends_where_nothing_was_gained_any_more_is_no_reproach():
    plan = ByValidation([64], 256, 1, unlearnt_px=40, seconds=600)
    rows = run(plan, lambda size, n: [8.0, 6, 5, 4.99, 4.98, 4.97, 4, 4, 4][n])
    assert "minutes are left" in rows[6]["says"] and not plan.unfinished


def test_a_fall_that_has_begun_goes_on_though_there_is_more_time_now():
    rows = run(ByValidation([64, 128], 256, 1, 400, seconds=600), lambda size, n: 100 * 0.9**n)
    later = ByValidation([64, 128], 256, 1, 400, seconds=36000)
    assert later.next(rows[:8]).fall == 1 and later.next(rows) is None


def test_hours_end_a_training_that_would_go_on():
    """Ten minutes, an epoch takes one: six epochs, then a fall of three; after seven it would be four."""
    plan = ByValidation([64, 128], 256, 1, unlearnt_px=400, seconds=600)
    rows = run(plan, lambda size, n: 100 * 0.9**n)
    assert len(rows) == 9 and [row["size"] for row in rows] == [64] * 9
    assert [row["fall"] > 0 for row in rows] == [False] * 6 + [True] * 3
    assert plan.unfinished == "4 minutes are left"


def test_hours_are_for_the_last_size_and_a_finer_one_must_fit_into_them():
    """An epoch at 128 px takes three times one at 64 px, (128² + 2048) / (64² + 2048), and one of fall must fit in after it."""
    rows = [{"size": 64, "valid_near_px": error, "fall": 0, "seconds": 60.0} for error in (8.0, 7.9)]
    for seconds, size, unfinished in ((480, 128, ""), (479, 64, "6 minutes are left")):
        plan = ByValidation([64, 128], 128, 1, 40, seconds)
        epoch = plan.next(rows)
        assert (epoch.size, bool(epoch.fall), plan.unfinished) == (size, size == 64, unfinished)
    assert plan.next([*rows, rows[-1] | {"fall": 1.0}]) is None and plan.unfinished == unfinished  # the reproach stays


def test_it_decides_the_same_from_the_epochs_done_alone():
    for seconds, errors in ((math.inf, lambda size, n: ERRORS[size][n]), (600, lambda size, n: 30 * 0.9**n)):

        def plan(seconds=seconds):
            return ByValidation([64, 128], 256, 1, 40, seconds)

        first = plan()
        whole = run(first, errors)
        for n in range(len(whole)):
            again = plan()
            epoch = again.next(whole[:n])
            assert (epoch.size, epoch.fall, epoch.says) == (whole[n]["size"], whole[n]["fall"], whole[n]["says"])
        assert plan().next(whole) is None and again.unfinished == first.unfinished
    assert first.unfinished


def test_mean_shape_by_hand():
    train = np.array([[[0.0, 0], [4, 4]], [[2, 0], [np.nan, np.nan]]])
    assert mean_shape_error(train, np.array([[[1.0, 3], [4, 0]]])) == 3.5


@pytest.mark.parametrize(("wanted", "epochs"), [(0.9, 2), (3.96, 4), (360, 60)])
def test_a_round_has_two_to_sixty_epochs(wanted, epochs):
    one = SimpleNamespace(points_network_px=np.zeros((1, 3, 2)), size=64)
    solver = SimpleNamespace(sets={"train": one, "valid": one}, settings=SimpleNamespace(hours=0))
    assert Solver.by_validation(solver, [64], wanted, share=1, patience=1).round_epochs == epochs
