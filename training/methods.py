"""A run's methods in words, for a paper: what was done by the run's own facts; what it cannot know stands in [brackets]."""

import math
from pathlib import Path

import numpy as np
from scipy import stats

from dataloader import RadiographDataset
from runtime.files import write_whole
from second_look.network import PREFIX
from training.agreement import LEVEL
from training.runs import HELD_OUT

TEMPLATE = """\
# Methods

From the facts of this run; what the program cannot know stands in [brackets].

**Data.** {count} {synthetic}radiographs{joint} were measured [origin, years, equipment, age, sex, approval]. Each shows up to \
{of_joint} landmarks{names}; {landmarks} were present, placed {by} [experience, instructions, software]. \
Millimetres per pixel: {mm_from}.

**Split.** {split}[Divided by patient?]

**Preparation.** Each radiograph was {crop}resized to {height} × {width} px (height × width); {histogram}. \
The targets are Gaussian heatmaps with a standard deviation of {sigma:g} px, one a landmark.

**Network.** A SpatialConfiguration-Net (Payer et al.) with {parameters:,} parameters: {levels} levels of {channels} channels, \
spatial configuration by kernels of {spatial_kernel} px on a grid of 1/{spatial_factor} of the frame, dropout {dropout:g}. \
A landmark is the centre of a Gaussian fitted to 5 × 5 px around the highest value of its heatmap.{tree}{second_look}

**Training.** It started from {init}, with Adam (learning rate {learning_rate}, β {beta1} and {beta2}), {batch_size} radiographs \
a step, in stages of {stages} (px of the longer side), and ended with the weights of epoch {epoch}{valid}. \
Each radiograph was changed anew in every epoch: {ranges}. Decay of the averaged weights: {averaging:g} a step. \
Seed {seed}, computed in {precision}.

**Measures.** The error of a landmark is its distance from the truth. The mean error of a radiograph was {ipe} px of the frame \
(mean ± SD over radiographs), half of the landmarks had at most {median} px.{millimetres}{agreement}

**Uncertainty.** {interval}All figures are of one network from one seed: how trainings differ is not in them.

**Software and hardware.** Training: {trained}. Measurement: {measured}, in {measured_precision}.

**References.** C. Payer et al., Medical Image Analysis 54 (2019) 207-219. J. M. Bland, D. G. Altman, Lancet 327 (1986) 307-310. \
P. E. Shrout, J. L. Fleiss, Psychological Bulletin 86 (1979) 420-428. K. O. McGraw, S. P. Wong, Psychological Methods 1 (1996) \
30-46.
"""
AUGMENTATIONS = {  # settings of main.py: what each does, with its unit
    "translation": "shifts by up to {:.1%} of the picture",
    "rotation": "rotations by up to {:g} degrees",
    "scaling": "scaling by up to exp(±{:g})",
    "stretch": "stretching by up to exp(±{:g})",
    "elastic": "elastic deformation by up to {:.1%} of the picture at each control point",
    "intensity_scale": "contrast 1 ± {:g}",
    "intensity_shift": "brightness ± {:g} of intensities in [-1, 1]",
    "processing": "processing as by other equipment in {:.0%} of them",
}


def write_methods(folder: Path, data: RadiographDataset, state: dict, figures: dict) -> None:
    """Write SPLIT_methods.md of a checkpoint's `state` and of the `figures` of its test on `data`."""
    facts = state["network"] | state["settings"] | of_data(data, figures) | of_network(state) | of_measures(data, figures)
    facts |= {"split": split_of(data, state, figures), "measured": software(figures), "measured_precision": figures["precision"]}
    write_whole(folder / f"{data.split}_methods.md", TEMPLATE.format(**facts).encode())


def of_data(data: RadiographDataset, figures: dict) -> dict:
    settings, names, annotators = data.settings, data.joint.names, data.annotators
    matched = "the histogram within the outline of the body part was matched to that of the training radiograph {}"
    return {
        "count": figures["images"],
        "synthetic": "SYNTHETIC " if settings.get("synthetic") else "",
        "joint": f" ({data.joint.joint})" if data.joint.joint else "",
        "of_joint": len(names),
        "names": " [names]" if names[0].isdecimal() else f" ({', '.join(names)})",
        "landmarks": figures["landmarks"],
        "by": f"by {', '.join(annotators)}, whose mean is the truth," if len(annotators) > 1 else "[by whom]",
        "mm_from": figures["mm_from"],
        "crop": "cropped to the landmarks, turned upright and " if settings.get("crop") else "",
        "height": data.frame[0],
        "width": data.frame[1],
        "histogram": matched.format(settings["reference"]) if settings["profile"] else "its histogram was left as it was",
        "sigma": data.sigma,
    }


