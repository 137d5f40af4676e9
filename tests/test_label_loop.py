"""The simulated reader that labels a set with the network in the loop: what it counts and writes, by value."""

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

    def propose(session: Session) -> None:
        for id in session.collection.paths:
            points = truth[id] + np.stack([OFF_PX * 90 / FRAME, np.zeros(5)], 1)
            session.proposals[id] = Proposal(points.astype(np.float32), np.full(5, 3, np.float32), "made.pt 1", 1.0)

    monkeypatch.setattr(labelling_loop, "train", propose)
    monkeypatch.setattr("labelling.session.Session.compare_radiographs", lambda session: None)
    labelling_loop.main([str(word) for word in ("--raw", raw, "--work", tmp_path / "work", "--first", 2)])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:]] == ["0", "2", "3", "all"]
    assert lines[2] == "| 0 | 2 | 10 | 0 | 0 | - | 100 % |"
    assert lines[3] == "| 2 | 1 | 0 | 2 | 3 | 7.00 | 40 % |"
    assert lines[5] == "| all | 4 | 10 | 4 | 6 | 7.00 | 70 % |"
    labelled = read_points(tmp_path / "work" / "raw" / "labels" / "readers" / "simulated.csv")
    assert set(labelled) == {"a1", "a2", "a3", "a4"}
    away = np.stack([np.linalg.norm((labelled[id] - truth[id]) * FRAME / (90, 120), axis=1) for id in sorted(labelled)])
    assert np.abs(away[:2]).max() < 0.01 and np.abs(away[2:] - [0, 1.9, 0, 0, 1.0]).max() < 0.01
