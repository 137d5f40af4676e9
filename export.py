"""Makes a trained network ready for use by predict.py: one file with all that it needs.

    python export.py                                      the newest run's best network -> weights.pt in its folder
    python export.py --checkpoint FILE --data FOLDER --out weights/own.pt

The weights are kept in half precision. A finder is trained, which says where in a picture the joint lies and how. Held-out
radiographs, those of validation or all of a cross-validation, as they came and changed as those of other places differ, tell how
far it and each landmark can be trusted; the training ones tell what shapes are plausible. Where sides are confused, mirrored
radiographs are not looked for later. No network is shown a test radiograph.
"""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch

import metrics
from dataloader import RadiographDataset
from evaluation import find_all, fits, seen_radiographs, target_px2
from finder.training import STEPS, train_finder
from joints.known import first_other
from main import Settings
from prediction.calibration import Calibration
from prediction.held_out import COPIES, HeldOut, calibration_of, hold_out, together
from prediction.known_answer import known_answer
from prediction.known_picture import picture_for
from prediction.predictor import Predictor
from prediction.regions import COVERAGE, promised, semi_axes
from runtime.checkpoint import read_checkpoint, write_checkpoint
from runtime.command import exit_status, parser_of
from runtime.device import choose_device
from runtime.files import DataError, first_few
from training.judgement import judge
from training.runs import BEST, WEIGHTS, folder_of, newest_run
from training.sets import load_splits, split_by
from training.settings import PLACE, marked

BATCH_SIZE = 2
FEWEST_LANDMARKS = 3  # that say how they lie
FEWEST = 5  # validation radiographs that tell whether sides are confused
MOST_SWAPPED, MOST_LOST = 0.05, 0.2  # of pictures that are held out
TAKEN_AS_THEY_COME = "predict.py takes every picture as upright and filled, as the training radiographs are"
Judge = tuple[dict, RadiographDataset]  # a checkpoint's own, and radiographs that it has not seen
OWN = "weights", "size", "tree", "unfinished"  # what the checkpoints of folds have each for themselves
KEPT = "network second_look tree size network_size precision data provenance epoch valid_ipe_px seen unfinished".split()


def coverage_line(calibration: Calibration, held_out: HeldOut) -> str:
    """How large regions are on the held-out radiographs as they came, and what they promise."""
    original = held_out.original
    seen = np.isfinite(held_out.residuals_px[original]).all(-1).sum(0)
    long, short, _ = semi_axes(calibration.regions.of(held_out.covariances_px2[original], held_out.confidence[original]))
    area = np.nanmedian(np.pi * long * short)
    never, fewest = (seen == 0).sum(), seen[seen > 0].min(initial=seen.max())
    promise = f"{100 * COVERAGE:g} %" if promised(fewest) == COVERAGE else f"{fewest}/{fewest + 1} (few show it)"
    return (
        f"regions: median area {area:.2f} px² of the network's view; each landmark of radiographs exchangeable with the "
        f"{seen.max()} held-out ones lies within its own with a probability of at least {promise}, on average over radiographs "
        "and over such sets" + (f"; {never} landmarks that none of them shows have none" if never else "")
    )


