"""Which radiographs a run learns from, which choose its epoch, and which measure it: none in two of these roles."""

from pathlib import Path

import numpy as np

from dataloader import RadiographDataset
from evaluation import seen_radiographs
from joints.tree import mistaken
from radiographs.fingerprint import alike
from radiographs.prepared_folder import read_split, splits_of
from runtime.checkpoint import read_checkpoint
from runtime.files import DataError, first_few
from training.runs import HELD_OUT, checkpoint_of
from training.testing import refuse_seen

FOLDS_SEED = 0  # the parts are the same for every recipe and seed, so that these compare


def load_data(settings, splits: tuple[str, ...]) -> dict[str, RadiographDataset]:
    """The data set of each split."""
    listed = read_split(Path(settings.split)) if settings.split else {}
    data = {}
    for split in dict.fromkeys(splits):
        if listed and split not in listed:
            raise DataError(
                f"{settings.split}: expected radiographs of {split}, found none in its lists; choose another --test_on"
            )
        data[split] = RadiographDataset(Path(settings.data), split, listed.get(split), settings.allow_missing)
        of = f" of {len(listed[split])} listed" if listed else ""
        print(f"{split:5s} {len(data[split])}{of} radiographs of {data[split].frame[0]} x {data[split].frame[1]} px")
    return data


def load_extra(settings) -> list[RadiographDataset]:
    """The training radiographs of other folders."""
    extra = [RadiographDataset(Path(folder.strip()), "train") for folder in settings.also.split(",") if settings.also]
    for data in extra:
        print(f"also  {len(data)} radiographs of {data.folder}, to train on")
    return [without_mistaken(data) for data in extra] if settings.mode == "train" else extra


def load_splits(settings) -> dict[str, RadiographDataset]:
    """The data sets of a training or a check: train, and of valid and what is measured those that are listed or there."""
    wanted = ("train", "valid", settings.test_on)
    there = read_split(Path(settings.split)) if settings.split else ("train", *splits_of(Path(settings.data)))
    data = load_data(settings, tuple(split for split in wanted if split in there))
    if settings.mode == "train":
        learnt_from = ("train", "valid") if settings.folds else ("train",)
        if not settings.allow_seen:
            data = without_measured(data, settings.test_on)
            data |= {split: without_copies(data[split]) for split in learnt_from if split in data}
        data |= {split: without_mistaken(data[split]) for split in learnt_from if split in data}
        if not np.isfinite(data["train"].points_px).any():
            raise DataError(f"{data['train'].folder}: expected landmarks of train, found none; annotate them, and prepare again")
        for split in data:
            if split not in learnt_from:
                tell_mistaken(data[split], data["train"])
        if not settings.folds and "valid" not in data:
            data["train"], data["valid"] = hold_out_tenth(data["train"])
            held = f"{len(data['valid'])} of train, drawn at random, are held out (--folds 5 learns from all)"
            if data["train"].ids == data["valid"].ids:
                held = "the only radiograph of train is validated on too, so that validation errors are too small"
            print(f"valid: none are given; {held}")
    return data


def parts(count: int, folds: int) -> list[np.ndarray]:
    """Indices below `count` in `folds` random parts, whose sizes differ by one at most. Raises DataError."""
    if not 2 <= folds <= count:
        raise DataError(f"folds: expected 2 to {count}, one radiograph of train and valid in each; found {folds}")
    return [np.sort(part) for part in np.array_split(np.random.default_rng(FOLDS_SEED).permutation(count), folds)]


def split_by(data: RadiographDataset, folds: int) -> list[tuple[RadiographDataset, RadiographDataset]]:
    """For each fold the radiographs to train on and those held out."""
    everything = np.arange(len(data))
    return [
        (data.subset(np.setdiff1d(everything, part), "train"), data.subset(part, HELD_OUT)) for part in parts(len(data), folds)
    ]


def hold_out_tenth(data: RadiographDataset) -> tuple[RadiographDataset, RadiographDataset]:
    """Training radiographs without a tenth, always the same, and that tenth for validation; a single one serves for both."""
    if len(data) == 1:
        return data, data.subset(np.arange(1), "valid")
    rest, held_out = split_by(data, min(10, len(data)))[0]
    return rest, held_out.subset(np.arange(len(held_out)), "valid")


