"""The network of the second look: a local appearance that says of each crop where its own landmark lies."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dataloader import RadiographDataset
from heatmap import rescale
from model import HEAD_STD, SCN, Level, pyramid
from radiographs.detail import to_grey
from radiographs.network_frame import Frame
from runtime.device import autocast
from second_look.crops import cut, of_crops

PRIOR_SHARE = 0.19  # share of the crop: standard deviation of the Gaussian around its middle that weights its peaks
NEAR = 10  # px: how far around the chosen peak its centroid is taken
CUT = 0.2  # share of the peak that is taken off its heatmap before the centroid: what is lower is no part of it
END = -math.log(CUT)  # half the squared radius, in squared standard deviations, at which a Gaussian is cut
# share of its variance that a Gaussian so cut keeps: the mean of t, weighted with exp(-t) - CUT, from 0 to END
KEPT = (1 - CUT * (1 + END + END**2 / 2)) / (1 - CUT * (1 + END))
LEAST = 1e-6  # of a heatmap's sum, or it is empty
CACHED = 20  # crops at once on a core, whose features its caches hold: a tenth to a fifth faster than all or fewer
MOST = 1 << 30  # crops at once on a GPU
PREFIX = "second_look."  # what the names of its weights begin with in a checkpoint


class SecondLook(nn.Module):
    """The local appearance, told which landmark each crop is of.

    Each landmark has a scale and a shift of every level's features (FiLM: Perez et al., AAAI 2018), and a head of its own, of
    which only that of the crop's landmark is computed.
    """

    def __init__(self, num_landmarks: int, channels: int = 64, levels: int = 4, dropout: float = 0.1):
        super().__init__()
        self.multiple = 2 ** (levels - 1)  # px: a crop's side must be a multiple of it
        widths = [1] + [channels] * (levels - 1)
        self.levels = nn.ModuleList(Level(width, channels, 5, dropout) for width in widths)
        self.modulation = nn.Parameter(torch.zeros(num_landmarks, levels, 2, channels))
        self.weight = nn.Parameter(torch.randn(num_landmarks, channels, 5, 5) * HEAD_STD)
        self.bias = nn.Parameter(torch.zeros(num_landmarks))

    @property
    def device(self) -> torch.device:
        return self.bias.device

    def start_from(self, first: SCN) -> None:
        """Take the first network's local appearance, which saw the same edges, though smaller: it saves half of the epochs.

        A network of another form has none, and these weights stay random.
        """
        if not (local := getattr(first, "local_appearance", None)):
            return
        self.levels.load_state_dict(local.levels.state_dict())
        self.weight.data.copy_(local.head.weight)
        self.bias.data.copy_(local.head.bias)

    def forward(self, crops: Tensor, landmarks: Tensor | None = None) -> Tensor:
        """Crops (N, 1, S, S), about in [-1, 1] -> heatmaps (N, S, S). `landmarks` (N): each crop's own; none: all in turn."""
        if landmarks is None:
            landmarks = torch.arange(len(crops), device=crops.device) % len(self.bias)
        crops = crops.contiguous(memory_format=torch.channels_last)
        return self.head(pyramid(self.levels, crops, self.modulation[landmarks]), landmarks)

    def head(self, x: Tensor, landmarks: Tensor) -> Tensor:
        """A 5 x 5 convolution of features (N, C, H, W), for each crop that of its own landmark -> (N, H, W) float32."""
        count, channels, height, width = x.shape
        kernel = self.weight.shape[-1]
        kernels = self.weight[landmarks].reshape(count, channels, kernel * kernel).to(x.dtype)
        by_pixel = x.permute(0, 2, 3, 1).reshape(count, height * width, channels)
        taps = (by_pixel @ kernels).float()  # what each px adds to those around it
        edge = kernel // 2
        summed = F.fold(taps.mT.flip(1), (height + 2 * edge, width + 2 * edge), kernel)
        return summed[:, 0, edge:-edge, edge:-edge] + self.bias[landmarks][:, None, None]


def at_once(device: torch.device) -> int:
    """How many crops the network is best shown together."""
    return CACHED * torch.get_num_threads() if device.type == "cpu" else MOST


