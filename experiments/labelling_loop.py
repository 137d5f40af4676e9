"""How many points a reader places or moves to label a set with label.py, the network in the loop.

    python -m experiments.labelling_loop --raw dataset --start synthetic --work result/loop_synthetic
    python -m experiments.labelling_loop --raw dataset --start random --work result/loop_random
    python -m experiments.labelling_loop --draw result/loop_synthetic result/loop_random --out docs/labelling_loop.png

A simulated reader has the annotations of RAW's training radiographs, and starts from none of them. Where nothing is proposed, as
for the first ones with --hide-first, it places every point as the annotator did. It goes on in label.py's order, moves each
proposal that is off by more than 2 px of the 256 frame (--least-off) to where the annotator had it, and accepts the others. After
the first few, and whenever half as many radiographs more are done, a network is trained on what is done and proposes the rest, as
the page's button does. At the end two networks are trained alike, on these labels and on the annotations, and tested. An
interrupted experiment goes on where it stopped. Flags of main.py for the rounds may follow after --.
"""

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from experiments.common import prepare, table, train
from joints.description import Description
from joints.known import joint_of
from labelling.collection import open_collection
from labelling.marks import ABSENT, CONFIRMED, DONE, Mark
from labelling.proposals import FRAME
from labelling.rounds import FEWEST, Flags, recipe
from labelling.session import Options, Session
from labelling.store import FIRST
from radiographs.raw_folder import COORDINATES, find_radiographs, read_points
from runtime.command import exit_status
from runtime.files import DataError, read_csv, write_csv, write_whole

GROWTH = 1.5  # times as many radiographs are done when the network is trained again
SYNTHETIC = Path("weights/scn_synthetic.pt")  # proposes for hands before the first round, and is where rounds start from
COUNTED = ("placed", "moved", "accepted")
ROWS, TRAINED = "labelling.csv", "trained.txt"  # in WORK: a row a radiograph in their order; how many the newest round had


@dataclass
class Truth:
    """The annotated radiographs of a raw folder."""

    paths: dict[str, Path]
    splits: dict[str, str]
    points_px: dict[str, np.ndarray]  # (L, 2), NaN where missing

    @property
    def joint(self) -> Description:
        return joint_of(np.stack(list(self.points_px.values())), None)

    @property
    def is_hand(self) -> bool:
        return self.joint.joint == "hand"

    def ids(self, split: str) -> list[str]:
        return sorted(id for id in self.points_px if self.splits[id] == split)


def read_truth(raw: Path) -> Truth:
    """Raises DataError."""
    found, _ = find_radiographs(raw)
    points = {id: values for id, values in read_points(raw / COORDINATES).items() if id in found}
    truth = Truth({id: found[id][1] for id in points}, {id: found[id][0] for id in points}, points)
    if not truth.ids("train"):
        raise DataError(f"{raw}: expected annotated radiographs in train, found none; name another --raw")
    return truth


def link(path: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / path.name).exists():
        os.symlink(path.resolve(), folder / path.name)


def label_one(session: Session, id: str, truth_px: np.ndarray, least_off_px: float) -> dict:
    """Do a radiograph as a reader would who sees what is off by more than `least_off_px`; what it took."""
    picture, item = session.pictures.get(id), session.store.item((id, FIRST))
    proposal = session.shown_proposal((id, FIRST))
    proposed = np.full_like(truth_px, np.nan) if proposal is None else proposal.points_px.astype(float)
    off = np.linalg.norm((proposed - truth_px) * FRAME / (picture.width, picture.height), axis=1)
    count, changes = dict.fromkeys(COUNTED, 0), []
    for k in range(len(truth_px)):
        point = proposed[k] if off[k] <= least_off_px else truth_px[k]
        mark = Mark(ABSENT) if np.isnan(point).any() else Mark(CONFIRMED, *(round(value, 3) for value in point.tolist()))
        done = "accepted" if off[k] <= least_off_px else "moved" if off[k] > least_off_px else "placed"
        count[done] += 1
        changes.append((k, session.with_proposal((id, FIRST), k, mark, item.marks[k])))
    size = [picture.width, picture.height]
    session.store.act((id, FIRST), item.version, f"simulated {id} {item.version}", "simulated", changes, size=size)
    known = off[np.isfinite(off)]
    return {**count, "off_px": float(known.mean()) if known.size else None}