def export(
    checkpoint: Path, folder: Path | None, out: Path, seed: int, also: Sequence[Path] = (), steps: int = STEPS,
    finder: Path | None = None,
) -> None:  # fmt: skip
    """`folder`: prepared data; none: those that the checkpoint was trained on. `also`: more, for the finder. Raises DataError.

    `finder`: weights of the same landmarks whose finder is taken; none: it is trained.
    """
    if out.exists():
        raise DataError(f"{out}: is there already; remove it, or choose another --out")
    state = read_checkpoint(checkpoint)
    train, valid = learnt_from(state, folder)
    fits(checkpoint, state, train)
    judges = judges_of(checkpoint, state, train, valid)
    made = {name: state[name] for name in KEPT if name in state} | {
        "weights": halved(state["weights"]),
        "names": list(train.joint.names),
        "held_out_ipe_px": held_out_error(state, judges, train),
        "held_out": {"radiographs": sum(len(data) for _, data in judges), "folds": state["settings"].get("folds", 0)},
        "settings": {name: value for name, value in state["settings"].items() if name not in marked(Settings, PLACE)},
    }
    joint = train.settings.get("joint", state["data"].get("joint"))
    made["data"] = state["data"] | {"joint": joint} if joint else state["data"]
    if joint != state["data"].get("joint"):
        print(f"{train.folder}: its description is taken, which is another than that at the training")
    if finder:
        made["finder"] = finder_of(finder, made["names"])
    elif not steps:
        print(f"finder: none; {TAKEN_AS_THEY_COME}")
    elif train.points_px.shape[1] < FEWEST_LANDMARKS:
        print(f"finder: none, since less than {FEWEST_LANDMARKS} landmarks do not say how they lie; {TAKEN_AS_THEY_COME}")
    else:
        sets = [train, *of_same_landmarks(train, also)]
        print(f"finder: {steps} steps of training, on {sum(map(len, sets))} radiographs", flush=True)
        made["finder"] = train_finder(sets, steps, seed, choose_device("auto"), state["precision"]).to_file()
    held_out = drop_unreliable(made, judges, seed)
    calibration = calibration_of(train.points_px, held_out, target_px2(state))
    print(coverage_line(calibration, held_out))
    made["trust"] = stored(calibration)
    if (picture := picture_for(train)) is None:
        print("known answer: none, since the median of so few radiographs would show them")
    else:
        made["known_answer"] = known_answer(Predictor(made, "cpu", precision="float32"), picture)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_checkpoint(out, made)
    print(f"written to {out}: {out.stat().st_size / 1e6:.1f} MB")


def learnt_from(state: dict, folder: Path | None) -> tuple[RadiographDataset, RadiographDataset | None]:
    """The training radiographs of a checkpoint, and those of validation; a cross-validation may have none."""
    known = {field.name for field in fields(Settings)}
    had = {name: value for name, value in state["settings"].items() if name in known}
    had |= {"mode": "train", "allow_missing": True} | ({"data": str(folder)} if folder else {})
    data = load_splits(Settings(**had))
    return data["train"], data.get("valid")


def of_same_landmarks(data: RadiographDataset, folders: Sequence[Path]) -> list[RadiographDataset]:
    """The training radiographs of more prepared folders. Raises DataError where these are of other landmarks."""
    others, expected = [RadiographDataset(folder, "train") for folder in folders], data.joint.names
    for folder, found in zip(folders, (other.joint.names for other in others)):
        if len(found) != len(expected):
            raise DataError(f"{folder}: expected {len(expected)} landmarks as in {data.folder}, found {len(found)}; leave it out")
        if other := first_other(expected, found):
            raise DataError(f"{folder}: expected the landmarks of {data.folder}, but {other}; leave it out")
    return others


def stored(calibration: Calibration) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(value) for name, value in calibration.to_file().items()}


def finder_of(weights: Path, names: list[str]) -> dict:
    """Raises DataError where weights have none, or of other landmarks."""
    state = read_checkpoint(weights)
    if "finder" not in state or state["names"] != names:
        what = "of other landmarks" if "finder" in state else "without a finder"
        raise DataError(f"{weights}: expected weights with a finder of the same landmarks, found some {what}; leave out --finder")
    return state["finder"]


def judges_of(checkpoint: Path, state: dict, train: RadiographDataset, valid: RadiographDataset | None) -> list[Judge]:
    """What a network is judged by: itself on the validation radiographs, or its folds on what each has not seen.

    Raises DataError where a network has seen some of them.
    """
    if folds := state["settings"].get("folds", 0):
        paths = [folder_of(checkpoint.parent, k) / BEST for k in range(1, folds + 1)]
        parts = [held_out for _, held_out in split_by(train.concat([valid] if valid else []), folds)]
        states = [read_checkpoint(path) for path in paths]
    else:
        paths, parts, states = [checkpoint], [valid], [state]
    for i, (path, data, one) in enumerate(zip(paths, parts, states)):
        if ids := seen_radiographs(one, data).get("train"):
            said = f"{path}: was trained on {len(ids)} radiographs of {data.split} ({first_few(ids)})"
            if len(ids) == len(data):
                raise DataError(f"{said}; take others")
            print(f"{said}; they are left out")
            parts[i] = data.subset(np.flatnonzero(~np.isin(data.ids, ids)), data.split)
    shown = [np.flatnonzero(np.isfinite(data.points_px).all(-1).any(1)) for data in parts]  # the others say nothing of it
    own = map(own_of, states)
    judges = [(one, data.subset(ids, data.split)) for one, data, ids in zip(own, parts, shown) if len(ids)]
    if not judges:
        raise DataError(f"{parts[0].folder}: expected held-out radiographs with landmarks, found none; annotate some")
    return judges


