"""From radiographs to lines of the journal: reading in processes of their own, predicting and drawing in threads."""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from finder.network import MOST
from prediction.calibration import OTHER_SIDE
from prediction.journal import Index, Journal, state_of
from prediction.listing import Item, Listing, digest, printable
from prediction.outputs import annotation, image_of, landmark_rows, measure_rows, write_slicer
from prediction.overlay import base_picture, draw
from prediction.page import card
from prediction.predictor import Prediction, Predictor
from prediction.shard import Shard
from radiographs.header import read_with_header
from radiographs.pixel_size import row_of, with_stated
from radiographs.radiograph import Radiograph
from radiographs.raw_folder import JOURNAL
from runtime.apart import Crew
from runtime.command import cores
from runtime.files import DataError, csv_lines, named

MANY = 10_000  # radiographs, from which on pictures lie in 256 folders: file systems are slow with very many in one
MAX_WORKERS = 8  # each holds some 100 MB of feature maps
GPU_BATCH = 4  # radiographs a step of the network


@dataclass
class Read:
    """A radiograph as far as outputs need it."""

    item: Item
    extent: tuple[int, int]  # width, height px
    radiograph: Radiograph  # its pixels are let go once they are predicted
    base: Image.Image
    ids: list[str]  # what goes into the table beside the predictions
    state: int  # of its file before it was read
    source: list  # for DICOM results its header


