"""Weights know what they say of one picture, so that a machine that computes otherwise is found out before it predicts."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT

import export
from dataloader import RadiographDataset
from phantom.drawing import draw_hand
from predict import main
from prediction import known_picture
from prediction.known_answer import off_px
from prediction.predictor import Predictor
from runtime.checkpoint import read_checkpoint
from runtime.files import DataError

CONVOLVE = F.conv2d


def break_convolutions(monkeypatch, only_bfloat16: bool) -> None:
    """Sums that belong three pixels further on."""

    def convolve(x, *others, **more):
        wrong = not only_bfloat16 or torch.is_autocast_enabled("cpu")
        return CONVOLVE(x, *others, **more).roll(3 if wrong else 0, -1)

    monkeypatch.setattr(F, "conv2d", convolve)


@pytest.fixture(scope="module")
def knowing(trained, prepared, tmp_path_factory):
    """Weights of a network of made radiographs, with their known answer; their median picture is that of four."""
    path = tmp_path_factory.mktemp("knowing") / "small.pt"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known_picture, "FEWEST", 4)
        export.export(trained / "best.pt", prepared, path, seed=0, steps=0)
    return path


def test_a_right_machine_is_not_spoken_of(knowing, capsys):
    for precision in ("float32", "bfloat16"):
        assert Predictor(knowing, "cpu", precision=precision).precision == precision
    assert capsys.readouterr().out == ""


def test_a_wrong_precision_is_done_without(knowing, monkeypatch, capsys):
    break_convolutions(monkeypatch, only_bfloat16=True)
    assert Predictor(knowing, "cpu", precision="bfloat16").precision == "float32"
    said = capsys.readouterr().out
    assert f"{knowing}: landmarks of its known picture are" in said and "off in bfloat16 on this CPU with torch" in said
    assert said.endswith("; using float32\n") and said.count("\n") == 1


def test_a_wrong_machine_is_refused(knowing, raw, tmp_path, monkeypatch, capsys):
    break_convolutions(monkeypatch, only_bfloat16=False)
    with pytest.raises(DataError, match=r"px off on this CPU with torch .*, which computes wrongly: install another version"):
        Predictor(knowing, "cpu", precision="float32")
    arguments = [str(raw / "test"), "--weights", str(knowing), "--precision", "float32", "--out"]
    assert main([*arguments, str(tmp_path / "refused")]) == 1 and "computes wrongly" in capsys.readouterr().err
    assert main([*arguments, str(tmp_path / "all the same"), "--no-check"]) == 0


@pytest.mark.slow
def test_a_wrong_engine_is_refused(knowing, tmp_path, monkeypatch):
    main(["--weights", str(knowing), "--export", str(tmp_path / "small.onnx")])
    assert Predictor(knowing, "cpu", engine=tmp_path / "small.onnx")
    whole = np.ascontiguousarray
    monkeypatch.setattr(np, "ascontiguousarray", lambda given: np.roll(whole(given), 9, -1))
    with pytest.raises(DataError, match="px off by this --engine: leave it out, or export it again"):
        Predictor(knowing, "cpu", engine=tmp_path / "small.onnx")


def test_the_picture_shows_no_radiograph(prepared, capsys, monkeypatch):
    """Of few radiographs there is none; of more it is their median, laid over each other; of hands a synthetic one."""
    data = RadiographDataset(prepared, "train")
    assert known_picture.picture_for(data) is None
    monkeypatch.setattr(known_picture, "FEWEST", 4)
    picture = known_picture.picture_for(data)
    assert picture.shape == data.frame and picture.dtype == np.uint8
    alike = [np.corrcoef(picture.ravel(), one.ravel())[0, 1] for one in map(data.picture, range(len(data)))]
    assert 0.5 < min(alike) and max(alike) < 0.999
    drawn, _ = draw_hand(known_picture.SEED)
    monkeypatch.setattr(known_picture, "shaped_as", lambda points: object())
    hand = known_picture.picture_for(data)
    assert hand.shape == data.frame and hand.std() > 20 and drawn.shape != hand.shape


def test_the_shipped_weights_know_theirs():
    for name in ("scn_hand.pt", "scn_synthetic.pt"):
        state = read_checkpoint(ROOT / "weights" / name)
        predictor = Predictor(state, "cpu", check=False)
        assert state["known_answer"]["picture"].shape == (256, 256) and off_px(predictor, state["known_answer"]) < 0.05
