"""The network's frame and intensities: every radiograph in a frame of one size, its histogram matched inside the hand outline.

Training and prediction must see the same picture, so this is the one place that makes it.

A frame is (height, width) px, both multiples of 8. In settings and checkpoints it stands as one number where it is square, else
as the text HEIGHTxWIDTH. Its *size* is its longer side: an epoch at 128 px of a frame of 512 x 256 works at 128 x 64.
"""

import numpy as np
from scipy.ndimage import binary_fill_holes, label
from skimage.filters import threshold_otsu
from skimage.transform import resize, resize_local_mean

from runtime import arrays

Frame = tuple[int, int]  # height, width px
MULTIPLE = 8  # px, of the sides of frames; of those that are chosen COARSER, so that a quarter of them is a frame too
COARSER = 32
USUAL_SIDE = 256  # px, of the square frame; others have no more pixels
SQUARE_ENOUGH = 1.5  # ratio of a picture's sides, up to which a square holds it
QUANTILES = np.linspace(0, 1, 257)  # of the hand's intensities, that histogram matching makes equal
USUAL = 2, 98  # percentiles that the intensities of a radiograph without lead lie between, or at most as far again beyond
EVERY = 4  # px in both directions, whose percentiles are taken: as good as those of all, and ten times as fast
SHARES = 0.02, 0.9  # of the picture, that a hand's outline may cover: less is a marker, more a border with all it encloses
EDGE_SHARE = 0.6  # of the picture's edge, that a hand's outline may touch: more is a border along three sides
FULL = 0.9  # of the narrowest rectangle around it, from which on an outline is a plate, or a field within dark collimation
LIMB_SHARE = 0.25  # of the picture, from which on a full rectangle may be a limb that the edge cuts


def frame_of(size: int | str) -> Frame:
    """A size as it stands in settings, "256", 256 or "512x256" -> (512, 256). Raises ValueError."""
    sides = [int(side) for side in str(size).split("x")]
    height, width = sides * 2 if len(sides) == 1 else sides
    if min(height, width) < MULTIPLE or height % MULTIPLE or width % MULTIPLE:
        raise ValueError(f"sides of {height} x {width} px")
    return height, width


def to_input(picture: np.ndarray) -> np.ndarray:
    """A prepared picture, uint8 -> what the network sees, float32 in [-1, 1]."""
    return picture.astype(np.float32) / 127.5 - 1


def to_picture(image: np.ndarray) -> np.ndarray:
    """The inverse of `to_input`."""
    return ((image + 1) * 127.5).round().astype(np.uint8)


def size_in_settings(frame: Frame) -> int | str:
    """The inverse of `frame_of`."""
    height, width = frame
    return height if height == width else f"{height}x{width}"


def suitable_frame(aspect: float) -> Frame:
    """The frame for pictures whose height is `aspect` times their width: a square up to SQUARE_ENOUGH, else one of their form."""
    if 1 / SQUARE_ENOUGH <= aspect <= SQUARE_ENOUGH:
        return USUAL_SIDE, USUAL_SIDE
    ratio, shorter = max(aspect, 1 / aspect), COARSER
    longer = USUAL_SIDE**2 // COARSER  # of the most extreme forms
    for side in range(COARSER, USUAL_SIDE, COARSER):
        other = max(1, round(side * ratio / COARSER)) * COARSER
        if side * other <= USUAL_SIDE**2:
            shorter, longer = side, other
    return (longer, shorter) if aspect > 1 else (shorter, longer)


def at_size(frame: Frame, size: int) -> Frame:
    """A frame shrunk until its longer side has `size` px."""
    height, width = frame
    return height * size // max(frame), width * size // max(frame)


def resize_to(pixels: np.ndarray, frame: Frame) -> np.ndarray:
    """(rows, columns) -> (height, width) float32 without aliasing, each axis by its own factor.

    The picture's edges stay its edges: `heatmap.rescale` by (width / columns, height / rows) moves its points along.
    """
    if pixels.shape[0] >= frame[0] and pixels.shape[1] >= frame[1]:
        return resize_local_mean(pixels, frame, preserve_range=True).astype(np.float32)
    return resize(pixels, frame, order=1, anti_aliasing=True, preserve_range=True).astype(np.float32)


