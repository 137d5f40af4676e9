"""Errors of predicted landmarks and their summaries, as pure functions.

IPE is the mean error over a radiograph's landmarks, Or the number of a radiograph's landmarks farther off than a radius,
PE the error of single landmarks, SDR the share of landmarks within a radius. A missing landmark is NaN and counts nowhere.
Pixels are those of the network frame, in which the reference reports; millimetres are measured in the radiograph's own
frame, since the network frame stretches it.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from joints.description import Scale


def point_errors(predicted: np.ndarray, truth: np.ndarray, unit: np.ndarray | float = 1.0) -> np.ndarray:
    """Euclidean distances (N, L) of points (N, L, 2), each axis times `unit` (N, 1, 2) first; NaN where truth is missing."""
    return np.linalg.norm((predicted - truth) * unit, axis=-1)


def millimetres_per_pixel(
    sizes_px: np.ndarray,
    spacings_mm: np.ndarray,
    points_px: np.ndarray,
    frame: tuple[int, int],
    sources: list[str] | None = None,
    scale: Scale | None = None,
) -> tuple[np.ndarray, str]:
    """Millimetres per network-frame pixel, (N, 1, 2) as (x, y), and in words where they come from.

    sizes_px (N, 2) width and height, spacings_mm (N, 2) NaN where unknown, points_px (N, L, 2) the true landmarks of the
    radiographs, `frame` (height, width) px of the network, `sources` (N) the words for the spacings. Without a spacing, the
    joint's `scale` is taken for its millimetres; where there is none, or a landmark of it is missing, the result is NaN.
    """
    known = np.isfinite(spacings_mm).all(1)
    spacing = spacings_mm.copy()
    if scale:
        first, second = scale.landmarks
        scale_px = np.linalg.norm(points_px[:, first] - points_px[:, second], axis=-1)
        by_scale = scale.mm / np.where(scale_px > 0, scale_px, np.nan)
        spacing = np.where(known[:, None], spacing, by_scale[:, None])
    from_scale = np.isfinite(spacing).all(1) & ~known
    by_file = (source for source, is_known in zip(sources or ["spacing of the file"] * len(known), known) if is_known)
    unknown = len(known) - known.sum() - from_scale.sum()
    counts = {**Counter(by_file), str(scale): from_scale.sum(), "unknown": unknown}
    source = ", ".join(f"{name} for {count} of {len(known)}" for name, count in counts.items() if count)
    return (spacing * sizes_px / np.array(frame[::-1]))[:, None, :], source


def ipe(errors: np.ndarray) -> np.ndarray:
    """Mean error of each radiograph: (N, L) -> (N,), NaN for one without landmarks."""
    return mean_of_present(errors, axis=1)


def outliers(errors: np.ndarray, radius: float) -> np.ndarray:
    """Or: how many of a radiograph's landmarks are farther off than the radius, on average; (N, L) -> (), NaN without any.

    Radiographs without landmarks do not count.
    """
    return mean_of_present(np.where(np.isnan(errors).all(1), np.nan, (errors > radius).sum(1)))


def sdr(errors: np.ndarray, radius: float, axis: int | None = None) -> np.ndarray:
    """Percent of the landmarks at most the radius off, over the given axis or over all."""
    return 100 * mean_of_present(np.where(np.isnan(errors), np.nan, errors <= radius), axis)


def of_present(function: Callable, values: np.ndarray, axis: int | None = None) -> np.ndarray:
    """What one of NumPy's functions that leave NaN out says; NaN where there is nothing else."""
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
        return function(values, axis)


def mean_of_present(values: np.ndarray, axis: int | None = None) -> np.ndarray:
    """The mean over what is not NaN, NaN where nothing is; float64, also of float32."""
    present = ~np.isnan(values)
    count = present.sum(axis)
    return np.where(count > 0, np.where(present, values, 0).sum(axis) / np.maximum(count, 1), np.nan)


def summary(errors_px: np.ndarray, errors_mm: np.ndarray) -> dict:
    """The figures of the literature from errors (N, L); None where nothing can be said, as millimetres of unknown scale."""
    per_radiograph = ipe(errors_px)
    figures = {
        "ipe_px": mean_of_present(per_radiograph),
        "ipe_px_sd": of_present(np.nanstd, per_radiograph),
        "median_px": of_present(np.nanmedian, errors_px),
        "or_px": {str(radius): outliers(errors_px, radius) for radius in (4, 10)},
        "or_percent": {str(radius): 100 - sdr(errors_px, radius) for radius in (4, 10)},
        "pe_mm": mean_of_present(errors_mm),
        "pe_mm_sd": of_present(np.nanstd, errors_mm),
        "median_mm": of_present(np.nanmedian, errors_mm),
        "sdr_mm": {str(radius): sdr(errors_mm, radius) for radius in (2, 4, 10)},
        "images": int(np.isfinite(errors_px).any(1).sum()),  # others were not measured
        "landmarks": int(np.isfinite(errors_px).sum()),
    }
    return plain(figures)


def plain(value):
    """Numbers that JSON knows, NaN as None."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, int):
        return value
    return None if np.isnan(value) else round(float(value), 6)


def landmark_table(errors_px: np.ndarray, errors_mm: np.ndarray, names: Sequence[str]) -> list[dict]:
    """One row per landmark of errors (N, L) and their names (L)."""
    columns = {
        "radiographs": np.isfinite(errors_px).sum(0),
        "mean_px": mean_of_present(errors_px, 0),
        "sd_px": of_present(np.nanstd, errors_px, 0),
        "max_px": of_present(np.nanmax, errors_px, 0),
        "mean_mm": mean_of_present(errors_mm, 0),
        "sdr_2mm_percent": sdr(errors_mm, 2, 0),
    }
    return [
        {"landmark": i, "name": names[i]} | {name: round(float(column[i]), 4) for name, column in columns.items()}
        for i in range(errors_px.shape[1])
    ]


def cumulative_errors(errors: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Percent of the landmarks at most each threshold off: the cumulative error curve."""
    return np.array([sdr(errors, threshold) for threshold in thresholds])
