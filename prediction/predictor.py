"""A trained network in use: any radiograph in, its landmarks in the radiograph's own pixels out."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dataloader import to_input
from evaluation import find_landmarks, network_of
from heatmap import rescale
from joints.hand import NAMES
from prediction.calibration import NO_HAND, NO_OUTLINE, UNLIKE_TRAINING, Calibration
from prediction.orientation import VARIANTS, Orientation, OrientationNet
from radiographs.network_frame import hand_outline, outline_is_plausible, resize_square, to_8_bit
from radiographs.reading import check_pixels, grey
from runtime.checkpoint import read_checkpoint
from runtime.device import choose_device, choose_precision
from runtime.files import DataError

FITTED_HEIGHT = "fitted height"  # what a weights file calls the confidence that its calibration is for


@dataclass
class Prediction:
    """Landmarks (L) of one radiograph, in its own pixels."""

    points_px: np.ndarray  # (L, 2) as (x, y)
    confidence: np.ndarray  # (L,) height of the heatmap's peak, about 0 to 1
    radius_px: np.ndarray  # (L,) of circles that hold the truth: `Calibration.radii_px` says how often
    orientation: Orientation  # how it was turned to be understood
    flags: list[str]  # what is wrong with the radiograph
    landmark_flags: list[str]  # (L) what is wrong with each landmark


class Predictor:
    """`Predictor("weights/scn_hand.pt")(image)` -> points (L, 2) as (x, y) px, confidence (L,), radius (L,) px.

    `image` is an array (rows, columns) of any type of number, also with colours last, or what `read_radiograph(path).pixels`
    gives; DataError is raised where it can be no radiograph. With `orientation` "keep" it is taken as upright with bright
    bone; "auto" finds out, as far as export.py found that this network can.
    """

    def __init__(self, weights: Path | str, device: str = "auto", orientation: str = "auto", precision: str = "auto"):
        """Raises DataError where `weights` is not a file that export.py wrote."""
        path = Path(weights)
        self.device = choose_device(device)
        state = read_checkpoint(path, self.device)
        if not {"trust", "orientation", "network"} <= state.keys():
            raise DataError(
                f"{path}: expected weights made ready by export.py, found a training's checkpoint; run export.py on it"
            )
        self.size, self.network_size = state["size"], state["network_size"]
        profile = state["data"]["profile"]
        self.profile = None if profile is None else np.array(profile)
        self.model = network_of(state, self.device)
        self.spatial_factor = self.model.spatial_factor * self.size // self.network_size
        self.names = state["names"]
        self.calibration = Calibration.from_file({name: value.cpu().numpy() for name, value in state["trust"].items()})
        self.variants = state.get("variants", list(range(len(VARIANTS))))  # files without the entry are of hands, and may use all
        self.orientation_net = None
        if orientation == "auto" and len(self.variants) > 1:
            self.orientation_net = OrientationNet().to(self.device).eval()
            self.orientation_net.load_state_dict(state["orientation"])
        self.precision = choose_precision(precision, self.device, state["precision"])
        self.fitted_heights = state.get("confidence") == FITTED_HEIGHT  # what its calibration is for; else the highest pixel
        self.alien = NO_HAND if self.names == list(NAMES) else UNLIKE_TRAINING

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        pixels = grey("image", np.asarray(image))
        check_pixels("image", pixels)
        height, width = pixels.shape
        (prediction,) = self.predict([resize_square(pixels, self.network_size)], [(width, height)])
        return prediction.points_px, prediction.confidence, prediction.radius_px

    @torch.inference_mode()
    def predict(self, squares: list[np.ndarray], extents: list[tuple[int, int]]) -> list[Prediction]:
        """Radiographs resized by `resize_square` to the network's size, and the width and height px that they had."""
        orientations = self.orient(squares)
        upright = [np.ascontiguousarray(orientation.apply(square)) for orientation, square in zip(orientations, squares)]
        outlines = [None if self.profile is None else hand_outline(square) for square in upright]
        pictures = np.stack([to_8_bit(square, self.profile, outline) for square, outline in zip(upright, outlines)])
        images = to_input(pictures)[:, None].to(self.device)
        heatmaps, points_network_px, heights = find_landmarks(self.model, images, self.size, self.precision)
        if not self.fitted_heights:
            heights = heatmaps.amax((-2, -1)).float()
        points = points_network_px.cpu().double().numpy()
        confidence = heights.cpu().double().numpy()
        predictions = [self.describe(*one) for one in zip(points, confidence, orientations, extents)]
        for prediction, outline in zip(predictions, outlines):
            if outline is not None and not outline_is_plausible(outline):
                prediction.flags.append(NO_OUTLINE)
        return predictions

    def orient(self, squares: list[np.ndarray]) -> list[Orientation]:
        if self.orientation_net is None:
            return [VARIANTS[0]] * len(squares)
        scores = self.orientation_net.scores(torch.from_numpy(np.stack(squares))[:, None].to(self.device))
        return [VARIANTS[self.variants[best]] for best in scores[:, self.variants].argmax(1).tolist()]

    def describe(
        self, points_network_px: np.ndarray, confidence: np.ndarray, orientation: Orientation, extent: tuple[int, int]
    ) -> Prediction:
        """Bring points (L, 2) of the upright network frame into the radiograph's own."""
        scale = np.array(extent) / self.network_size
        points_px = rescale(orientation.undo(points_network_px, self.network_size), scale)
        radius_px = self.calibration.radii_px(confidence) * np.sqrt(scale.prod())
        flags, landmark_flags = self.calibration.flags(points_px, confidence, extent, self.alien)
        return Prediction(points_px, confidence, radius_px, orientation, flags, landmark_flags)
