"""The data set that data_preprocessing.py wrote, as batches: pictures are read and changed by the loader's own processes."""

import copy
import hashlib
import json
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from augment import Augment, mirrored
from heatmap import rescale
from joints.known import first_other, joint_of
from joints.shape import mirror_order
from radiographs.detail import detail_frame
from radiographs.fingerprint import alike, fingerprint, from_text, to_text
from radiographs.network_frame import frame_of, to_input
from radiographs.prepared_folder import SETTINGS, TABLE, read_folder
from radiographs.raw_folder import READERS
from runtime import distributed
from runtime.apart import start_worker
from runtime.command import cores
from runtime.files import DataError, first_few, read_csv

LISTS = ("ids", "stems", "spacing_sources", "picture_digests", "file_digests")  # attributes with an item a radiograph
FEWEST_SHAPES = 20  # radiographs that tell whether their landmarks are symmetric
ARRAYS = ("sizes_px", "spacings_mm", "points_px", "points_network_px", "points_detail_px", "readings_px", "fingerprints")
FILE, LOOK = "file:", "look:"  # beginnings of marks by file and by fingerprint; marks by prepared pixels have none
Key = tuple[int, int]  # epoch and number of a radiograph


class RadiographDataset(Dataset):
    """One split of a processed folder; pictures stay on disk, heatmaps are drawn where they are needed.

    Every picture is read once at the start, so that a damaged one is found before anything is learnt.

    Attributes: ids (N names), sizes_px (N, 2) width and height, spacings_mm (N, 2) NaN where unknown and spacing_sources (N
    texts) where they come from, points_px (N, L, 2) in the radiograph's frame, points_network_px (N, L, 2) in the network's and
    points_detail_px (N, L, 2) in the pictures for a second look, all (x, y), NaN where missing; `frame` (height, width) px of the
    network, `size` px of its longer side and `sigma` px in it; `detail` px of the longer side of pictures for a second look, 0
    where there are none; `settings` of its making, and of these the `profile` that histograms are matched to, if any; `joint`,
    what is known of the landmarks; `annotators` (A names), whose points are readings_px (N, A, L, 2); `picture_digests` and
    `file_digests` (N texts), the same for the same prepared picture, and for the same file (blank where the folder was prepared
    by an earlier version), and `fingerprints` (N, SIDE²) of the pictures.
    """

    def __init__(self, folder: Path, split: str, ids: list[str] | None = None, allow_missing: bool = False):
        """`ids`: which radiographs, wherever in the folder they lie; none: those of the folder's own split. Raises DataError."""
        self.folder, self.split = folder, split
        self.settings, rows = read_folder(folder)
        self.frame, self.sigma = frame_of(self.settings["size"]), self.settings["sigma"]
        self.size, self.detail = max(self.frame), self.settings.get("detail", 0)
        self.profile = None if self.settings["profile"] is None else np.array(self.settings["profile"])
        wanted = {row["id"] for row in rows if row["split"] == split} if ids is None else set(ids)
        rows = [row for row in rows if row["id"] in wanted]
        missing = sorted(wanted - {row["id"] for row in rows})
        if missing and not allow_missing:
            raise DataError(
                f"{folder / TABLE}: {len(missing)} of {len(wanted)} listed radiographs of {split} are not prepared "
                f"({first_few(missing)}); prepare them, correct the list, or give --allow_missing"
            )
        if not rows:
            raise DataError(f"{folder / TABLE}: expected radiographs of {split}, found none; add some and prepare the data again")
        landmarks = sum(name.startswith("network_x") for name in rows[0])
        self.ids = [row["id"] for row in rows]
        self.stems = [folder / row["split"] / row["id"] for row in rows]
        self.sizes_px = self.numbers(rows, ["width", "height"])
        self.spacings_mm = self.numbers(rows, ["spacing_x_mm", "spacing_y_mm"])
        self.spacing_sources = [row["spacing_from"] for row in rows]
        self.file_digests = [row.get("file", "") for row in rows]
        self.points_px = self.points(rows, landmarks)
        self.points_network_px = self.points(rows, landmarks, "network_")
        frames = [detail_frame(height, width, self.detail or 1)[::-1] for width, height in self.sizes_px]
        self.points_detail_px = rescale(self.points_px, (np.array(frames) / self.sizes_px)[:, None])
        self.annotators = sorted(path.stem for path in (folder / READERS).glob("*.csv"))
        readings = [self.readings(folder / READERS / f"{annotator}.csv", landmarks) for annotator in self.annotators]
        self.readings_px = together(readings, self.points_px)
        self.joint = joint_of(self.points_px, self.settings.get("joint"), str(folder / SETTINGS))
        if len(self.joint.names) != landmarks:
            raise DataError(f"{folder}: describes {len(self.joint.names)} landmarks and has {landmarks}; prepare it again")
        with ThreadPoolExecutor(cores()) as pool:
            digests, fingerprints = zip(*pool.map(self.look_at, range(len(rows))))
        self.picture_digests, self.fingerprints = list(digests), np.stack(fingerprints)

    def numbers(self, rows: list[dict[str, str]], names: list[str]) -> np.ndarray:
        """(rows, names) float64, NaN for a blank cell. Raises DataError."""
        try:
            return np.array([[float(row[name] or "nan") for name in names] for row in rows])
        except (KeyError, ValueError) as error:
            raise DataError(f"{self.folder / TABLE}: not as data_preprocessing.py writes it ({error}); run it again") from error

    def points(self, rows: list[dict[str, str]], landmarks: int, frame: str = "") -> np.ndarray:
        """(rows, landmarks, 2) px from the columns of a frame."""
        names = [f"{frame}{axis}{i}" for i in range(landmarks) for axis in "xy"]
        return self.numbers(rows, names).reshape(len(rows), landmarks, 2)

    def readings(self, path: Path, landmarks: int) -> np.ndarray:
        """What an annotator gave: (N, landmarks, 2) px of the radiographs, NaN where nothing. Raises DataError."""
        given = {row["id"]: row for row in read_csv(path)}
        blank = dict.fromkeys((f"{axis}{i}" for i in range(landmarks) for axis in "xy"), "")
        return self.points([given.get(id, blank) for id in self.ids], landmarks)

    def in_radiographs(self, points_network_px: np.ndarray) -> np.ndarray:
        """Points (N, L, 2) px of the network's frame -> of the radiographs."""
        return rescale(points_network_px, (self.sizes_px / self.frame[::-1])[:, None])

    def picture(self, i: int) -> np.ndarray:
        """(height, width) uint8, read from the radiograph's file. Raises DataError."""
        return self.read(i, ".png", self.frame)

    def detail_picture(self, i: int) -> np.ndarray:
        """The same for the second look: larger, not stretched, its histogram not matched."""
        return self.read(i, ".detail.png", detail_frame(*self.sizes_px[i][::-1], self.detail))

    def read(self, i: int, suffix: str, shape: tuple[int, int]) -> np.ndarray:
        path = self.stems[i].with_name(self.stems[i].name + suffix)
        try:
            picture = iio.imread(path)
        except MemoryError:
            raise
        except Exception as error:  # readers raise whatever they like
            raise DataError(f"{path}: cannot be read ({error}); run data_preprocessing.py again") from error
        if picture.shape != shape:
            raise DataError(f"{path}: expected the shape {shape}, found {picture.shape}; run data_preprocessing.py again")
        return picture

    def look_at(self, i: int) -> tuple[str, np.ndarray]:
        """Digest and fingerprint of a picture."""
        picture = self.picture(i)
        if self.detail:
            self.detail_picture(i)  # whether it can be read
        return hashlib.sha256(picture.tobytes()).hexdigest()[:16], fingerprint(picture)

    def marks(self) -> list[str]:
        """Marks by which a checkpoint knows its radiographs again, three of each: by prepared pixels, file and fingerprint."""
        files = [FILE + digest for digest in self.file_digests if digest]
        return [*self.picture_digests, *files, *(LOOK + to_text(signs) for signs in self.fingerprints)]

    def known_by(self, marks: list[str]) -> list[str]:
        """IDs of the radiographs that have one of some marks."""
        known = set(marks)
        looks = [from_text(mark.removeprefix(LOOK)) for mark in known if mark.startswith(LOOK)]
        seen = alike(self.fingerprints, np.array(looks)).any(1) if looks else np.zeros(len(self), bool)
        of_pixels = (digest in known for digest in self.picture_digests)
        of_file = (bool(digest) and FILE + digest in known for digest in self.file_digests)
        return [id for id, *by in zip(self.ids, seen, of_pixels, of_file) if any(by)]

    def digest(self) -> str:
        """A digest that is the same for the same radiographs with the same landmarks."""
        content = hashlib.sha256(json.dumps([self.ids, self.picture_digests]).encode())
        content.update(self.points_px.tobytes())
        return content.hexdigest()

    def concat(self, others: list["RadiographDataset"]) -> "RadiographDataset":
        """These radiographs and those of others, prepared in the same way. Raises DataError."""
        for other in others:
            if (found := other.points_px.shape[1]) != (own := self.points_px.shape[1]):
                raise DataError(f"{other.folder}: has {found} landmarks, and {self.folder} has {own}; take data of one joint")
            if (name := first_other(self.joint.names, other.joint.names)) is not None:
                raise DataError(f"{other.folder}: {name}, as {self.folder} has it; take data of one joint")
            if (self.frame, self.sigma, self.detail) != (other.frame, other.sigma, other.detail):
                raise DataError(
                    f"{other.folder}: prepared with another --size, --sigma or --detail than {self.folder}; prepare it again"
                )
            if not same_profile(self.settings["profile"], other.settings["profile"]):
                raise DataError(
                    f"{other.folder}: its histograms are matched to another reference than those of {self.folder}; prepare it "
                    "again: data_preprocessing.py --reference CHECKPOINT, of a network that was trained on the other folder"
                )
        joined, parts = copy.copy(self), [self, *(other.annotated_by(self.annotators) for other in others)]
        for name in LISTS:
            setattr(joined, name, [item for part in parts for item in getattr(part, name)])
        for name in ARRAYS:
            setattr(joined, name, np.concatenate([getattr(part, name) for part in parts]))
        return joined

    def annotated_by(self, annotators: list[str]) -> "RadiographDataset":
        """The same with these annotators, NaN for those that it does not have."""
        same, nothing = copy.copy(self), np.full_like(self.points_px, np.nan)
        given = dict(zip(self.annotators, self.readings_px.swapaxes(0, 1)))
        same.annotators = annotators
        same.readings_px = together([given.get(annotator, nothing) for annotator in annotators], self.points_px)
        return same

    def subset(self, indices: np.ndarray, split: str) -> "RadiographDataset":
        """Some of these radiographs, as a split of another name."""
        some = copy.copy(self)
        some.split = split
        for name in LISTS:
            setattr(some, name, [getattr(self, name)[i] for i in indices])
        for name in ARRAYS:
            setattr(some, name, getattr(self, name)[indices])
        return some

    def mirror_order(self) -> np.ndarray:
        """Which landmark takes the place of each, (L,), in a mirrored radiograph: as described, or by the mean shape.

        Raises DataError where that does not tell pairs.
        """
        if self.joint.mirror:
            return np.array(self.joint.exchanged)
        if (order := mirror_order(self.points_network_px, math.inf)) is None:
            raise DataError("mirror: expected pairs of landmarks that a mirrored radiograph exchanges; give them in joint.json")
        return order

    def is_symmetric(self) -> bool:
        """Whether a mirrored radiograph is one of the same joint, as described or by the mean shape, which one landmark lacks."""
        shapes = self.points_network_px
        told = len(self) >= FEWEST_SHAPES and shapes.shape[1] > 1 and mirror_order(shapes) is not None
        return bool(self.joint.mirror or told) and self.joint.laterality not in ("left", "right")

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
        """image (1, height, width) in [-1, 1] and points (L, 2), network-frame px."""
        image = torch.from_numpy(to_input(self.picture(i)))[None]
        return {"image": image, "points": torch.from_numpy(self.points_network_px[i]).float()}


