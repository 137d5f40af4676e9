"""A trained network is measured on what it may be measured on, and as predict.py would see it."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from conftest import LANDMARKS, SMALL_RUN, preprocess, train

import export
from dataloader import RadiographDataset
from evaluation import seen_radiographs
from main import main
from runtime.checkpoint import digest_of
from runtime.files import DataError
from training.sets import without_copies, without_measured


@pytest.fixture(scope="module")
def run(prepared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation") / "run"
    assert main([str(a) for a in ("--data", prepared, "--result", folder, *SMALL_RUN, "--stages", "32x1")]) == 0
    return folder


def measure(capsys, run, data, result, *more) -> tuple[int, str]:
    arguments = ("--mode", "test", "--checkpoint", run / "best.pt", "--data", data, "--result", result, *more)
    status = main([str(argument) for argument in arguments])
    return status, capsys.readouterr().err


def swapped(data, folder, first, second):
    """A copy of prepared data in which two radiographs have each other's split."""
    shutil.copytree(data, folder)
    table = folder / "landmarks.csv"
    lines = table.read_text().splitlines()
    (a, split_a), (b, split_b) = first, second
    for id, split, other in ((a, split_a, split_b), (b, split_b, split_a)):
        lines = [line.replace(f"{id},{split},", f"{id},{other},") for line in lines]
        for ending in (".png", ".npz"):
            (folder / split / f"{id}{ending}").rename(folder / other / f"{id}{ending}")
    table.write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.slow
def test_radiographs_that_it_was_trained_on_or_chosen_by_are_refused(run, prepared, tmp_path, capsys):
    for (id, split), purpose in ((("a2", "train"), "trained on"), (("b1", "valid"), "chosen by")):
        data = swapped(prepared, tmp_path / split, (id, split), ("c1", "test"))
        status, said = measure(capsys, run, data, tmp_path / f"{split}_result")
        assert status == 1 and f"was {purpose} 1 of the 2 radiographs of test ({id}): its errors there would be too small" in said
        assert measure(capsys, run, data, tmp_path / f"{split}_result", "--allow_seen")[0] == 0
        assert json.loads((tmp_path / f"{split}_result" / "test.json").read_text())["seen"] == {split: 1}
    for split in ("train", "valid"):  # to ask for the split is to be told
        asked = ("--mode", "test", "--checkpoint", run / "best.pt", "--data", prepared, "--result", tmp_path / "asked")
        assert main([str(argument) for argument in (*asked, "--test_on", split)]) == 0
        assert ("has learnt from 4 of these 4 radiographs" in capsys.readouterr().out) == (split == "train")


def test_a_copy_is_recognised_on_another_machine(raw, prepared, tmp_path):
    """Saved again as JPEG under another name, matched to another reference; and cropped."""
    train = RadiographDataset(prepared, "train")
    copies = tmp_path / "copies"
    shutil.copytree(raw, copies)
    for path in (copies / "test").iterdir():
        path.unlink()
    kept = [line for line in (raw / "all_coordinates.csv").read_text().splitlines() if not line.startswith("c")]
    table = {line.split(",")[0]: [float(value) for value in line.split(",")[1:]] for line in kept}
    iio.imwrite(copies / "test" / "c1.jpg", iio.imread(raw / "train" / "a2.png"), quality=80)
    kept.append(",".join(["c1", *map(str, table["a2"])]))
    (copies / "all_coordinates.csv").write_text("\n".join(kept) + "\n")
    assert preprocess(copies, tmp_path / "again", "--reference", "a3").returncode == 0
    again = RadiographDataset(tmp_path / "again", "test")
    assert not set(again.picture_digests) & set(train.picture_digests) and again.known_by(train.marks()) == ["c1"]
    assert RadiographDataset(prepared, "test").known_by(train.marks()) == []

    assert preprocess(raw, tmp_path / "cropped", "--crop").returncode == 0
    cropped = RadiographDataset(tmp_path / "cropped", "train")
    assert not set(cropped.picture_digests) & set(train.picture_digests) and train.known_by(cropped.marks()) == train.ids