class Worker:
    """Predicts the radiographs of a shard: overlay and markups of each are written first, then its line in the journal.

    `call` is what `describe` keeps of the settings. Attributes: now, before (radiographs predicted now and earlier), unread.
    """

    def __init__(self, out: Path, call: dict, predictor: Predictor, listing: Listing, shard: Shard, try_again: bool):
        """`try_again`: also files that could not be read before."""
        self.out, self.call, self.predictor, self.listing, self.shard = out, call, predictor, listing, shard
        self.now = self.before = self.unread = 0
        self.many = listing.count > MANY
        self.journal, self.index = Journal(out / JOURNAL, shard), Index(out / JOURNAL, try_again)
        if len(self.index):
            print(f"{out}: going on; {len(self.index)} radiographs are in its journal")
        (out / "overlays").mkdir(parents=True, exist_ok=True)
        if "dicom" in call["formats"]:
            from prediction import dicom_results  # here, since its package is optional

            self.dicom = dicom_results

    def predict_all(self) -> None:
        """Predict what is not done yet, in any order; what is wrong with a file is said at once.

        Each thread takes whole radiographs, some at a time, and computes with its own cores: none ever waits for another.
        """
        share, batch = -(-self.listing.count // self.shard.of), GPU_BATCH if self.predictor.device.type == "cuda" else 1
        own_cores = max(1, cores() // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
        workers = max(1, min(own_cores, MAX_WORKERS, share // batch))
        items = self.items()
        batches = iter(lambda: list(islice(items, batch)), [])
        self.reader = Crew(self.dicom.read_with_source if "dicom" in self.call["formats"] else read_with_header, workers)
        threadpool_limits(1, "blas")  # which does not go by thread: NumPy's own threads would take the others' cores
        pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(max(1, own_cores // workers),))
        bar = tqdm(total=share, unit=" radiographs", disable=None if self.shard.number == 1 else True)
        try:
            pending = {pool.submit(self.process, some) for some in islice(batches, 2 * workers)}
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                pending |= {pool.submit(self.process, some) for some in islice(batches, len(done))}
                for error in (error for future in done for error in future.result()):
                    self.now += error is None
                    self.unread += error is not None
                    if error:
                        tqdm.write(error, file=sys.stderr)
                    bar.update(self.now + self.unread + self.before - bar.n)
        finally:
            self.reader.close()  # first, so that no thread waits for a file any more
            pool.shutdown(cancel_futures=True)
            bar.close()
            self.journal.close()

    def items(self) -> Iterator[Item]:
        """The radiographs of the shard that are still to be predicted; the others are counted."""
        for place, item in enumerate(self.listing):
            if self.shard.has(place):
                if len(self.index) and self.index.is_done(item):
                    self.before += 1
                else:
                    yield item

    def process(self, items: list[Item]) -> list[str | None]:
        """Predict some radiographs together, and write what is found; returns what is wrong with the file of each, or none."""
        read = [self.read(item) for item in items]
        good = [one for one in read if isinstance(one, Read)]
        found = self.predictor.predict([one.radiograph.pixels for one in good]) if good else []
        for one, hands in zip(good, found):
            one.radiograph.pixels = np.empty(0)
            add_flags(hands, one.radiograph)
            content = self.write(one, hands)
            self.journal.append(one.item, one.state, self.index.next_turn(one.item), content)
        return [one if isinstance(one, str) else None for one in read]

    def read(self, item: Item) -> Read | str:
        """A radiograph, or what is wrong with its file, which the journal is told of at once."""
        state = state_of(item.path)
        try:
            radiograph, texts, *source = self.reader(Path(item.path), tuple(self.call["dicom"]))
            if source:
                self.dicom.try_header(Path(item.path), *source, radiograph)
        except DataError as error:
            content = {"name": item.name, "error": printable(str(error))}
            if state or not self.index.was_predicted(item):  # what was found stays where its file cannot be reached
                self.remove_pictures(item)
                self.journal.append(item, state, self.index.next_turn(item), content)
            return content["error"]
        given = self.call.get("pixel_mm")
        of_each = given.get(row_of(item.path, given), [None]) if isinstance(given, dict) else [given]
        radiograph = with_stated(radiograph, *of_each)
        height, width = radiograph.pixels.shape
        return Read(item, (width, height), radiograph, base_picture(radiograph.pixels), [*item.ids, *texts], state, source)

    def write(self, read: Read, hands: list[Prediction]) -> dict:
        """Write the pictures of a radiograph; returns what the journal gets to know of it."""
        self.remove_pictures(read.item)
        name, joint, formats = read.item.name, self.predictor.joint, self.call["formats"]
        rows = [[*row, *read.ids] for hand in hands for row in landmark_rows(name, joint, read.radiograph, hand)]
        content = {"name": name, "landmarks": csv_lines(rows).decode()}
        if self.call["measure"]:
            rows = [row for hand in hands for row in measure_rows(name, joint, read.radiograph, hand)]
            content["measures"] = csv_lines(rows).decode()
        if "coco" in formats:
            content["image"] = image_of(name, read.extent, dict(zip(self.call["columns"], read.ids)))
            content["hands"] = [annotation(joint, hand) for hand in hands]
        for hand in hands if "slicer" in formats else []:
            ending = f"_hand_{hand.hand}" if len(hands) > 1 else ""
            write_slicer(self.place("slicer", f"{read.item.plain}{ending}.mrk.json"), joint, read.radiograph, hand)
        picture = draw(read.base, hands, read.extent, joint, self.call["with_names"])
        overlay = self.place("overlays", f"{read.item.plain}.png")
        with named(overlay):
            picture.save(overlay, compress_level=1)
        if "dicom" in formats:
            results = self.dicom.Results(*read.source, read.radiograph, joint, hands, picture)
            self.dicom.write_dicom(self.place("dicom", read.item.plain), self.call, results)
        return content | card(name, overlay.relative_to(self.out / "overlays").as_posix(), picture, hands)

    def remove_pictures(self, item: Item) -> None:
        """Remove what was drawn of earlier contents of a radiograph's file, or of another one of its name."""
        if not self.index.was_drawn(item):
            return
        drawn = [*self.places("overlays", f"{item.plain}.png")]
        if "slicer" in self.call["formats"]:
            for hand in ("", *(f"_hand_{number}" for number in range(1, MOST + 1))):
                drawn += self.places("slicer", f"{item.plain}{hand}.mrk.json")
        if "dicom" in self.call["formats"]:
            stems = self.places("dicom", item.plain)
            drawn += [stem.with_name(f"{stem.name}_{ending}.dcm") for stem in stems for ending in self.dicom.ENDINGS]
        for path in drawn:
            path.unlink(missing_ok=True)

    def places(self, folder: str, name: str) -> tuple[Path, Path]:
        """Where a picture goes among few others, and among many: an archive that is gone on with may have grown."""
        inner = self.out / folder
        return inner / name, inner / f"{digest(name) & 0xFF:02x}" / name

    def place(self, folder: str, name: str) -> Path:
        """Where a picture goes, in a folder that is there."""
        path = self.places(folder, name)[self.many]
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def add_flags(hands: list[Prediction], radiograph: Radiograph) -> None:
    """Those that come from the file of a radiograph: what is odd about it, and a side that is not the one found."""
    for hand in hands:
        hand.flags[:0] = radiograph.notes
        if {hand.side, radiograph.side} == {"left", "right"}:
            hand.flags.append(OTHER_SIDE)
