"""The simulated reader that labels a set with the network in the loop: what it counts and writes, by value."""

from pathlib import Path

import numpy as np
from conftest import make_raw

from experiments import labelling_loop
from labelling.proposals import FRAME, Proposal
from labelling.session import Session
from radiographs.raw_folder import read_points

OFF_PX = np.array([0.0, 1.9, 2.1, 30.0, 1.0])  # of the 256 frame, of the made network's proposals: two are to be moved


def test_everything_is_labelled_and_counted(tmp_path, monkeypatch, capsys):
    """With a made network that is off by known lengths; the real commands are tried by the page's own test."""
    raw = make_raw(tmp_path / "raw")
    truth = read_points(raw / "all_coordinates.csv")

    def propose(session: Session, what: str) -> None:
        assert what == "train"
        for id in session.collection.paths:
            points = truth[id] + np.stack([OFF_PX * 90 / FRAME, np.zeros(5)], 1)
            session.proposals[id] = Proposal(points.astype(np.float32), np.full((5, 3), 3, np.float32), "made.pt 1", 1.0)

    tested = {}

    def train(data: Path, result: Path, *flags: object) -> dict:
        tested[data.parent.name] = read_points(data.parent / "raw" / "all_coordinates.csv")
        assert flags[-2:] == ("--init", "") and flags[1].startswith("64x")  # the recipe from random weights
        return {"ipe_px": float(len(tested))}

    monkeypatch.setattr(labelling_loop, "do_job", propose)
    monkeypatch.setattr(labelling_loop, "train", train)
    monkeypatch.setattr(labelling_loop, "prepare", lambda raw, out, sigma: None)
    monkeypatch.setattr("labelling.session.Session.compare_radiographs", lambda session: None)
    work = tmp_path / "work"
    words = [str(word) for word in ("--raw", raw, "--work", work, "--start", "random", "--first", 2)]
    labelling_loop.main(words)
    lines = capsys.readouterr().out.splitlines()[-7:]
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:6]] == ["0", "2", "3", "all"]
    assert lines[2] == "| 0 | 2 | 10 | 0 | 0 | - | 100 % |"
    assert lines[3] == "| 2 | 1 | 0 | 2 | 3 | 7.00 | 40 % |"
    assert lines[5] == "| all | 4 | 10 | 4 | 6 | 7.00 | 70 % |"
    assert lines[6] == "test IPE: 1.000 px from these labels, 2.000 px from the annotations"
    labelled = read_points(work / "raw" / "labels" / "readers" / "simulated.csv")
    assert set(labelled) == {"a1", "a2", "a3", "a4"}
    away = np.stack([np.linalg.norm((labelled[id] - truth[id]) * FRAME / (90, 120), axis=1) for id in sorted(labelled)])
    assert np.abs(away[:2]).max() < 0.01 and np.abs(away[2:] - [0, 1.9, 0, 0, 1.0]).max() < 0.01
    assert all(np.allclose(tested["truth"][id], truth[id], atol=1e-3) for id in truth)
    assert all(np.allclose(tested["labels"][id], {**truth, **labelled}[id], atol=1e-3) for id in truth)
    labelling_loop.main([*words, "--no-test"])  # once more: all is done
    assert capsys.readouterr().out.splitlines()[-1] == lines[5]
    labelling_loop.main(["--draw", str(work), "--out", str(tmp_path / "loop.png")])
    assert (tmp_path / "loop.png").stat().st_size > 5000