def hand_outline(picture: np.ndarray) -> np.ndarray:
    """The largest region brighter than Otsu's threshold, its holes filled: (rows, columns) bool; all, where that can be no hand.

    Lead letters far brighter than anything else would draw the threshold to themselves: they are first cut to what is usual.
    """
    low, high = np.percentile(picture[::EVERY, ::EVERY], USUAL)
    if picture.max() > high + (high - low):
        picture = np.minimum(picture, high)
    everything = np.ones(picture.shape, bool)
    if picture.max() - picture.min() <= 1e-5 * np.abs(picture).max():
        return everything
    outline = largest_region(picture > threshold_otsu(picture))
    return outline if outline_is_plausible(outline) else everything


def largest_region(inside: np.ndarray) -> np.ndarray:
    """The largest connected region of a mask (rows, columns), its holes filled."""
    regions, _ = label(inside, np.ones((3, 3)))  # as scikit-image's, which would load its morphology in each process
    return binary_fill_holes(regions == 1 + np.argmax(np.bincount(regions.ravel())[1:]))


def outline_is_plausible(outline: np.ndarray) -> bool:
    """Whether an outline (rows, columns) can be a hand's, by its size and form; what `hand_outline` gives up on is not."""
    edge = arrays.of(outline).concatenate([outline[0], outline[-1], outline[:, 0], outline[:, -1]])
    share = outline.sum() / (outline.shape[0] * outline.shape[1])
    sized = (share >= SHARES[0]) & (share <= SHARES[1]) & (edge.sum() <= EDGE_SHARE * len(edge))
    limb = (share >= LIMB_SHARE) & edge.any()
    return arrays.choose(sized & ~limb, lambda: rectangularity(outline) < FULL, sized)


def rectangularity(outline: np.ndarray) -> float:
    """The share that an outline (rows, columns) fills of the smallest rectangle around it, turned any way: 1 for a rectangle.

    The smallest one lies along a side of the hull: of all lines from a row's end to another's the steepest are these.
    """
    xp = arrays.of(outline)
    columns, rows = (arrays.like(outline, np.arange(count)) for count in (outline.shape[1], outline.shape[0] + 1))
    left, right = (xp.amin(xp.where(outline, at, xp.inf), 1) for at in (columns, -columns - 1))
    none = arrays.like(outline, [np.inf])
    # at the rows' edges
    ends = [xp.minimum(xp.concatenate([none, side]), xp.concatenate([side, none])) for side in (left, right)]
    known = xp.isfinite(ends[0])
    ends = [xp.where(known, end, 0.0) for end in ends]
    steps = rows - rows[:, None]
    usable = (steps > 0) & known & known[:, None]
    slopes = [xp.amin(xp.where(usable, (end - end[:, None]) / steps.clip(min=1), xp.inf), 1) for end in ends]
    slopes = xp.concatenate([slopes[0], -slopes[1]])
    slopes = xp.where(xp.isfinite(slopes), slopes, 0.0)[:, None]  # of x against y
    x, y, there = (xp.concatenate(parts) for parts in ((ends[0], -ends[1]), (rows, rows), (known, known)))

    def extent(values: np.ndarray) -> np.ndarray:
        return xp.amax(xp.where(there, values, -xp.inf), -1) - xp.amin(xp.where(there, values, xp.inf), -1)

    areas = extent(x - slopes * y) * extent(slopes * x + y) / (1 + slopes[:, 0] ** 2)
    return outline.sum() / xp.minimum(areas.min(), extent(x) * extent(y))


def intensity_profile(picture: np.ndarray, outline: np.ndarray | None = None) -> np.ndarray:
    """What histogram matching keeps of a picture: its minimum, the quantiles of the hand, its maximum; increasing.

    `outline` is what `hand_outline` says of the picture, where that is known already.
    """
    hand = picture[hand_outline(picture) if outline is None else outline]
    return np.concatenate([[picture.min()], np.quantile(hand, QUANTILES), [picture.max()]])


def to_8_bit(picture: np.ndarray, reference: np.ndarray | None, outline: np.ndarray | None = None) -> np.ndarray:
    """Intensities with the histogram of the reference inside the hand outline -> uint8.

    `reference` is the `intensity_profile` of the reference radiograph; None leaves the histogram as it is. `outline` is as in
    `intensity_profile`. The curve that matches the hand is carried on by straight lines to the darkest and the brightest pixel,
    so the outline leaves no step.
    """
    own = np.array([picture.min(), picture.max()]) if reference is None else intensity_profile(picture, outline)
    target = own if reference is None else reference
    own, first, count = np.unique(own, return_index=True, return_counts=True)
    matched = np.interp(picture, own, (target[first] + target[first + count - 1]) / 2)  # of equal quantiles the middle
    low, high = target[0], target[-1]
    return np.rint((matched - low) / ((high - low) or 1) * 255).astype(np.uint8)
