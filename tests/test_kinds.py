"""Kinds of radiographs: named and in turn, the same bytes for the same seed, landmarks on the bones that are drawn."""

import hashlib
import sys
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT
from test_phantom import distance

import phantom.__main__ as command
from joints.hand import FINGERS, RAYS
from phantom.data_set import write_data_set
from phantom.drawing import draw_hand
from phantom.infant import CARPALS
from phantom.kinds import KINDS, in_turn, parse_kinds

SEED = 4
OTHERS = [kind for kind in KINDS if kind != "atlas"]


@pytest.fixture(scope="module")
def drawn() -> dict[str, tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]]:
    hands = {}
    for kind, steps in KINDS.items():
        masks: dict[str, np.ndarray] = {}
        hands[kind] = (*draw_hand(SEED, masks, steps), masks)
    return hands


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_a_left_hand_with_all_landmarks_in_the_picture(drawn, kind):
    picture, points, _ = drawn[kind]
    rows, columns = picture.shape
    assert picture.dtype == np.uint8 and rows == 1024 and 500 <= columns <= 950 and picture.std() > 8
    assert points.shape == (37, 2) and (points > 0).all() and (points < (columns - 1, rows - 1)).all()
    assert points[16, 0] > points[13, 0] and points[25, 1] < points[15, 1]


@pytest.mark.parametrize("kind", ["atlas", "infant", "digital"])
def test_the_same_seed_draws_the_same_bytes(drawn, kind):
    picture, points = draw_hand(SEED, steps=KINDS[kind])  # without masks: asking for them changes nothing
    assert (picture == drawn[kind][0]).all() and (points == drawn[kind][1]).all()


def test_the_kinds_differ(drawn):
    assert len({hashlib.sha256(picture.tobytes()).hexdigest() for picture, *_ in drawn.values()}) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_finger_landmarks_lie_on_the_bones_that_are_drawn(drawn, kind):
    _, points, masks = drawn[kind]
    near = 12 if kind == "bent" else 4  # a bent phalanx is seen from its end, its landmark lies in it
    for finger, (carpal, mcp, pip, dip, tip) in FINGERS.items():
        sites = {carpal: "metacarpal", mcp: "proximal", pip: "proximal", dip: "middle", tip: "distal"}
        for site, bone in sites.items():
            mask = masks[f"{finger} {bone}"]
            assert distance(mask, points[site]) < 4 and distance(~mask, points[site]) < near, (finger, bone)


def test_an_infant_has_gaps_and_few_carpal_bones():
    counts = []
    for age in (0.0, 1.0, 3.0):
        masks: dict[str, np.ndarray] = {}
        steps = replace(KINDS["infant"], maturity_of=lambda *_, age=age: -1 + age / 6)
        _, points = draw_hand(SEED, masks, steps)
        counts.append(len(CARPALS.keys() & masks.keys()))
        assert not {"scaphoid", "trapezium", "pisiform", "sesamoid"} & masks.keys()
        shafts = [masks["middle proximal"], masks["middle metacarpal"]]
        assert not (shafts[0] & shafts[1]).any() and distance(shafts[1], points[25]) > 8
    assert counts[0] == 0 and counts[1] == 2 and counts[2] in (3, 4)


@pytest.mark.slow
def test_bent_phalanges_are_shorter_than_straight_ones():
    straight, bent = ([], [])
    for number in range(6):
        for lengths, kind in ((straight, "atlas"), (bent, "bent")):
            _, points = draw_hand([1, number], steps=KINDS[kind])
            whole = np.hypot(*(points[15] - points[14])) + np.hypot(*(points[25] - points[15]))
            lengths += [np.hypot(*(points[ray[-1]] - points[ray[-2]])) / whole for ray in RAYS.values()]
    assert np.mean(bent) < 0.9 * np.mean(straight)


def test_kinds_are_read_and_take_turns():
    assert parse_kinds("atlas:4, infant:1") == {"atlas": 4, "infant": 1}
    assert parse_kinds("bent,infant") == {"bent": 1, "infant": 1}
    assert in_turn({"bent": 1, "infant": 1}) == ["bent", "infant"]
    assert in_turn({"atlas": 4, "infant": 1}) == ["atlas", "atlas", "infant", "atlas", "atlas"]
    assert sorted(in_turn({"atlas": 3, "bent": 2, "grown": 1})) == ["atlas"] * 3 + ["bent"] * 2 + ["grown"]


@pytest.mark.parametrize("kinds", ["adult", "", "infant:0", "infant:", "infant:x", "infant:-1", "infant,infant", "infant:1.5"])
def test_bad_kinds_are_told_in_one_line(monkeypatch, capsys, kinds):
    monkeypatch.setattr(sys, "argv", ["phantom", "--kinds", kinds])
    with pytest.raises(SystemExit) as error:
        command.main()
    said = capsys.readouterr().err.strip().splitlines()
    assert error.value.code == 2 and "--kinds" in said[-1]
    assert ("atlas, infant" in said[-1]) or ("share" in said[-1]) or ("twice" in said[-1])


@pytest.mark.slow
def test_kinds_in_a_data_set_do_not_change_with_the_workers_nor_what_stands_beside_them(tmp_path):
    counts = {"train": 3, "valid": 1, "test": 0}
    turns = [KINDS[kind] for kind in in_turn(parse_kinds("atlas:2,infant,hardware"))]
    for folder, workers in (("one", 1), ("two", 2)):
        write_data_set(tmp_path / folder, counts, seed=2, workers=workers, turns=turns)
    write_data_set(tmp_path / "atlas", {"train": 1, "valid": 0, "test": 0}, seed=2, workers=1)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert len(files) == 5
    assert all((tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes() for path in files)
    first = "train/synthetic_00001.jpg"
    assert (tmp_path / "one" / first).read_bytes() == (tmp_path / "atlas" / first).read_bytes()


def test_the_page_names_every_kind():
    page = (ROOT / "docs" / "training.md").read_text()
    assert all(f"`{kind}`" in page for kind in KINDS)
