"""The training loop: steps, epochs, held-out loss, and every way to end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from genfast.training.batches import Batches
from genfast.training.distributed import Processes
from genfast.training.evaluation import Evaluation
from genfast.training.history import STOPS, Callback
from genfast.training.interrupt import Interrupt
from genfast.training.options import Options
from genfast.training.rows import Batch
from genfast.training.run import Run
from genfast.training.seeds import Seeds
from genfast.training.step import Step
from genfast.training.turns import Turns

_END = object()


class Loop:
    """Training from wherever a run stands to its end; `run` is all that changes.

    Args:
        run: The model in training mode, and all that belongs to it.
        turns: Of the model's steps.
        options: How long, how fast.
        train: What to train on.
        held: What to measure on, if anything.
        callbacks: Called in this order.
        interrupt: Looked at after every step.
        processes: Who else trains.
    """

    def __init__(
        self,
        run: Run,
        turns: Turns,
        options: Options,
        train: Batches,
        held: Batches | None,
        callbacks: Sequence[Callback],
        interrupt: Interrupt,
        processes: Processes,
    ) -> None:
        state = run.state
        self.run, self.state, self.history = run, state, state.history
        self.history.players = turns.players
        self.options, self.train, self.callbacks = options, train, callbacks
        self.interrupt, self.processes = interrupt, processes
        self.step = Step(state.model, state.optimizer, turns, options, run.precision, processes)
        self.seeds = Seeds(options.seed, processes.rank, self.step.device)
        self.evaluation = Evaluation(held, processes, turns, self.seeds, self._interrupted)
        self._evaluated = self.history.held_out[-1][0] if self.history.held_out else 0
        self._began = time.monotonic() - self.history.seconds

    def train_to_end(self) -> None:
        """Epochs until the run is over."""
        self._decide()
        if self._due() or self._over():  # it was cut off between a step and its held-out loss
            self._evaluate()
        while not self._over():
            self._epoch()
        self._call("on_stop")
        self.run.deliver()
        self._call("on_end")

    def _epoch(self) -> None:
        """What is left of an epoch, or of the run."""
        whole = True
        for batch in self._batches():
            self._take_step(batch)
            if self._over():
                whole = self.run.batches == self.train.length
                break
        if not self.run.batches:
            raise ValueError("fit: data must give at least one batch an epoch, got none")
        if whole:
            self.history.epoch_steps.append(self.history.steps)
            self.run.batches = 0
        if self._due() or self._over():
            self._evaluate()
        if self.history.stopped != "interrupted":
            self._call("on_epoch")
        self._decide()

    def _batches(self) -> Iterator[Batch]:
        """The batches of the epoch that are not done yet, each loaded under its step's seed."""
        first = self.history.steps - self.run.batches
        feed = self.train.epoch(self.seeds.order(self.history.epochs), first)
        for step in range(first, self.history.steps):
            self.seeds.batch(step)
            feed.skip()
        while True:
            self.seeds.batch(self.history.steps)
            batch = next(feed, _END)
            if batch is _END:
                return
            yield batch

    def _take_step(self, batch: Batch) -> None:
        rate = self._set_rates()
        self.seeds.step()
        self.state.numbers = self.step(batch, self.history.steps)
        self.run.average.update()
        self.run.batches += 1
        self.history.add(self.state.numbers, rate)
        self._measure(time.monotonic() - self._began)
        self.history.times.append(self.history.seconds)
        self._call("on_step")
        self._decide()
        if self._due():
            self._evaluate()

    def _set_rates(self) -> float:
        """The rates of the middle of this step: none is zero at the first step or the last."""
        factor = self.options.factor(self._fraction(ahead=0.5))
        groups = self.state.optimizer.param_groups
        for group in groups:
            group["lr"] = group["initial_lr"] * factor
        return float(groups[0]["lr"])

    def _due(self) -> bool:
        """Whether it is time for a held-out loss: at the end of an epoch, unless steps are told."""
        history, every = self.history, self.options.evaluate_every
        if history.steps == self._evaluated:
            return False
        if every is not None:
            return history.steps % every == 0
        return bool(history.epochs) and history.epoch_steps[-1] == history.steps

    def _evaluate(self) -> None:
        """The held-out loss of the weights that count, unless it is known or Ctrl-C was pressed."""
        history, module = self.history, self.run.average.module
        if history.stopped == "interrupted" or history.steps == self._evaluated:
            return
        loss = self.evaluation.loss(module, history.steps)
        if history.stopped == "interrupted":
            return
        self._evaluated = history.steps
        if loss is not None:
            history.held_out.append((history.steps, loss))
            self.run.best.look(history, module)
            if self.run.best.exhausted(history) and not self._over():
                history.stopped = "early"
        self._call("on_evaluation")

    def _fraction(self, ahead: float = 0.0) -> float:
        """How much of the run is done, `ahead` steps from now."""
        history, length = self.history, self.train.length
        part = min(1.0, (self.run.batches + ahead) / length) if length else 0.0
        return self.options.fraction(history.epochs + part, history.steps + ahead, history.seconds)

    def _measure(self, seconds: float) -> None:
        self.history.seconds = seconds
        self.state.fraction = self._fraction()

    def _over(self) -> bool:
        return self.history.stopped != "finished" or self.state.fraction >= 1

    def _decide(self) -> None:
        """Why to stop, if at all, and how late it is: rank 0's word."""
        asked = "callback" if self.state.stop else "finished"
        asked = "interrupted" if self.interrupt.requested else asked
        now = time.monotonic() - self._began
        seconds, number = self.processes.share((now, STOPS.index(asked)))
        self._measure(seconds)
        if self.history.stopped == "finished":
            self.history.stopped = STOPS[int(number)]

    def _interrupted(self) -> bool:
        """Whether rank 0 has seen Ctrl-C; written down."""
        (requested,) = self.processes.share((self.interrupt.requested,))
        if requested:
            self.history.stopped = "interrupted"
        return bool(requested)

    def _call(self, name: str) -> None:
        for callback in self.callbacks:
            if hasattr(callback, name):
                getattr(callback, name)(self.state)