def split_of(data: RadiographDataset, state: dict, figures: dict) -> str:
    sizes, folds = state.get("radiographs", {}), state["settings"].get("folds", 0)
    text = f"The network learnt from {sizes.get('train', '[number of]')} radiographs. "
    if folds:
        text += f"It is {'one' if data.split == HELD_OUT else 'that of all radiographs after those'} of {folds} folds. "
    elif sizes.get("valid", "[number of]"):
        text += f"By {sizes.get('valid', '[number of]')} others its epoch was chosen. "
    seen = figures.get("seen") or ({data.split: len(data)} if data.split in ("train", "valid") else {})
    for role, count in seen.items():
        text += f"NOT UNSEEN: the network was {'chosen by' if role == 'valid' else 'trained on'} {count} of the measured ones. "
    if "seen" not in state:
        text += "[Were the measured ones among them?] "
    elif not seen:
        text += "Those measured are others; copies would have been recognised by file, pixels and fingerprint. "
    return text


def of_network(state: dict) -> dict:
    has, look, valid = state["settings"].get, state.get("second_look"), state["valid_ipe_px"]
    changes = [words.format(has(name)) for name, words in AUGMENTATIONS.items() if has(name)]
    changes += ["mirroring of half of them, symmetric landmarks exchanged"] if has("mirror") == "on" else []
    unknown = "random weights" if "init" in state["settings"] else "[random or other weights]"  # weights made for use do not say
    tree = " Among look-alike peaks, those that lie as in the annotations were chosen."
    crop = (
        " A second network saw a crop of {size} px around each point, from the radiograph at {longer} px (longer side); "
        "the landmark is the centroid of its heatmap's peak."
    )
    return {
        "parameters": sum(weight.numel() for name, weight in state["weights"].items() if not name.startswith(PREFIX)),
        "tree": tree if state.get("tree") and state["network"]["num_landmarks"] > 1 else "",
        "second_look": crop.format(**look) if look else "",
        "init": Path(has("init")).name if has("init") else unknown,
        "epoch": state["epoch"],
        "valid": f", with a validation error of {valid:.3f} px of the frame" if math.isfinite(valid) else "",
        "ranges": ", ".join(changes) or "not at all",
        "precision": state["precision"],
        "trained": software(state.get("provenance", {})),
    }


def of_measures(data: RadiographDataset, figures: dict) -> dict:
    mean, sd, measures = figures["ipe_px"], figures["ipe_px_sd"], data.joint.measures
    n = int(np.isfinite(data.points_px).all(-1).any(1).sum())  # a radiograph without landmarks has no error
    millimetres = interval = agreement = ""
    if figures["pe_mm"] is not None:
        within = ", ".join(f"{share:.1f} % within {radius} mm" for radius, share in figures["sdr_mm"].items())
        millimetres = f" The landmarks' mean error was {figures['pe_mm']:.3f} ± {figures['pe_mm_sd']:.3f} mm; {within}."
    if n > 1 and mean is not None:
        half = stats.t.ppf((1 + LEVEL) / 2, n - 1) * sd / math.sqrt(n - 1)  # this sd has the divisor n
        low, high = max(0, mean - half), mean + half
        interval = f"95 % interval of the mean error: {low:.3f} to {high:.3f} px (Student's t over radiographs). "
    if measures:
        raters, names = ", ".join(data.annotators) or "the annotation", ", ".join(one.name for one in measures)
        agreement = (
            f" Agreement of the network and {raters} on {names} ({data.split}_agreement.csv): bias with 95 % limits of agreement "
            "(Bland and Altman), and ICC(2,1), of two-way random effects, absolute agreement and one rater (Shrout and Fleiss), "
            "where all raters have the measure."
        )
        interval += "Limits are bias ± 1.96 SD of the differences; intervals are Student's of biases, McGraw and Wong's of ICCs. "
    known = mean is not None
    return {
        "ipe": f"{mean:.3f} ± {sd:.3f}" if known else "unknown",
        "median": f"{figures['median_px']:.3f}" if known else "unknown",
        "millimetres": millimetres,
        "agreement": agreement,
        "interval": interval,
    }


def software(of: dict) -> str:
    version, revision, python, torch, hardware = (
        of.get(name, f"[{name}]") for name in ("version", "revision", "python", "torch", "hardware")
    )
    return f"SpatialConfiguration-Net {version}, revision {revision}, Python {python}, PyTorch {torch}; {hardware}"
