"""Teaching the second look: crops around the annotated landmarks, moved, turned, scaled and in other greys."""

import copy
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from augment import Augment, mirrored
from dataloader import Key, RadiographDataset, batches_of, make_training_loader
from heatmap import draw_heatmaps
from loss import heatmap_errors
from model import SCN
from radiographs.detail import to_detail, to_grey
from radiographs.processing import by_other_equipment
from runtime import distributed
from runtime.arithmetic import settle
from runtime.command import heed_signals
from runtime.device import autocast
from runtime.files import DataError
from second_look.crops import cut, to_crops
from second_look.network import PREFIX, SecondLook, at_once, locate

CROPS = 37  # about so many crops a step: of several radiographs, or of some landmarks of one
RATE, WARMUP = 1e-3, 100  # Adam's learning rate; steps over which it rises
AVERAGING = 0.995  # decay of the averaged weights, per step
LONGEST = 1e3  # norm that longer gradients of a step are cut to; without, one in a few trainings is thrown off for good
SIGMA = 2.5  # standard deviation of the target heatmaps, detail px
DISTANCE = 1.0  # weight of the distance, crop px, between where a heatmap says that its landmark lies and the truth
NOISE = 4.0  # standard deviation of the crops' middles, detail px: two to three times the first look's error
PROCESSING = 1  # key of random numbers that are drawn beside the others


class Crops(Dataset):
    """The crops of a radiograph, changed anew in every epoch by the random numbers of (seed, epoch, number)."""

    def __init__(self, data: RadiographDataset, size: int, seed: int, ranges: Augment, mirror: np.ndarray | None = None):
        """`ranges` of each crop's rotation, scaling and intensities, and of each radiograph's processing; `mirror` as in
        dataloader.Augmented.
        """
        self.data, self.size, self.seed, self.ranges, self.mirror = data, size, seed, ranges, mirror

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, key: Key) -> dict[str, Tensor]:
        """crops (n, 1, size, size), points (n, 2) px of the crops, landmarks (n): of all that lie inside their crop."""
        rng, ranges = np.random.default_rng((self.seed, *key)), self.ranges
        detail, truth = self.data.detail_picture(key[1]), torch.from_numpy(self.data.points_detail_px[key[1]])
        if ranges.processing:
            own = np.random.default_rng((self.seed, *key, PROCESSING))
            detail = to_detail(by_other_equipment(detail, own)) if own.random() < ranges.processing else detail
        grey, count = to_grey(detail), len(truth)
        if self.mirror is not None and rng.random() < 0.5:
            grey, truth = grey.flip(-1), mirrored(truth, grey.shape[-1])[self.mirror]
        limits = math.radians(ranges.rotation), ranges.scaling
        angle, exponent = (rng.uniform(-limit, limit, count) for limit in limits)
        turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], 1).reshape(-1, 2, 2)
        matrices = torch.from_numpy(turn * np.exp(exponent)[:, None, None])
        centres = truth.nan_to_num() + torch.from_numpy(rng.normal(0, NOISE, (count, 2)))
        limits = ranges.intensity_scale, ranges.intensity_shift
        scale, shift = (torch.from_numpy(rng.uniform(-limit, limit, count)).float()[:, None, None, None] for limit in limits)
        points = to_crops(truth, centres, self.size, matrices)
        inside = ((points > -0.5) & (points < self.size - 0.5)).all(-1)
        if count > CROPS:
            inside &= torch.from_numpy(rng.permutation(count) < CROPS)
        crops = cut(grey, centres[inside].float(), self.size, matrices[inside].float())
        crops = crops * (1 + scale[inside]) + shift[inside]
        return {"crops": crops, "points": points[inside].float(), "landmarks": inside.nonzero().flatten()}


def joined(items: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([item[name] for item in items]) for name in items[0]}


