"""Cross-validation: parts that cover everything once, networks that have not seen what they are measured on."""

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import LANDMARKS, SMALL_RUN, SPLITS, make_raw, preprocess, rows_of

import export
from dataloader import RadiographDataset
from labelling.proposals import read_predictions
from main import main, read_settings
from runtime.files import DataError
from training import cross_validation, judgement, sets
from training.cross_validation import Outcome, settings_of_all
from training.judgement import tell_disagreements
from training.sets import parts, tell_mistaken, without_mistaken

pytestmark = pytest.mark.slow

HELD = [*SPLITS["train"], *SPLITS["valid"]]


def cross_validated(capsys, data, result, *more) -> tuple[int, str]:
    """Exit status of main.py, and all that it said."""
    flags = ("--data", data, "--result", result, *SMALL_RUN, "--stages", "32x2", *more)
    status = main([str(flag) for flag in flags])
    return status, "".join(capsys.readouterr())


def placed(rows) -> set[tuple]:
    return {tuple(row[name] for name in ("image", "landmark", "true_x_px", "true_y_px", "x_px", "y_px", "peak")) for row in rows}


def test_parts_cover_everything_once():
    divided = parts(11, 3)
    assert sorted(map(len, divided)) == [3, 4, 4]
    assert np.array_equal(np.sort(np.concatenate(divided)), np.arange(11))
    assert all(np.array_equal(one, same) for one, same in zip(divided, parts(11, 3)))
    for folds in (1, 12):
        with pytest.raises(DataError, match=f"expected 2 to 11, .* found {folds}"):
            parts(11, folds)


def test_only_a_cross_validation_of_as_many_folds_is_gone_on_with(data, tmp_path, capsys):
    """Before anything is trained; and one that was killed in its first fold, between two files, is not begun anew."""
    run = tmp_path / "run"
    assert cross_validated(capsys, data, run)[0] == 0
    status, said = cross_validated(capsys, data, run, "--folds", 3, "--resume")
    assert status == 1 and "last.pt: made with other settings (folds 0 -> 3)" in said and not (run / "fold_1").exists()
    status, said = cross_validated(capsys, data, tmp_path / "typo", "--folds", 3, "--resume")
    assert status == 1 and "typo: expected a run to go on with, found none" in said and not (tmp_path / "typo").exists()
    begun = tmp_path / "begun" / "fold_1"
    begun.mkdir(parents=True)
    (run / "last.pt").rename(begun / "previous.pt")
    status, said = cross_validated(capsys, data, begun.parent, "--folds", 3)
    assert status == 1 and "previous.pt: an earlier run is there; go on with --resume" in said
    (begun.parent / "last.pt").write_bytes(b"damaged")  # says nothing of its folds; what the first fold holds does
    status, said = cross_validated(capsys, data, begun.parent, "--folds", 3, "--resume")
    assert status == 1 and "fold_1/previous.pt: made with other settings (folds 0 -> 3" in said


def test_the_network_of_all_takes_the_medians_of_the_folds():
    def outcome(epochs: tuple[int, int, int], tree: bool, second: float) -> Outcome:
        rows = [{"look": 1, "size": size, "valid_ipe_px": 3.0} for size, count in zip((64, 128), epochs) for _ in range(count)]
        return Outcome(rows + [{"look": 2, "size": 512, "valid_ipe_px": second}] * epochs[2], tree, 2.0, "")

    folds = [outcome((2, 6, 9), True, 1.5), outcome((4, 5, 7), True, 1.8), outcome((8, 9, 8), False, 2.1)]
    found = settings_of_all(read_settings(["--stages", "64 128"]), folds)
    assert found == {"shape_tree": "on", "stages": "64x4 128x6", "schedule": "fall", "second_look": 8}
    assert settings_of_all(read_settings(["--stages", "64 128"]), [outcome((2, 2, 2), False, 2.5)])["second_look"] == 0
    given = read_settings(["--stages", "64x3", "--second_look", "2", "--shape_tree", "off"])
    assert settings_of_all(given, folds) == {}
    assert settings_of_all(given, [outcome((2, 2, 2), False, 2.5)]) == {"second_look": 0}  # it has lost


