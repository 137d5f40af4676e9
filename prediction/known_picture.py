"""The picture of a known answer, made once by export.py: it shows the joint, and no patient."""

from dataclasses import replace

import numpy as np

from dataloader import RadiographDataset
from finder.training import template_of
from joints.known import shaped_as
from phantom.drawing import draw_hand
from prediction.held_out import own_proportions
from radiographs.network_frame import resize_to, to_8_bit
from radiographs.view import sample

SEED = 77, 0  # of the synthetic hand
FEWEST = 10  # radiographs, of which a median picture shows none


def picture_for(data: RadiographDataset) -> np.ndarray | None:
    """A prepared picture (height, width) uint8: a synthetic hand, or the median of training radiographs, if there are enough."""
    if shaped_as(data.points_px):
        pixels, _ = draw_hand(SEED)
        return to_8_bit(resize_to(pixels.astype(np.float32), data.frame), data.profile)
    shown = np.flatnonzero(np.isfinite(data.points_px).all(-1).sum(1) >= 2)
    if len(shown) < FEWEST:
        return None
    template, views = template_of(data), []
    for i in shown:
        picture, points = own_proportions(data.picture(i), data.points_network_px[i], data.sizes_px[i])
        found = replace(template.found(points, template.shows_other_side(points)), frame=template.frame())
        views.append(sample(picture, found.view(data.frame)))
    return np.median(views, axis=0).round().astype(np.uint8)