class Augmented(Dataset):
    """Radiographs to train on, each changed anew in every epoch.

    Its random numbers are those of (seed, epoch, number of the radiograph), whichever process draws them.
    """

    def __init__(self, data: RadiographDataset, augment: Augment, seed: int, mirror: np.ndarray | None = None):
        """`mirror` (L,): which landmark takes the place of each in half of the radiographs, which are shown mirrored."""
        self.data, self.augment, self.seed, self.mirror = data, augment, seed, mirror

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, key: Key) -> dict[str, torch.Tensor]:
        """An item as of RadiographDataset, changed; `key`: epoch and number of the radiograph."""
        rng = np.random.default_rng((self.seed, *key))
        image, points = (self.data[key[1]][name] for name in ("image", "points"))
        if self.mirror is not None and rng.random() < 0.5:
            image, points = image.flip(-1), mirrored(points, image.shape[-1])[self.mirror]
        image, points = self.augment(image, points, rng, self.data.profile)
        return {"image": image, "points": points}


class Batches:
    """The keys of an epoch's batches, in an order of (seed, epoch); of several processes each gets its part of every batch."""

    def __init__(self, count: int, batch_size: int, seed: int):
        self.count, self.batch_size, self.seed, self.epoch = count, batch_size, seed, 1

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def whole(self) -> list[list[Key]]:
        """The batches undivided, as a single process has them."""
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.count).tolist()
        keys = [(self.epoch, i) for i in order]
        return [keys[start : start + self.batch_size] for start in range(0, self.count, self.batch_size)]

    def __iter__(self) -> Iterator[list[Key]]:
        return (distributed.part(batch) for batch in self.whole())


