"""Training an SCN, going on with an interrupted training, and testing the network that came of it."""

import copy
import math
import os
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

import metrics
from augment import Augment
from dataloader import Augmented, RadiographDataset, batches_of, make_loader, make_training_loader
from evaluation import evaluate, forward, shrink
from heatmap import decode_heatmaps, draw_heatmaps, rescale
from joints.tree import ShapeTree
from loss import ridge_loss
from model import SCN
from radiographs.network_frame import at_size
from runtime import distributed
from runtime.arithmetic import settle
from runtime.checkpoint import read_checkpoint, write_checkpoint
from runtime.command import heed_signals
from runtime.device import be_deterministic, choose_device, choose_precision, choose_workers
from runtime.files import DataError, write_csv
from second_look.network import PREFIX, own_weights, refine_all
from second_look.training import Training
from training import figures, report
from training.forecast import Forecast
from training.learned_widths import LearnedWidths
from training.plan import ByValidation, Epoch, Laid, mean_shape_error
from training.recipe import AUTO
from training.runs import BEST, LAST, METRICS, PREVIOUS
from training.schedule import read_stages
from training.testing import test

CHECK_EVERY = 10  # steps between two looks at whether the loss is finite, for which a GPU must be waited for
CURVES_EVERY_S = 60  # seconds at least between two drawings of the curves, which take half a second
NOT_VALIDATED = dict.fromkeys(("valid_loss", "valid_ipe_px", "valid_or_10px", "valid_near_px"), math.nan)
# settings that may differ between a run and its continuation
MAY_DIFFER = {"data", "also", "result", "mode", "checkpoint", "test_on", "resume", "init", "debug", "device", "deterministic"}
MAY_DIFFER |= {"allow_seen", "allow_missing", "auto", "workers", "hours"}
SHOWN_A_ROUND = 360  # radiographs, in epochs whose validation errors are taken together
STEPS_A_ROUND = 270  # the same for the second look, in steps
TREE_GAIN = 0.02  # share of the validation error that a shape tree must save
PATIENCE = 2  # rounds that must bring a gain, or the error has stopped falling
PATIENCE_OF_LEARNT = 1  # the same for weights that know the landmarks already, and for the second look
NEAR = 1 / 4  # share of a crop's side: errors count as this at most when the second look's epochs are decided
FIRST_SHARE = 0.5  # share of --hours for the first look, where there is a second one


