"""A trained network in use: any radiograph in, the landmarks of the hands in it in the radiograph's own pixels out.

The finder says where hands lie. The network sees each as training radiographs show theirs; where its landmarks say that the
view was off, it looks once more. A network without a finder takes every picture as one upright hand that fills it.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from evaluation import find_landmarks, network_of
from finder.network import Finder
from finder.placement import support
from finder.template import Found, ranks
from joints.known import joint_called
from joints.tree import ShapeTree
from prediction.calibration import NO_OUTLINE, UNLIKE_TRAINING, Calibration
from prediction.candidate import Candidate, is_off, usual
from prediction.engine import OnnxNetwork, OnnxSecondLook, of_second_look
from prediction.known_answer import FARTHEST_OF_ENGINES_PX, FARTHEST_PX, off_px
from prediction.regions import conjugate, semi_axes
from radiographs.detail import detail_frame, to_detail
from radiographs.network_frame import frame_of, hand_outline, outline_is_plausible, to_8_bit, to_input
from radiographs.radiograph import check_pixels, grey
from radiographs.view import View
from runtime import arrays
from runtime.checkpoint import read_checkpoint
from runtime.device import choose_device, choose_precision
from runtime.files import DataError
from second_look.network import refine_in_frame, second_look_of

MAX_RUNS = 3  # runs of the network for one hand at most, not counting `retry_inverted`
UNSURE = 0.5  # mean confidence, below which a hand is also looked at with bright and dark exchanged


@dataclass
class Prediction:
    """Landmarks (L) of one hand in a radiograph, in the radiograph's pixels."""

    points_px: np.ndarray  # (L, 2) as (x, y)
    confidence: np.ndarray  # (L,) height of the heatmap's peak, about 0 to 1
    ellipse_px2: np.ndarray  # (L, 2, 2): the truth t is held to have (t - p)ᵀ ellipse⁻¹ (t - p) <= 1; `Regions.of` says how often
    flags: list[str]  # what is wrong with the radiograph
    landmark_flags: list[str]  # (L) what is wrong with each landmark
    orientation: str = "upright"  # how it lies in the radiograph
    mirrored: bool = False  # against the training radiographs
    side: str = ""  # left or right; blank for other joints
    hand: int = 1  # its number in the radiograph, from left to right
    evidence: float = 1.0  # 0 to 1: how much there is of the joint
    matrix: np.ndarray = field(default_factory=lambda: np.eye(2))  # takes steps in the network's view to steps in the radiograph
    covariances_view_px2: np.ndarray = field(default_factory=lambda: np.empty(0))  # (L, 2, 2) of the heatmaps, in that view


