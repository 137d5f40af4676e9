"""The simulated reader that labels a set with the network in the loop, in small."""

import numpy as np
from conftest import SMALL_RUN, make_raw

from experiments import labelling_loop
from labelling import jobs, rounds
from radiographs.raw_folder import read_points


def test_everything_is_labelled_and_counted(tmp_path, monkeypatch, capsys):
    quick = tmp_path / "quick_export.py"
    lines = ["from prediction import orientation", "orientation.STEPS = 3", "import export", "raise SystemExit(export.main())"]
    quick.write_text("\n".join(lines))
    monkeypatch.setattr(rounds, "EXPORT", str(quick))
    monkeypatch.setattr(rounds, "FEWEST", 3)
    monkeypatch.setenv("PYTHONPATH", str(jobs.ROOT))
    raw = make_raw(tmp_path / "raw")
    words = ["--raw", raw, "--work", tmp_path / "work", "--first", 3, "--prepare", "--size 64 --workers 1 --reference none"]
    labelling_loop.main([str(word) for word in (*words, "--", *SMALL_RUN, "--stages", "32x1")])
    text = capsys.readouterr().out.splitlines()
    assert text[0].startswith("| trained on | radiographs | placed") and text[2].startswith("| 0 | 3 | 15 | 0 | 0 |")
    assert text[-1].startswith("| all | 4 | ")
    truth = read_points(raw / "all_coordinates.csv")
    labelled = read_points(tmp_path / "work" / "raw" / "labels" / "readers" / "simulated.csv")
    assert set(labelled) == {"a1", "a2", "a3", "a4"}
    away = [np.linalg.norm((labelled[id] - truth[id]) * 256 / np.array([90, 120]), axis=1).max() for id in labelled]
    assert sorted(away)[-2] < 0.01 and max(away) <= labelling_loop.LIMIT_PX
