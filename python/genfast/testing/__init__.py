"""Replay: whether a backend draws what the model says, checked site by site against float64.

What a backend drew is taken as it is, and every site asked by itself: given this very prefix, does
the uniform fall into the interval of the symbol that was drawn? So errors do not add up, and a
wrong kernel has no place to hide.
"""

from genfast.testing.draws import TOLERANCE, ReplayReport, Sites, check_draws, check_scores
from genfast.testing.images import ImageReplay, replay_images, replay_images_drawn
from genfast.testing.sequences import Drawn, Sequences, joined, replay, replay_drawn

__all__ = [
    "TOLERANCE",
    "Drawn",
    "ImageReplay",
    "ReplayReport",
    "Sequences",
    "Sites",
    "check_draws",
    "check_scores",
    "joined",
    "replay",
    "replay_drawn",
    "replay_images",
    "replay_images_drawn",
]
