"""Bad arguments get one clear error; signals, forks and threads leave the right answer behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from genfast import explain
from genfast.engines import CudaEngine
from genfast.heads import Categorical
from genfast.models import SequenceModel
from genfast.session import Session

BACKENDS = ["cpu", "reference"]
LONG = torch.int64


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def model_of(classes: int = 7, **options: Any) -> SequenceModel:
    torch.manual_seed(2)
    return SequenceModel(Categorical(classes), **({"width": 12} | options))


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"n": -1}, "n must be at least 0, got -1"),
    ({"n": 2.5}, "n must be an integer, got 2.5"),
    ({"length": -2}, "length must be at least 0, got -2"),
    ({"seed": -1}, "seed must be at least 0 and below 9223372036854775808, got -1"),
    ({"seed": 2**63}, "seed must be at least 0 and below 9223372036854775808, got 9223"),
    ({"seed": 1.5}, "seed must be an integer, got 1.5"),
    ({"seed": torch.zeros(3, dtype=LONG)}, r"seed must be int64 \(N,\) with N=4, got int64 \(3,\)"),
    ({"seed": torch.zeros(4)}, r"seed must be int64 \(N,\) with N=4, got float32 \(4,\)"),
    ({"seed": torch.tensor([0, 1, -5, 0])}, "seed must be at least 0 .*, got -5 in row 2"),
    ({"index": -1}, "index must be at least 0"),
    ({"index": 2**32 - 3}, "index must be at least 0 and below 4294967293, got 4294967293"),
    ({"index": torch.tensor([0, 1, 2, 2**32])}, "index must be at least 0 .* in row 3"),
    ({"temperature": -0.1}, "temperature must be finite and at least 0, got -0.1 in row 0"),
    ({"temperature": float("nan")}, "temperature must be finite and at least 0, got nan"),
    ({"temperature": float("inf")}, "temperature must be finite and at least 0, got inf"),
    ({"temperature": "hot"}, r"temperature must be a number or float \(N,\) with N=4, got 'hot'"),
    ({"temperature": torch.tensor([1.0, 1, -1, 1])}, "temperature must .* got -1.0 in row 2"),
    ({"temperature": torch.ones(4, 1)}, r"temperature must be .* got float32 \(4, 1\)"),
    ({"temperature": torch.ones(4, dtype=LONG)}, r"temperature must be .* got int64 \(4,\)"),
    ({"top_k": -1}, r"top_k must be at least 0 \(0 for off\), got -1"),
    ({"top_k": 2.5}, r"top_k must be an integer or int64 \(N,\) with N=4, got 2.5"),
    ({"top_k": torch.ones(4)}, r"top_k must be .* got float32 \(4,\)"),
    ({"top_p": 0.0}, r"top_p must be in \(0, 1\], got 0.0"),
    ({"top_p": 1.01}, r"top_p must be in \(0, 1\], got 1.01"),
    ({"top_p": float("nan")}, r"top_p must be in \(0, 1\], got nan"),
    ({"stop": 7}, "stop must be at least -1 and below 7, got 7 in row 0"),
    ({"stop": torch.tensor([0, 1, 2, 9])}, "stop must be at least -1 and below 7, got 9 in row 3"),
    ({"stop": 1.5}, r"stop must be an integer or int64 \(N,\) with N=4, got 1.5"),
    ({"pad": "x"}, "pad must be an integer, got 'x'"),
    (
        {"prompt": torch.zeros(3, 7)},
        r"prompt must be int64 \(N, P\) with N=4, got float32 \(3, 7\)",
    ),
    ({"prompt": torch.zeros(3, 7, dtype=LONG)}, r"prompt must be .* N=4, got int64 \(3, 7\)"),
    ({"prompt": torch.zeros(4, dtype=LONG)}, r"prompt must be .* got int64 \(4,\)"),
    ({"prompt": [[1, 2]] * 4}, r"prompt must be an int64 tensor \(N, P\) with N=4, got list"),
    (
        {"prompt": torch.zeros(4, 2, dtype=LONG, device="meta")},
        "prompt must be on cpu, as the model is, got meta",
    ),
    (
        {"prompt": torch.tensor([[0, 1, 2]] * 3 + [[3, 7, 0]])},
        "prompt must be at least 0 and below 7, got 7 in row 3, site 1",
    ),
    ({"prompt": torch.full((4, 2), -1)}, "prompt must be .* got -1 in row 0, site 0"),
    ({"prompt_lengths": torch.ones(4, dtype=LONG)}, "prompt_lengths must be None without a prompt"),
    (
        {"prompt": torch.zeros(4, 2, dtype=LONG), "prompt_lengths": torch.tensor([0, 1, 2, 3])},
        "prompt_lengths must be from 0 to 2, got 3 in row 3",
    ),
    (
        {"prompt": torch.zeros(4, 2, dtype=LONG), "prompt_lengths": torch.ones(4)},
        r"prompt_lengths must be int64 \(N,\) with N=4, got float32 \(4,\)",
    ),
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("argument", "message"), WRONG)
def test_wrong_argument_is_named(argument: dict[str, Any], message: str, backend: str) -> None:
    arguments = {"n": 4, "length": 5} | argument
    with pytest.raises(ValueError, match=f"^sample: {message}"):
        model_of().sample(**arguments, backend=backend)


@pytest.mark.parametrize("backend", ["gpu", "CPU", ""])
def test_unknown_backend(backend: str) -> None:
    with pytest.raises(ValueError, match="backend must be one of auto, cpu, cuda, reference"):
        model_of().sample(1, 1, backend=backend)


@pytest.mark.skipif(CudaEngine.refusal(0) is None, reason="a GPU serves")
def test_cuda_is_refused_and_never_replaced() -> None:
    with pytest.raises(ValueError, match="backend 'cuda' cannot serve: "):
        model_of().sample(1, 1, backend="cuda")


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_to_draw_is_an_empty_sample(backend: str) -> None:
    model = model_of()
    for n, length in ((0, 5), (3, 0), (0, 0)):
        out = model.sample(n, length, backend=backend, log_prob=True, stop=1)
        assert out.values.shape == (n, length)
        assert out.values.dtype == torch.int64
        assert out.lengths.tolist() == [length] * n
        assert out.log_prob.tolist() == [0.0] * n
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        model.stream(0, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_empty_prompt_is_no_prompt(backend: str) -> None:
    model = model_of()
    expected = model.sample(3, 8, seed=0, backend=backend).values
    empty = torch.zeros(3, 0, dtype=torch.int64)
    unused = torch.full((3, 4), -1)
    for prompt, lengths in (
        (empty, None),
        (empty, torch.zeros(3, dtype=LONG)),
        (unused, torch.zeros(3, dtype=LONG)),
    ):
        out = model.sample(3, 8, seed=0, prompt=prompt, prompt_lengths=lengths, backend=backend)
        assert torch.equal(out.values, expected)


@pytest.mark.parametrize(
    ("tokens", "lengths", "message"),
    [
        (torch.zeros(2, 3), None, r"tokens must be int64 \(N, T\), got float32 \(2, 3\)"),
        (torch.zeros(3, dtype=LONG), None, r"tokens must be int64 \(N, T\), got int64 \(3,\)"),
        (torch.tensor([[0, 6], [1, 7]]), None, "tokens must .* got 7 in row 1, site 1"),
        (torch.tensor([[0, -1]]), None, "tokens must .* got -1 in row 0, site 1"),
        (torch.zeros(2, 3, dtype=LONG, device="meta"), None, "tokens must be on cpu"),
        (torch.zeros(2, 3, dtype=LONG), torch.tensor([3]), r"lengths must be int64 \(N,\)"),
        (torch.zeros(2, 3, dtype=LONG), torch.tensor([3, 4]), "lengths must .* got 4 in row 1"),
    ],
)
def test_log_prob_names_what_is_wrong(tokens: Any, lengths: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^log_prob: {message}"):
        model_of().log_prob(tokens, lengths)


@pytest.mark.parametrize("backend", BACKENDS)
def test_session_refuses_wrong_arrays_and_goes_on(backend: str) -> None:
    model = model_of()
    session = Session(model, 2, seed=0, backend=backend)
    bad = (
        (torch.zeros(2, 3), r"forced must be int64 \(N, count\) with N=2, got float32"),
        (torch.zeros(2, 2, dtype=LONG), "forced must be .* count=3"),
        (torch.tensor([[0, 0, 0], [0, -2, 0]]), "forced must .* got -2 in row 1, site 1"),
        (torch.full((2, 3), 7), "forced must .* got 7 in row 0, site 0"),
    )
    for forced, message in bad:
        with pytest.raises(ValueError, match=f"advance: {message}"):
            session.advance(3, forced)
    for call in (session.reset, session.select):
        with pytest.raises(ValueError, match="rows must be at least 0 and below 2"):
            call(torch.tensor([2]))
        with pytest.raises(ValueError, match=r"rows must be int64 \(M,\), got float32"):
            call(torch.zeros(1))
    with pytest.raises(ValueError, match="number of rows must be at least 1"):
        session.select(torch.zeros(0, dtype=LONG))
    with pytest.raises(ValueError, match="state must have 2 rows, got 3"):
        session.restore(Session(model, 3, backend=backend).state())
    assert torch.equal(session.advance(9), model.sample(2, 9, seed=0, backend=backend).values)


@pytest.mark.parametrize("backend", BACKENDS)
def test_scores_that_overflow_name_row_and_site(backend: str) -> None:
    model = model_of(start="zeros")
    # Symbol 3 opens every gate, and the readout then sums to beyond float32; symbol 0 does not.
    model.embed.weight.data.zero_()[3] = 1.0
    model.rnn.weight_ih_l0.data.fill_(10.0)
    model.rnn.bias_ih_l0.data.zero_()
    model.rnn.bias_hh_l0.data.zero_()
    model.readout.weight.data.fill_(3e38)
    session = Session(model, 2, seed=0, backend=backend)
    forced = torch.tensor([[0, 0, 0], [0, 3, -1]])
    with pytest.raises(FloatingPointError, match=r"scores of row 1 at site 2 are \+inf"):
        session.advance(3, forced)


@pytest.mark.parametrize("backend", BACKENDS)
def test_session_draws_again_after_bad_scores(backend: str) -> None:
    model = model_of()
    session = Session(model, 2, seed=0, temperature=1.0, backend=backend)
    state = session.state()
    expected = session.advance(5)
    session.restore(state)
    # So cold that a score over the temperature is beyond float32.
    session.reset(torch.tensor([1]), temperature=1e-44)
    with pytest.raises(FloatingPointError, match="scores of row 1 at site 0 are"):
        session.advance(5)
    session.restore(state)
    assert torch.equal(session.advance(5), expected)


def interrupted(call: Any, after: float) -> float:
    """Seconds from a Ctrl-C in the middle of `call` to its KeyboardInterrupt."""
    sent = []

    def press() -> None:
        time.sleep(after)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        call()
    presser.join()
    return time.perf_counter() - sent[0]


@pytest.mark.parametrize(("n", "width"), [(1, 64), (64, 256)])
@pytest.mark.parametrize("threads", [1, 2])
def test_interrupt_comes_at_once_and_the_session_goes_on(n: int, width: int, threads: int) -> None:
    torch.set_num_threads(threads)
    model = model_of(width=width)
    session = Session(model, n, seed=0, backend="cpu", chunk=1_000_000 // n)
    session.advance(3)
    assert interrupted(lambda: session.advance(10_000_000 // n), 0.2) < 0.1
    at = int(session.positions[0])
    assert 3 < at < 10_000_000 // n
    assert (session.positions == at).all()
    state = session.state()
    following = session.advance(4)
    session.restore(state)
    assert torch.equal(session.advance(4), following)
    if at < 200_000:
        drawn = model.sample(1, at + 4, seed=0, backend="cpu").values
        assert torch.equal(drawn[0, at:], following[0])


def test_sample_is_interrupted_at_once() -> None:
    model = model_of(width=64)
    expected = model.sample(2, 50, seed=0).values
    assert interrupted(lambda: model.sample(2, 2_000_000, seed=0), 0.2) < 0.1
    assert torch.equal(model.sample(2, 50, seed=0).values, expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_forked_child_draws_the_same() -> None:
    script = """
        import os, torch
        from genfast.heads import Categorical
        from genfast.models import SequenceModel
        torch.set_num_threads(2)
        model = SequenceModel(Categorical(9), width=40)
        session_rows = model.sample(32, 60, seed=0, backend="cpu").values
        child = os.fork()
        same = torch.equal(model.sample(32, 60, seed=0, backend="cpu").values, session_rows)
        if child == 0:
            os._exit(0 if same else 3)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert same and code == 0, (same, code)
    """
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)], check=True, timeout=60
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_four_threads_draw_at_once(backend: str) -> None:
    model = model_of(width=30, depth=2, dropout=0.5).train()
    length = 300 if backend == "cpu" else 12
    alone = [model.sample(8, length, seed=s, backend=backend).values for s in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            drawn = pool.map(lambda s: model.sample(8, length, seed=s, backend=backend), range(4))
            assert all(torch.equal(d.values, a) for d, a in zip(drawn, alone, strict=True))
    assert all(part.training for part in model.modules())


def test_one_session_refuses_two_threads() -> None:
    session = Session(model_of(width=64), 4, seed=0, backend="cpu", chunk=100_000)
    refused: list[RuntimeError] = []

    def advance() -> None:
        try:
            session.advance(100_000)
        except RuntimeError as error:
            refused.append(error)

    workers = [threading.Thread(target=advance) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [str(error) for error in refused] == ["Session: in use by another thread"]


def test_thread_count_may_change_between_calls() -> None:
    model = model_of(width=140)
    torch.set_num_threads(1)
    expected = model.sample(9, 60, seed=0, backend="cpu").values
    session, pieces = Session(model, 9, seed=0, backend="cpu"), []
    for threads in (3, 1, 2, 7, 1, 2):
        torch.set_num_threads(threads)
        pieces.append(session.advance(10))
    assert torch.equal(torch.cat(pieces, 1), expected)


@pytest.mark.skipif(not torch.set_flush_denormal(False), reason="no flush-denormal mode here")
@pytest.mark.parametrize("threads", [1, 2])
def test_flushing_of_denormals_does_not_change_a_draw(threads: int) -> None:
    torch.set_num_threads(threads)
    model = model_of(width=40)
    # Products of these are denormal.
    model.rnn.weight_hh_l0.data *= 1e-38
    model.readout.weight.data *= 1e-19
    before = Session(model, 6, seed=0, backend="cpu", scores=True)
    drawn = before.advance(40)
    try:
        torch.set_flush_denormal(True)
        flushed = Session(model, 6, seed=0, backend="cpu", scores=True)
        again = flushed.advance(40)
        mode_kept = (torch.tensor([1e-39]) * torch.ones(1)).item() == 0
    finally:
        torch.set_flush_denormal(False)
    assert torch.equal(again, drawn)
    assert torch.equal(flushed.scores, before.scores)
    assert mode_kept


def test_explain_says_which_backend_and_why() -> None:
    told = explain(model_of(65, width=32))
    assert told.backend == "cpu"
    # 128 x 32 recurrent and 65 x 32 readout weights; biases and a row of the folded table.
    assert told.multiply_adds == 128 * 32 + 65 * 32
    assert told.site_bytes == 4 * (told.multiply_adds + 65 + 128 + 128)
    assert 1e-9 < told.floor < 1e-3
    assert "multiply-adds" in str(told)
    assert "copies of float64 on cpu" in explain(model_of().double()).weights
    hooked = model_of()
    hooked.readout.register_forward_hook(lambda module, inputs, output: 2 * output)
    told = explain(hooked)
    assert (told.backend, told.reason) == ("reference", "readout has a forward hook")
    assert str(told) == "backend      reference: readout has a forward hook"