def test_what_the_test_has_too_is_not_learnt_from(raw, prepared, tmp_path, capsys):
    """A training radiograph that lies in the test saved again: as in ISBI 2015, twenty times."""
    copies = tmp_path / "copies"
    shutil.copytree(raw, copies)
    (copies / "test" / "c1.png").unlink()
    iio.imwrite(copies / "test" / "c1.jpg", iio.imread(raw / "train" / "a2.png"), quality=80)
    assert preprocess(copies, tmp_path / "data").returncode == 0
    given = ("--data", tmp_path / "data", "--result", tmp_path / "run", *SMALL_RUN, "--stages", "32x1")
    assert main([*map(str, given)]) == 0
    said = capsys.readouterr().out
    assert "train: 1 of 4 radiographs are left out; test has them too (a2)\n" in said
    state = torch.load(tmp_path / "run" / "best.pt", weights_only=True)
    assert not seen_radiographs(state, RadiographDataset(tmp_path / "data", "test"))
    assert len(RadiographDataset(prepared, "train").known_by(state["seen"]["train"])) == 3
    export.export(tmp_path / "run" / "best.pt", tmp_path / "data", tmp_path / "weights.pt", seed=0, steps=0)
    capsys.readouterr()
    assert main([*map(str, given), "--allow_seen", "--result", str(tmp_path / "seen")]) == 0
    assert "test has them too" not in capsys.readouterr().out
    assert json.loads((tmp_path / "seen" / "test.json").read_text())["seen"] == {"train": 1}
    everything = RadiographDataset(tmp_path / "data", "train")
    with pytest.raises(DataError, match="all radiographs of train are in test too"):
        without_measured({"train": everything, "test": everything}, "test")
    capsys.readouterr()
    assert without_copies(everything.subset(np.array([0, 1, 0]), "train")).ids == everything.ids[:2]
    assert capsys.readouterr().out == "train: 1 of 3 radiographs are left out, copies of others (a1 is a1)\n"


def test_radiographs_that_are_measured_on_are_not_learnt_from_by_another_folder(raw, prepared, tmp_path, capsys):
    assert preprocess(raw, tmp_path / "cropped", "--crop").returncode == 0
    ran = train(prepared, tmp_path / "run", "--folds", 2, "--also", tmp_path / "cropped")
    assert (
        ran.returncode == 1
        and "cropped: has 4 radiographs that are measured on (a1, a2, " in ran.stderr
        and not (tmp_path / "run").exists()
    )


def test_training_radiographs_do_not_calibrate(run, prepared, tmp_path, capsys):
    def judges(data: Path) -> list[export.Judge]:
        sets = (RadiographDataset(data, split) for split in ("train", "valid"))
        return export.judges_of(run / "best.pt", torch.load(run / "best.pt", weights_only=True), *sets)

    data = swapped(prepared, tmp_path / "one", ("a2", "train"), ("b2", "valid"))
    ((_, left),) = judges(data)
    assert left.ids == ["b1"]
    assert "was trained on 1 radiographs of valid (a2); they are left out" in capsys.readouterr().out
    data = swapped(data, tmp_path / "both", ("a1", "train"), ("b1", "valid"))
    with pytest.raises(DataError, match=r"was trained on 2 radiographs of valid \(a1, a2\); take others"):
        judges(data)


def test_a_network_passes_on_what_it_started_from(run, prepared, tmp_path, capsys):
    """Fine-tuned on other radiographs, it still has seen those of its beginning."""
    other = swapped(prepared, tmp_path / "data", ("a2", "train"), ("c1", "test"))
    more = (*SMALL_RUN, "--stages", "32x2", "--init", run / "best.pt")
    ran = train(other, tmp_path / "on", *more)
    assert ran.returncode == 1 and "was trained on 1 of the 2 radiographs of test (a2)" in ran.stderr
    assert not (tmp_path / "on").exists()  # said before anything is learnt
    assert train(other, tmp_path / "on", *more, "--test_on", "valid").returncode == 0
    state = torch.load(tmp_path / "on" / "last.pt", weights_only=True)
    assert seen_radiographs(state, RadiographDataset(prepared, "test")) == {"train": ["c1"]}
    assert seen_radiographs(state, RadiographDataset(other, "test")) == {"train": ["a2"]}
    (tmp_path / "on" / "previous.pt").replace(tmp_path / "on" / "last.pt")
    assert train(other, tmp_path / "on", *more, "--resume").returncode == 1  # a continued run knows it too


