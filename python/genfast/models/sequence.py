"""SequenceModel: a recurrent network over symbols, in plain PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from genfast import sampling
from genfast.arguments import check_lengths, check_symbols, check_tokens
from genfast.data import Symbols
from genfast.heads import Categorical
from genfast.models import sequence_config
from genfast.models.recurrent import recurrent_program
from genfast.models.registry import register, save_registered
from genfast.program import Program
from genfast.sampling import Request, Sample

__all__ = ["SequenceModel"]

Cell = Literal["lstm", "gru"]


@register
class SequenceModel(nn.Module):
    """p(x) = prod_t p(x_t | x_<t) with a recurrent network::

        start  x_0   x_1         embed    nn.Embedding
          |     |     |
        [rnn]-[rnn]-[rnn]- ...   rnn      nn.LSTM or nn.GRU, `depth` layers
          |     |     |
        p(x_0) p(x_1) p(x_2)     readout  nn.Linear, the head's parameters

    The submodules have torch's names and layouts, so weights trained elsewhere load with
    `load_state_dict`.

    Args:
        head: Distribution of one site.
        cell: "lstm" or "gru".
        width: Units a layer, 1 to 65,536.
        depth: Layers, 1 to 1,024.
        embedding_width: Width of `embed`, 1 to 65,536; `width` when None.
        dropout: Share of features dropped in training, between layers and before the readout.
        start: What the first site sees: "learnt", a row of its own behind the symbols' in `embed`;
            "zeros"; or the number of a symbol.
        symbols: What the symbols stand for, kept with the model; as many as the head has classes.

    Attributes:
        figures: What was measured of the model, by name; saved with it.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        head: Categorical,
        *,
        cell: Cell = "lstm",
        width: int = 512,
        depth: int = 1,
        embedding_width: int | None = None,
        dropout: float = 0.0,
        start: Literal["learnt", "zeros"] | int = "learnt",
        symbols: Symbols | None = None,
    ) -> None:
        super().__init__()
        width, depth, embedding_width = sequence_config.check_sizes(width, depth, embedding_width)
        sequence_config.check_options(cell, dropout, symbols, head)
        self.head = head
        self.start = sequence_config.checked_start(start, head.classes)
        self.dropout = float(dropout)
        self.symbols = symbols
        self.figures: dict[str, Any] = {}
        self.embed = nn.Embedding(head.classes + (start == "learnt"), embedding_width)
        # torch drops between layers only, and warns when there is no between.
        between = self.dropout if depth > 1 else 0.0
        layers = nn.LSTM if cell == "lstm" else nn.GRU
        self.rnn = layers(embedding_width, width, depth, batch_first=True, dropout=between)
        self.readout = nn.Linear(width, head.parameters)

    def extra_repr(self) -> str:
        return f"head={self.head}, start={self.start!r}, dropout={self.dropout}"

    def config(self) -> dict[str, Any]:
        """The arguments of the constructor as JSON; `from_config` makes the model again, with new
        weights."""
        return sequence_config.config_of(self)

    @property
    def draw_example(self) -> str:
        """Lines of Python for the model card, which draw from `model` and show it."""
        shown = "drawn.values" if self.symbols is None else "model.symbols.decode(drawn.values[0])"
        return f"drawn = model.sample(4, 200, seed=0)\nprint({shown})"

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> SequenceModel:
        """A model of the arguments that `config()` wrote down.

        Raises:
            ValueError: A key is missing or unknown, or an argument is out of range.
        """
        return cls(**sequence_config.arguments_of(config))

    def save(self, path: str | Path, figures: Mapping[str, Any] | None = None) -> None:
        """Writes a folder that `genfast.load` reads; see `genfast.files.save`.

        Args:
            path: The folder; made where it is missing, replaced where it holds a model.
            figures: What was measured of the model, JSON; `self.figures` when None.

        Raises:
            ValueError: The class is not registered, a weight is not finite, or the modules are not
                what `config()` says; nothing has been written.
            OSError: The folder cannot be written; a model that was there is there still.
        """
        save_registered(self, path, figures)

    def forward(self, tokens: Int64[Tensor, "n t"]) -> Float[Tensor, "n t classes"]:
        """Scores of every site; site t sees `tokens[:, :t]` only.

        Args:
            tokens: int64 (N, T), symbols in [0, classes).

        Returns:
            Parameters of the head, (N, T, classes), in the dtype of the weights.
        """
        if tokens.numel() == 0:
            return self.readout.weight.new_zeros(*tokens.shape, self.head.parameters)
        features, _ = self.rnn(_inputs(self.embed, self.start, self.head.classes, tokens))
        features = nn.functional.dropout(features, self.dropout, self.training)
        scores: Tensor = self.readout(features)
        return scores

    def log_prob(
        self, tokens: Int64[Tensor, "n t"], lengths: Int64[Tensor, " n"] | None = None
    ) -> Float[Tensor, " n"]:
        """log p(tokens) in nats, differentiable.

        Args:
            tokens: int64 (N, T); what stands behind a row's length is ignored.
            lengths: int64 (N,), sites of each row that count; all of them when None.

        Raises:
            ValueError: Wrong dtype, shape or device, or a symbol outside the vocabulary.
        """
        check_tokens("log_prob: tokens", tokens, self.readout.weight.device)
        n, length = tokens.shape
        if lengths is not None:
            check_lengths("log_prob: lengths", lengths, n, length, tokens.device)
            counted = torch.arange(length, device=tokens.device) < lengths[:, None]
            tokens = tokens.where(counted, 0)
        check_symbols("log_prob: tokens", tokens, self.head.classes)
        sites = self.head.log_prob(self(tokens), tokens)
        return sites.sum(-1) if lengths is None else sites.where(counted, 0.0).sum(-1)

    def training_step(self, batch: Any, step: int) -> dict[str, Any]:
        """The loss of a batch: mean nats a site.

        Args:
            batch: int64 (N, T) tokens, or a tuple of tokens and int64 (N,) lengths.
            step: Number of the step; not used.

        Returns:
            `loss`, a scalar, 0 without a site; `sites`, how many sites it is the mean of.
        """
        tokens, lengths = (batch, None) if isinstance(batch, Tensor) else (*batch, None)[:2]
        sites = tokens.numel() if lengths is None else int(lengths.sum())
        return {"loss": -self.log_prob(tokens, lengths).sum() / max(sites, 1), "sites": sites}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameters for an optimiser: matrices decay, the embedding and biases do not."""
        decays = [p for p in self.parameters() if p.ndim > 1 and p is not self.embed.weight]
        chosen = {id(p) for p in decays}
        rest = [p for p in self.parameters() if id(p) not in chosen]
        return [{"params": decays}, {"params": rest, "weight_decay": 0.0}]

    def program(self) -> Program:
        """This model written down as instructions over float32 copies of its weights.

        Raises:
            NotCompilableError: A part was replaced by something that instructions do not say.
            FloatingPointError: A weight is not finite, named.
        """
        return recurrent_program(self.embed, self.rnn, self.readout, self.head, self.start)

    def sample(
        self,
        n: int,
        length: int,
        *,
        seed: int | Tensor | None = None,
        index: int | Tensor = 0,
        prompt: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
        temperature: float | Tensor = 1.0,
        top_k: int | Tensor | None = None,
        top_p: float | Tensor | None = None,
        stop: int | Tensor | None = None,
        pad: int = 0,
        log_prob: bool = False,
        backend: str = "auto",
    ) -> Sample:
        """Draws `length` sites of `n` sequences; see `genfast.sampling.sample`."""
        request = Request(seed, index, temperature, top_k, top_p, prompt, prompt_lengths, backend)
        return sampling.sample(self, n, length, request, stop=stop, pad=pad, log_prob=log_prob)

    def stream(
        self,
        n: int,
        *,
        seed: int | Tensor | None = None,
        index: int | Tensor = 0,
        prompt: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
        temperature: float | Tensor = 1.0,
        top_k: int | Tensor | None = None,
        top_p: float | Tensor | None = None,
        backend: str = "auto",
    ) -> Iterator[Int64[Tensor, " n"]]:
        """Draws `n` sequences without end, one site at a time; see `genfast.sampling.stream`."""
        request = Request(seed, index, temperature, top_k, top_p, prompt, prompt_lengths, backend)
        return sampling.stream(self, n, request)


def _inputs(embed: nn.Module, start: str | int, classes: int, tokens: Tensor) -> Tensor:
    """What the network sees at each site: the symbol before it, at first the start."""
    if start == "zeros":
        return nn.functional.pad(embed(tokens[:, :-1]), (0, 0, 1, 0))
    symbol = classes if start == "learnt" else int(start)
    first = tokens.new_full((len(tokens), 1), symbol)
    inputs: Tensor = embed(torch.cat([first, tokens[:, :-1]], 1))
    return inputs
