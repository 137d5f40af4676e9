"""After a cross-validation: annotations that a network which has not seen them disagrees with, though it is sure."""

from pathlib import Path

import numpy as np

from dataloader import RadiographDataset
from heatmap import rescale
from metrics import point_errors
from runtime.files import write_csv
from training.judgement import LOST

FOLDER = "disagreements"  # subfolder of the run; label.py --review takes it as an output of predict.py


def write_disagreements(result: Path, data: RadiographDataset, points_network_px: np.ndarray, peaks: np.ndarray) -> list[str]:
    """Write RESULT/disagreements/landmarks.csv with what was found in these radiographs, as predict.py does; return their IDs.

    A landmark's disagreement is its error times the height of its peak, (N, L) at most 1: the radiograph's is that of its worst
    landmark, and counts from LOST of the frame's longer side on. The worst come first.
    """
    apart = np.nan_to_num(point_errors(points_network_px, data.points_network_px) * peaks.clip(0, 1)).max(1)
    worst = [i for i in np.argsort(-apart) if apart[i] > LOST * data.size]
    found = rescale(points_network_px, (data.sizes_px / data.frame[::-1])[:, None])
    rows = [
        {
            "image": data.ids[i],
            "hand": 1,
            "name": name,
            "x": found[i, k, 0],
            "y": found[i, k, 1],
            "confidence": peaks[i, k],
            "semi_major": "",
            "semi_minor": "",
            "angle": "",
            "landmark_flags": "",
            "doubt": apart[i] / data.size,
        }
        for i in worst
        for k, name in enumerate(data.joint.names)
    ]
    table = result / FOLDER / "landmarks.csv"
    table.unlink(missing_ok=True)
    if rows:
        table.parent.mkdir(exist_ok=True)
        write_csv(table, rows)
    return [data.ids[i] for i in worst]
