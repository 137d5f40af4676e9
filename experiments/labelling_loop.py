"""How many points a reader places or moves to label a set with label.py, the network in the loop.

python -m experiments.labelling_loop --raw dataset --work result/labelling

A simulated reader has the annotations of RAW's training radiographs, and starts from none of them. On the first radiographs it
places every point where the annotator did. Then a network is trained on what is done, proposes the rest, and the reader goes on
in label.py's order: it moves each proposal that is off by more than 2 px of the 256 frame to where the annotator had it, and
accepts the others. The network is trained again whenever half as many radiographs more are done. An interrupted experiment
goes on where it stopped. Flags of main.py may follow after --.
"""

import argparse
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np

from experiments.common import table
from joints.hand import names_of
from labelling.collection import open_collection
from labelling.marks import ABSENT, CONFIRMED, DONE, Mark
from labelling.proposals import FRAME, Proposal
from labelling.session import Options, Session
from labelling.store import FIRST
from radiographs.raw_folder import COORDINATES, find_radiographs, read_points
from radiographs.reading import without_ending
from runtime.command import exit_status
from runtime.files import DataError, write_csv

LIMIT_PX = 2.0  # of the 256 frame: a proposal farther off is moved
GROWTH = 1.5  # times as many radiographs are done when the network is trained again
COLUMNS = ("id", "trained_on", "placed", "moved", "accepted", "off_px", "doubt")  # of the table, a row a radiograph


def copy_radiographs(raw: Path, work: Path, limit: int | None) -> dict[str, np.ndarray]:
    """Copy the training radiographs into WORK/raw, without their table; their annotations (L, 2) px by ID."""
    found, _ = find_radiographs(raw)
    points = read_points(raw / COORDINATES)
    ids = sorted(id for id, (split, _) in found.items() if split == "train" and id in points)[:limit]
    if not ids:
        raise DataError(f"{raw}: expected annotated radiographs in train, found none; name another --raw")
    (work / "raw").mkdir(parents=True, exist_ok=True)
    for id in ids:
        path = found[id][1].resolve()
        link = work / "raw" / (id + path.name[len(without_ending(path.name)) :])
        if not link.exists():
            shutil.copyfile(path, link)
    return {id: points[id] for id in ids}


def label_one(session: Session, id: str, truth_px: np.ndarray) -> dict:
    """Do a radiograph as the reader would; what it took."""
    picture, item = session.pictures.get(id), session.store.item((id, FIRST))
    proposal: Proposal | None = session.shown_proposal((id, FIRST))
    scale = FRAME / np.array([picture.width, picture.height])
    count = dict.fromkeys(("placed", "moved", "accepted"), 0)
    changes, off = [], []
    for k, point in enumerate(truth_px):
        proposed = None if proposal is None else proposal.points_px[k].astype(float)
        mark = Mark(CONFIRMED, *(round(float(value), 3) for value in point))
        if np.isnan(point).any():
            mark = Mark(ABSENT)
            count["placed"] += 1
        elif proposed is None or not np.isfinite(proposed).all():
            count["placed"] += 1
        else:
            off.append(float(np.linalg.norm((proposed - point) * scale)))
            if off[-1] > LIMIT_PX:
                count["moved"] += 1
            else:
                mark = Mark(CONFIRMED, *(round(value, 3) for value in proposed.tolist()))
                count["accepted"] += 1
        changes.append((k, session.with_proposal((id, FIRST), k, mark, item.marks[k])))
    size = [picture.width, picture.height]
    session.store.act((id, FIRST), item.version, f"simulated {id} {item.version}", "simulated", changes, size=size)
    doubt = None if proposal is None else proposal.doubt
    return {**count, "off_px": float(np.mean(off)) if off else None, "doubt": doubt}


def train(session: Session) -> None:
    """A round, as the page's button starts it. Raises DataError where one of its commands fails."""
    session.start_job("train")
    session.job.thread.join()
    if session.job.state != "done":
        raise DataError(f"{session.job.steps[session.job.at].title}: " + " ".join(list(session.job.lines)[-3:]))


def run(raw: Path, work: Path, first: int, limit: int | None, flags: list[str], prepare_flags: list[str]) -> list[dict]:
    """Label everything; the rows of COLUMNS, which WORK/labelling.csv keeps too."""
    truth = copy_radiographs(raw, work, limit)
    collection = open_collection(work / "raw", names_of(np.stack(list(truth.values()))))
    options = Options(
        reader="simulated",
        train_flags=tuple(flags),
        prepare_flags=tuple(prepare_flags),
        folds=0,
        reading_again=False,
        without_proposals=False,
    )
    session = Session(collection, options)
    path = work / "labelling.csv"
    rows = []
    if path.exists():
        cells = [line.split(",") for line in path.read_text().splitlines()[1:]]
        rows = [{name: float(cell or "nan") if name != "id" else cell for name, cell in zip(COLUMNS, line)} for line in cells]
    session.compare_radiographs()
    trained = max((one["radiographs"] for one in session.rounds()), default=0)
    while key := session.order.next(session.proposals):
        done = len(session.store.done())
        if done >= max(first, GROWTH * trained if trained else first):
            train(session)
            trained = done
            continue
        rows.append({"id": key[0], "trained_on": trained, **label_one(session, key[0], truth[key[0]])})
        write_csv(path, rows)
    session.close()
    assert all(session.state(id) == DONE for id in truth)
    return rows


def report(rows: list[dict]) -> str:
    """A line for every network: what the radiographs cost that it proposed for, 0 for none."""
    landmarks = sum(rows[0][name] for name in ("placed", "moved", "accepted"))
    header = ["trained on", "radiographs", "placed", "moved", "accepted", "proposals off, px", "points touched"]
    lines = []
    for trained in (*sorted({row["trained_on"] for row in rows}), None):
        group = [row for row in rows if trained is None or row["trained_on"] == trained]
        placed, moved, accepted = (int(sum(row[name] for row in group)) for name in ("placed", "moved", "accepted"))
        off = [row["off_px"] for row in group if row["off_px"] is not None and row["off_px"] == row["off_px"]]
        touched = f"{100 * (placed + moved) / (len(group) * landmarks):.0f} %"
        name = "all" if trained is None else int(trained)
        lines.append([name, len(group), placed, moved, accepted, f"{np.mean(off):.2f}" if off else "-", touched])
    return table(header, lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path("dataset"), help="folder with annotated radiographs")
    parser.add_argument("--work", type=Path, default=Path("result/labelling"), help="folder for labels and rounds")
    parser.add_argument("--first", type=int, default=8, help="radiographs that are done before the first training")
    parser.add_argument("--limit", type=int, help="use only so many radiographs")
    parser.add_argument("--prepare", default="", help="flags of data_preprocessing.py, in quotes")
    parser.add_argument("flags", nargs="*", help="of main.py")
    options = parser.parse_args(arguments)
    rows = run(options.raw, options.work, options.first, options.limit, options.flags, shlex.split(options.prepare))
    print(report(rows))


if __name__ == "__main__":
    sys.exit(exit_status(main))
