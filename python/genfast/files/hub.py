"""Models of the Hugging Face Hub, through huggingface_hub where it is installed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["HUB", "Fetched", "fetch"]

#: How an address of the hub begins.
HUB = "hf://"
_ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")


class Fetched(NamedTuple):
    """A repository in the local cache.

    Args:
        folder: Its files, which may be links.
        root: What they link into.
    """

    folder: Path
    root: Path


def fetch(address: str, names: Sequence[str]) -> Fetched:
    """Downloads files of a repository, or finds them in the cache.

    The cache keeps contents in `blobs`, and names of a revision as links to them::

        models--owner--name/            root
            blobs/1f3a...
            snapshots/2c9b.../          folder
                model.safetensors -> ../../blobs/1f3a...

    Args:
        address: "hf://owner/name", or "hf://owner/name@revision".
        names: The files; no other is downloaded.

    Raises:
        ValueError: The address is none, or huggingface_hub is not installed.
        OSError: The repository or the network is not there.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise ValueError(
            f"load: path must be hf://owner/name or hf://owner/name@revision, got {address!r:.80}"
        )
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise ValueError(
            f"load: {address} needs huggingface_hub; install it: pip install huggingface_hub"
        ) from None
    repository, revision = match.groups()
    try:
        found = snapshot_download(repository, revision=revision, allow_patterns=list(names))
    except Exception as error:  # its own errors, those of its HTTP client, and more
        reason = str(error).strip().partition("\n")[0]
        raise OSError(f"load: {address} cannot be fetched: {reason}") from error
    folder = Path(found)
    inside_cache = folder.parent.name == "snapshots"
    return Fetched(folder, folder.parent.parent if inside_cache else folder)
