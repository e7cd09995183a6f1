"""Images that differ between two drawers: by rounding, or by a fault?

Two that round otherwise draw the same, but where a uniform lies within rounding of the edge between
two levels: of 256 levels 1 draw in 10^4 to 10^5. Behind it the images may differ in all.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from genfast import PixelCNN

#: Farthest from an edge, in probability, that rounding of float32 sums explains.
EDGE = 1e-6


def differing(made: Tensor, ours: Tensor) -> list[int]:
    """Images, of those of (N, sites, channels), that are not alike in the sites that were made."""
    sites = made.flatten(1)
    unlike = (sites != ours.flatten(1)[:, : sites.shape[1]]).any(1)
    return unlike.nonzero().flatten().tolist()


def distance_from_edge(
    model: PixelCNN, made: Tensor, ours: Tensor, uniforms: Tensor, image: int
) -> float:
    """How far the uniform of an image's first differing draw lies from the levels' common edge.

    By the network in float64, given the draws before, on which both agree.

    Args:
        model: What was drawn from.
        made: int64 (N, sites, channels), or the first sites of it.
        ours: int64 (N, sites, channels).
        uniforms: float32 (N, sites, channels).
        image: Which.
    """
    return distances_from_edges(model, made, ours, uniforms, [image])[0]


def distances_from_edges(
    model: PixelCNN, made: Tensor, ours: Tensor, uniforms: Tensor, images: list[int]
) -> list[float]:
    """The same of several images, by one pass over them."""
    exact, levels = copy.deepcopy(model).double(), ours[images].mT.reshape(-1, *model.shape)
    with torch.inference_mode():
        edges = exact(levels).flatten(1, 3).softmax(-1).cumsum(-1)
    found = []
    for number, image in enumerate(images):
        theirs, own = made[image].flatten(), ours[image].flatten()
        draw = int((theirs != own[: len(theirs)]).nonzero()[0])
        low, high = sorted((int(theirs[draw]), int(own[draw])))
        uniform = uniforms[image].flatten()[draw].double()
        found.append(float((edges[number, draw, low:high] - uniform).abs().max()))
    return found
