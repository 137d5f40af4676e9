"""The data set that data_preprocessing.py wrote, as batches."""

import copy
import hashlib
import json
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from joints.known import joint_of
from radiographs.network_frame import frame_of
from radiographs.prepared_folder import SETTINGS, TABLE, read_folder
from radiographs.readers import READERS
from runtime import distributed
from runtime.files import DataError, read_csv

LISTS = "ids", "stems", "spacing_sources"  # attributes of a data set with an item a radiograph
ARRAYS = "sizes_px", "spacings_mm", "points_px", "points_network_px", "readings_px", "pictures"


class RadiographDataset(Dataset):
    """One split of a processed folder; the pictures are held in memory as bytes, heatmaps are drawn where they are needed.

    Attributes: ids (N names), sizes_px (N, 2) width and height, spacings_mm (N, 2) NaN where unknown and spacing_sources (N
    texts) where they come from, points_px (N, L, 2) in the radiograph's frame and points_network_px (N, L, 2) in the network's,
    both (x, y), NaN where missing; `frame` (height, width) px of the network, `size` px of its longer side and `sigma` px in it;
    `settings` of its making; `joint`, what is known of the landmarks; `readers` (R names), whose points are
    readings_px (N, R, L, 2).
    """

    def __init__(self, folder: Path, split: str, ids: list[str] | None = None, allow_missing: bool = False):
        """`ids`: which radiographs, wherever in the folder they lie; none: those of the folder's own split. Raises DataError."""
        self.folder, self.split = folder, split
        self.settings, rows = read_folder(folder)
        self.frame, self.sigma = frame_of(self.settings["size"]), self.settings["sigma"]
        self.size = max(self.frame)
        wanted = None if ids is None else set(ids)
        rows = [row for row in rows if (row["split"] == split if wanted is None else row["id"] in wanted)]
        missing = sorted((wanted or set()) - {row["id"] for row in rows})
        if missing and not allow_missing:
            named = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
            raise DataError(
                f"{folder / TABLE}: {len(missing)} of {len(wanted)} listed radiographs of {split} are not prepared ({named}); "
                "prepare them, correct the list, or give --allow_missing"
            )
        if not rows:
            raise DataError(
                f"{folder / TABLE}: expected radiographs of {split}, found none; add some and prepare the data again, "
                "or train with --folds 5, which does without"
            )
        landmarks = sum(name.startswith("network_x") for name in rows[0])
        self.ids = [row["id"] for row in rows]
        self.stems = [folder / row["split"] / row["id"] for row in rows]
        self.sizes_px = self.numbers(rows, ["width", "height"])
        self.spacings_mm = self.numbers(rows, ["spacing_x_mm", "spacing_y_mm"])
        self.spacing_sources = [row["spacing_from"] for row in rows]
        self.points_px, self.points_network_px = (
            self.numbers(rows, [f"{frame}{axis}{i}" for i in range(landmarks) for axis in "xy"]).reshape(len(rows), landmarks, 2)
            for frame in ("", "network_")
        )
        self.readers = sorted(path.stem for path in (folder / READERS).glob("*.csv"))
        self.readings_px = np.full((len(rows), len(self.readers), landmarks, 2), np.nan)
        for r, reader in enumerate(self.readers):
            self.readings_px[:, r] = self.readings(folder / READERS / f"{reader}.csv", landmarks)
        self.joint = joint_of(self.points_px, self.settings.get("joint"), str(folder / SETTINGS))
        if len(self.joint.names) != landmarks:
            raise DataError(f"{folder}: describes {len(self.joint.names)} landmarks and has {landmarks}; prepare it again")
        self.pictures = np.stack([self.read(i) for i in range(len(rows))])

    def numbers(self, rows: list[dict[str, str]], names: list[str]) -> np.ndarray:
        """(rows, names) float64, NaN for a blank cell. Raises DataError."""
        try:
            return np.array([[float(row[name] or "nan") for name in names] for row in rows])
        except (KeyError, ValueError) as error:
            raise DataError(f"{self.folder / TABLE}: not as data_preprocessing.py writes it ({error}); run it again") from error

    def readings(self, path: Path, landmarks: int) -> np.ndarray:
        """What a reader gave: (N, landmarks, 2) px of the radiographs, NaN where nothing. Raises DataError."""
        given = {row["id"]: row for row in read_csv(path)}
        blank = {f"{axis}{i}": "" for i in range(landmarks) for axis in "xy"}
        return self.numbers([given.get(id, blank) for id in self.ids], list(blank)).reshape(len(self.ids), landmarks, 2)

    def read(self, i: int) -> np.ndarray:
        """The picture of one radiograph, (height, width) uint8. Raises DataError."""
        path, shape = self.stems[i].with_name(self.stems[i].name + ".png"), self.frame
        try:
            picture = iio.imread(path)
        except MemoryError:
            raise
        except Exception as error:  # a damaged file makes the reader raise whatever it likes
            raise DataError(f"{path}: cannot be read ({error}); run data_preprocessing.py again") from error
        if picture.shape != shape:
            raise DataError(f"{path}: expected the shape {shape}, found {picture.shape}; run data_preprocessing.py again")
        return picture

    def digest(self) -> str:
        """The same for the same radiographs with the same landmarks."""
        content = hashlib.sha256(json.dumps(self.ids).encode())
        for part in (self.pictures, self.points_px):
            content.update(part.tobytes())
        return content.hexdigest()

    def picture_digests(self) -> list[str]:
        """One a radiograph, the same for the same prepared picture, by which a checkpoint knows what it was trained on."""
        return [hashlib.sha256(picture.tobytes()).hexdigest()[:16] for picture in self.pictures]

    def with_more(self, others: list["RadiographDataset"]) -> "RadiographDataset":
        """These radiographs and those of others, prepared in the same way. Raises DataError."""
        for other in others:
            if other.points_px.shape[1] != self.points_px.shape[1]:
                own, others = self.points_px.shape[1], other.points_px.shape[1]
                raise DataError(f"{other.folder}: has {others} landmarks, and {self.folder} has {own}; take data of one joint")
            if (name := first_other(self.joint.names, other.joint.names)) is not None:
                raise DataError(f"{other.folder}: {name}, as {self.folder} has it; take data of one joint")
            if (self.frame, self.sigma) != (other.frame, other.sigma):
                raise DataError(f"{other.folder}: prepared with another --size or --sigma than {self.folder}; prepare it again")
            if not same_profile(self.settings["profile"], other.settings["profile"]):
                raise DataError(
                    f"{other.folder}: its histograms are matched to another reference than those of {self.folder}; prepare it "
                    "again: data_preprocessing.py --reference CHECKPOINT, of a network that was trained on the other folder"
                )
        whole, parts = copy.copy(self), [self, *(other.read_by(self.readers) for other in others)]
        for name in LISTS:
            setattr(whole, name, [item for part in parts for item in getattr(part, name)])
        for name in ARRAYS:
            setattr(whole, name, np.concatenate([getattr(part, name) for part in parts]))
        return whole

    def read_by(self, readers: list[str]) -> "RadiographDataset":
        """The same with these readers, NaN for those that it does not have."""
        if readers == self.readers:
            return self
        same = copy.copy(self)
        given = {reader: self.readings_px[:, r] for r, reader in enumerate(self.readers)}
        same.readers, nothing = readers, np.full_like(self.points_px, np.nan)
        same.readings_px = np.stack([given.get(reader, nothing) for reader in readers], 1) if readers else self.readings_px[:, :0]
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

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
        """image (1, height, width) in [-1, 1] and points (L, 2), network-frame px."""
        return {"image": to_input(self.pictures[i])[None], "points": torch.from_numpy(self.points_network_px[i]).float()}