def test_data_prepared_otherwise_are_refused(run, prepared, raw, tmp_path, capsys):
    assert preprocess(raw, tmp_path / "other", "--reference", "a2").returncode == 0
    status, said = measure(capsys, run, tmp_path / "other", tmp_path / "result")
    assert status == 1 and "expected histograms matched to its own reference (a1)" in said and "to another (a2)" in said
    assert preprocess(raw, tmp_path / "none", "--reference", "none").returncode == 0
    assert measure(capsys, run, tmp_path / "none", tmp_path / "result")[0] == 1
    assert not (tmp_path / "result" / "test.json").exists()

    # the mend that is named: match to the reference of the checkpoint
    assert preprocess(raw, tmp_path / "again", "--reference", run / "best.pt").returncode == 0
    assert measure(capsys, run, tmp_path / "again", tmp_path / "result")[0] == 0
    again, before = RadiographDataset(tmp_path / "again", "test"), RadiographDataset(prepared, "test")
    assert again.picture_digests == before.picture_digests
    refused = preprocess(raw, tmp_path / "other size", "--reference", run / "best.pt", "--size", 128)
    assert refused.returncode == 1 and "prepare with --size 64" in refused.stderr

    # a px of cropped ones is less of the hand, and the network has never seen such pictures
    assert preprocess(raw, tmp_path / "cropped", "--reference", run / "best.pt", "--crop").returncode == 0
    status, said = measure(capsys, run, tmp_path / "cropped", tmp_path / "cropped_result")
    assert status == 1 and said.count("\n") == 1
    assert "expected radiographs prepared without --crop, found radiographs prepared with --crop in" in said


def test_figures_of_another_network_stay(run, prepared, tmp_path, capsys):
    result = tmp_path / "result"
    assert measure(capsys, run, prepared, result)[0] == 0
    before = (result / "test.json").read_text()
    assert measure(capsys, run, prepared, result)[0] == 0  # the same again
    other = tmp_path / "other"
    assert train(prepared, other, "--stages", "32x1", "--seed", 1).returncode == 0
    status, said = measure(capsys, other, prepared, result)
    assert status == 1 and "test.json: is of other weights; choose another --result" in said
    assert (result / "test.json").read_text() == before
    assert digest_of({"a": torch.ones(2)}) == digest_of({"a": torch.ones(2).half()}) != digest_of({"a": torch.zeros(2)})


def test_a_finder_learns_from_the_same_landmarks_alone(monkeypatch):
    def of(names: str) -> SimpleNamespace:
        return SimpleNamespace(folder="data", joint=SimpleNamespace(names=tuple(names)))

    monkeypatch.setattr(export, "RadiographDataset", lambda folder, split: of(folder.name))
    own = of("abc")
    for name, said in (("ab", "expected 3 landmarks as in data, found 2"), ("acb", "but landmark 1 is 'c' instead of 'b'")):
        with pytest.raises(DataError, match=f"^{name}: .*{said}; leave it out$"):
            export.of_same_landmarks(own, [Path(name)])
    assert [one.joint.names for one in export.of_same_landmarks(own, [Path("abc"), Path("012")])] == [tuple("abc"), tuple("012")]


def test_weights_say_what_they_have_seen(weights, prepared):
    state = torch.load(weights, weights_only=True)
    assert state["seen"] == {split: RadiographDataset(prepared, split).marks() for split in ("train", "valid")}


@pytest.mark.slow
def test_bfloat16_from_end_to_end(prepared, trained, tmp_path):
    """It learns, resumes to the same bytes, and finds nearly what float32 finds."""
    flags = ("--stages", "32x30 64x10", "--channels", 16, "--learning_rate", 3e-3, "--warmup", 10, "--precision", "bfloat16")
    assert train(prepared, tmp_path, *flags).returncode == 0
    whole = (tmp_path / "test.json").read_text()
    figures, by_float32 = json.loads(whole), json.loads((trained / "test.json").read_text())
    assert figures["precision"] == "bfloat16" and figures["landmarks"] == 2 * LANDMARKS
    assert figures["ipe_px"] == pytest.approx(by_float32["ipe_px"], abs=0.5) and figures["ipe_px"] < 2
    (tmp_path / "previous.pt").replace(tmp_path / "last.pt")
    assert train(prepared, tmp_path, *flags, "--resume").returncode == 0
    assert (tmp_path / "test.json").read_text() == whole
