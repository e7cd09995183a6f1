"""Rows of the PixelCNN benchmark: whole runs, the checks, and what is left out."""

from __future__ import annotations

import json
import sys

import pytest
import torch

from bench import bench_pixelcnn
from bench.image_contenders import exported_draw, exported_graph
from bench.image_edges import EDGE, differing, distance_from_edge
from bench.image_forwards import forwards
from bench.image_race import Effort, Entry, finalists
from bench.image_rows import Field
from bench.image_task import CACHED, EXPORTED, FORWARD, NAIVE, OURS, Contender, ImageTask
from genfast.compiled import compiled

pytestmark = pytest.mark.usefixtures("one_thread")


def run(monkeypatch, out, *options):
    monkeypatch.setattr(sys, "argv", ["bench", "--quick", "--out", str(out), *options])
    bench_pixelcnn.main()
    return json.loads(out.read_text())["rows"]


@pytest.fixture
def uncompiled(monkeypatch):
    """Compiling takes half a minute, and is what the slow test is for."""
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)


def test_quick_run_writes_rows_one_by_one(monkeypatch, tmp_path, uncompiled):
    out = tmp_path / "pixelcnn.json"
    rows = run(monkeypatch, out)
    assert list(rows) == [task.name for task in bench_pixelcnn.QUICK]
    masked, _, side = rows.values()
    kinds = {contender["kind"] for contender in masked["contenders"].values()}
    assert kinds == {OURS, FORWARD, NAIVE, CACHED, EXPORTED}
    assert all(c["differing"] == 0 for row in rows.values() for c in row["contenders"].values())
    assert {c["kind"] for c in side["contenders"].values()} == {OURS, FORWARD}
    assert side["left_out"].keys() >= {NAIVE, CACHED, EXPORTED}
    for row in rows.values():
        s = row["summary"]
        peak = row["ceilings"]["fma 1"]["median"]
        assert s["share_of_peak"] == pytest.approx(
            s["multiply_adds"] / s["ms"] * 1e3 / peak, abs=1e-3
        )
        assert s["us_per_pixel"] == pytest.approx(
            1e3 * s["ms"] / row["task"]["side"] ** 2, abs=5e-3
        )
        assert s["scratch_bytes"] > 0


def test_resume_measures_only_what_is_missing(monkeypatch, tmp_path, uncompiled):
    out = tmp_path / "pixelcnn.json"
    first, _, last = (task.name for task in bench_pixelcnn.QUICK)
    before = run(monkeypatch, out, "--rows", "4x4")
    assert list(before) == [last]
    after = run(monkeypatch, out, "--rows", "masked", "--resume")
    assert list(after) == [first, last]
    assert after[last] == before[last]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, of torch.jit
def test_quick_run_with_torch_compile(monkeypatch, tmp_path):
    row = run(monkeypatch, tmp_path / "pixelcnn.json", "--rows", "gated")[
        "gated 16 8x8 grey batch 2"
    ]
    forms = {c["form"] for c in row["contenders"].values() if c["kind"] == FORWARD}
    assert any(form.startswith("compiled") for form in forms)
    assert f"{CACHED} | compiled | 1" in row["contenders"]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("variant", ["masked", "gated"])
def test_forms_of_the_pass_are_the_model(variant, channels, uncompiled):
    task = ImageTask(variant, 8, channels, 7, 2, depth=3)
    model, x = task.model(), task.images()
    with torch.no_grad():
        exact, encoded = model(x), model.encode(x)
        forms = dict(forwards(model))
        assert len(forms) == 8
        for form, forward in forms.items():
            torch.testing.assert_close(forward(encoded), exact, rtol=0, atol=2e-5, msg=form)


def test_the_exported_graph_draws_the_images_of_the_core():
    task = ImageTask("masked", 8, 3, 5, 4, depth=2)
    model = task.model()
    drawn = exported_draw(task, exported_graph(compiled(model).program), 1).run()
    assert drawn.transpose(1, 2).reshape(4, 3, 5, 5).equal(model.sample(4, seed=0, backend="cpu"))


