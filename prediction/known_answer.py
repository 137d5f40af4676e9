"""One picture and what a network says of it in float32, kept with its weights: a machine that says otherwise computes wrongly."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from evaluation import find_landmarks
from radiographs.detail import detail_frame
from radiographs.network_frame import resize_to, to_input

if TYPE_CHECKING:
    from prediction.predictor import Predictor

FARTHEST_PX = 0.3  # of the network frame, median over landmarks, from the known ones: rounding moves them by a tenth of it
FARTHEST_OF_ENGINES_PX = 1.0  # whole numbers of 8 bits, scaled on radiographs, move those of a median picture by up to half a px


@dataclass
class KnownAnswer:
    picture: np.ndarray  # (height, width) uint8, prepared
    points: np.ndarray  # (L, 2) network-frame px

    @classmethod
    def of(cls, predictor: "Predictor", picture: np.ndarray) -> "KnownAnswer":
        """What a predictor says now."""
        return cls(picture, answer(predictor, picture))

    @classmethod
    def from_file(cls, stored: dict[str, torch.Tensor]) -> "KnownAnswer":
        """From what a weights file holds under "known_answer"."""
        return cls(stored["picture"].cpu().numpy(), stored["points"].cpu().numpy())

    def to_file(self) -> dict[str, torch.Tensor]:
        return {"picture": torch.from_numpy(self.picture), "points": torch.from_numpy(self.points)}

    def off_px(self, predictor: "Predictor") -> float:
        """How far from it a predictor's answer is: the median over landmarks, network-frame px."""
        return float(np.median(np.linalg.norm(answer(predictor, self.picture) - self.points, axis=1)))


@torch.inference_mode()
def answer(predictor: "Predictor", picture: np.ndarray) -> np.ndarray:
    image = torch.from_numpy(to_input(picture))[None, None].to(predictor.device)
    found = find_landmarks(predictor.model, image, predictor.size, predictor.precision, predictor.tree)
    points = found[1][0].cpu().double().numpy()
    if predictor.second:
        frame = detail_frame(*picture.shape, predictor.second_look["longer"])
        points, _ = predictor.refined(resize_to(picture, frame), points)
    return points
