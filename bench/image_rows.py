"""One row of the PixelCNN benchmark: who takes part, proof that all draw alike, and the figures."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch

from bench.cached_torch import CachedDrawer
from bench.image_contenders import (
    cached_draw,
    core_draw,
    core_scratch,
    exported_draw,
    exported_graph,
    forward_pass,
    naive_draw,
)
from bench.image_edges import EDGE, differing, distance_from_edge
from bench.image_forwards import Forward, forwards
from bench.image_race import Effort, Entry, enter, fastest, finalists, race
from bench.image_task import BATCHES, CACHED, EXPORTED, FORWARD, NAIVE, OURS, Contender, ImageTask
from genfast.compiled import compiled

#: Largest difference between scores of two forms of the pass, as a share of the largest score.
SCORES_APART = 1e-4
#: Where the compiled cached drawer gains less over the eager one, it is left out of the next larger
#: batch: torch takes a minute to compile it, and the larger the batch, the less there is to gain.
LEAST_GAIN = 1.15
#: A row whose multiply-add peak is below this share of the best row's was disturbed.
QUIET, ATTEMPTS = 0.85, 2

Row = dict[str, Any]
_NONE = {"median": 0.0}


@dataclass
class Field:
    """Everybody of a row, entered one by one.

    Args:
        task: What is drawn.
        effort: How long it is measured.
        rivals: Whether those take part that draw by other ways.
        threads: Numbers of them that everybody is tried with.
        before: Rows measured so far, which may excuse a rival.

    Attributes:
        entries: Who was entered, the core first.
        left_out: Who was not, and why.
    """

    task: ImageTask
    effort: Effort
    rivals: bool
    threads: tuple[int, ...] = (1, 2)
    before: dict[str, Row] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def enter_all(self) -> None:
        """The core, the passes, and the rivals, each of which is held against them."""
        torch.compiler.reset()  # of the row before, whose compiled code counts against a limit
        self.model, self.uniforms = self.task.model(), self.task.uniforms()
        self.kept = compiled(self.model)
        for threads in self.threads:
            self._enter(core_draw(self.task, self.kept.executor, self.uniforms, threads))
        self._enter_forwards()
        if not self.rivals:
            for kind in (NAIVE, CACHED, EXPORTED):
                self.left_out[kind] = "this row asks for the core and its scratch"
            return
        self._enter_naive()
        self._enter_cached()
        graph = exported_graph(self.kept.program)
        for threads in self.threads:
            self._enter(exported_draw(self.task, graph, threads))

    @cached_property
    def _forms(self) -> dict[str, Forward]:
        return dict(forwards(self.model))

    def _enter_forwards(self) -> None:
        """Eager in every form; compiled, of each layout, the weights that were faster eager."""
        with torch.inference_mode():  # as in the naive draw: else torch compiles for both
            encoded = self.model.encode(self.task.images())
        counts = self.threads if self.task.batch == 1 else (max(self.threads),)
        if len(counts) < len(self.threads):
            self.left_out[f"{FORWARD} | 1"] = "a pass over several images gains by all threads"
        for form, threads in self._eager(counts):
            self._enter(forward_pass(form, self._forms[form], encoded, threads))
        for layout in ("NCHW", "channels_last"):
            best = fastest(self.entries, FORWARD, f" {layout}").contender
            for form in (f for f in self._forms if f.startswith("compiled") and layout in f):
                if form == best.form.replace("eager", "compiled"):
                    run = self._forms[form]
                    self._enter(forward_pass(form, run, encoded, best.threads))
                else:
                    self.left_out[f"{FORWARD} | {form}"] = f"{best.form} is the faster one, eager"

    def _eager(self, counts: tuple[int, ...]) -> Iterator[tuple[str, int]]:
        for form in self._forms:
            if form.startswith("eager"):
                yield from ((form, count) for count in counts)

    def _enter_naive(self) -> None:
        """By the fastest eager and the fastest compiled pass."""
        for how in ("eager", "compiled"):
            best = fastest(self.entries, FORWARD, how).contender
            passing = (best.form, self._forms[best.form])
            self._enter(naive_draw(self.task, self.model, passing, self.uniforms, best.threads))

    def _enter_cached(self) -> None:
        """Eager at every number of threads; compiled, which takes long, at the faster one."""
        program, batch = self.kept.program, self.task.batch
        eager = CachedDrawer(program, batch, compiled=False)
        for threads in self.threads:
            self._enter(cached_draw(eager.draw, "eager", self.uniforms, threads))
        excuse = self._small_gain()
        if excuse:
            self.left_out[f"{CACHED} | compiled"] = excuse
            return
        best = fastest(self.entries, CACHED).contender.threads
        drawer = CachedDrawer(program, batch, compiled=True)
        self._enter(cached_draw(drawer.draw, "compiled", self.uniforms, best))
        for threads in set(self.threads) - {best}:
            self.left_out[f"{CACHED} | compiled | {threads}"] = f"{best} is the faster one, eager"

    def _small_gain(self) -> str | None:
        """Why not to compile the cached drawer, or None: what a smaller batch has shown."""
        task = self.task
        for batch in (b for b in BATCHES if b < task.batch):
            other = replace(task, batch=batch).name
            timed = self.before.get(other, {}).get("contenders", {}).values()
            ms = {
                form: [c["ms"]["median"] for c in timed if (c["kind"], c["form"]) == (CACHED, form)]
                for form in ("eager", "compiled")
            }
            if all(ms.values()):
                gain = min(ms["eager"]) / min(ms["compiled"])
                if gain < LEAST_GAIN:
                    return f"{gain:.2f} x as fast as eager in {other}"
        return None

    def _enter(self, contender: Contender) -> None:
        entry = enter(contender, self.effort)
        self._check(entry)
        self.entries.append(entry)

    def _check(self, entry: Entry) -> None:
        """AssertionError where a contender makes something else than the first of its kind."""
        kind = entry.contender.kind
        first = first_of(self.entries, FORWARD if kind == FORWARD else OURS)
        if first is None:
            return
        name = f"{self.task.name}: {entry.contender.key}"
        if kind == FORWARD:
            apart = (entry.made - first.made).abs().max() / first.made.abs().max()
            assert apart <= SCORES_APART, f"{name} is {apart:.1e} off"
            return
        others = differing(entry.made, first.made)
        entry.differing = len(others)
        for image in others:
            apart = distance_from_edge(self.model, entry.made, first.made, self.uniforms, image)
            assert apart <= EDGE, f"{name} draws image {image} otherwise, {apart:.1e} from an edge"


def first_of(entries: list[Entry], kind: str) -> Entry | None:
    """Of a kind, the one that was entered first."""
    return next((e for e in entries if e.contender.kind == kind), None)


def measure_row(everybody: Field) -> Row:
    """Enters everybody, then times them in turns; again where the peak says it was disturbed."""
    before = everybody.before
    used, most = torch.get_num_threads(), f"fma {max(everybody.threads)}"
    best = max((row["ceilings"].get(most, _NONE)["median"] for row in before.values()), default=0.0)
    try:
        everybody.enter_all()
        racing = finalists(everybody.entries)
        attempts, peaks = 1, race(racing, everybody.threads, everybody.effort)
        while peaks[most]["median"] < QUIET * best and attempts < ATTEMPTS:
            attempts, peaks = attempts + 1, race(racing, everybody.threads, everybody.effort)
    finally:
        torch.set_num_threads(used)
    return {
        "task": vars(everybody.task),
        "contenders": {e.contender.key: e.described() for e in everybody.entries},
        "left_out": everybody.left_out,
        "ceilings": peaks,
        "attempts": attempts,
        "summary": summary(everybody, peaks),
    }


def summary(everybody: Field, peaks: dict[str, dict[str, float]]) -> Row:
    """Times in forward passes, the core's share of the multiply-add peak, and its scratch."""
    task, entries = everybody.task, everybody.entries
    kinds = {e.contender.kind for e in entries}
    best = {kind: fastest(entries, kind) for kind in kinds}
    ms = {kind: 1e3 * statistics.median(entry.seconds) for kind, entry in best.items()}
    ours, sites = best[OURS].contender, task.side * task.side
    work = everybody.kept.program.multiply_adds * sites * task.batch
    peak = peaks[f"fma {ours.threads}"]["median"]
    rivals = {"naive": NAIVE, "cached": CACHED, "exported": EXPORTED}
    scratch = core_scratch(task, everybody.kept.executor, everybody.uniforms, ours.threads)
    return {
        "ms": round(ms[OURS], 4),
        "threads": ours.threads,
        "forward_ms": round(ms[FORWARD], 4),
        "forward_form": best[FORWARD].contender.form,
        "forward_threads": best[FORWARD].contender.threads,
        "forwards": round(ms[OURS] / ms[FORWARD], 3),
        **{
            f"{name}_ratio": round(ms[kind] / ms[OURS], 2)
            for name, kind in rivals.items()
            if kind in ms
        },
        "us_per_pixel": round(1e3 * ms[OURS] / sites, 3),
        "multiply_adds": work,
        "share_of_peak": round(work / (ms[OURS] * 1e-3) / peak, 3),
        "scratch_bytes": scratch,
        "every_feature_map_bytes": task.feature_map_bytes(everybody.model),
    }
