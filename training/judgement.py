"""Whether a network has learnt its landmarks: its held-out errors beside what no learning would give, and beside annotators'."""

from dataclasses import dataclass

import numpy as np

from dataloader import RadiographDataset
from metrics import ipe, point_errors
from training.annotators import compare
from training.plan import mean_shape_error

LOST = 0.03  # share of the frame's longer side: mean error from which on a radiograph is lost
MOST_LOST = 0.2  # share of the radiographs that a network which has learnt may lose
MUCH = 0.5  # share of the mean shape's error that such a network may have
REMEDY = (
    "train longer (--hours 2, or more epochs), look at the worst radiographs (the pictures of the run; python main.py --mode "
    "check), or annotate more"
)


@dataclass
class Judgement:
    learnt: bool
    words: str  # a line


def judge(
    data: RadiographDataset, points_network_px: np.ndarray, train_points_network_px: np.ndarray, unfinished: str = ""
) -> Judgement:
    """Judge what a network says (N, L, 2) of radiographs that it has not learnt from.

    `train_points_network_px` (M, L, 2) are the annotations that it has; `unfinished`: why its training ended too early.
    """
    errors = ipe(point_errors(points_network_px, data.points_network_px))
    errors = errors[np.isfinite(errors)]
    if not errors.size:
        return Judgement(False, "held-out radiographs show no landmark, so nothing says whether the network has learnt")
    mean_shape = mean_shape_error(train_points_network_px, data.points_network_px)
    lost, size = int((errors > LOST * data.size).sum()), LOST * data.size
    facts = [
        f"{errors.mean():.2f} px on {len(errors)} held-out radiographs, half of them below {np.median(errors):.2f} px, where the "
        f"mean of all annotations has {mean_shape:.2f} px",
        f"{lost} lost, by more than {size:.1f} px on average",
    ]
    if len(data.annotators) > 1:
        figures, _ = compare(data, points_network_px, np.full((len(data), 1, 2), np.nan))  # no millimetres are needed
        if share := figures.get("share_of_readers_distance"):
            facts.append(f"{share:.2f} of the annotators' distance")
    reasons = {
        "too many are lost": lost > MOST_LOST * len(errors),
        "little better than the mean of all annotations": np.median(errors) > MUCH * mean_shape,
        f"training ended too early: {unfinished}": bool(unfinished),
    }
    found, words = "; ".join(reason for reason, holds in reasons.items() if holds), "; ".join(facts)
    return Judgement(not found, f"NOT LEARNT ({found}): {words}; {REMEDY}" if found else f"learnt: {words}")
