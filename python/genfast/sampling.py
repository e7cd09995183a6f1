"""Drawing sequences: whole ones with prompts and a stop symbol, or one site at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from genfast.arguments import (
    RowOptions,
    check_count,
    check_lengths,
    check_symbols,
    check_tokens,
    row_symbols,
)
from genfast.compiled import choose_backend
from genfast.random import resolve_seed
from genfast.session import Session

__all__ = ["Request", "Sample", "sample", "stream"]

# Sites drawn at a time: with a stop symbol, few enough that a finished batch ends soon.
_CHUNK, _STOPPING_CHUNK = 256, 32


@dataclass(frozen=True)
class Sample:
    """What `sample` drew.

    Args:
        values: int64 (N, T), the new sites alone; `pad` behind a row's length.
        lengths: int64 (N,), new sites of each row, the stop symbol included.
        seed: The seed that gives these values again; int64 (N,) when every row had its own.
        log_prob: float32 (N,) nats of what was drawn, given the prompt, or None.
    """

    values: Int64[Tensor, "n t"]
    lengths: Int64[Tensor, " n"]
    seed: int | Tensor
    log_prob: Float[Tensor, " n"] | None = None


@dataclass(frozen=True)
class Request:
    """What a draw starts from; every option is one for all rows or a tensor (N,).

    Args:
        seed: 0 <= seed < 2**63; None takes 63 bits from torch's generator.
        index: Row i gets `index + i`; int64 (N,) is used as it is.
        temperature: Divides the scores; 0 draws the best class, the lowest of equals.
        top_k: Keeps the k best classes; None or 0 for off.
        top_p: Keeps the best classes up to this mass; None or 1 for off.
        prompt: int64 (N, P) on the model's device, what each row begins with; P = 0 is no prompt.
        prompt_lengths: int64 (N,), symbols of each row of `prompt` that count; all when None.
        backend: "auto", "cpu", "cuda" or "reference".
    """

    seed: int | Tensor | None = None
    index: int | Tensor = 0
    temperature: float | Tensor = 1.0
    top_k: int | Tensor | None = None
    top_p: float | Tensor | None = None
    prompt: Tensor | None = None
    prompt_lengths: Tensor | None = None
    backend: str = "auto"


def sample(
    model: Any,
    n: int,
    length: int,
    request: Request,
    *,
    stop: int | Tensor | None = None,
    pad: int = 0,
    log_prob: bool = False,
) -> Sample:
    """Draws `length` new sites of `n` sequences.

    Row i is what `n=1, index=index + i` draws, to the bit on one backend. A prompt owns its draws
    and leaves them unused, so continuing `values[:, :k]` under the same seed gives `values[:, k:]`.

    Args:
        model: A model with a head, `forward`, and for the compiled backend a program.
        n: Sequences; 0 gives tensors of no rows.
        length: New sites; 0 gives tensors of no columns.
        request: Seed, options and prompt.
        stop: Symbol after which a row ends, one for all or int64 (N,) with -1 for none.
        pad: What stands behind the end of a row.
        log_prob: Whether to return the log-probability of what was drawn, under the model itself
            (temperature 1, all classes).

    Returns:
        Values and lengths on the model's device.

    Raises:
        ValueError: An argument is wrong; the message names it, what was expected and what came.
        FloatingPointError: A weight or a score is not finite, named with its place.
    """
    n, length = check_count("sample: n", n), check_count("sample: length", length)
    pad = check_count("sample: pad", pad, -(2**63))
    stops = row_symbols("sample: stop", stop, n, model.head.classes)
    seed = resolve_seed(request.seed)
    options = _row_options("sample", request, seed, n)
    prompt, starts = _prompt("sample", model, n, request)
    device = next(model.parameters()).device
    values = torch.full((n, length), pad, dtype=torch.int64, device=device)
    lengths = torch.full((n,), length, device=device)
    total = torch.zeros(n, dtype=torch.float64, device=device)
    if values.numel() == 0:
        choose_backend(model, request.backend)
    else:
        chunk = min(length, _CHUNK if stop is None else _STOPPING_CHUNK)
        session = _session(model, options, request.backend, log_prob=log_prob, chunk=chunk)
        _run_prompt(session, prompt, starts)
        _draw(session, values, lengths, stops.to(device), total)
    return Sample(values, lengths, seed, total.float() if log_prob else None)


def stream(model: Any, n: int, request: Request) -> Iterator[Int64[Tensor, " n"]]:
    """Draws `n` sequences without end, with the weights that the model has at the call.

    Args:
        model: As for `sample`.
        n: Sequences, at least 1.
        request: Seed, options and prompt. The first new site of every row comes at once, however
            long its prompt.

    Returns:
        An iterator of int64 (N,), one site at a time, on the model's device.

    Raises:
        ValueError: An argument is wrong.
        FloatingPointError: A weight or a score is not finite, named with its place.
    """
    n = check_count("stream: n", n, 1)
    seed = resolve_seed(request.seed)
    options = _row_options("stream", request, seed, n)
    prompt, starts = _prompt("stream", model, n, request)
    session = _session(model, options, request.backend, log_prob=False, chunk=_CHUNK)
    _run_prompt(session, prompt, starts)
    return _sites(session)


def _sites(session: Session) -> Iterator[Int64[Tensor, " n"]]:
    while True:
        yield session.advance(1)[:, 0]


def _draw(session: Session, values: Tensor, lengths: Tensor, stops: Tensor, total: Tensor) -> None:
    """Fills `values` (N, T), `lengths` and `total` (N,) until every row has stopped."""
    length = values.shape[1]
    going = torch.ones_like(lengths, dtype=torch.bool)
    chunk = session.chunk
    for first in range(0, length, chunk):
        drawn = session.advance(min(chunk, length - first))
        stopped = drawn == stops[:, None]
        # A site counts until the first stop, which counts itself.
        counts = going[:, None] & (stopped.cumsum(-1) - stopped.long() == 0)
        there = values[:, first : first + drawn.shape[1]]
        there.copy_(drawn.where(counts, there))
        if session.log_probs is not None:
            total += session.log_probs.double().where(counts, 0.0).sum(-1)
        ends = going & stopped.any(-1)
        lengths[ends] = first + counts.sum(-1)[ends]
        going &= ~ends
        if not going.any():
            return


def _run_prompt(session: Session, prompt: Tensor, starts: Tensor) -> None:
    """Forces the prompt, rows of shorter prompts starting later, so that all end together::

    row 0   p p p p p|x x x
    row 1   . . . p p|x x x     reset at column 3, its own site 0
    """
    n, columns = prompt.shape
    # Symbols before a row's start are forgotten when it is reset.
    shifted = torch.zeros_like(prompt)
    for row in range(n):
        shifted[row, int(starts[row]) :] = prompt[row, : columns - int(starts[row])]
    at = 0
    for start in sorted(set(starts.tolist())):
        session.advance(start - at, shifted[:, at:start])
        if start > 0:
            session.reset((starts == start).nonzero()[:, 0])
        at = start
    session.advance(columns - at, shifted[:, at:])


def _prompt(name: str, model: Any, n: int, request: Request) -> tuple[Tensor, Tensor]:
    """The checked prompt (N, P) without columns that no row uses, and the start of each row."""
    prompt, lengths = request.prompt, request.prompt_lengths
    if prompt is None:
        if lengths is not None:
            raise ValueError(f"{name}: prompt_lengths must be None without a prompt")
        return torch.zeros(n, 0, dtype=torch.int64), torch.zeros(n, dtype=torch.int64)
    check_tokens(f"{name}: prompt", prompt, next(model.parameters()).device, n, "(N, P)")
    prompt = prompt.detach().cpu()
    if lengths is None:
        lengths = torch.full((n,), prompt.shape[1])
    check_lengths(f"{name}: prompt_lengths", lengths, n, prompt.shape[1])
    lengths = lengths.detach().cpu()
    columns = int(lengths.max()) if n else 0
    prompt = prompt[:, :columns]
    prompt = prompt.where(torch.arange(columns) < lengths[:, None], 0)
    check_symbols(f"{name}: prompt", prompt, model.head.classes)
    return prompt, columns - lengths


def _row_options(name: str, request: Request, seed: int | Tensor, n: int) -> RowOptions:
    return RowOptions.of(
        name,
        n,
        seed=seed,
        index=request.index,
        temperature=request.temperature,
        top_k=request.top_k,
        top_p=request.top_p,
    )


def _session(
    model: Any, options: RowOptions, backend: str, *, log_prob: bool, chunk: int
) -> Session:
    return Session(
        model,
        len(options.seed),
        seed=options.seed,
        index=options.index,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        backend=backend,
        log_prob=log_prob,
        chunk=chunk,
    )
