"""Heads: the distribution of one site given its parameters, and how one draw is made from it."""

from __future__ import annotations

from collections.abc import Mapping

from genfast.heads.categorical import Categorical, keep, running_sum, tempered
from genfast.heads.logistic_mixture import LogisticMixture
from genfast.heads.options import DrawOptions

__all__ = [
    "HEADS",
    "Categorical",
    "DrawOptions",
    "LogisticMixture",
    "head_from_config",
    "keep",
    "running_sum",
    "tempered",
]

#: The heads that a saved model may name.
HEADS: Mapping[str, type[Categorical] | type[LogisticMixture]] = {
    "Categorical": Categorical,
    "LogisticMixture": LogisticMixture,
}


def head_from_config(config: object) -> Categorical | LogisticMixture:
    """The head that `config()` wrote down.

    Args:
        config: Such as `{"class": "Categorical", "classes": 65}`.

    Raises:
        ValueError: It is anything else.
    """
    name = config.get("class") if isinstance(config, Mapping) else config
    if not isinstance(config, Mapping) or not isinstance(name, str) or name not in HEADS:
        raise ValueError(f"head: class must be one of {', '.join(HEADS)}, got {name!r:.80}")
    return HEADS[name].from_config(config)
