"""The model card: README.md of a saved model, for whoever finds the folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from genfast.files.config import Saved

__all__ = ["Card", "kept_licence"]

_LICENCE = "## Licence"
_UNSAID = "Not said yet: write here what others may do with these weights. Saving again keeps it.\n"

_CARD = """\
# {heading}

A `{name}` of genfast: {weights:,} weights in {dtypes}.

| argument | value |
|---|---|
{arguments}

## Figures

{figures}

## Load and draw

```python
import genfast

model = genfast.load({quoted})  # this folder
{example}
```

{exported}{licence_heading}

{licence}"""

_EXPORTED = """\
The {part} is in `1/model.onnx`, for programs that have NumPy and ONNX Runtime alone:

```python
{imports}from genfast.runtime import {kind}

{part} = {kind}({quoted})
print({call})
```

"""


@dataclass(frozen=True)
class Card:
    """What a card tells.

    Args:
        title: The folder's name.
        saved: Class, arguments and figures.
        weights: How many weights there are.
        dtypes: What they are stored in.
        example: Lines of Python that draw from `model`.
        exported: What config.json says of the folder's sampler for ONNX Runtime; None without one.
    """

    title: str
    saved: Saved
    weights: int
    dtypes: Iterable[str]
    example: str
    exported: Mapping[str, Any] | None

    def text(self, licence: str | None = None) -> str:
        """The Markdown.

        Args:
            licence: What its user wrote below the last heading.
        """
        quoted = json.dumps(self.title, ensure_ascii=False)
        return _CARD.format(
            heading=_cell(self.title),
            quoted=quoted,
            name=self.saved.name,
            weights=self.weights,
            dtypes=", ".join(sorted(set(self.dtypes))),
            arguments=_rows(self.saved.arguments),
            figures=_figures(self.saved.figures),
            example=self.example,
            exported="" if self.exported is None else _drawn(self.exported, quoted),
            licence_heading=_LICENCE,
            licence=licence or _UNSAID,
        )


def _drawn(exported: Mapping[str, Any], quoted: str) -> str:
    """How to draw from the folder's graph: a length for sequences, conditions for images."""
    shape, sizes = exported.get("shape"), exported.get("conditions") or {}
    decodes = exported.get("graph") == "decoder"
    made = {
        "classes": "np.arange(4) % {}",
        "vector": "np.zeros((4, {}))",
        "features": f"np.zeros((4, {{}}, {', '.join(map(str, (shape or [])[1:]))}))",
    }
    told = "".join(f", {name}={made[name].format(size)}" for name, size in sizes.items())
    if decodes:
        call = f"decoder(np.zeros((4, {exported['latent']})){told})"
    else:
        length = "200, " if shape is None else ""
        call = f"sampler.sample(4, {length}seed=0{told}).values"
    return _EXPORTED.format(
        part="decoder" if decodes else "sampler",
        kind="Decoder" if decodes else "Sampler",
        imports="import numpy as np\n" if "np." in call else "",
        quoted=quoted,
        call=call,
    )


def kept_licence(text: str) -> str | None:
    """What stands below the heading of the licence in a card, None for none."""
    return text.partition(f"\n{_LICENCE}\n")[2].lstrip("\n") or None


def _figures(figures: Mapping[str, Any]) -> str:
    if not figures:
        return "None were measured."
    return f"| figure | value |\n|---|---|\n{_rows(figures)}"


def _rows(values: Mapping[str, Any]) -> str:
    return "\n".join(f"| {_cell(name)} | {_cell(_shown(v))} |" for name, v in values.items())


def _shown(value: object) -> str:
    """A value in a few words: numbers to six digits, long ones cut."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict) and value.get("kind") == "characters":
        return f"{len(value.get('characters', ''))} characters"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(part)}" for name, part in value.items())
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _cell(text: str) -> str:
    """Text that neither ends its cell nor formats it."""
    for mark in "\\|`*_<>[]":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())
