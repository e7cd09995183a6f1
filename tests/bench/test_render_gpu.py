"""What the README says of a GPU follows from the files of results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench import render_gpu
from bench.render import RESULTS, ROOT, fill

RIVAL = {"us": 123.4, "ratio": 2.5, "who": "compiled linear, all sites a graph"}
SUMMARIES: dict[str, dict[str, Any]] = {
    "recurrent": {"us": 49.36, "tflops": 1.234, "equal_samples": 1.0, "same_algebra": RIVAL},
    "pixelcnn": {
        "ms": 12.345,
        "equal_samples": 0.9844,
        "forward_ms": 10.0,
        "forward_form": "eager",
        "forwards": 1.23,
        "naive_ratio": 700.5,
    },
    "reparameterize": {
        mode: {"us": 5.0, "share_of_floor": 0.5, "eager": RIVAL}
        for mode in ("forward", "with_backward")
    },
    "machine": {"us": 1.25, "blocks": 16},
}
LINES = {
    "recurrent": "| 49.36 | left out | **2.50x** (123, compiled linear, all sites a graph) "
    "| 1.23 | 100.00% |",
    "pixelcnn": "| 12.35 | **1.23** (10.00, eager) | 700.5x | left out | 98.44% |",
    "machine": "| us 1.25, blocks 16 |",
}


def save(folder: Path, name: str, row: dict[str, Any], **facts: str) -> None:
    machine = {"gpu": "a GPU", "cuda": "13.0", "versions": {"torch": "2.13"}, **facts}
    results = {"machine": machine, "rows": {"a row": row}}
    (folder / f"gpu-{name}.json").write_text(json.dumps(results))


def test_committed_section_is_that_of_the_committed_results() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert fill(readme, "gpu", render_gpu.section(RESULTS)) == readme


def test_without_results_it_says_that_none_was_measured(tmp_path: Path) -> None:
    assert render_gpu.section(tmp_path) == render_gpu.NONE
    assert "None was measured" in render_gpu.NONE


def test_each_file_of_results_is_a_table(tmp_path: Path) -> None:
    for name, summary in SUMMARIES.items():
        save(tmp_path, name, {"summary": summary, "compiled": True}, capability="sm_90")
    text = render_gpu.section(tmp_path)
    assert text.count("On a GPU, CUDA 13.0, torch 2.13.") == 4
    assert render_gpu.NONE not in text
    for line in LINES.values():
        assert f"| a row {line}" in text.splitlines()


def test_what_was_measured_without_the_compiler_and_what_failed_is_said(tmp_path: Path) -> None:
    row = {"summary": SUMMARIES["machine"], "compiled": False}
    save(tmp_path, "machine", row, capability="sm_90")
    assert "blocks 16, without torch.compile |" in render_gpu.section(tmp_path)
    save(tmp_path, "machine", {"failed": "drawn otherwise"}, capability="sm_90")
    assert "Not drawn as they must be: a row." in render_gpu.section(tmp_path)


def test_what_a_processor_drew_is_no_figure_of_a_gpu(tmp_path: Path) -> None:
    save(tmp_path, "machine", {"summary": SUMMARIES["machine"], "compiled": True})
    assert render_gpu.section(tmp_path) == render_gpu.NONE
