"""The compiled core loads wherever Python does: it needs no library of PyTorch's or CUDA's."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from genfast._extension import core

#: What the C and C++ libraries of a system bring, and nothing else.
ALLOWED = (
    r"lib(stdc\+\+|gcc_s|c|m|pthread|dl|rt)\.so\.\d+|ld-linux.*|lib[atu]san\.so\.\d+|libubsan.*"
)


@pytest.mark.skipif(shutil.which("readelf") is None, reason="no readelf")
def test_the_core_needs_the_system_s_own_libraries_alone() -> None:
    said = subprocess.run(
        ["readelf", "-d", core.__file__], capture_output=True, text=True, check=True
    ).stdout
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", said)
    assert "libstdc++.so.6" in needed
    assert [name for name in needed if not re.fullmatch(ALLOWED, name)] == []