def first_other(expected: tuple[str, ...], found: tuple[str, ...]) -> str | None:
    """In words the first landmark with another name; None where all agree, or where one side has numbers for names."""
    numbers = tuple(map(str, range(len(found))))
    if expected == found or numbers in (expected, found):
        return None
    return next(f"landmark {i} is {b!r} instead of {a!r}" for i, (a, b) in enumerate(zip(expected, found)) if a != b)


def same_profile(first: list[float] | None, second: list[float] | None) -> bool:
    """Whether histograms were matched to the same reference, or both to none."""
    return (first is None) == (second is None) and (first is None or np.allclose(first, second, rtol=1e-4))


def to_input(picture: np.ndarray) -> torch.Tensor:
    """A prepared picture, uint8 -> what the network sees, in [-1, 1]."""
    return torch.from_numpy(picture).float() / 127.5 - 1


def to_picture(image: torch.Tensor) -> np.ndarray:
    """The inverse of `to_input`."""
    return ((image + 1) * 127.5).round().to(torch.uint8).numpy()


def make_loader(dataset: RadiographDataset, batch_size: int, shuffle: bool = False, share: bool = False) -> DataLoader:
    """Batches, the last one maybe smaller: in an order that torch.manual_seed decides, or with `share` this process's part."""
    sampler = range(distributed.RANK, len(dataset), distributed.WORLD) if share else None
    return DataLoader(dataset, batch_size, shuffle=shuffle, sampler=sampler, pin_memory=torch.cuda.is_available())
