"""The README's table comes from the results and nothing else."""

from __future__ import annotations

import pytest

from bench import plot_images
from bench.plot import SERIES, picture
from bench.render import ROOT, TABLES, fill, results, table

RESULTS = {
    "machine": {
        "cpu": "Test CPU",
        "usable_cores": 2,
        "caches": {"L1d": "48K", "L2": "1024K"},
        "versions": {"torch": "2.13.0", "onnxruntime": "1.32.0"},
    },
    "rows": {
        "gru 2x512 batch 64": {
            "task": {"cell": "gru", "width": 512, "depth": 2, "batch": 64, "classes": 65},
            "summary": {
                "us": 1234.5,
                "seeded_us": 1299.6,
                "core_us": 600.2,
                "floor_us": 99.94,
                "share_of_peak": 0.756,
                "as_written": {"us": 5000.0, "ratio": 4.05, "who": "onnx scan, gemm, 2 threads"},
                "same_algebra": {
                    "us": 12.34,
                    "ratio": 1.1,
                    "who": "torch eager, onednn, 1 threads",
                },
            },
        }
    },
}


def test_table_states_ratio_floor_share_and_machine():
    text = table("recurrent", RESULTS)
    assert (
        "| GRU 2x512 | 64 | 1,234 | **4.05x** (5,000, onnx scan) | **1.10x** (12.3, torch eager) "
        "| 99.9 | 76% |"
    ) in text.splitlines()
    assert "Microseconds a site on Test CPU, 2 cores, L1d 48K, L2 1024K; torch 2.13.0" in text


def test_table_of_the_export_has_seed_and_core():
    text = table("export", RESULTS)
    assert text.splitlines()[:3] == [
        "| model | batch | exported, us | as users write it | same algebra | from a seed, us "
        "| compiled core, us |",
        "|---|--:|--:|---|---|--:|--:|",
        "| GRU 2x512 | 64 | 1,234 | **4.05x** (5,000, onnx scan) | **1.10x** (12.3, torch eager) "
        "| 1,300 | 600 |",
    ]


def image_row(side, **more):
    summary = {
        "us_per_pixel": 4.0,
        "forwards": 0.5,
        "share_of_peak": 0.256,
        "scratch_bytes": 2048 * side,
        "every_feature_map_bytes": 4096 * side * side,
    }
    task = {"variant": "masked", "width": 64, "channels": 1, "side": side, "batch": 1}
    return {"task": task, "summary": summary | more}


IMAGES = {
    "machine": RESULTS["machine"],
    "rows": {str(side): image_row(side) for side in (128, 8)} | {"r": image_row(28, naive_ratio=1)},
}


def test_table_of_sides_has_rows_without_rivals():
    lines = table("pixelcnn_sides", IMAGES).splitlines()
    assert (
        lines[2] == "| masked 64, 128x128 grey | 1 | 4.0 | 8.0 | 26% | 256 | 65,536 | **1/256** |"
    )
    assert lines[3] == "| masked 64, 8x8 grey | 1 | 4.0 | 8.0 | 26% | 16 | 256 | **1/16** |"
    assert lines[4] == ""


def test_table_of_bits_has_both_sides_and_their_difference():
    side = {"mean": 2.3, "low": 2.25, "high": 2.3456, "runs": 3}
    summary = {"genfast": side, "plain": side, "difference": -0.0012, "standard_error": 0.005}
    task = {"variant": "gated", "width": 48, "depth": 5, "batch": 16}
    rows = {"gated": {"task": task, "summary": summary}, "masked": {"task": task}}
    lines = table("bits_per_dim", RESULTS | {"rows": rows}).splitlines()
    cell = "**2.300** (2.250 to 2.346)"
    assert lines[2] == f"| gated 48, depth 5 | 16 | {cell} | {cell} | -0.0012 ± 0.0050 | 3 |"
    assert lines[3] == ""


def test_no_rows_make_no_table():
    assert table("pixelcnn_sides", RESULTS | {"rows": {"r": image_row(28, naive_ratio=1)}}) == ""


def test_picture_of_images_shows_time_and_scratch():
    assert list(plot_images.sides(IMAGES)) == ["masked 64"]
    time, scratch = plot_images.picture(IMAGES).axes
    drawn, passed = (list(line.get_ydata()) for line in time.lines)
    assert (drawn, passed) == ([4.0, 4.0], [8.0, 8.0])
    kept, held = (list(line.get_ydata()) for line in scratch.lines)
    assert (kept, held) == ([2**14 / 2**20, 0.25], [0.25, 64.0])


def test_table_of_masked_convolutions_has_both_rivals():
    summary = {
        "us": 9876.5,
        "usual_us": 24321.0,
        "ratio": 2.463,
        "best": "cropped, channels_last",
        "best_us": 15000.0,
        "lead": 1.519,
        "alone_ratio": 2.7,
        "share_of_peak": 0.831,
    }
    task = {"channels": 64, "k": 3, "kind": "B", "batch": 32, "side": 28}
    rows = {"64 channels, 3x3 B": {"task": task, "summary": summary}}
    text = table("masked_conv", {**RESULTS, "rows": rows})
    assert (
        "| 64 channels, 3x3 B | 32 | 9.9 | **2.46x** (24.3) "
        "| 1.52x (15.0, cropped, channels_last) | 2.70x | 83% |"
    ) in text.splitlines()


@pytest.mark.parametrize("name", list(TABLES))
def test_committed_table_is_that_of_the_committed_results(name):
    measured = results(name)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert fill(readme, name, "" if measured is None else TABLES[name](measured)) == readme


@pytest.mark.parametrize("name", list(SERIES))
def test_picture_shows_every_series(name):
    axis = picture(name, RESULTS).axes[0]
    assert axis.get_title(loc="left") == "GRU, depth 2"
    shown = {
        collection.get_label(): collection.get_offsets()[0][1] for collection in axis.collections
    }
    summary = RESULTS["rows"]["gru 2x512 batch 64"]["summary"]
    for key, label, _, _ in SERIES[name]:
        value = summary[key]["us"] if isinstance(summary[key], dict) else summary[key]
        assert shown[label] == value


def test_fill_replaces_what_stood_there():
    text = "a\n<!-- bench:x -->\nold\n<!-- /bench -->\nb\n"
    filled = fill(text, "x", "new")
    assert filled == "a\n<!-- bench:x -->\nnew\n<!-- /bench -->\nb\n"
    assert fill(filled, "x", "new") == filled


@pytest.mark.parametrize("text", ["", "<!-- bench:x -->", "<!-- /bench --> <!-- bench:x -->"])
def test_fill_wants_both_marks(text):
    with pytest.raises(ValueError, match="bench:x"):
        fill(text, "x", "new")