def own_weights(state: dict) -> dict[str, Tensor]:
    """The second look's weights in a checkpoint, by their names without PREFIX."""
    return {name.removeprefix(PREFIX): weight for name, weight in state["weights"].items() if name.startswith(PREFIX)}


def second_look_of(state: dict, device: torch.device) -> SecondLook | None:
    """The network of a checkpoint, ready for use; None where it has none."""
    if "second_look" not in state:
        return None
    network = SecondLook(**state["second_look"]["network"]).to(device, memory_format=torch.channels_last).eval()
    network.load_state_dict(own_weights(state))
    return network


@torch.no_grad()
def refine(network: SecondLook, detail: np.ndarray, found: Tensor, size: int, precision: str) -> tuple[Tensor, Tensor]:
    """Where landmarks lie, from a detail picture (height, width) uint8 and where the first look found them, (L, 2) detail px.

    -> points (L, 2) detail px and their covariances (L, 2, 2), detail px².
    """
    device = network.device
    centres = found.float().to(device)
    crops, landmarks = cut(to_grey(detail).to(device), centres, size), torch.arange(len(centres), device=device)
    parts = zip(crops.split(at_once(device)), landmarks.split(at_once(device)))
    with autocast(device, precision):
        heatmaps = torch.cat([network(*part).float() for part in parts])
    points, covariances = locate(heatmaps)
    return of_crops(points, centres, size), covariances


def refine_all(
    network: SecondLook, data: RadiographDataset, points_network_px: np.ndarray, size: int, precision: str
) -> tuple[np.ndarray, np.ndarray]:
    """Second looks at all radiographs of a data set, where the first ones found points (N, L, 2) network-frame px.

    -> points (N, L, 2) network-frame px, and covariances (N, L, 2, 2) in its px².
    """
    points, covariances = [], []
    for i, found in enumerate(points_network_px):
        refined, spread = refine_in_frame(network, data.detail_picture(i), found, data.frame, size, precision)
        points.append(refined)
        covariances.append(spread)
    return np.array(points), np.array(covariances)


def refine_in_frame(
    network: SecondLook, detail: np.ndarray, points_px: np.ndarray, frame: Frame, size: int, precision: str
) -> tuple[np.ndarray, np.ndarray]:
    """A second look at one detail picture: points (L, 2) network-frame px in and out, and covariances (L, 2, 2) in its px²."""
    back = np.array(frame[::-1]) / detail.shape[::-1]
    points, covariances = refine(network, detail, torch.from_numpy(rescale(points_px, 1 / back)), size, precision)
    return rescale(points.cpu().double().numpy(), back), covariances.cpu().double().numpy() * back[:, None] * back


def locate(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Where heatmaps (N, S, S) say that their landmarks lie -> points (N, 2) px, covariances (N, 2, 2) px².

    The peak is taken that is highest under a Gaussian around the middle; of what is around it and above a share of its height,
    the centroid, and how far that spreads. The highest pixel is where a landmark lies most often, the centroid is nearer to all
    the places where annotators may have put it: 0.769 instead of 0.774 px on 21 hands. An empty heatmap leaves the middle.
    """
    side = heatmaps.shape[-1]
    span = torch.arange(side, device=heatmaps.device) - (side - 1) / 2
    prior = torch.exp(-0.5 * (span / (PRIOR_SHARE * side)) ** 2)
    heatmaps = heatmaps.clamp_min(0)
    top = (heatmaps * prior[:, None] * prior).flatten(1).argmax(1)
    near_rows, near_columns = ((span - span[at][:, None]).abs() <= NEAR for at in (top // side, top % side))
    heatmaps = heatmaps * near_rows[:, :, None] * near_columns[:, None, :]
    heatmaps = (heatmaps - CUT * heatmaps.flatten(1).amax(1)[:, None, None]).clamp_min(0)
    shares = heatmaps / heatmaps.sum((1, 2), keepdim=True).clamp_min(LEAST)
    in_columns, in_rows = shares.sum(1), shares.sum(2)
    x, y = in_columns @ span, in_rows @ span
    xx, yy, xy = in_columns @ span**2 - x * x, in_rows @ span**2 - y * y, (shares @ span * span).sum(1) - x * y
    covariances = torch.stack([xx, xy, xy, yy], 1).reshape(-1, 2, 2) / KEPT
    return torch.stack([x, y], 1) + (side - 1) / 2, covariances