def together(readings: list[np.ndarray], points: np.ndarray) -> np.ndarray:
    """Of A annotators' points (N, L, 2), as `points` has them, one array (N, A, L, 2)."""
    return np.reshape(readings, (len(readings), *points.shape)).swapaxes(0, 1)


def same_profile(first: list[float] | None, second: list[float] | None) -> bool:
    """Whether histograms were matched to the same reference, or both to none."""
    return (first is None) == (second is None) and (first is None or np.allclose(first, second, rtol=1e-4))


def make_loader(dataset: RadiographDataset, batch_size: int, workers: int = 0, share: bool = False) -> DataLoader:
    """Batches in the data set's order, the last one maybe smaller; with `share` this process's part of the radiographs."""
    sampler = range(distributed.RANK, len(dataset), distributed.WORLD) if share else None
    return DataLoader(dataset, batch_size, sampler=sampler, **loading(workers))


def make_training_loader(dataset, batch_size: int, workers: int = 0, collate: Callable | None = None) -> DataLoader:
    """Batches to learn from of a data set with a `seed`; `batch_sampler.epoch` is to be set before each epoch."""
    batches = Batches(len(dataset), batch_size, dataset.seed)
    return DataLoader(dataset, batch_sampler=batches, collate_fn=collate, **loading(workers))


def loading(workers: int) -> dict:
    """How a loader works with so many processes beside this one; 0: in this one. It has random numbers of its own."""
    more = {"persistent_workers": True, "worker_init_fn": start_worker} if workers else {}
    return {"num_workers": workers, "pin_memory": torch.cuda.is_available(), "generator": torch.Generator()} | more


def end_workers(loaders: list[DataLoader]) -> None:
    """End the processes of loaders, which PyTorch would do no sooner than it tidies up, and sometimes with a traceback."""
    for loader in loaders:
        if loader._iterator is not None:
            loader._iterator._shutdown_workers()
            loader._iterator = None


def batches_of(loader: DataLoader) -> Iterator[dict[str, torch.Tensor]]:
    """The batches. Raises DataError, in one line, where a process of the loader does."""
    torch.empty((), dtype=torch.int64).random_()  # what a loader would draw where it has no processes: dropout goes on from there
    try:
        yield from loader
    except DataError as error:
        raise DataError(str(error).strip().rpartition("DataError: ")[2]) from None
