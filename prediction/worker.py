"""From radiographs to lines of the journal: reading in processes of their own, predicting and drawing in threads."""

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from finder.network import MOST
from prediction.journal import Index, Journal, state_of
from prediction.listing import Item, digest, printable
from prediction.outputs import annotation, image_of, landmark_rows, measure_rows, write_slicer
from prediction.overlay import base_picture, draw
from prediction.page import card
from prediction.predictor import Prediction, Predictor
from radiographs.header import read_with_header
from radiographs.reading import Radiograph
from runtime.apart import Crew
from runtime.files import DataError, csv_lines

MANY = 10_000  # radiographs, from which on pictures lie in 256 folders: file systems are slow with very many in one


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
    """Predicts radiographs and writes what is found of each: overlay and markups first, then its line in the journal.

    `call` is what `predict.py` keeps of its settings: formats, measure, with_names, dicom and columns.
    """

    def __init__(self, out: Path, call: dict, predictor: Predictor, journal: Journal, index: Index, count: int):
        """`count` is the number of radiographs of the whole call."""
        self.out, self.call, self.predictor, self.journal, self.index = out, call, predictor, journal, index
        self.many = count > MANY
        (out / "overlays").mkdir(parents=True, exist_ok=True)
        if "slicer" in call["formats"]:
            (out / "slicer").mkdir(exist_ok=True)
        if "dicom" in call["formats"]:
            from prediction import dicom_results  # here, since its package is optional

            self.dicom = dicom_results
            (out / "dicom").mkdir(exist_ok=True)

    def predict_all(self, items: Iterator[Item], workers: int, batch: int, threads: int) -> Iterator[str | None]:
        """Predict all radiographs, in any order; yields of each what is wrong with its file, or none.

        Each worker takes whole radiographs, `batch` at a time, and computes with `threads`: no core ever waits for another.
        """
        batches = iter(lambda: list(islice(items, batch)), [])
        reader = Crew(self.dicom.read_with_source if "dicom" in self.call["formats"] else read_with_header, workers)
        pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(threads,))
        try:
            pending: set[Future] = {pool.submit(self.process, some, reader) for some in islice(batches, 2 * workers)}
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                pending |= {pool.submit(self.process, some, reader) for some in islice(batches, len(done))}
                for future in done:
                    yield from future.result()
        finally:
            reader.close()  # first, so that no thread waits for a file any more
            pool.shutdown(cancel_futures=True)

    def process(self, items: list[Item], reader: Crew) -> list[str | None]:
        """Predict some radiographs together, and write what is found."""
        read = [self.read(item, reader) for item in items]
        good = [one for one in read if isinstance(one, Read)]
        found = self.predictor.predict([one.radiograph.pixels for one in good]) if good else []
        for one, hands in zip(good, found):
            one.radiograph.pixels = np.empty(0)
            for hand in hands:
                hand.flags[:0] = one.radiograph.notes
            content = self.write(one, hands)
            self.journal.append(one.item, one.state, self.index.next_turn(one.item), content)
        return [one if isinstance(one, str) else None for one in read]

    def read(self, item: Item, reader: Crew) -> Read | str:
        """A radiograph, or what is wrong with its file, which the journal is told of at once."""
        state = state_of(item.path)
        try:
            radiograph, texts, *source = reader(Path(item.path), tuple(self.call["dicom"]))
            if source:
                self.dicom.try_header(Path(item.path), *source, radiograph)
        except DataError as error:
            content = {"name": item.name, "error": printable(str(error))}
            if state or not self.index.was_predicted(item):  # what was found stays where its file cannot be reached
                self.remove_pictures(item)
                self.journal.append(item, state, self.index.next_turn(item), content)
            return content["error"]
        height, width = radiograph.pixels.shape
        return Read(item, (width, height), radiograph, base_picture(radiograph.pixels), [*item.ids, *texts], state, source)

    def write(self, read: Read, hands: list[Prediction]) -> dict:
        """Write the pictures of a radiograph; returns what the journal gets to know of it."""
        self.remove_pictures(read.item)
        name, joint = read.item.name, self.predictor.joint
        rows = [[*row, *read.ids] for hand in hands for row in landmark_rows(name, joint, read.radiograph, hand)]
        content = {"name": name, "landmarks": csv_lines(rows).decode()}
        if self.call["measure"]:
            rows = [row for hand in hands for row in measure_rows(name, joint, read.radiograph, hand)]
            content["measures"] = csv_lines(rows).decode()
        if "coco" in self.call["formats"]:
            content["image"] = image_of(name, read.extent, dict(zip(self.call["columns"], read.ids)))
            content["hands"] = [annotation(joint, hand) for hand in hands]
        if "slicer" in self.call["formats"]:
            for hand in hands:
                ending = f"_hand_{hand.hand}" if len(hands) > 1 else ""
                write_slicer(self.place("slicer", f"{read.item.plain}{ending}.mrk.json"), joint, read.radiograph, hand)
        picture = draw(read.base, hands, read.extent, joint, self.call["with_names"])
        overlay = self.place("overlays", f"{read.item.plain}.png")
        try:
            picture.save(overlay, compress_level=1)
        except OSError as error:  # a full disk, which has no name
            error.filename = str(overlay)
            raise
        if "dicom" in self.call["formats"]:
            results = self.dicom.Results(*read.source, read.radiograph, joint, hands, picture)
            self.dicom.write_dicom(self.place("dicom", read.item.plain), self.call, results)
        return content | card(name, overlay.relative_to(self.out / "overlays").as_posix(), picture, hands)

    def remove_pictures(self, item: Item) -> None:
        """Remove what was drawn of earlier contents of a radiograph's file."""
        if self.index.place(item) is None:
            return
        self.place("overlays", f"{item.plain}.png").unlink(missing_ok=True)
        if "slicer" in self.call["formats"]:
            for hand in ("", *(f"_hand_{number}" for number in range(1, MOST + 1))):
                self.place("slicer", f"{item.plain}{hand}.mrk.json").unlink(missing_ok=True)
        if "dicom" in self.call["formats"]:
            for ending in ("sr", "pr", "sc"):
                self.place("dicom", f"{item.plain}_{ending}.dcm").unlink(missing_ok=True)

    def place(self, folder: str, name: str) -> Path:
        """Where a picture goes."""
        inner = self.out / folder / (f"{digest(name) & 0xFF:02x}" if self.many else "")
        if self.many:
            inner.mkdir(parents=True, exist_ok=True)
        return inner / name
