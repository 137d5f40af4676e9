"""Training a network's two looks, going on with an interrupted training, and testing the network that came of it."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

import metrics
from dataloader import RadiographDataset, end_workers, make_loader
from evaluation import evaluate, find_all
from joints.tree import ShapeTree, loses
from runtime import distributed
from runtime.checkpoint import read_checkpoint
from runtime.device import be_deterministic, choose_device, choose_precision, choose_workers
from runtime.files import DataError
from second_look.network import refine_all
from second_look.training import Training
from training import figures, report
from training.first_look import FirstLook
from training.judgement import judge, tell_disagreements
from training.plan import ByValidation, Epoch, Laid, mean_shape_error
from training.runs import BEST, checkpoint_of
from training.schedule import read_stages
from training.settings import AUTO, NETWORK, marked
from training.state import State, rank
from training.testing import test

SHOWN_A_ROUND = 360  # radiographs, in epochs whose validation errors are taken together
STEPS_A_ROUND = 180  # the same for the second look, in steps
LEAST_ROUND, MOST_ROUND = 2, 60  # epochs: of many radiographs a single one says little; of very few an epoch mostly writes files
PATIENCE = 2  # rounds that must bring a gain, or the error has stopped falling
PATIENCE_OF_LEARNT = 1  # the same for weights that know the landmarks already, and for the second look
NEAR = 1 / 4  # share of a crop's side: errors count as this at most when the second look's epochs are decided
FIRST_SHARE = 0.5  # share of --hours for the first look, where there is a second one
Of = Callable[[Epoch], dict]


def train(settings, result: Path, data: RadiographDataset, valid: RadiographDataset | None = None) -> "Solver":
    """Train in a folder, from its own last state, from the weights of another run, or from random ones. Raises DataError."""
    solver = Solver(settings, result, {"train": data} | ({"valid": valid} if valid else {}))
    if settings.resume:
        solver.resume()
        given = isinstance(solver.plan, Laid) and settings.second_look != AUTO
        of = f" of {len(solver.plan.sizes) + solver.two_looks * settings.second_look}" if given else ""
        print(f"going on after epoch {len(solver.history)}{of}")
    elif settings.init:
        solver.start_from(checkpoint_of(settings.init))
    try:
        solver.train()
    finally:
        solver.end_workers()
    return solver


class Solver(State):
    """Trains a network by the settings of main.py: the first look, and the second one where it pays."""

    def __init__(self, settings, result: Path, sets: dict[str, RadiographDataset]):
        """sets: "train" and maybe "valid".

        Validation says how long training lasts, where the settings do not, and which epoch is the best; without it, and in a
        fold of a cross-validation, the last one is.
        """
        super().__init__(settings, result, sets)
        torch.manual_seed(settings.seed)
        data = sets["train"]
        self.two_looks = bool(data.detail and settings.second_look)
        self.plan = self.plan_first_look()
        if settings.deterministic:
            be_deterministic()
        torch.backends.cudnn.benchmark = not settings.deterministic
        self.device = distributed.start(choose_device(settings.device))
        precision = distributed.gather([choose_precision(settings.precision, self.device)])[0]  # the processes must agree
        self.workers = choose_workers(settings.workers, self.device)
        self.network = {name: getattr(settings, name) for name in marked(settings, NETWORK)}
        self.network["num_landmarks"] = data.points_px.shape[1]
        self.first_look = FirstLook(self.network, settings, data, self.device, precision, self.workers)
        if "valid" in sets:
            self.valid_loader = make_loader(sets["valid"], settings.batch_size, self.workers, share=True)
        self.forecast = report.Forecast(len(data), len(sets.get("valid", [])), self.plan.seconds)
        parameters = sum(weight.numel() for weight in self.first_look.model.parameters())
        print(f"device {self.device}, {precision}, {parameters:,} parameters")

    def plan_first_look(self) -> Laid | ByValidation:
        """What the settings say of the epochs; the sizes, px of the longer side, are those that they work at."""
        settings, data = self.settings, self.sets["train"]
        if settings.second_look not in (0, AUTO) and not data.detail:
            raise DataError(f"second_look: expected data prepared with --detail, found {data.folder} without; prepare them again")
        open_end = self.two_looks and settings.second_look == AUTO
        if open_end and "valid" not in self.sets:
            raise DataError("second_look: expected a number of epochs without validation radiographs, found auto; give one")
        lowest = 2 ** (settings.levels - 1)
        sizes, counted = read_stages(settings.stages, data.frame, settings.spatial_factor, lowest, data.sigma)
        if settings.hours and counted and not open_end:
            raise DataError("hours: expected nothing where epochs are counted; leave it out, or give --stages by sizes alone")
        if counted:
            return Laid(sizes, settings.schedule, data.size)
        patience = PATIENCE if len(sizes) > 1 else PATIENCE_OF_LEARNT  # learnt weights begin with the last size
        return self.by_validation(sizes, SHOWN_A_ROUND / len(data), FIRST_SHARE if self.two_looks else 1, patience)

    def by_validation(self, sizes: list[int], round_epochs: float, share: float, patience: int) -> ByValidation:
        """A plan that goes by the validation radiographs, in a share of --hours. Raises DataError without any."""
        if "valid" not in self.sets:
            raise DataError("stages: expected SIZExEPOCHS without validation radiographs, found sizes alone; give epochs too")
        unlearnt = mean_shape_error(self.sets["train"].points_network_px, self.sets["valid"].points_network_px)
        seconds = 3600 * self.settings.hours * share or math.inf
        rounds = min(max(LEAST_ROUND, math.ceil(round_epochs)), MOST_ROUND)
        return ByValidation(sizes, self.sets["train"].size, rounds, unlearnt, seconds, patience)

    def train(self) -> None:
        """Run the epochs that are still to do; after each, validate, write a line, and keep the last and the best state."""
        self.result.mkdir(parents=True, exist_ok=True)
        self.first_look.settle_precision(self.plan.sizes)
        print(report.EPOCH_HEADER)
        if not self.look_state:
            self.run_epochs(1, self.plan, self.train_first, lambda epoch: self.validate(epoch.size))
        self.first_look.average.load_state_dict(self.first["weights"])
        found = self.tell_neighbours_apart()
        if self.two_looks:
            self.look_again(found)
        if distributed.FIRST:
            figures.draw_curves(self.history, self.result / "curves.png")
            self.finish()
        distributed.wait()  # until best.pt is completely written
        distributed.stop()

    def run_epochs(self, look: int, plan: Laid | ByValidation, train: Of, validate: Of, spent: float = 0) -> None:
        """Run the epochs of a look; `train` and `validate` return columns of an epoch's row."""
        while epoch := plan.next(self.rows_of(look), spent):
            self.say(epoch.says)
            start = time.perf_counter()
            row = {"epoch": len(self.history) + 1, "look": look, "size": epoch.size, "fall": epoch.fall}
            row |= train(epoch) | validate(epoch)
            self.end_epoch(row | {"seconds": time.perf_counter() - start})
        self.say(report.warning_at_end(self.rows_of(look), len(self.sets["train"])))
        self.unfinished = plan.unfinished or self.unfinished

    def train_first(self, epoch: Epoch) -> dict:
        """Train the first look for an epoch."""
        number, look = len(self.history) + 1, self.first_look
        if not self.history or epoch.size != self.history[-1]["size"]:
            look.start_resolution()
        row = look.train_epoch(number, epoch, self.after_step)
        if self.settings.debug and distributed.FIRST:
            example = self.sets.get("valid", self.sets["train"])[0]["image"]
            look.draw_heatmaps(example, epoch.size, self.result / "debug" / f"epoch_{number:04d}.png")
        return row

    @staticmethod
    def say(line: str | None) -> None:
        if line:
            tqdm.write(line)

    def after_step(self, share: float) -> None:
        """Once, say how long the first look will take, told what share of the newest epoch is done."""
        epoch, progress = len(self.history), self.plan.progress
        begin, end = progress[epoch : epoch + 2] if epoch + 1 < len(progress) else (1, 1)
        if said := self.forecast.after_step(begin + share * (end - begin)):
            self.say(f"first look: {self.plan.bound}{said}")

    def tell_neighbours_apart(self) -> np.ndarray | None:
        """Decide whether peaks are chosen by a shape tree; points (N, L, 2) that the first look then finds in validation."""
        tree, wanted = ShapeTree.of(self.sets["train"].points_network_px), self.settings.shape_tree
        if "valid" not in self.sets:
            self.tree = tree if wanted == "on" else None
            return None
        average, precision = self.first_look.average, self.first_look.precision
        truth, found = self.sets["valid"].points_network_px, {}
        for name, chooser in (("off", None), ("on", tree)):
            if wanted in (name, AUTO):
                points = evaluate(average, self.valid_loader, self.first["size"], precision, chooser).points_network_px
                found[name] = points, metrics.point_errors(points, truth)
        if wanted == AUTO:
            alone, together = (errors for _, errors in found.values())
            wanted = "off" if loses(alone, together) else "on"
            both = "first peaks {:.3f} px, chosen together {:.3f} px".format(*map(metrics.mean_of_present, (alone, together)))
            self.say(f"shape tree: {wanted}; validation error of {both}")
        self.tree, (points, errors) = tree if wanted == "on" else None, found[wanted]
        self.first_ipe_px = float(metrics.mean_of_present(metrics.ipe(errors)))
        return points

    def look_again(self, found: np.ndarray | None) -> None:
        """Train the second look on what the first look finds; where it does not pay, the first one alone is kept."""
        settings, first, data = self.settings, self.first_look, self.sets["train"]
        self.look = Training(settings, self.sets, first.average, first.precision, self.workers, self.look_init)
        if self.look_state:
            self.look.load(self.look_state)
            self.write_best_if_missed()
        print(f"second look: crops of {settings.crop} px from radiographs of {data.detail} px")
        if settings.second_look == AUTO:
            plan = self.by_validation([data.detail], STEPS_A_ROUND / len(self.look.loader), 1, PATIENCE_OF_LEARNT)
        else:
            plan = Laid([data.detail] * settings.second_look, settings.schedule, data.detail)

        def train(epoch: Epoch) -> dict:
            rate, loss, errors = self.look.train_epoch(len(self.rows_of(look=2)) + 1, epoch.factor)
            error_px = float(errors.mean()) * data.size / data.detail
            return {"learning_rate": rate, "train_loss": loss, "train_ipe_px": error_px, "train_or_10px": math.nan}

        spent = sum(row["seconds"] for row in self.rows_of(look=1))
        self.run_epochs(2, plan, train, lambda epoch: self.validate_second(found), spent)
        if found is not None:
            ranks = [rank(row["valid_ipe_px"]) for row in self.rows_of(look=2)]
            last = min(ranks) if self.chooses else ranks[-1]
            left_out = "; it is left out" if self.chooses and last > rank(self.first_ipe_px) else ""
            if math.isfinite(last):
                print(f"second look: validation IPE {self.first_ipe_px:.3f} -> {last:.3f} px{left_out}")

    def validate(self, size: int) -> dict:
        """Loss, IPE and Or of the (averaged) network on the validation radiographs, NaN where there are none."""
        if "valid" not in self.sets:
            return report.NOT_VALIDATED
        found = evaluate(self.first_look.average, self.valid_loader, size, self.first_look.precision)
        errors = metrics.point_errors(found.points_network_px, self.sets["valid"].points_network_px)
        row = report.epoch_figures("valid", found.loss, errors)
        return row | {"valid_near_px": row["valid_ipe_px"]}

    def validate_second(self, found: np.ndarray | None) -> dict:
        """Loss (unknown), IPE and Or on the validation radiographs, where the first look found points (N, L, 2).

        "valid_near_px" is the mean error of the landmarks that the first look found within NEAR of a crop, counted as that at
        most: the second look cannot mend others, and where many are lost they would hide that it still gains.
        """
        if found is None:
            return report.NOT_VALIDATED
        data, crop = self.sets["valid"], self.settings.crop
        points, _ = refine_all(self.look.average, data, found, crop, self.look.precision)
        before, errors = (metrics.point_errors(one, data.points_network_px) for one in (found, points))
        reach = NEAR * crop * data.size / data.detail
        near = {"valid_near_px": float(metrics.mean_of_present(np.where(before <= reach, errors, np.nan).clip(max=reach)))}
        return report.epoch_figures("valid", math.nan, errors) | near

    def end_epoch(self, row: dict) -> None:
        """Keep what an epoch has brought, and say it. All processes take what the first one has measured, and so decide alike."""
        self.history.append(distributed.gather([row])[0])
        self.keep()
        self.say(report.epoch_line(row))
        self.say(report.warning(self.rows_of(row["look"]), len(self.sets["train"])))

    def end_workers(self) -> None:
        """End the processes that prepare batches."""
        looks = [self.first_look, self.look] if self.look else [self.first_look]
        end_workers([*(look.loader for look in looks), *([self.valid_loader] if "valid" in self.sets else [])])

    def show_judgement(self) -> None:
        """Say whether the best network has learnt, and which annotations of validation it disagrees with."""
        best, valid, train = read_checkpoint(self.result / BEST), self.sets["valid"], self.sets["train"]
        found = find_all(best, valid, self.device, (self.look or self.first_look).precision, self.settings.batch_size)
        print(judge(valid, found.points_network_px, train.points_network_px, self.unfinished))
        tell_disagreements(self.result, valid, found.points_network_px, found.peaks)

    def test(self, data: RadiographDataset) -> None:
        """Measure the best network on a data set; what is found goes to RESULT."""
        settled = replace(self.settings, precision=(self.look or self.first_look).precision)
        test(self.result / BEST, data, self.result, self.device, settled, replace=True)