class Training:
    """Trains a second look after a first one, an epoch at a time; `average` is the network that is validated and kept."""

    def __init__(
        self, settings, sets: dict[str, RadiographDataset], first: SCN, precision: str, workers: int, init: dict[str, Tensor]
    ):
        """`settings` of main.py; `init`: weights to start from. Where these do not fit, `first` lends its own: the network of the
        first look.
        """
        torch.manual_seed(settings.seed)
        self.settings, self.sets, self.device = settings, sets, next(first.parameters()).device
        landmarks = sets["train"].points_px.shape[1]
        self.network = {name: getattr(settings, name) for name in ("channels", "levels", "dropout")}
        self.network["num_landmarks"] = landmarks
        self.model = SecondLook(**self.network)
        if settings.crop % self.model.multiple:
            raise DataError(f"crop: expected a multiple of {self.model.multiple} px, found {settings.crop}")
        own = self.model.state_dict()
        if {name: weight.shape for name, weight in init.items()} == {name: weight.shape for name, weight in own.items()}:
            self.model.load_state_dict(init)
        else:
            self.model.start_from(first)
        self.model.to(self.device, memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.model).eval()
        self.optimizer = torch.optim.Adam(self.model.parameters(), RATE, fused=True)
        self.steps = 0
        self.radiographs = max(1, round(CROPS / landmarks))  # a step
        mirror = sets["train"].mirror_order() if settings.mirror == "on" else None
        crops = Crops(sets["train"], settings.crop, settings.seed, Augment.of(settings), mirror)
        self.loader = make_training_loader(crops, self.radiographs, workers, joined)
        # processes that train together must all go backwards equally often
        self.at_once = at_once(self.device) if distributed.WORLD == 1 else self.radiographs * landmarks
        shape = (min(self.at_once, self.radiographs * landmarks), 1, settings.crop, settings.crop)
        self.precision = distributed.gather([settle(self.model, [(shape, ())], precision)])[0]
        self.parallel = distributed.wrap(self.model)

    def train_epoch(self, epoch: int, factor: Callable[[int, int], float]) -> tuple[float, float, np.ndarray]:
        """One pass over the training radiographs: rate, mean loss a landmark, errors (n) detail px.

        `factor` on the learning rate at step i of n.
        """
        settings, batches = self.settings, self.loader.batch_sampler
        batches.epoch = epoch
        torch.manual_seed(1_000_000 * settings.seed + 500_000 + epoch)
        self.model.train()
        side, losses, errors = settings.crop, [], []
        for i, (batch, whole) in enumerate(zip(batches_of(self.loader), batches.whole(), strict=True)):
            heed_signals()
            rate = RATE * factor(i, len(batches)) * min(1.0, (1 + self.steps) / WARMUP)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            parts = zip(*(batch[name].to(self.device).split(self.at_once) for name in ("crops", "points", "landmarks")))
            own = distributed.WORLD if distributed.weight(len(whole)) else 0  # gradients of processes are averaged; theirs add up
            self.optimizer.zero_grad()
            loss = torch.zeros((), device=self.device)
            for crops, points, landmarks in parts:
                with autocast(self.device, self.precision):
                    heatmaps = self.parallel(crops, landmarks)
                off_px = (locate(heatmaps)[0] - points).norm(dim=1)
                of_part = (heatmap_errors(heatmaps, draw_heatmaps(points, side, side, SIGMA)) + DISTANCE * off_px).sum()
                (of_part * own).backward()
                loss += of_part.detach()
                errors += off_px.tolist() if own else []
            if not torch.isfinite(loss):
                raise DataError(f"second look, epoch {epoch}: the loss is not finite; train with --second_look 0")
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), LONGEST)
            self.optimizer.step()
            self.steps += 1
            with torch.no_grad():
                decay = min(AVERAGING, (1 + self.steps) / (10 + self.steps))
                torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - decay)
            losses += [float(loss)] if own else []
        losses, errors = distributed.gather(losses), np.array(distributed.gather(errors))
        return rate, sum(losses) / max(1, len(errors)), errors

    def weights(self) -> dict[str, Tensor]:
        """The averaged weights, named as a checkpoint has them among the first network's."""
        return {PREFIX + name: weight for name, weight in self.average.state_dict().items()}

    def described(self) -> dict:
        """What a checkpoint says of the second look."""
        return {"network": self.network, "size": self.settings.crop, "longer": self.sets["train"].detail, "sigma": SIGMA}

    def state(self) -> dict:
        """What a run needs to go on."""
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "steps": self.steps,
        }

    def load(self, state: dict) -> None:
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps = state["steps"]