def do_job(session: Session, what: str) -> None:
    """What a button of the page starts. Raises DataError where one of its commands fails."""
    session.start_job(what)
    session.job.thread.join()
    if session.job.state != "done":
        raise DataError(f"{session.job.steps[session.job.at].title}: " + " ".join(list(session.job.lines)[-3:]))


def open_session(options: argparse.Namespace, truth: Truth) -> Session:
    """A reader with the training radiographs and without their table."""
    for id in truth.ids("train")[: options.limit]:
        link(truth.paths[id], options.work / "raw")
    init = ["--init", ""] if options.start == "random" else []
    propose = options.start == "synthetic" and truth.is_hand and not options.hide_first
    return Session(
        open_collection(options.work / "raw", list(truth.joint.names)),
        Options(
            reader="simulated",
            propose=SYNTHETIC if propose else None,
            flags=Flags(train=[*init, *options.flags], export=["--finder_steps", "0"]),
            folds=options.folds,
            reading_again=False,
            without_proposals=False,
        ),
    )


def label_all(session: Session, truth: Truth, work: Path, first: int, least_off_px: float) -> list[dict]:
    """Label everything; a row for each radiograph, which WORK/labelling.csv keeps too."""
    rows = read_labelling(work) if (work / ROWS).exists() else []
    trained = int((work / TRAINED).read_text()) if (work / TRAINED).exists() else 0
    session.compare_radiographs()
    if session.options.propose and not session.proposals:
        do_job(session, "propose")
    while key := session.order.next(session.proposals):
        done = len(session.store.done())
        if done >= max(first, GROWTH * trained):
            do_job(session, "train")
            trained = done
            write_whole(work / TRAINED, str(trained).encode())
            print(report(rows), flush=True)
            continue
        rows.append({"id": key[0], "trained_on": trained, **label_one(session, key[0], truth.points_px[key[0]], least_off_px)})
        write_csv(work / ROWS, rows)
    assert all(session.state(id) == DONE for id in session.collection.paths)
    return rows


def read_labelling(work: Path) -> list[dict]:
    rows = read_csv(work / ROWS)
    return [{name: cell if name == "id" else float(cell or "nan") for name, cell in row.items()} for row in rows]


def test_error(work: Path, truth: Truth, labels: dict[str, np.ndarray], name: str, random: bool) -> float:
    """Test IPE, px of the network frame, of a network trained on labels (L, 2) px; validation and test have the annotations."""
    raw, count = work / name / "raw", len(labels)
    points = {id: truth.points_px[id] for split in ("valid", "test") for id in truth.ids(split)} | labels
    for id in points:
        link(truth.paths[id], raw / truth.splits[id])
    cells = {id: {f"{a}{k}": v for k, point in enumerate(points[id].tolist()) for a, v in zip("xy", point)} for id in points}
    write_csv(raw / COORDINATES, [{"id": id, **cells[id]} for id in points])
    learnt = truth.is_hand and not random
    _, flags = recipe(count, learnt)
    if random:
        flags += ["--init", ""]
    data = work / name / "data"
    if not (data / "settings.json").exists():
        prepare(raw, data, 2.0 if learnt else 3.0)
    return train(data, work / name / "result", *flags)["ipe_px"]