class Solver:
    """Trains a model by the settings of main.py, and keeps RESULT/last.pt and RESULT/best.pt.

    Sizes, px of the longer side: `network_size` is that of the prepared data's frame, in which errors are given; an epoch works
    at `size`.
    """

    def __init__(self, network: dict, settings, result: Path, sets: dict[str, RadiographDataset], chooses: bool = True):
        """network: what SCN is built with; sets: "train" and maybe "valid".

        Validation says how long training lasts, where the settings do not. If it `chooses`, it also says which epoch is the best;
        else the last one is.
        """
        data = sets["train"]
        self.network, model = network, SCN(**network)
        self.settings, self.result, self.sets = settings, result, sets
        self.data_settings, self.frame, self.network_size, self.sigma = data.settings, data.frame, data.size, data.sigma
        self.digests = {role: one.digest() for role, one in sets.items()}
        self.chooses = chooses and "valid" in sets
        self.seen = {role: one.marks() for role, one in sets.items() if role == "train" or chooses}
        self.two_looks = bool(data.detail and settings.second_look)
        if self.two_looks and settings.second_look == AUTO and "valid" not in sets:
            raise DataError("second_look: expected a number of epochs without validation radiographs, found auto; give one")
        self.sizes, counted = read_stages(
            settings.stages, data.frame, model.spatial_factor, 2 ** (settings.levels - 1), data.sigma
        )
        if settings.hours and counted and not (self.two_looks and settings.second_look == AUTO):
            raise DataError("hours: expected nothing where epochs are counted; leave it out, or give --stages by sizes alone")
        if counted:
            self.plan = Laid(self.sizes, settings.schedule, data.size)
        else:
            patience = PATIENCE if len(self.sizes) > 1 else PATIENCE_OF_LEARNT  # learnt weights begin with the last size
            self.plan = self.by_validation(self.sizes, SHOWN_A_ROUND / len(data), FIRST_SHARE if self.two_looks else 1, patience)
        if settings.deterministic:
            be_deterministic()
        self.device = distributed.start(choose_device(settings.device))
        self.precision = distributed.gather([choose_precision(settings.precision, self.device)])[0]  # the processes must agree
        torch.backends.cudnn.benchmark = not settings.deterministic
        self.workers = workers = choose_workers(settings.workers, self.device)
        augmented = Augmented(data, Augment.of(settings), settings.seed)
        self.loaders = {"train": make_training_loader(augmented, settings.batch_size, workers)}
        if "valid" in sets:
            self.loaders["valid"] = make_loader(sets["valid"], settings.batch_size, workers, share=True)
        self.model = model.to(self.device, memory_format=torch.channels_last)
        self.parallel = distributed.wrap(self.model)  # the same, with gradients averaged over processes
        self.average = copy.deepcopy(model) if settings.averaging else model  # the network that is validated and kept
        self.kernels = [weight for weight in model.parameters() if weight.ndim == 4]  # the ridge penalises them
        landmarks = network["num_landmarks"]
        if settings.learn_sigma and distributed.WORLD > 1:
            raise DataError(f"learn_sigma: expected one process, found {distributed.WORLD}; run without torchrun")
        self.widths = LearnedWidths(landmarks, data.sigma, settings.anisotropic).to(self.device) if settings.learn_sigma else None
        betas, learnt = (settings.beta1, settings.beta2), [*model.parameters()]
        learnt += [value for value in self.widths.parameters() if value.requires_grad] if self.widths else []
        self.optimizer = torch.optim.Adam(learnt, settings.learning_rate, betas, fused=True)
        self.first: dict = {}  # "weights" and "size" of the first look's best epoch
        self.look: Training | None = None  # the second look's training, once the first one is done
        self.look_state: dict = {}  # what the second look goes on from, in a resumed run
        self.look_init: dict[str, Tensor] = {}  # weights that the second look starts from
        self.first_ipe_px = math.nan  # validation IPE of the first look, with or without the tree
        self.tree: ShapeTree | None = None  # chooses among the first look's peaks
        self.unfinished = ""  # why training ended though the error was still falling
        self.steps_at_size = 0
        self.curves_drawn = 0.0  # time of the last drawing, by time.perf_counter
        self.forecast = Forecast(len(data), len(sets.get("valid", [])))
        self.history: list[dict] = []  # one row per epoch done, as in metrics.csv
        print(f"device {self.device}, {self.precision}, {sum(p.numel() for p in model.parameters()):,} parameters")

    def by_validation(self, sizes: list[int], round_epochs: float, share: float, patience: int) -> ByValidation:
        """A plan that goes by the validation radiographs, in a share of --hours. Raises DataError without any."""
        if "valid" not in self.sets:
            raise DataError("stages: expected SIZExEPOCHS without validation radiographs, found sizes alone; give epochs too")
        unlearnt = mean_shape_error(self.sets["train"].points_network_px, self.sets["valid"].points_network_px)
        seconds = 3600 * self.settings.hours * share or math.inf
        return ByValidation(sizes, self.network_size, math.ceil(round_epochs), unlearnt, seconds, patience)

    def train(self) -> None:
        """Run the epochs that are still to do; after each, validate, write a line, and keep the last and the best state."""
        self.result.mkdir(parents=True, exist_ok=True)
        self.precision = self.right_precision()
        print(report.EPOCH_HEADER)
        while not self.look_state and (plan := self.plan.next(self.first_rows())):
            self.say(plan.says)
            if not self.history or plan.size != self.history[-1]["size"]:
                self.start_resolution()
            epoch, start = len(self.history) + 1, time.perf_counter()
            row = {"epoch": epoch, "look": 1, "size": plan.size, "fall": plan.fall}
            row |= self.train_epoch(epoch, plan) | self.validate(plan.size)
            self.end_epoch(row | {"seconds": time.perf_counter() - start})
            if self.settings.debug and distributed.FIRST:
                self.debug(epoch, plan.size)
        self.say(report.warning_at_end(self.first_rows()))
        self.unfinished = self.plan.unfinished or self.unfinished
        self.average.load_state_dict(self.first["weights"])
        found = self.tell_neighbours_apart()
        if self.two_looks:
            self.look_again(found)
        if distributed.FIRST:
            figures.draw_curves(self.history, self.result / "curves.png")
            self.finish()
        distributed.wait()  # until best.pt is completely written
        distributed.stop()

    @staticmethod
    def say(line: str | None) -> None:
        if line:
            tqdm.write(line)

    def first_rows(self) -> list[dict]:
        """The epochs of the first look."""
        return [row for row in self.history if row["look"] == 1]

    def finish(self) -> None:
        """Write into the best state what was found after its epoch."""
        state = read_checkpoint(self.result / BEST)
        more = {"unfinished": self.unfinished} if self.unfinished else {}
        if self.tree:
            more |= {"tree": self.tree.to_file()} | ({} if "second_look" in state else {"valid_ipe_px": self.first_ipe_px})
        if more:
            write_checkpoint(self.result / BEST, state | more)

    def tell_neighbours_apart(self) -> np.ndarray | None:
        """Decide whether peaks are chosen by a shape tree; points (N, L, 2) that the first look then finds in validation."""
        tree, wanted = ShapeTree.of(self.sets["train"].points_network_px), self.settings.shape_tree
        if "valid" not in self.sets:
            self.tree = tree if wanted == "on" else None
            return None
        truth, found = self.sets["valid"].points_network_px, {}
        for name, chooser in (("off", None), ("on", tree)):
            if wanted in (name, AUTO):
                found[name] = evaluate(self.average, self.loaders["valid"], self.first["size"], self.precision, chooser)
        if wanted == AUTO:
            alone, together = (
                metrics.mean_of_present(metrics.point_errors(one.points_network_px, truth)) for one in found.values()
            )
            wanted = "on" if together < (1 - TREE_GAIN) * alone else "off"
            self.say(f"shape tree: {wanted}; validation error of first peaks {alone:.3f} px, chosen together {together:.3f} px")
        self.tree, points = tree if wanted == "on" else None, found[wanted].points_network_px
        self.first_ipe_px = float(metrics.mean_of_present(metrics.ipe(metrics.point_errors(points, truth))))
        return points

    def look_again(self, found: np.ndarray | None) -> None:
        """Train the second look on what the first look finds; where it does not pay, the first one alone is kept."""
        self.look = Training(self.settings, self.sets, self.average, self.precision, self.workers, self.look_init)
        if self.look_state:
            self.look.load(self.look_state)
            if distributed.FIRST and self.best_now():  # the run may have been killed before it wrote the best
                write_checkpoint(self.result / BEST, self.state())
        first_rows, detail = self.first_rows(), self.sets["train"].detail
        print(f"second look: crops of {self.settings.crop} px from radiographs of {detail} px")
        if self.settings.second_look == AUTO:
            plan = self.by_validation([detail], STEPS_A_ROUND / len(self.look.loader), 1, PATIENCE_OF_LEARNT)
        else:
            plan = Laid([detail] * self.settings.second_look, self.settings.schedule, detail)
        spent = sum(row["seconds"] for row in first_rows)
        while epoch := plan.next(self.history[len(first_rows) :], spent):
            self.say(epoch.says)
            start = time.perf_counter()
            rate, loss, errors = self.look.train_epoch(len(self.history) - len(first_rows) + 1, epoch.factor)
            row = {"epoch": len(self.history) + 1, "look": 2, "size": detail, "fall": epoch.fall, "learning_rate": rate}
            row |= {"train_loss": loss, "train_ipe_px": float(errors.mean()) * self.network_size / detail}
            row |= {"train_or_10px": math.nan} | self.validate_second(found)
            self.end_epoch(row | {"seconds": time.perf_counter() - start})
        self.say(report.warning_at_end(self.history))
        self.unfinished = plan.unfinished or self.unfinished
        if found is not None:
            ranks = [rank(row) for row in self.history if row["look"] == 2]
            last = min(ranks) if self.chooses else ranks[-1]
            left_out = "; it is left out" if self.chooses and last > self.first_rank else ""
            print(f"second look: validation IPE {self.first_ipe_px:.3f} -> {last:.3f} px{left_out}")

    def end_epoch(self, row: dict) -> None:
        """Keep what an epoch has brought, and say it. All processes take what the first one has measured, and so decide alike."""
        self.history.append(distributed.gather([row])[0])
        self.keep()
        self.say(report.epoch_line(row))
        self.say(report.warning(self.history))

    def validate_second(self, found: np.ndarray | None) -> dict:
        """Loss (unknown), IPE and Or on the validation radiographs, where the first look found points (N, L, 2).

        "valid_near_px" is the mean error of the landmarks that the first look found within NEAR of a crop, counted as that at
        most: the second look cannot mend others, and where many are lost they would hide that it still gains.
        """
        if found is None:
            return NOT_VALIDATED
        data = self.sets["valid"]
        points, _ = refine_all(self.look.average, data, found, self.settings.crop, self.precision)
        before, errors = (metrics.point_errors(one, data.points_network_px) for one in (found, points))
        reach = NEAR * self.settings.crop * self.network_size / data.detail
        near = {"valid_near_px": float(metrics.mean_of_present(np.where(before <= reach, errors, np.nan).clip(max=reach)))}
        return report.epoch_figures("valid", math.nan, errors) | near

    def train_epoch(self, epoch: int, plan: Epoch) -> dict:
        """One pass over the training radiographs; its random numbers depend on seed and epoch alone, so a run can resume."""
        loader = self.loaders["train"]
        batches = loader.batch_sampler
        batches.epoch, count = epoch, len(batches)
        begin, end = self.plan.progress[epoch - 1 : epoch + 1] if epoch < len(self.plan.progress) else (1, 1)
        torch.manual_seed(1_000_000 * self.settings.seed + epoch + 999_983 * distributed.RANK)  # dropout's own in each process
        self.model.train()
        losses, errors = [], []
        bar = tqdm(batches_of(loader), f"epoch {epoch}", count, leave=False, disable=None if distributed.FIRST else True)
        for i, (batch, whole) in enumerate(zip(bar, batches.whole(), strict=True)):
            heed_signals()
            rate = self.set_learning_rate(plan.factor(i, count))
            batch["weight"] = distributed.weight(len(whole))
            check = i % CHECK_EVERY == 0 or i + 1 == len(batches)
            loss, errors_px = self.step(epoch, plan.size, batch, check)
            losses.append(loss * len(whole) / distributed.WORLD)  # this process's part of the sum over radiographs
            errors += [errors_px] if batch["weight"] else []
            if said := self.forecast.after_step(begin + (i + 1) / count * (end - begin)):
                self.say(f"first look: {self.plan.bound}{said}")
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

    def spatial_factor(self, size: int) -> int:
        """The factor at which the spatial configuration keeps its grid, so that it need not learn anew at another resolution."""
        return self.model.spatial_factor * size // self.network_size

    def right_precision(self) -> str:
        """The precision that all processes compute the convolutions of this run in rightly."""
        batch = -(-self.settings.batch_size // distributed.WORLD)
        shapes = [((batch, 1, *at_size(self.frame, size)), (self.spatial_factor(size),)) for size in sorted(set(self.sizes))]
        found = distributed.gather([settle(self.model, shapes, self.precision)])
        return "float32" if "float32" in found else self.precision

    def start_resolution(self) -> None:
        """Forget what Adam knows of the gradients at another resolution, which would make the first steps far too long."""
        self.optimizer.state.clear()
        self.steps_at_size = 0

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

    def validate(self, size: int) -> dict:
        """Loss, IPE and Or of the (averaged) network on the validation radiographs, NaN where there are none."""
        if "valid" not in self.loaders:
            return NOT_VALIDATED
        evaluation = evaluate(self.average, self.loaders["valid"], size, self.precision)
        truth = self.sets["valid"].points_network_px
        found = report.epoch_figures("valid", evaluation.loss, metrics.point_errors(evaluation.points_network_px, truth))
        return found | {"valid_near_px": found["valid_ipe_px"]}

    def test(self, data: RadiographDataset) -> dict:
        """Measure the best network on a data set and write what it found to RESULT; returns the figures."""
        settings = self.settings
        return test(
            self.result / BEST, data, self.result, self.device, self.precision, settings.batch_size, settings.allow_seen, True
        )

    def keep(self) -> None:
        """Write what the last epoch left: the best state, the last state, the table and the curves."""
        best = self.best_now()
        if best and not self.look:
            weights = {name: weight.clone() for name, weight in self.average.state_dict().items()}
            self.first = {"weights": weights, "size": self.history[-1]["size"]}
        if not distributed.FIRST:
            return
        if (last := self.result / LAST).exists():
            os.replace(last, self.result / PREVIOUS)
        write_checkpoint(last, self.state() | self.training_state())
        if best:
            write_checkpoint(self.result / BEST, self.state())
        write_csv(self.result / METRICS, self.history)
        if time.perf_counter() - self.curves_drawn > CURVES_EVERY_S:
            figures.draw_curves(self.history, self.result / "curves.png")
            self.curves_drawn = time.perf_counter()

    def best_now(self) -> bool:
        """Whether the newest epoch is the best so far; where validation does not choose, it always is."""
        newest = self.history[-1]
        rivals = [rank(row) for row in self.history if row["look"] == newest["look"]] + [self.first_rank] * (newest["look"] == 2)
        return not self.chooses or rank(newest) <= min(rivals)

    @property
    def first_rank(self) -> float:
        """The `rank` of the first look, with the tree where it has one."""
        return math.inf if math.isnan(self.first_ipe_px) else self.first_ipe_px

    def state(self) -> dict:
        """The (averaged) weights and what they need to be used."""
        return {
            "weights": self.average.state_dict() | (self.look.weights() if self.look else {}),
            "network": self.network,
            "size": self.first["size"] if self.look else self.history[-1]["size"],
            "network_size": self.network_size,
            "precision": self.precision,
            "data": self.data_settings,
            "settings": asdict(self.settings),
            "provenance": report.provenance(),
            "epoch": len(self.history),
            "valid_ipe_px": self.history[-1]["valid_ipe_px"],
            "seen": self.seen,
            "radiographs": {role: len(one) for role, one in self.sets.items()},
            **({"second_look": self.look.described()} if self.look else {}),
            **({"tree": self.tree.to_file()} if self.tree else {}),
        } | ({"sigmas_px": self.widths.deviations().tolist()} if self.widths else {})

    def training_state(self) -> dict:
        """What a run needs to go on."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "steps_at_size": self.steps_at_size,
            "history": self.history,
            "digests": self.digests,
            "unfinished": self.unfinished,
            **({"look": self.look.state()} if self.look else {"look_init": self.look_init}),
        } | ({"widths": self.widths.state_dict()} if self.widths else {})

    def start_from(self, path: Path) -> None:
        """Begin with the weights of a checkpoint; those made for another number of landmarks stay random. Raises DataError."""
        state, own = read_checkpoint(path), self.model.state_dict()
        weights = state["weights"]
        fitting = {name: weight for name, weight in weights.items() if name in own and weight.shape == own[name].shape}
        anew = sorted(own.keys() - fitting.keys())
        if len(fitting) <= len(own) / 2:
            raise DataError(f"{path}: is another network than the model settings ask for; use its settings, or a blank --init")
        for role, digests in state.get("seen", {}).items():
            self.seen[role] = self.seen.get(role, []) + digests
        self.model.load_state_dict(own | fitting)
        self.average.load_state_dict(own | fitting)
        self.look_init = own_weights(state)
        print(f"starting from {path}" + (f"; random, because their shapes differ: {', '.join(anew)}" if anew else ""))

    def resume(self) -> None:
        """Go on from RESULT/last.pt, or where that is damaged from the state before it, as if the run had never stopped.

        The same numbers come out on the same machine. Raises DataError.
        """
        path = last = self.result / LAST
        try:
            state = read_checkpoint(last)
        except DataError as error:
            path = self.result / PREVIOUS
            if not path.exists():
                raise
            print(f"{error}; going on from {path}, an epoch earlier")
            state = read_checkpoint(path)
        if not {"model", "digests", "unfinished"} <= state.keys():
            raise DataError(f"{path}: holds weights alone, or the state of an earlier version; train anew with another --result")
        was = state["settings"] | state["data"] | {"landmarks": state["network"]["num_landmarks"]}
        now = asdict(self.settings) | self.data_settings | {"landmarks": self.sets["train"].points_px.shape[1]}
        changed = [key for key in was if key not in MAY_DIFFER and was[key] != now.get(key)]
        words = {"profile": "another reference", "joint": "another description of the joint"}
        changed = [words.get(key, f"{key} {was[key]} -> {now.get(key)}") for key in changed]
        other = sorted(role for role, digest in self.digests.items() if digest != state["digests"][role])
        changed += [f"other radiographs or landmarks in {role}" for role in other]
        if changed:
            raise DataError(f"{path}: made with other settings ({', '.join(changed)}); use the same, or another --result")
        weights = {name: weight for name, weight in state["weights"].items() if not name.startswith(PREFIX)}
        self.average.load_state_dict(weights)
        self.look_state = state.get("look", {})
        best = state if self.look_state or not (self.result / BEST).exists() else read_checkpoint(self.result / BEST)
        self.first = {"weights": {name: best["weights"][name] for name in weights}, "size": best["size"]}
        self.model.load_state_dict(state["model"])
        if self.widths:
            self.widths.load_state_dict(state["widths"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps_at_size, self.history = state["steps_at_size"], state["history"]
        self.precision, self.seen = state["precision"], state["seen"]
        self.unfinished, self.look_init = state["unfinished"], state.get("look_init", {})
        if not self.look_state and self.best_now():  # the run may have been killed before it wrote the best
            self.first = {"weights": weights, "size": self.history[-1]["size"]}
        if path != last and last.exists() and distributed.FIRST:
            os.replace(last, last.with_name("damaged.pt"))  # or it would take the place of the good one
        if distributed.FIRST:
            write_csv(self.result / METRICS, self.history)
            if not self.look_state and self.best_now():
                write_checkpoint(self.result / BEST, self.state())
        given = isinstance(self.plan, Laid) and self.settings.second_look != AUTO
        of = f" of {len(self.sizes) + self.two_looks * self.settings.second_look}" if given else ""
        print(f"going on after epoch {len(self.history)}{of}")

    @torch.no_grad()
    def debug(self, epoch: int, size: int) -> None:
        """Draw the heatmaps of both components and their product for the first validation radiograph, or the first there is."""
        image = self.sets.get("valid", self.sets["train"])[0]["image"]
        image = shrink(image[None].to(self.device), size)
        heatmaps = forward(self.average.eval(), image, self.spatial_factor(size), self.precision)
        named = {
            name: stack[0].float().cpu().numpy() for name, stack in zip(("product", "local", "spatial"), heatmaps, strict=True)
        }
        folder = self.result / "debug"
        folder.mkdir(exist_ok=True)
        figures.draw_heatmaps(image[0, 0].cpu().numpy(), named, folder / f"epoch_{epoch:04d}.png")


def rank(row: dict) -> float:
    """The figure that is least for the best epoch: validation IPE, infinite where no validation radiograph has a landmark.

    Of several epochs with the same rank the last is the best. Without validation all ranks are the same, so the last is kept.
    """
    return math.inf if math.isnan(row["valid_ipe_px"]) else row["valid_ipe_px"]
