"""The data set that data_preprocessing.py wrote, as batches."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from radiographs.prepared_folder import TABLE, read_folder
from runtime import distributed
from runtime.files import DataError


class RadiographDataset(Dataset):
    """One split of a processed folder; the pictures are held in memory as bytes, heatmaps are read when asked for.

    Attributes: ids (N names), sizes_px (N, 2) width and height, spacings_mm (N, 2) NaN where unknown and spacing_sources (N
    texts) where they come from, points_px (N, L, 2) in the radiograph's frame and points_network_px (N, L, 2) in the network's,
    both (x, y), NaN where missing; `size` px and `sigma` px of the network frame; `settings` of its making.
    """

    def __init__(self, folder: Path, split: str, with_heatmaps: bool, ids: list[str] | None = None):
        """`ids`: which radiographs, wherever in the folder they lie; none: those of the folder's own split."""
        self.folder, self.split, self.with_heatmaps = folder, split, with_heatmaps
        self.settings, rows = read_folder(folder)
        self.size, self.sigma = self.settings["size"], self.settings["sigma"]
        wanted = None if ids is None else set(ids)
        rows = [row for row in rows if (row["split"] == split if wanted is None else row["id"] in wanted)]
        if not rows:
            raise DataError(f"{folder / TABLE}: expected radiographs of {split}, found none; add some and prepare the data again")
        landmarks = sum(name.startswith("network_x") for name in rows[0])
        self.ids = [row["id"] for row in rows]
        self.stems = [folder / row["split"] / row["id"] for row in rows]
        self.sizes_px = self.numbers(rows, ["width", "height"])
        self.spacings_mm = self.numbers(rows, ["spacing_x_mm", "spacing_y_mm"])
        by_spacing = [("spacing of the file" if row["spacing_x_mm"] else "unknown") for row in rows]  # of an older table
        self.spacing_sources = [row.get("spacing_from") or source for row, source in zip(rows, by_spacing)]
        self.points_px, self.points_network_px = (
            self.numbers(rows, [f"{frame}{axis}{i}" for i in range(landmarks) for axis in "xy"]).reshape(len(rows), landmarks, 2)
            for frame in ("", "network_")
        )
        self.pictures = np.stack([self.read(i, ".png", iio.imread, (self.size, self.size)) for i in range(len(rows))])

    def numbers(self, rows: list[dict[str, str]], names: list[str]) -> np.ndarray:
        """(rows, names) float64, NaN for a blank cell. Raises DataError."""
        try:
            return np.array([[float(row[name] or "nan") for name in names] for row in rows])
        except (KeyError, ValueError) as error:
            raise DataError(f"{self.folder / TABLE}: not as data_preprocessing.py writes it ({error}); run it again") from error

    def read(self, i: int, suffix: str, reader: Callable[[Path], np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        """What `reader` makes of a file of this split. Raises DataError."""
        path = self.stems[i].with_name(self.stems[i].name + suffix)
        try:
            content = reader(path)
        except MemoryError:
            raise
        except Exception as error:  # a damaged file makes each reader raise its own
            raise DataError(f"{path}: cannot be read ({error}); run data_preprocessing.py again") from error
        if content.shape != shape:
            raise DataError(f"{path}: expected the shape {shape}, found {content.shape}; run data_preprocessing.py again")
        return content

    def digest(self) -> str:
        """The same for the same radiographs with the same landmarks."""
        content = hashlib.sha256(json.dumps(self.ids).encode())
        for part in (self.pictures, self.points_px):
            content.update(part.tobytes())
        return content.hexdigest()

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
        """image (1, size, size) in [-1, 1], points (L, 2) network-frame px, and heatmaps (L, size, size) if asked for."""
        item = {
            "image": to_input(self.pictures[i])[None],
            "points": torch.from_numpy(self.points_network_px[i]).float(),
        }
        if self.with_heatmaps:
            shape = (len(item["points"]), self.size, self.size)
            heatmaps = self.read(i, ".npz", lambda path: np.load(path)["heatmaps"], shape)
            item["heatmaps"] = torch.from_numpy(heatmaps).float()
        return item


def to_input(picture: np.ndarray) -> torch.Tensor:
    """A prepared picture, uint8 -> what the network sees, in [-1, 1]."""
    return torch.from_numpy(picture).float() / 127.5 - 1


def make_loader(dataset: RadiographDataset, batch_size: int, shuffle: bool = False) -> DataLoader:
    """Batches, the last one maybe smaller: of all, in an order that torch.manual_seed decides, or of this process's share."""
    if shuffle:
        return DataLoader(dataset, batch_size, shuffle=True)
    return DataLoader(dataset, batch_size, sampler=range(distributed.RANK, len(dataset), distributed.WORLD))