def held_out_error(state: dict, judges: list[Judge], train: RadiographDataset) -> float:
    """The error (IPE, px) in all held-out radiographs with weights in half precision; it is said, and what to think of it."""
    unseen = judges[0][1].concat([data for _, data in judges[1:]])
    cpu, precision = torch.device("cpu"), state["precision"]
    found = [find_all(state | own, data, cpu, precision, BATCH_SIZE).points_network_px for own, data in judges]
    points = np.concatenate(found)
    error = float(metrics.mean_of_present(metrics.ipe(metrics.point_errors(points, unseen.points_network_px))))
    print(f"held-out IPE, weights in half precision: {error:.4f} px")
    unfinished = next((own["unfinished"] for own, _ in judges if own["unfinished"]), "")
    print(judge(unseen, points, train.points_network_px, unfinished))
    return error


def halved(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: weight.half() for name, weight in weights.items()}


def own_of(state: dict) -> dict:
    """What a fold's checkpoint has for itself, its weights in half precision."""
    return {name: state.get(name) for name in OWN} | {"weights": halved(state["weights"])}


def all_held_out(made: dict, judges: list[Judge], seed: int, copies: int = COPIES) -> HeldOut:
    """What predict.py would find with each judge's own network."""
    predictors = [Predictor(made | own, check=False) for own, _ in judges]
    return together([hold_out(predictor, data, seed, copies) for predictor, (_, data) in zip(predictors, judges)])


def drop_unreliable(made: dict, judges: list[Judge], seed: int) -> HeldOut:
    """Take from weights what does not hold on held-out radiographs, reflections or all of the finder; what then holds."""
    count = made["held_out"]["radiographs"]
    made["trust"] = stored(Calibration.unknown(len(made["names"])))
    held_out = all_held_out(made, judges, seed)
    if "finder" not in made:
        return held_out
    few, found = count < FEWEST, ~held_out.lost
    laterality = judges[0][1].joint.laterality
    if laterality == "none":
        print("finder: mirrored radiographs are not looked for (the joint's description says that it has no sides)")
    elif laterality != "either" and (few or (found.any() and held_out.swapped[found].mean() > MOST_SWAPPED)):
        reason = "too few held-out radiographs to tell" if few else f"sides confused in {percent(held_out.swapped[found])}"
        print(f"finder: mirrored radiographs are not looked for ({reason})")
        made["finder"]["reflections"] = [False]
        held_out = all_held_out(made, judges, seed)
    print(
        f"finder: of {len(held_out.lost)} pictures, {count} held-out radiographs and {COPIES} changed copies of each, "
        f"{int((~held_out.lost).sum())} found"
    )
    if held_out.lost.mean() > MOST_LOST:
        print(f"finder: left out, since it is lost in {percent(held_out.lost)}; {TAKEN_AS_THEY_COME}")
        del made["finder"]
        held_out = all_held_out(made, judges, seed)
    return held_out


def percent(truths: np.ndarray) -> str:
    return f"{100 * truths.mean():.0f} %"


def main(arguments: list[str] | None = None) -> int:
    parser = parser_of(__doc__)
    add = parser.add_argument
    add("--checkpoint", type=Path, help="of a training; none: best.pt of the newest run")
    add("--data", type=Path, help="prepared data that it was trained on; none: the folder that the run had")
    add("--out", type=Path, help=f"file to write; none: {WEIGHTS} beside the checkpoint")
    add("--also", type=Path, nargs="+", default=[], help="more prepared data, that the finder learns from too")
    add("--finder_steps", type=int, default=STEPS, help="of the finder; 2000 take two minutes, 0: no finder")
    add("--finder", type=Path, help="weights of the same landmarks whose finder is taken; none: one is trained")
    add("--seed", type=int, default=0, help="of the finder's training")
    options = parser.parse_args(arguments)
    if min(options.seed, options.finder_steps) < 0:
        parser.error("expected --seed and --finder_steps of 0 or more")

    def work() -> None:
        checkpoint = options.checkpoint or newest_run(BEST) / BEST
        out = options.out or checkpoint.with_name(WEIGHTS)
        export(checkpoint, options.data, out, options.seed, options.also, options.finder_steps, options.finder)

    return exit_status(work)


if __name__ == "__main__":
    raise SystemExit(main())