def test_one_who_draws_otherwise_is_refused():
    field = Field(ImageTask("masked", 8, 1, 6, 3, 1), Effort(0.001, 1, 0.01), True, (1,))
    field.model, field.uniforms = field.task.model(), field.task.uniforms()
    ours = torch.zeros(3, 36, 1, dtype=torch.int64)
    field._enter(Contender(OURS, "core", 1, lambda: ours))
    field._enter(Contender(NAIVE, "eager", 1, lambda: ours[:, :2, 0]))
    other = ours.clone()
    other[:2, 7] = 1
    assert differing(other, ours) == [0, 1]
    with pytest.raises(
        AssertionError,
        match=r"cached PyTorch \| eager \| 1 draws image 0 otherwise, .* from an edge",
    ):
        field._enter(Contender(CACHED, "eager", 1, lambda: other))


@pytest.mark.parametrize("apart", [0.0, 1e-5])
def test_one_whose_uniform_lies_at_an_edge_may_draw_otherwise(apart):
    task = ImageTask("masked", 8, 3, 5, 2, depth=2)
    model, uniforms = task.model(), task.uniforms()
    ours = model.sample(2, seed=0, backend="cpu").flatten(2).transpose(1, 2).contiguous()
    level = int(ours[1, 7, 2].clamp(max=254))
    with torch.no_grad():
        scores = model.double()(ours.transpose(1, 2).reshape(2, 3, 5, 5))[1].flatten(0, 1)[7, 2]
    uniforms[1, 7, 2] = scores.softmax(-1).cumsum(-1)[level] + apart
    ours[1, 7, 2], other = level, ours.clone()
    other[1, 7, 2] = level + 1
    other[1, 8:] = 0  # what comes behind says nothing
    found = distance_from_edge(model, other, ours, uniforms, differing(other, ours)[0])
    assert (found < EDGE) == (apart == 0)
    assert found == pytest.approx(apart, abs=1e-7)


def test_a_pass_that_computes_otherwise_is_refused():
    field = Field(ImageTask("masked", 8, 1, 6, 3, 1), Effort(0.001, 1, 0.01), True, (1,))
    field._enter(Contender(FORWARD, "eager", 1, lambda: torch.ones(4)))
    with pytest.raises(AssertionError, match=r"is 2\.0e-04 off"):
        field._enter(Contender(FORWARD, "other", 1, lambda: torch.ones(4) + 2e-4))


@pytest.mark.parametrize(("gain", "excused"), [(1.1, True), (1.2, False)])
def test_compiling_is_excused_where_it_gained_little(gain, excused):
    small, large = (ImageTask("gated", 8, 1, 6, n) for n in (16, 64))
    ms = {"eager": 100 * gain, "compiled": 100.0}
    timed = {f: {"kind": CACHED, "form": f, "ms": {"median": t}} for f, t in ms.items()}
    before = {small.name: {"contenders": timed}}
    field = Field(large, Effort(), True, before=before)
    reason = f"{gain:.2f} x as fast as eager in {small.name}" if excused else None
    assert field._small_gain() == reason
    assert Field(small, Effort(), True, before=before)._small_gain() is None


def test_ours_and_naive_ones_always_race():
    def entry(kind, seconds):
        return Entry(Contender(kind, "form", 1, lambda: None), None, 1, [seconds])

    entries = [entry(kind, s) for kind in (OURS, NAIVE, FORWARD) for s in (1.0, 1.29, 1.31)]
    assert finalists(entries) == entries[:8]


@pytest.mark.parametrize(
    ("variant", "features"),
    [
        # Of width h: 2h, then h, h and 2h a block, 2h; and two scores.
        ("masked", 8 * (2 + 3 * 4 + 2) + 2),
        # 2h, 2h, 2h, 2h and h a layer, the last of which has no h, 2h; and two scores.
        ("gated", 8 * (3 * 9 - 1 + 2) + 2),
    ],
)
def test_every_feature_map_is_what_convolutions_give(variant, features):
    task = ImageTask(variant, 8, 1, 6, 5, depth=3)
    assert task.feature_map_bytes(task.model()) == 4 * 36 * 5 * features