def test_annotations_that_a_sure_network_disagrees_with_are_listed(prepared, tmp_path):
    """Of three radiographs one is off by 10 px of 64 at one landmark, one by 20, and one by 30 where the network is unsure."""
    data = RadiographDataset(prepared, "train")
    points, peaks = data.points_network_px.copy(), np.ones(data.points_network_px.shape[:2])
    for i, off in enumerate((10, 20, 30)):
        points[i, 2, 0] += off
    peaks[2, 2] = 0.05
    assert tell_disagreements(tmp_path, data, points, peaks) == [data.ids[1], data.ids[0]]
    found, names, unknown = read_predictions(tmp_path / "disagreements", {id: Path(f"train/{id}.png") for id in data.ids})
    assert unknown == 0 and len(names) == LANDMARKS and list(found) == [data.ids[1], data.ids[0]]
    one = found[data.ids[1]]
    assert one.disagrees and one.doubt == pytest.approx(20 / 64)
    assert one.points_px - data.points_px[1] == pytest.approx(shifted(data, 20), abs=1e-3)


def test_a_plain_training_lists_annotations_of_validation_that_it_disagrees_with(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(judgement, "LOST", -1.0)  # all count as such
    status, said = cross_validated(capsys, data, tmp_path)
    assert status == 0 and "a network that is sure disagrees with the annotations of 2, the worst first (" in said
    assert f"python label.py --raw FOLDER --review {tmp_path / 'disagreements'}\n" in said
    rows = rows_of(tmp_path / "disagreements" / "landmarks.csv")
    assert {row["image"] for row in rows} == set(RadiographDataset(data, "valid").ids)


def shifted(data, off: float) -> np.ndarray:
    """Landmark 2 moved by some network-frame px to the right, in px of the second radiograph."""
    return np.where(np.arange(LANDMARKS)[:, None] == 2, [off * data.sizes_px[1, 0] / 64, 0], 0)


def test_every_radiograph_is_predicted_by_a_network_that_has_not_seen_it(data, tmp_path, capsys):
    run = tmp_path / "run"
    status, said = cross_validated(capsys, data, run, "--folds", 3)
    assert status == 0, said
    pooled = rows_of(run / "out_of_fold_landmarks.csv")
    assert sorted({row["image"] for row in pooled}) == sorted(HELD)
    whole = RadiographDataset(data, "train").concat([RadiographDataset(data, "valid")])
    of_folds = []
    for k in (1, 2, 3):
        held_out = {row["image"] for row in rows_of(run / f"fold_{k}" / "held_out_landmarks.csv")}
        state = torch.load(run / f"fold_{k}" / "best.pt", weights_only=True)
        assert state["epoch"] == 2  # the last: none is chosen
        rest = whole.subset(np.array([i for i, id in enumerate(whole.ids) if id not in held_out]), "train")
        assert set(state["seen"]["train"]) == set(rest.marks())
        of_folds += [json.loads((run / f"fold_{k}" / "held_out.json").read_text())["ipe_px"]]
        assert placed(row for row in pooled if row["image"] in held_out) == placed(
            rows_of(run / f"fold_{k}" / "held_out_landmarks.csv")
        )
    figures = json.loads((run / "out_of_fold.json").read_text())
    assert figures["images"] == len(HELD) and figures["ipe_px_of_folds"] == of_folds
    errors = [float(row["error_px"]) for row in pooled]
    assert figures["ipe_px"] == pytest.approx(np.mean(errors), abs=1e-4)
    assert f"{np.mean(of_folds):.3f} ± {np.std(of_folds, ddof=1):.3f} px" in said
    assert [f"folds to go: {k}, then the network of all: about " in said for k in range(4)] == [True, True, True, False]
    assert json.loads((run / "test.json").read_text())["images"] == len(SPLITS["test"])
    assert {row["valid_ipe_px"] for row in rows_of(run / "metrics.csv")} == {""}

    assert "NOT LEARNT" in said  # two epochs of a tiny network

    export.export(run / "best.pt", None, run / "weights.pt", seed=0, steps=2)
    made = torch.load(run / "weights.pt", weights_only=True)
    assert made["held_out"] == {"radiographs": len(HELD), "folds": 3}
    assert made["held_out_ipe_px"] == pytest.approx(figures["ipe_px"], abs=0.02)
    assert f"exchangeable with the {len(HELD)} held-out ones" in capsys.readouterr().out
    status, said = cross_validated(capsys, data, run, "--resume")
    assert status == 1 and "last.pt: made with other settings (folds 3 -> 0, other radiographs" in said
    (run / "fold_1").rename(run / "other")
    (run / "fold_2").rename(run / "fold_1")
    (run / "other").rename(run / "fold_2")
    with pytest.raises(DataError, match=r"fold_1/best\.pt: was trained on"):
        export.export(run / "best.pt", None, run / "again.pt", seed=0, steps=2)


def test_a_cross_validation_goes_on(data, tmp_path, capsys):
    """Without the last fold's end and the network of all, it comes to the same numbers; with other settings it does not go on."""
    flags = ("--folds", 2, "--test_on", "valid")
    assert cross_validated(capsys, data, tmp_path / "whole", *flags)[0] == 0
    status, said = cross_validated(capsys, data, tmp_path / "whole", *flags)
    assert status == 1 and "an earlier run is there" in said
    cut = tmp_path / "cut"
    (tmp_path / "whole").rename(cut)
    before = (cut / "out_of_fold_landmarks.csv").read_text(), torch.load(cut / "best.pt", weights_only=True)["weights"]
    tables = ["out_of_fold_landmarks.csv", "fold_2/held_out_landmarks.csv"]
    for name in ("best.pt", "last.pt", "previous.pt", "fold_2/last.pt", *tables):
        (cut / name).unlink()
    (cut / "fold_2" / "previous.pt").rename(cut / "fold_2" / "last.pt")
    status, said = cross_validated(capsys, data, cut, *flags, "--learning_rate", "1e-5", "--resume")
    assert status == 1 and "fold_1/last.pt: made with other settings" in said
    status, said = cross_validated(capsys, data, cut, *flags, "--resume")
    assert status == 0 and "going on after epoch 1 of 2" in said and "folds to go" not in said, said
    assert (cut / "out_of_fold_landmarks.csv").read_text() == before[0]
    again = torch.load(cut / "best.pt", weights_only=True)["weights"]
    assert all(torch.equal(before[1][name], again[name]) for name in again)
    assert not (cut / "valid.json").exists()


def test_folds_start_from_those_of_another_cross_validation(data, tmp_path, capsys):
    """Each from its own, so that none has seen what it is measured on; and any run may start one."""
    assert cross_validated(capsys, data, tmp_path / "plain", "--stages", "32x1")[0] == 0
    first = ("--folds", 2, "--test_on", "valid", "--init", tmp_path / "plain" / "best.pt")
    status, said = cross_validated(capsys, data, tmp_path / "leaky", *first)
    assert status == 1 and "was trained on" in said  # the first run has seen what the folds hold out
    state = torch.load(tmp_path / "plain" / "best.pt", weights_only=True)
    torch.save(state | {"seen": {"train": RadiographDataset(data, "test").marks()}}, tmp_path / "of_test.pt")
    status, said = cross_validated(capsys, data, tmp_path / "late", "--folds", 2, "--init", tmp_path / "of_test.pt")
    assert status == 1 and "was trained on 2 of the 2 radiographs of test" in said and not (tmp_path / "late").exists()
    still = ("--folds", 2, "--test_on", "valid", "--learning_rate", "1e-12", "--ridge", 0)
    assert cross_validated(capsys, data, tmp_path / "one", *still[:4])[0] == 0
    assert cross_validated(capsys, data, tmp_path / "two", *still, "--init", tmp_path / "one")[0] == 0
    for name in ("fold_1/best.pt", "fold_2/best.pt", "best.pt"):
        one, two = (torch.load(tmp_path / run / name, weights_only=True)["weights"] for run in ("one", "two"))
        assert all(torch.allclose(one[key], two[key], atol=1e-6) for key in one), name


def test_hours_are_those_of_all_networks_together(data, tmp_path, capsys, monkeypatch):
    """Hardly a second: the folds end early, and the network of all takes their epochs. A fold without landmarks has no figure."""
    pooled = cross_validation.pool

    def pool(*of):
        figures, *more = pooled(*of)
        return figures | {"ipe_px_of_folds": [None, 2.0, 4.0]}, *more

    monkeypatch.setattr(cross_validation, "pool", pool)
    status, said = cross_validated(capsys, data, tmp_path / "run", "--folds", 2, "--stages", "32 64", "--hours", 1e-4)
    assert status == 0 and "training ended too early: 0 minutes are left" in said, said
    assert "over folds: 3.000 ± 1.414 px" in said  # blank where no radiograph of the fold has a landmark
    epochs = int(re.search(r"the network of all: --stages '32x(\d)', as the folds", said)[1])
    assert len(rows_of(tmp_path / "run" / "metrics.csv")) == epochs


def test_folds_need_no_validation_and_no_test_radiographs(tmp_path, capsys):
    """All in train, one of them without landmarks that count: prepared, measured, and a network of all; without folds a tenth."""
    raw = make_raw(tmp_path / "raw")
    for split in ("valid", "test"):
        for path in (raw / split).iterdir():
            path.rename(raw / "train" / path.name)
        (raw / split).rmdir()
    ran = preprocess(raw, tmp_path / "data")
    assert ran.returncode == 0 and "valid: no radiographs; `--folds 5` of main.py does without" in ran.stdout
    status, said = cross_validated(capsys, tmp_path / "data", tmp_path / "run", "--folds", 2)
    everything = sum(map(len, SPLITS.values()))
    assert status == 0 and f"{everything} radiographs out of fold" in said and not (tmp_path / "run" / "test.json").exists()
    export.export(tmp_path / "run" / "best.pt", None, tmp_path / "weights.pt", seed=0, steps=0)
    assert torch.load(tmp_path / "weights.pt", weights_only=True)["held_out"] == {"radiographs": everything, "folds": 2}
    capsys.readouterr()
    status, said = cross_validated(capsys, tmp_path / "data", tmp_path / "plain")
    assert status == 0 and "valid: none are given; 1 of train, drawn at random, are held out" in said
    assert "test: no radiographs, so nothing is measured on such" in said
    for path in (raw / "train").glob("[!a]*"):
        path.unlink()
    for id in ("a2", "a3", "a4"):
        (raw / "train" / f"{id}.png").unlink()
    (raw / "all_coordinates.csv").write_text((raw / "all_coordinates.csv").read_text().splitlines()[0])
    assert preprocess(raw, tmp_path / "one").returncode == 0
    status, said = cross_validated(capsys, tmp_path / "one", tmp_path / "single")
    assert status == 0 and "valid: none are given; the only radiograph of train is validated on too" in said, said
    assert "nearly the same picture" not in said  # it is that on purpose
    assert "next, to use it" not in said  # export.py would refuse: nothing is held out


def test_mistaken_annotations_are_left_out_of_all_that_is_learnt_from(data, monkeypatch):
    """Of validation too where a cross-validation learns from it, and of other folders."""
    monkeypatch.setattr(sets, "mistaken", lambda points: {0: 1})
    settings = read_settings(["--data", str(data), "--also", str(data), "--folds", "2"])
    of_folds, (extra,) = sets.load_splits(settings), sets.load_extra(settings)
    assert {split: len(one) for split, one in of_folds.items()} == {"train": 3, "valid": 1, "test": 2} and len(extra) == 3
    assert len(sets.load_splits(replace(settings, folds=0))["valid"]) == 2


def test_random_weights_are_not_taken_for_the_network_that_lies_in_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("best.pt").touch()
    began = []

    def train(settings, *_):
        began.append(settings.init)
        return SimpleNamespace(test=lambda data: None, history=[], tree=None, first_ipe_px=1.0, unfinished="")

    cross_validation.train_fold(read_settings(["--init="]), tmp_path / "run", 1, [], [], train)
    assert began == [""]


def test_annotations_in_another_order_are_not_learnt_from(capsys):
    rng = np.random.default_rng(0)
    points = np.stack([np.full(6, 30.0), 10.0 * np.arange(6)], 1) + rng.normal(0, 0.5, (30, 6, 2))
    points[4] = np.roll(points[4], -1, 0)
    data = SimpleNamespace(
        points_network_px=points, ids=[f"a{i}" for i in range(30)], joint=SimpleNamespace(names=tuple("uvwxyz")), split="train"
    )
    data.__dict__["subset"] = lambda indices, split: [data.ids[i] for i in indices]
    assert without_mistaken(data) == [f"a{i}" for i in range(30) if i != 4]
    said = capsys.readouterr().out
    assert said.startswith("train: 1 left out") and "(a4: landmark z)" in said
    points[4] = points[5]
    assert without_mistaken(data) is data and not capsys.readouterr().out


def test_measured_annotations_in_another_order_are_told(capsys):
    rng = np.random.default_rng(0)
    points = np.stack([np.full(6, 30.0), 10.0 * np.arange(6)], 1) + rng.normal(0, 0.5, (30, 6, 2))
    points[[2, 27]] = np.roll(points[[2, 27]], -1, 1)  # one that is learnt from, and is told elsewhere, and one of validation
    joint = SimpleNamespace(names=tuple("uvwxyz"))
    train = SimpleNamespace(points_network_px=points[:25], ids=[f"a{i}" for i in range(25)])
    valid = SimpleNamespace(points_network_px=points[25:], ids=[f"b{i}" for i in range(5)], joint=joint, split="valid")
    tell_mistaken(valid, train)
    odd = "1 whose landmarks lie as in no other, maybe in another order (b2: landmark z)"
    assert capsys.readouterr().out == f"valid: {odd}, are measured all the same; correct their annotations\n"
