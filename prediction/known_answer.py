"""One picture and what a network says of it in float32, kept with its weights: a machine that says otherwise computes wrongly."""

import numpy as np
import torch

from evaluation import find_landmarks
from radiographs.detail import detail_frame
from radiographs.network_frame import resize_to, to_input

FARTHEST_PX = 0.3  # of the network frame, median over landmarks, from the known ones: rounding moves them by a tenth of it
FARTHEST_OF_ENGINES_PX = 1.0  # whole numbers of 8 bits, scaled on radiographs, move those of a median picture by up to half a px


@torch.inference_mode()
def answer(predictor, picture: np.ndarray) -> np.ndarray:
    """Landmarks (L, 2) network-frame px that a `Predictor` finds in a prepared picture (height, width) uint8."""
    image = torch.from_numpy(to_input(picture))[None, None].to(predictor.device)
    found = find_landmarks(predictor.model, image, predictor.size, predictor.precision, predictor.tree)
    points = found[1][0].cpu().double().numpy()
    if predictor.second:
        frame = detail_frame(*picture.shape, predictor.second_look["longer"])
        points, _ = predictor.refined(resize_to(picture, frame), points)
    return points


def known_answer(predictor, picture: np.ndarray) -> dict[str, torch.Tensor]:
    """What a predictor says now, as a weights file holds it."""
    return {"picture": torch.from_numpy(picture), "points": torch.from_numpy(answer(predictor, picture))}


def off_px(predictor, known: dict[str, torch.Tensor]) -> float:
    """How far from what is known a predictor's answer is: the median over landmarks, network-frame px."""
    picture, points = (known[name].cpu().numpy() for name in ("picture", "points"))
    return float(np.median(np.linalg.norm(answer(predictor, picture) - points, axis=1)))