class Predictor:
    """`Predictor("weights/scn_hand.pt")(image)` -> points (L, 2) as (x, y) px, confidence (L,), radius (L,) px.

    `image` is an array (rows, columns) of any type of number, also with colours last, or what `read_radiograph(path).pixels`
    gives; DataError is raised where it can be no radiograph. Of several hands it is the surest one; `predict` gives all. With
    `orientation` "keep" every picture is taken as one upright hand, bone bright, that fills it.
    """

    def __init__(
        self,
        weights: Path | str | dict,
        device: str = "auto",
        orientation: str = "auto",
        precision: str = "auto",
        engine: Path | None = None,
        check: bool = True,
    ):
        """`weights`: a file that export.py wrote, or what it holds; `engine`: an ONNX file of the same network, that computes.

        `check`: whether the known answer of the weights is tried first. Raises DataError where they are others, or where this
        machine computes wrongly.
        """
        self.device = choose_device(device)
        state = weights if isinstance(weights, dict) else read_checkpoint(Path(weights))
        if not {"trust", "network"} <= state.keys():
            raise DataError(
                f"{weights}: expected weights made ready by export.py, found a training's checkpoint; run export.py on it"
            )
        self.size, self.network_size = state["size"], state["network_size"]  # px of the longer sides
        self.frame = frame_of(state["data"]["size"])  # height, width px
        profile = state["data"]["profile"]
        self.profile = None if profile is None else np.array(profile)
        network = network_of(state, self.device)
        self.model = OnnxNetwork(engine, network) if engine else network
        self.spatial_factor = network.spatial_factor * self.size // self.network_size
        source = "weights" if isinstance(weights, dict) else str(weights)
        self.joint = joint_called(state["names"], state["data"].get("joint"), source)
        self.names = list(self.joint.names)
        self.calibration = Calibration.from_file({name: value.cpu().numpy() for name, value in state["trust"].items()})
        self.precision = choose_precision(precision, self.device, state["precision"])
        self.second, self.second_look = second_look_of(state, self.device), state.get("second_look")
        if engine and self.second:
            self.second = OnnxSecondLook(of_second_look(engine), self.second)
        self.tree, self.finder = ShapeTree.from_file(state.get("tree")), None
        if orientation == "auto" and state.get("finder"):
            self.finder = Finder.from_file(state["finder"], self.device, self.precision)
        if check and "known_answer" in state:
            self.check(state["known_answer"], source)

    def check(self, known: dict[str, torch.Tensor], source: str) -> None:
        """Compute in float32 where the precision asked for gives other landmarks than are known. Raises DataError."""
        of_engine = isinstance(self.model, OnnxNetwork)
        while not (off := off_px(self, known)) <= (FARTHEST_OF_ENGINES_PX if of_engine else FARTHEST_PX):
            said = f"{source}: landmarks of its known picture are {off:.1f} px off"
            if of_engine:
                raise DataError(f"{said} by this --engine: leave it out, or export it again")
            on = f"on this {self.device.type.upper()} with torch {torch.__version__}"
            if self.precision == "float32":
                raise DataError(f"{said} {on}, which computes wrongly: install another version of torch")
            print(f"{said} in {self.precision} {on}; using float32")
            self.precision = "float32"
            if self.finder:
                self.finder.precision = "float32"

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        pixels = grey("image", np.asarray(image))
        check_pixels("image", pixels)
        best = self.surest(pixels)
        return best.points_px, best.confidence, semi_axes(best.ellipse_px2)[0]  # the longer ones

    def surest(self, pixels: np.ndarray) -> Prediction:
        """The hand in a radiograph (rows, columns) that there is most of."""
        (hands,) = self.predict([pixels])
        return max(hands, key=lambda hand: hand.evidence)

    @torch.inference_mode()
    def predict(self, pictures: list[np.ndarray]) -> list[list[Prediction]]:
        """Radiographs (rows, columns) -> the hands of each, from left to right; one at least, whatever a picture shows."""
        candidates = [one for number, pixels in enumerate(pictures) for one in self.find_candidates(number, pixels)]
        self.run_network(pictures, candidates)
        self.retry_inverted(pictures, candidates)
        pending = candidates
        for _ in range(MAX_RUNS - 1):
            pending = [one for one in pending if self.corrected(one, pictures[one.picture].shape)]
            self.run_network(pictures, pending)
        for candidate in candidates:
            candidate.evidence = float(self.evidence(candidate.points_px, candidate.confidence, candidate.found))
            if self.second:
                self.refine_candidate(pictures[candidate.picture], candidate)
        return [self.hands_of([one for one in candidates if one.picture == i], pixels) for i, pixels in enumerate(pictures)]

    def find_candidates(self, number: int, pixels: np.ndarray) -> list[Candidate]:
        if self.finder is None:
            return [Candidate(number, View.whole(pixels.shape, self.frame), None)]
        places = self.finder.find(pixels)
        alone = len(places) == 1
        return [Candidate(number, self.view_of(found, pixels.shape, alone), found, alone) for found in places]

    def view_of(self, found: Found, shape: tuple[int, int], alone: bool) -> View:
        """Of a hand in a picture (rows, columns): where all of it shows one as training radiographs may, all of the picture."""
        view, whole = found.view(self.frame), View.whole(shape, self.frame)
        return arrays.choose(alone & usual(view, whole), lambda: whole, view)

    def run_network(self, pictures: list[np.ndarray], candidates: list[Candidate]) -> None:
        """Show the network some views."""
        if not candidates:
            return
        frames = [self.framed(pictures[candidate.picture], candidate) for candidate in candidates]
        outlines = [None if self.profile is None else hand_outline(one) for one in frames]
        prepared = np.stack([to_8_bit(one, self.profile, outline) for one, outline in zip(frames, outlines)])
        images = torch.from_numpy(to_input(prepared))[:, None].to(self.device)
        _, points, heights, covariances = find_landmarks(self.model, images, self.size, self.precision, self.tree)
        parts = (part.cpu().double().numpy() for part in (points, heights, covariances))
        for candidate, outline, *found in zip(candidates, outlines, *parts):
            candidate.points_view_px, candidate.confidence, candidate.covariances_view_px2 = found
            candidate.outlined = outline is None or outline_is_plausible(outline)

    def framed(self, pixels: np.ndarray, candidate: Candidate) -> np.ndarray:
        """A view, bone bright, as far as its likeness to the mean picture tells: (height, width) float32 of the network frame."""
        framed = candidate.cut(pixels, self.frame)
        if candidate.found and candidate.negative is None:
            candidate.negative = bool(np.vdot(ranks(framed), self.finder.template.look) < 0)
        return candidate.as_seen(framed)

    def refine_candidate(self, pixels: np.ndarray, candidate: Candidate) -> None:
        """The second look: each landmark in a crop of the view with more px, where the first one found it."""
        width, height = candidate.view.sides
        shown = candidate.cut(pixels, detail_frame(height, width, self.second_look["longer"]))
        found = self.refined(candidate.as_seen(shown), candidate.points_view_px)
        candidate.points_view_px, candidate.covariances_view_px2 = found

    def refined(self, shown: np.ndarray, points_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points (L, 2) network-frame px of a view in detail px (height, width), after the second look; their covariances."""
        size = self.second_look["size"]
        return refine_in_frame(self.second, to_detail(shown), points_px, self.frame, size, self.precision)

    def retry_inverted(self, pictures: list[np.ndarray], candidates: list[Candidate]) -> None:
        """Exchange bright and dark where the network is unsure, darken a bright background, and keep the surest of these."""
        unsure = [one for one in candidates if one.found and one.confidence.mean() < UNSURE]
        exchanged = [(one, replace(one, negative=not one.negative)) for one in unsure]
        self.run_network(pictures, [other for _, other in exchanged])
        either = [*zip(candidates, candidates), *exchanged]
        dark = [(one, replace(other, darkened=True)) for one, other in either if other.bright]
        self.run_network(pictures, [other for _, other in dark])
        for candidate, other in [*exchanged, *dark]:
            if other.confidence.mean() > candidate.confidence.mean():
                vars(candidate).update(vars(other))

    def corrected(self, candidate: Candidate, shape: tuple[int, int]) -> bool:
        """Whether a candidate's own landmarks say that its view was off; it then gets a better one."""
        if candidate.found is None:
            return False
        better = self.finder.by_landmarks(candidate.points_px, candidate.confidence, candidate.found)
        view = self.view_of(better, shape, candidate.alone)
        if not is_off(candidate.view, view, candidate.found):
            return False
        candidate.found, candidate.view = better, view
        return True

    def evidence(self, points_px: np.ndarray, confidence: np.ndarray, found: Found | None) -> float:
        """How much there is of the joint, 0 to 1: how surely its landmarks are seen where its mean shape has them."""
        seen = arrays.in_unit(confidence)
        if found is None:
            return seen.mean()
        fitted = self.finder.by_landmarks(points_px, confidence, found).placement
        fitting = support(fitted, self.finder.template.shape, points_px[:, None], seen[:, None])
        return arrays.of(fitting).maximum(fitting, found.placement.support)

    def hands_of(self, candidates: list[Candidate], pixels: np.ndarray) -> list[Prediction]:
        """The hands of one picture, from left to right. The surest stays, others that are none are dropped."""
        kept: list[Candidate] = []
        for candidate in sorted(candidates, key=lambda one: one.evidence, reverse=True):
            if not kept or (candidate.evidence >= self.calibration.least_evidence and not candidate.same(kept)):
                kept.append(candidate)
        kept.sort(key=lambda one: one.points_px[:, 0].mean())
        return [self.describe(one, number, pixels.shape[::-1]) for number, one in enumerate(kept, 1)]

    def describe(self, candidate: Candidate, number: int, extent: tuple[int, int]) -> Prediction:
        points, confidence, matrix = candidate.points_px, candidate.confidence, candidate.view.matrix
        frame_px = candidate.view.scale * self.network_size
        flags, landmark_flags = self.calibration.flags(points, confidence, extent, frame_px, self.joint.late)
        if candidate.evidence < self.calibration.least_evidence:
            flags = [self.joint.absent or UNLIKE_TRAINING]
        if not candidate.outlined and self.calibration.outlined:
            flags.append(NO_OUTLINE)
        ellipses = conjugate(matrix, self.calibration.regions.of(candidate.covariances_view_px2, confidence))
        told_apart = self.finder is not None and any(self.finder.template.reflections)
        side = self.joint.side(candidate.mirrored) if told_apart else ""
        lies = candidate.orientation, candidate.mirrored, side, number, candidate.evidence
        return Prediction(points, confidence, ellipses, flags, landmark_flags, *lies, matrix, candidate.covariances_view_px2)