def without_measured(data: dict[str, RadiographDataset], test_on: str) -> dict[str, RadiographDataset]:
    """Training radiographs without those that validation or test have too, validation ones without the test's: each is said.

    Raises DataError where none is left.
    """
    order = [split for split in dict.fromkeys(("train", "valid", test_on)) if split in data]
    for i, split in enumerate(order):
        for other in order[i + 1 :]:
            one = data[split]
            if not (shared := one.known_by(data[other].marks())):
                continue
            rest = np.flatnonzero(~np.isin(one.ids, shared))
            if not len(rest):
                raise DataError(f"{one.folder}: all radiographs of {split} are in {other} too; give others")
            print(f"{split}: {len(shared)} of {len(one)} radiographs are left out; {other} has them too ({first_few(shared)})")
            data = data | {split: one.subset(rest, split)}
    return data


def without_copies(data: RadiographDataset) -> RadiographDataset:
    """Radiographs to learn from, each once: a copy could be held out while the network learns from the other, and is told."""
    same = np.tril(alike(data.fingerprints, data.fingerprints), -1)
    if not (copies := same.any(1)).any():
        return data
    pairs = [f"{data.ids[i]} is {data.ids[same[i].argmax()]}" for i in np.flatnonzero(copies)]
    print(f"{data.split}: {len(pairs)} of {len(data)} radiographs are left out, copies of others ({first_few(pairs)})")
    return data.subset(np.flatnonzero(~copies), data.split)


def without_mistaken(data: RadiographDataset) -> RadiographDataset:
    """Radiographs to learn from without those whose annotations contradict all others', which are told."""
    mistakes = mistaken(data.points_network_px)
    if not mistakes:
        return data
    said = f"whose landmarks lie as in no other, maybe in another order ({named(data, mistakes)}); correct their annotations"
    print(f"{data.split}: {len(mistakes)} left out, {said}")
    return data.subset(np.setdiff1d(np.arange(len(data.ids)), list(mistakes)), data.split)


def tell_mistaken(data: RadiographDataset, train: RadiographDataset) -> None:
    """Say which radiographs that are measured have annotations that contradict all others'; they count all the same."""
    known = len(train.points_network_px)
    found = mistaken(np.concatenate([train.points_network_px, data.points_network_px]))
    if mistakes := {i - known: landmark for i, landmark in found.items() if i >= known}:
        odd = f"{len(mistakes)} whose landmarks lie as in no other, maybe in another order ({named(data, mistakes)})"
        print(f"{data.split}: {odd}, are measured all the same; correct their annotations")


def named(data: RadiographDataset, mistakes: dict[int, int]) -> str:
    """The first of some radiographs and their landmarks, by number."""
    return first_few([f"{data.ids[i]}: landmark {data.joint.names[landmark]}" for i, landmark in mistakes.items()])


def refuse_shared(extra: list[RadiographDataset], measured: list[RadiographDataset]) -> None:
    """Raises DataError where extra training radiographs are measured on too, however they were prepared."""
    for one in extra:
        for data in measured:
            if ids := data.known_by(one.marks()):
                named = f"{first_few(ids)} of {data.folder}"
                raise DataError(
                    f"{one.folder}: has {len(ids)} radiographs that are measured on ({named}); prepare it without them, or give "
                    "--allow_seen"
                )


def refuse_beginning(settings, init: str, data: RadiographDataset) -> None:
    """Before anything is learnt: raises DataError where the weights to start from have seen what will be measured on."""
    path = checkpoint_of(init)
    if init and path.exists():
        refuse_seen(path, read_checkpoint(path), data, settings.allow_seen)


def tell_known(init: str, valid: RadiographDataset) -> None:
    """Say which validation radiographs the weights to start from were trained on."""
    path = checkpoint_of(init)
    if init and path.exists() and (ids := seen_radiographs(read_checkpoint(path), valid).get("train")):
        of = f"{path} was trained on {len(ids)} of {len(valid)} radiographs ({first_few(ids)})"
        print(f"valid: {of}, so that validation errors are too small")
