"""Training, validation, test and checkpoints of an SCN."""

import copy
import math
import os
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

import metrics
from augment import Augment
from heatmap import decode_heatmaps, draw_heatmaps, rescale
from loss import ridge_loss
from model import SCN
from runtime import distributed
from runtime.checkpoint import read_checkpoint, write_checkpoint
from runtime.device import be_deterministic, choose_device, fastest_precision
from runtime.files import DataError, write_csv
from training import figures, report
from training.schedule import progress_after_epochs, schedule_factor, stage_sizes

PREVIOUS = "previous.pt"  # the last state but one, should last.pt be damaged
CURVES_EVERY_S = 60  # seconds at least between two drawings of the curves, which take half a second
# settings that may differ between a run and its continuation
MAY_DIFFER = {"data", "result", "mode", "checkpoint", "test_on", "resume", "init", "debug", "device", "deterministic"}


@dataclass
class Evaluation:
    """What the network says of one split, in the order of its data set."""

    loss: float  # mean over radiographs, without the ridge term
    points_network_px: np.ndarray  # (N, L, 2) as (x, y)
    peaks: np.ndarray  # (N, L) heights of the heatmaps


class Solver:
    """Trains a model by the settings of main.py, keeps RESULT/last.pt and RESULT/best.pt, and tests."""

    def __init__(self, model: SCN, settings, loaders: dict[str, DataLoader]):
        """loaders: of "train", "valid" and "test"; only "test" to test alone."""
        data = loaders["test"].dataset
        self.settings, self.loaders = settings, loaders
        self.data_settings, self.network_size, self.sigma = data.settings, data.size, data.sigma
        self.seen = {role: loaders[role].dataset.digest() for role in ("train", "valid") if "train" in loaders}
        self.sizes = stage_sizes(settings.stages, data.size, settings.spatial_factor, 2 ** (settings.levels - 1))
        self.progress = progress_after_epochs(self.sizes, data.size)
        self.size = self.sizes[-1]
        self.result = Path(settings.result)
        if settings.deterministic:
            be_deterministic()
        self.device = distributed.start(choose_device(settings.device))
        precision = fastest_precision(self.device) if settings.precision == "auto" else settings.precision
        self.set_precision(distributed.gather([precision])[0])  # the processes must agree
        self.augment = Augment(**{field.name: getattr(settings, field.name) for field in fields(Augment)})
        self.model = model.to(self.device, memory_format=torch.channels_last)
        self.parallel = distributed.wrap(self.model)
        self.average = copy.deepcopy(model) if settings.averaging else model
        self.kernels = [weight for weight in model.parameters() if weight.ndim == 4]
        betas = (settings.beta1, settings.beta2)
        self.optimizer = torch.optim.Adam(model.parameters(), settings.learning_rate, betas, fused=True)
        self.steps_at_size = 0
        self.curves_drawn = 0.0  # when, in seconds of time.perf_counter
        self.history: list[dict] = []  # one row per epoch done, as in metrics.csv
        print(f"device {self.device}, {self.precision}, {sum(p.numel() for p in model.parameters()):,} parameters")

    def set_precision(self, name: str) -> None:
        self.precision = name
        self.autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=name == "bfloat16")

    def train(self) -> None:
        """Run the epochs that are still to do; after each, validate, write a line, and keep the last and the best state."""
        self.result.mkdir(parents=True, exist_ok=True)
        layout = "{percentage:3.0f}% |{bar}| {elapsed} gone, {remaining} left{postfix}"
        print(report.EPOCH_HEADER)
        with tqdm(
            total=1.0, initial=self.progress[len(self.history)], bar_format=layout, disable=None if distributed.FIRST else True
        ) as bar:
            for epoch, size in list(enumerate(self.sizes, 1))[len(self.history) :]:
                start = time.perf_counter()
                if epoch == 1 or size != self.sizes[epoch - 2]:
                    self.start_resolution()
                row = {"epoch": epoch, "size": size} | self.train_epoch(epoch, size, bar)
                found = self.evaluate("valid", size)
                errors_px = metrics.point_errors(found.points_network_px, self.loaders["valid"].dataset.points_network_px)
                row |= report.epoch_figures("valid", found.loss, errors_px) | {"seconds": time.perf_counter() - start}
                self.history.append(row)
                self.keep(row)
                tqdm.write(report.epoch_line(row))
                if self.settings.debug and distributed.FIRST:
                    self.debug(epoch, size)

    def train_epoch(self, epoch: int, size: int, bar: tqdm) -> dict:
        """One pass over the training radiographs; its random numbers depend on seed and epoch alone, so a run can resume."""
        settings, loader = self.settings, self.loaders["train"]
        seed = 1_000_000 * settings.seed + epoch
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        self.model.train()
        losses, errors = [], []
        done, step_progress = self.progress[epoch - 1], (self.progress[epoch] - self.progress[epoch - 1]) / len(loader)
        for i, batch in enumerate(loader):
            rate = self.set_learning_rate(done + i * step_progress)
            count = len(batch["image"])
            part, weight = distributed.share(count)
            images, points = self.augment(batch["image"].to(self.device), batch["points"].to(self.device), generator, part)
            images, points = self.shrink(images, size), rescale(points, size / self.network_size)
            targets = draw_heatmaps(points, size, size, self.sigma * size / self.network_size)
            heatmaps, _, _ = self.forward(self.parallel, images)
            area = (self.network_size / size) ** 2
            loss, parts = ridge_loss(heatmaps, targets, points, self.kernels, settings.ridge, weight * area)
            self.optimizer.zero_grad()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(self.model.parameters(), settings.gradient_clip or math.inf)
            if not torch.isfinite(loss + norm):
                values = ", ".join(f"{name} {value.item():g}" for name, value in (parts | {"gradient": norm}).items())
                raise DataError(f"epoch {epoch}: the loss is not finite ({values}); train with a lower learning_rate")
            self.optimizer.step()
            self.steps_at_size += 1
            self.update_average()
            losses.append(parts["heatmaps"].detach() * count / distributed.WORLD)
            if weight:
                found, _ = decode_heatmaps(heatmaps.detach())
                errors.append((found - points).norm(dim=-1) * (self.network_size / size))
            bar.update(step_progress)
            bar.set_postfix_str(f", epoch {epoch}")
        errors_px = np.array(distributed.gather([row for batch in errors for row in batch.cpu().numpy()]))
        loss = sum(distributed.gather([sum(losses).item()])) / len(errors_px)
        return {"learning_rate": rate} | report.epoch_figures("train", loss, errors_px)

    def start_resolution(self) -> None:
        """Forget what Adam knows of the gradients at another resolution, which would make the first steps far too long."""
        self.optimizer.state.clear()
        self.steps_at_size = 0

    def set_learning_rate(self, progress: float) -> float:
        """The scheduled rate after `progress` of the run, less during the first steps at a resolution."""
        rise = min(1.0, (1 + self.steps_at_size) / (1 + self.settings.warmup))
        rate = self.settings.learning_rate * schedule_factor(self.settings.schedule, progress) * rise
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    @torch.no_grad()
    def evaluate(self, split: str, size: int) -> Evaluation:
        """Where the (averaged) network sees the landmarks of a split, shown to it at `size` px."""
        self.average.eval()
        losses, points, peaks = [], [], []
        for batch in self.loaders[split]:
            heatmaps, _, _ = self.forward(self.average, self.shrink(batch["image"].to(self.device), size))
            targets = self.shrink(batch["heatmaps"].to(self.device), size)
            area = (self.network_size / size) ** 2
            loss, _ = ridge_loss(heatmaps, targets, batch["points"].to(self.device), [], 0, area)
            found, heights = decode_heatmaps(heatmaps)
            losses.append(loss.item() * len(heatmaps))
            points.extend(rescale(found, self.network_size / size).cpu().double().numpy())
            peaks.extend(heights.cpu().numpy())
        losses, points, peaks = (distributed.gather(items) for items in (losses, points, peaks))
        return Evaluation(sum(losses) / len(points), np.array(points), np.array(peaks))

    def test(self) -> dict:
        """Measure the network on the test radiographs and write what it found to RESULT; returns the figures."""
        found = self.evaluate("test", self.size)
        data = self.loaders["test"].dataset
        if not distributed.FIRST:
            return {}
        more = {"split": data.split, "network_input_px": self.size, "precision": self.precision}
        return report.write_test(self.result, data, found.points_network_px, found.peaks, more)

    def keep(self, row: dict) -> None:
        """Write what an epoch left: the best state, the last state, the table and the curves."""
        self.size = row["size"]
        if not distributed.FIRST:
            return
        if (last := self.result / "last.pt").exists():
            os.replace(last, self.result / PREVIOUS)
        self.save(last, with_training=True)
        if rank(row) <= min(map(rank, self.history)):
            self.save(self.result / "best.pt", with_training=False)
        write_csv(self.result / "metrics.csv", self.history)
        if len(self.history) == len(self.sizes) or time.perf_counter() - self.curves_drawn > CURVES_EVERY_S:
            figures.draw_curves(self.history, self.result / "curves.png")
            self.curves_drawn = time.perf_counter()

    def save(self, path: Path, with_training: bool) -> None:
        """Write the (averaged) weights and what they need to be used; with the state of training, also to go on."""
        state = {
            "weights": self.average.state_dict(),
            "size": self.size,
            "network_size": self.network_size,
            "precision": self.precision,
            "data": self.data_settings,
            "settings": asdict(self.settings),
            "provenance": report.provenance(),
            "epoch": len(self.history),
            "valid_ipe_px": self.history[-1]["valid_ipe_px"],
        }
        if with_training:
            training = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
            state |= training | {"steps_at_size": self.steps_at_size, "history": self.history, "seen": self.seen}
        write_checkpoint(path, state)

    def load(self, path: Path) -> dict:
        """Take over the weights of a checkpoint, and the resolution and precision they were trained with. Raises DataError."""
        state = read_checkpoint(path, self.device)
        try:
            self.average.load_state_dict(state["weights"])
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise DataError(f"{path}: does not fit the landmarks of the data or the model settings ({reason})") from error
        if state["network_size"] != self.network_size:
            raise DataError(f"{path}: expected data of {state['network_size']} px, found {self.network_size} px; prepare it so")
        self.size = state["size"]
        if self.settings.precision == "auto":
            self.set_precision(state["precision"])
        return state

    def start_from(self, path: Path) -> None:
        """Begin with the weights of a checkpoint; those made for another number of landmarks stay random. Raises DataError."""
        weights, own = read_checkpoint(path, self.device)["weights"], self.model.state_dict()
        fitting = {name: weight for name, weight in weights.items() if name in own and weight.shape == own[name].shape}
        anew = sorted(own.keys() - fitting.keys())
        if len(fitting) <= len(own) / 2:
            raise DataError(f"{path}: is another network than the model settings ask for; use its settings, or a blank --init")
        self.model.load_state_dict(own | fitting)
        self.average.load_state_dict(own | fitting)
        print(f"starting from {path}" + (f"; random, because their shapes differ: {', '.join(anew)}" if anew else ""))

    def resume(self) -> None:
        """Go on from RESULT/last.pt, or where that is damaged from the state before it, as if the run had never stopped.

        The same numbers come out on the same machine. Raises DataError.
        """
        path = last = self.result / "last.pt"
        try:
            read_checkpoint(last)
        except DataError as error:
            path = self.result / PREVIOUS
            if not path.exists():
                raise
            print(f"{error}; going on from {path}, an epoch earlier")
        state = self.load(path)
        if not {"model", "seen"} <= state.keys():
            raise DataError(f"{path}: holds weights alone, not the state of a training; train anew with another --result")
        was, now = state["settings"] | state["data"], asdict(self.settings) | self.data_settings
        changed = [key for key in was if key not in MAY_DIFFER and was[key] != now.get(key)]
        changed = ["another reference" if key == "profile" else f"{key} {was[key]} -> {now.get(key)}" for key in changed]
        other = sorted(role for role, digest in self.seen.items() if digest != state["seen"][role])
        changed += [f"other radiographs or landmarks in {role}" for role in other]
        if changed:
            raise DataError(f"{path}: made with other settings ({', '.join(changed)}); use the same, or another --result")
        if path != last and last.exists() and distributed.FIRST:
            os.replace(last, last.with_name("damaged.pt"))  # or it would take the place of the good one
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps_at_size, self.history = state["steps_at_size"], state["history"]
        if distributed.FIRST:
            write_csv(self.result / "metrics.csv", self.history)
            if rank(self.history[-1]) <= min(map(rank, self.history)):  # it may have been killed before it wrote the best
                self.save(self.result / "best.pt", with_training=False)
        print(f"going on after epoch {len(self.history)} of {len(self.sizes)}")

    @torch.no_grad()
    def debug(self, epoch: int, size: int) -> None:
        """Draw the heatmaps of both components and their product for the first validation radiograph."""
        image = self.shrink(next(iter(self.loaders["valid"]))["image"][:1].to(self.device), size)
        maps = [stack[0].float().cpu().numpy() for stack in self.forward(self.average, image)]
        folder = self.result / "debug"
        folder.mkdir(exist_ok=True)
        named = dict(zip(("product", "local", "spatial"), maps, strict=True))
        figures.draw_heatmaps(image[0, 0].cpu().numpy(), named, folder / f"epoch_{epoch:04d}.png")

    def forward(self, model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The network, its spatial configuration on the same grid at every resolution, so that it need not learn anew."""
        factor = self.model.spatial_factor * images.shape[-1] // self.network_size
        with self.autocast:
            return model(images.contiguous(memory_format=torch.channels_last), factor)

    def shrink(self, pictures: Tensor, size: int) -> Tensor:
        """Images or heatmaps (B, C, network size, network size) averaged to (B, C, size, size)."""
        return F.avg_pool2d(pictures, self.network_size // size)

    @torch.no_grad()
    def update_average(self) -> None:
        """Move the averaged weights towards the present ones, faster at the start of a resolution."""
        if self.average is not self.model:
            decay = min(self.settings.averaging, (1 + self.steps_at_size) / (10 + self.steps_at_size))
            torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - decay)


def rank(row: dict) -> float:
    """What the best epoch has the least of: validation IPE, infinite where no validation radiograph has a landmark."""
    return math.inf if math.isnan(row["valid_ipe_px"]) else row["valid_ipe_px"]