def report(rows: list[dict]) -> str:
    """A line for every network: what the radiographs cost that it proposed for, 0 for the start."""
    landmarks = sum(rows[0][name] for name in COUNTED)
    lines = []
    for trained in (*sorted({row["trained_on"] for row in rows}), None):
        group = [row for row in rows if trained is None or row["trained_on"] == trained]
        counts = [int(sum(row[name] for row in group)) for name in COUNTED]
        off = [row["off_px"] for row in group if row["off_px"] is not None and row["off_px"] == row["off_px"]]
        touched = f"{100 * (counts[0] + counts[1]) / (len(group) * landmarks):.0f} %"
        name = "all" if trained is None else int(trained)
        lines.append([name, len(group), *counts, f"{np.mean(off):.2f}" if off else "-", touched])
    return table(["trained on", "radiographs", *COUNTED, "proposals off, px", "placed or moved"], lines)


def draw(works: list[Path], out: Path) -> None:
    """Points placed or moved against radiographs done, beside all of them."""
    figure = Figure(figsize=(6.4, 4.6), layout="constrained")
    axes = figure.subplots()
    for work in works:
        rows = read_labelling(work)
        touched = np.cumsum([row["placed"] + row["moved"] for row in rows])
        done = np.arange(1, len(rows) + 1)
        (line,) = axes.plot(done, touched, label=f"{work.name}: {touched[-1]:.0f} points in {len(rows)} radiographs")
        trained = np.flatnonzero(np.diff([row["trained_on"] for row in rows]))
        axes.plot(done[trained], touched[trained], ".", color=line.get_color())
    every = sum(rows[0][name] for name in COUNTED)
    axes.axline((0, 0), slope=every, color="grey", linestyle=":", label="all points by hand")
    axes.set(xlabel="radiographs done (dots: a network was trained)", ylabel="points placed or moved", ylim=(0, None))
    figure.legend(loc="outside upper left")  # the lines take all of the axes
    axes.grid(alpha=0.3)
    figure.savefig(out, dpi=130)


def run(options: argparse.Namespace) -> None:
    truth = read_truth(options.raw)
    session = open_session(options, truth)
    rows = label_all(session, truth, options.work, options.first, options.least_off)
    labels = {id: session.store.points_of((id, FIRST)) for id in session.collection.paths}
    session.close()
    print(report(rows))
    if options.test:
        random = options.start == "random"
        annotated = {id: truth.points_px[id] for id in labels}
        errors = [test_error(options.work, truth, one, name, random) for name, one in (("labels", labels), ("truth", annotated))]
        print(f"test IPE: {errors[0]:.3f} px from these labels, {errors[1]:.3f} px from the annotations")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path("dataset"), help="raw folder with annotated radiographs")
    parser.add_argument("--work", type=Path, default=Path("result/labelling_loop"), help="folder for labels, rounds and networks")
    parser.add_argument("--start", choices=("synthetic", "random"), default="synthetic", help="weights that rounds start from")
    parser.add_argument("--first", type=int, default=FEWEST, help="radiographs that are done before the first training")
    parser.add_argument("--least-off", type=float, default=2.0, help="px of the 256 frame: a proposal farther off is moved")
    parser.add_argument("--hide-first", action="store_true", help="propose nothing for these first ones")
    parser.add_argument("--limit", type=int, help="use only so many training radiographs")
    parser.add_argument("--folds", type=int, default=0, help="of each round's cross-validation; 0: a quarter is kept back")
    parser.add_argument("--no-test", dest="test", action="store_false", help="train and test no networks at the end")
    parser.add_argument("--draw", type=Path, nargs="+", metavar="WORK", help="only draw what earlier calls left")
    parser.add_argument("--out", type=Path, default=Path("labelling_loop.png"), help="the picture to draw")
    parser.add_argument("flags", nargs="*", help="of main.py")
    options = parser.parse_args(arguments)
    if options.draw:
        draw(options.draw, options.out)
    else:
        run(options)


if __name__ == "__main__":
    sys.exit(exit_status(main))
