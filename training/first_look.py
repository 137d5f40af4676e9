"""Teaching the SCN: an epoch at a time, at one resolution, with the mean of its weights that is validated and kept."""

import copy
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from augment import Augment
from dataloader import Augmented, RadiographDataset, batches_of, make_training_loader
from evaluation import forward, shrink
from heatmap import decode_heatmaps, draw_heatmaps, rescale
from loss import LearnedWidths, ridge_loss
from model import SCN
from radiographs.network_frame import at_size
from runtime import distributed
from runtime.arithmetic import settle
from runtime.command import heed_signals
from runtime.files import DataError
from training import figures, report
from training.plan import Epoch

CHECK_EVERY = 10  # steps between two looks at whether the loss is finite, for which a GPU must be waited for


class FirstLook:
    """An SCN, `model`, that learns, and `average`, the mean of its weights over the last steps."""

    def __init__(self, network: dict, settings, data: RadiographDataset, device: torch.device, precision: str, workers: int):
        """network: what SCN is built with; data: the radiographs to learn from."""
        self.settings, self.frame, self.network_size, self.sigma = settings, data.frame, data.size, data.sigma
        self.device, self.precision = device, precision
        if settings.learn_sigma and distributed.WORLD > 1:
            raise DataError(f"learn_sigma: expected one process, found {distributed.WORLD}; run without torchrun")
        mirror = data.mirror_order() if settings.mirror == "on" else None
        augmented = Augmented(data, Augment.of(settings), settings.seed, mirror)
        self.loader = make_training_loader(augmented, settings.batch_size, workers)
        self.model = SCN(**network).to(device, memory_format=torch.channels_last)
        self.parallel = distributed.wrap(self.model)  # the same, with gradients averaged over processes
        self.average = copy.deepcopy(self.model) if settings.averaging else self.model
        self.kernels = [weight for weight in self.model.parameters() if weight.ndim == 4]  # the ridge penalises them
        self.widths, learnt = None, [*self.model.parameters()]
        if settings.learn_sigma:
            self.widths = LearnedWidths(network["num_landmarks"], data.sigma).to(device)
            learnt += [*self.widths.parameters()]
        self.optimizer = torch.optim.Adam(learnt, settings.learning_rate, (settings.beta1, settings.beta2), fused=True)
        self.steps_at_size = 0

    def settle_precision(self, sizes: list[int]) -> None:
        """Take a precision that all processes compute the convolutions of these resolutions in rightly."""
        batch = -(-self.settings.batch_size // distributed.WORLD)
        shapes = [((batch, 1, *at_size(self.frame, size)), (self.spatial_factor(size),)) for size in sorted(set(sizes))]
        found = distributed.gather([settle(self.model, shapes, self.precision)])
        self.precision = "float32" if "float32" in found else self.precision

    def start_resolution(self) -> None:
        """Forget what Adam knows of the gradients at another resolution, which would make the first steps far too long."""
        self.optimizer.state.clear()
        self.steps_at_size = 0

    def train_epoch(self, epoch: int, plan: Epoch, after_step: Callable[[float], None]) -> dict:
        """One pass over the training radiographs; `after_step` is told what share of it, in (0, 1], is done.

        Its random numbers depend on seed and epoch alone, so a run can resume.
        """
        batches = self.loader.batch_sampler
        batches.epoch, count = epoch, len(batches)
        torch.manual_seed(1_000_000 * self.settings.seed + epoch + 999_983 * distributed.RANK)  # dropout's own in each process
        self.model.train()
        losses, errors = [], []
        bar = tqdm(batches_of(self.loader), f"epoch {epoch}", count, leave=False, disable=None if distributed.FIRST else True)
        for i, (batch, whole) in enumerate(zip(bar, batches.whole(), strict=True)):
            heed_signals()
            rate = self.set_learning_rate(plan.factor(i, count))
            weight = distributed.weight(len(whole))
            check = i % CHECK_EVERY == 0 or i + 1 == count
            loss, errors_px = self.step(epoch, plan.size, batch | {"weight": weight}, check)
            losses.append(loss * len(whole) / distributed.WORLD)  # this process's part of the sum over radiographs
            errors += [errors_px] if weight else []
            after_step((i + 1) / count)
        errors_px = np.array(distributed.gather([row for batch in errors for row in batch.cpu().numpy()]))
        loss = sum(distributed.gather([sum(losses).item()])) / len(errors_px)
        return {"learning_rate": rate} | report.epoch_figures("train", loss, errors_px)

    def step(self, epoch: int, size: int, batch: dict, check: bool) -> tuple[Tensor, Tensor]:
        """Learn from this process's part of a batch; returns its loss without the ridge, and errors (b, L) in network-frame px.

        batch: "image" (b, 1, H, W), "points" (b, L, 2), and "weight" of this part's mean loss in that of all processes. With
        `check` a loss that is not finite raises DataError.
        """
        to_size, weight = size / self.network_size, batch["weight"]
        images, points = (batch[name].to(self.device, non_blocking=True) for name in ("image", "points"))
        points_at_size, images = rescale(points, to_size), shrink(images, size)
        if self.widths:
            targets = self.widths.draw(points_at_size, images.shape[-2:], to_size)
        else:
            targets = draw_heatmaps(points_at_size, *images.shape[-2:], self.sigma * to_size)
        heatmaps, _, _ = forward(self.parallel, images, self.spatial_factor(size), self.precision)
        area = weight / to_size**2
        loss, parts = ridge_loss(heatmaps, targets, points_at_size, self.kernels, self.settings.ridge, area)
        if self.widths:
            loss = loss + weight * self.settings.learn_sigma * self.widths.penalty()
        self.optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.gradient_clip or math.inf)
        if check and not torch.isfinite(loss + norm):
            values = ", ".join(f"{name} {value.item():g}" for name, value in (parts | {"gradient": norm}).items())
            raise DataError(f"epoch {epoch}: the loss is not finite ({values}); train with a lower learning_rate")
        self.optimizer.step()
        self.steps_at_size += 1
        self.update_average()
        predicted_at_size, _ = decode_heatmaps(heatmaps.detach())
        return parts["heatmaps"].detach(), (predicted_at_size - points_at_size).norm(dim=-1) / to_size

    @torch.no_grad()
    def draw_heatmaps(self, image: Tensor, size: int, path: Path) -> None:
        """Draw the heatmaps of both components and their product for an image (1, H, W), seen at `size` px."""
        image = shrink(image[None].to(self.device), size)
        heatmaps = forward(self.average.eval(), image, self.spatial_factor(size), self.precision)
        stacks = [stack[0].float().cpu().numpy() for stack in heatmaps]
        path.parent.mkdir(exist_ok=True)
        figures.draw_heatmaps(image[0, 0].cpu().numpy(), dict(zip(("product", "local", "spatial"), stacks, strict=True)), path)

    def spatial_factor(self, size: int) -> int:
        """The factor at which the spatial configuration keeps its grid, so that it need not learn anew at another resolution."""
        return self.model.spatial_factor * size // self.network_size

    def set_learning_rate(self, factor: float) -> float:
        """The rate by the plan's factor, less during the first steps at a resolution."""
        rise = min(1.0, (1 + self.steps_at_size) / (1 + self.settings.warmup))
        rate = self.settings.learning_rate * factor * rise
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    @torch.no_grad()
    def update_average(self) -> None:
        """Move the averaged weights towards the present ones, faster at the start of a resolution."""
        if self.average is not self.model:
            decay = min(self.settings.averaging, (1 + self.steps_at_size) / (10 + self.steps_at_size))
            torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - decay)
            for kept, own in zip(self.average.buffers(), self.model.buffers()):  # none of the SCN; statistics of others
                kept.copy_(own)

    def start_from(self, path: Path, weights: dict[str, Tensor]) -> list[str]:
        """Take the weights of a checkpoint that fit; returns the names of those that stay random. Raises DataError."""
        own = self.model.state_dict()
        fitting = {name: weight for name, weight in weights.items() if name in own and weight.shape == own[name].shape}
        if len(fitting) <= len(own) / 2:
            raise DataError(f"{path}: is another network than the model settings ask for; use its settings, or a blank --init")
        for network in (self.model, self.average):
            network.load_state_dict(own | fitting)
        return sorted(own.keys() - fitting.keys())

    def state(self) -> dict:
        """What a run needs to go on, beside the averaged weights."""
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "steps_at_size": self.steps_at_size}
        return state | ({"widths": self.widths.state_dict()} if self.widths else {})

    def load(self, state: dict) -> None:
        """Go on from what `state` has returned."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps_at_size = state["steps_at_size"]
        if self.widths:
            self.widths.load_state_dict(state["widths"])
