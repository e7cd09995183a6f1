"""check_causality: what passes, what is named, the blind spot, and the picture."""

from __future__ import annotations

import copy
from itertools import product

import matplotlib.image
import pytest
import torch
from torch import nn

import genfast
from genfast import PixelCNN, SequenceModel, check_causality, heads
from genfast.causality import CausalityError
from genfast.causality.picture import KINDS
from genfast.nn import MaskedConv2d, causal_mask

pytestmark = pytest.mark.usefixtures("one_thread")
KIND = {name: number for number, (name, _) in enumerate(KINDS)}


class Dense(nn.Module):
    """A masked layer as everybody writes it, with taps of its mask flipped."""

    def __init__(self, layer: MaskedConv2d, *flipped: tuple[int, ...]) -> None:
        super().__init__()
        self.weight, self.bias, self.padding = layer.weight, layer.bias, layer.padding
        mask = layer.weight_mask().expand_as(layer.weight).clone()
        for tap in flipped:
            assert not mask[(*tap[:-2], ..., *tap[-2:])].any()
            mask[(*tap[:-2], ..., *tap[-2:])] = 1
        self.register_buffer("mask", mask)

    def forward(self, input):
        return nn.functional.conv2d(input, self.weight * self.mask, self.bias, padding=self.padding)


class Single(nn.Module):
    """One masked layer straight to the scores: what it sees is its mask."""

    def __init__(self, shape, kernel, *flipped, kind="A") -> None:
        super().__init__()
        self.shape, self.levels = shape, 5
        self.layer = Dense(MaskedConv2d(kind, shape[0], 6, kernel), *flipped)

    def forward(self, x):
        scores = self.layer(x.to(self.layer.weight.dtype))
        return scores.permute(0, 2, 3, 1)[..., None, :]


def dead_taps(kind, kernel):
    return [tuple(t) for t in (causal_mask(kind, kernel)[0, 0] == 0).nonzero().tolist()]


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 7), (3, 5, 1), (2, 9, 7)])
@pytest.mark.parametrize("variant", ["masked", "gated"])
def test_passes_for_every_shape(variant, shape):
    report = check_causality(PixelCNN(shape, levels=3, width=5, depth=2, variant=variant))
    assert report.methods == ("perturbation", "gradients")
    assert report.complete
    assert report.known.all()


@pytest.mark.parametrize("input", ["real", "embedding"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("variant", ["masked", "gated"])
def test_passes_for_every_variant_with_conditions(variant, channels, input):
    given = {"classes": 4, "vector": 3, "features": 2}
    shape = (channels, 4, 5)
    model = PixelCNN(shape, levels=4, width=6, depth=3, variant=variant, input=input, **given)
    report = check_causality(model)
    assert report.order.draws == channels
    rows = {"classes": torch.tensor([3]), "vector": torch.ones(1, 3)}
    check_causality(model, conditions={**rows, "features": torch.ones(1, 2, 4, 5)})


@pytest.mark.skipif(not hasattr(heads, "LogisticMixture"), reason="no mixture of logistics yet")
@pytest.mark.parametrize("variant", ["masked", "gated"])
def test_passes_for_mixtures(variant):
    head = heads.LogisticMixture(levels=256, mixtures=2, channels=3)
    model = PixelCNN((3, 4, 5), levels=256, width=6, depth=2, variant=variant, head=head)
    report = check_causality(model)
    assert (report.order.channels, report.order.draws) == (3, 1)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("start", ["learnt", "zeros", 2])
def test_passes_for_sequences(cell, start):
    model = SequenceModel(heads.Categorical(5), cell=cell, width=4, depth=2, start=start)
    report = check_causality(model, shape=(9,))
    assert report.methods == ("perturbation", "gradients")
    assert report.dependencies == {(t,): t for t in range(9)}
    assert not any(report.unseen.values())


def test_sequences_need_no_argument():
    assert check_causality(SequenceModel(heads.Categorical(3), width=3)).order.sites == (16,)


@pytest.mark.parametrize("probes", [400, 30])
@pytest.mark.parametrize("tap", dead_taps("A", 7))
def test_names_the_first_pair_of_a_tap(tap, probes):
    """Also where neither of its sites was probed."""
    down, right = tap[0] - 3, tap[1] - 3
    with pytest.raises(CausalityError) as caught:
        check_causality(Single((1, 20, 20), 7, tap), probes=probes)
    x = max(0, -right)
    end = "which it is to draw" if (down, right) == (0, 0) else "which is drawn after it"
    site, seen = (0, x), (down, x + right)
    assert str(caught.value) == f"check_causality: site {site} sees site {seen}, {end}"
    assert caught.value.report.complete == (probes == 400)
    assert str(site) in str(caught.value.report)


@pytest.mark.parametrize(
    ("variant", "path", "tap"),
    [
        *(("masked", "first", tap) for tap in dead_taps("A", 7)),
        *(("masked", "blocks.1.conv", tap) for tap in dead_taps("B", 3)),
        *(("gated", "blocks.0.horizontal", tap) for tap in dead_taps("A", (1, 7))),
        *(("gated", "blocks.1.horizontal", tap) for tap in dead_taps("B", (1, 3))),
    ],
)
def test_fails_on_a_mask_wrong_by_one_tap(variant, path, tap):
    model = PixelCNN((1, 6, 7), levels=3, width=8, depth=2, variant=variant)
    layer = model.network.get_submodule(path)
    model.network.set_submodule(path, Dense(layer))
    check_causality(model)
    model.network.set_submodule(path, Dense(layer, tap))
    with pytest.raises(CausalityError, match=r"which (is drawn after it|it is to draw)$"):
        check_causality(model)


@pytest.mark.parametrize(
    ("kind", "to", "of"),
    [
        (kind, to, of)
        for kind, to, of in product("AB", range(3), range(3))
        if of > to or (of == to and kind == "A")
    ],
)
def test_fails_on_a_group_of_channels_too_many(kind, to, of):
    """Features of blue see green and red, and so does what wrongly sees them."""
    model = PixelCNN((3, 3, 4), levels=3, width=12, depth=2, variant="masked")
    path = "first" if kind == "A" else "blocks.0.conv"
    layer = model.network.get_submodule(path)
    size = layer.weight.shape[2] // 2
    block = [
        slice(sum(groups[:at]), sum(groups[: at + 1]))
        for groups, at in ((layer.out_groups, to), (layer.in_groups, of))
    ]
    model.network.set_submodule(path, Dense(layer, (*block, size, size)))
    with pytest.raises(CausalityError) as caught:
        check_causality(model)
    first = caught.value.report.first
    assert (first.seen, first.draw, first.channel) == (first.site, to, of if kind == "A" else to)


class Attention(nn.Module):
    """A user's own: causal attention over symbols, whose mask may be wrong at one place."""

    def __init__(self, wrong=None) -> None:
        super().__init__()
        self.table, self.out = nn.Embedding(6, 8), nn.Linear(8, 6)
        self.start, self.wrong = nn.Parameter(torch.randn(8)), wrong

    def forward(self, tokens):
        x = self.table(tokens)
        x = torch.cat([self.start.expand(len(x), 1, 8), x], 1)
        length = tokens.shape[1]
        allowed = torch.ones(length, length + 1).tril().bool()
        if self.wrong is not None:
            allowed[self.wrong] = True
        scores = x[:, :length] @ x.mT
        return self.out(scores.masked_fill(~allowed, -torch.inf).softmax(-1) @ x)


def test_own_modules_of_integers_are_perturbed():
    report = check_causality(Attention(), shape=(7,), levels=6)
    assert report.methods == ("perturbation",)
    assert report.dependencies == {(t,): t for t in range(7)}
    with pytest.raises(CausalityError, match="site 3 sees site 5, which is drawn after it"):
        check_causality(Attention(wrong=(3, 6)), shape=(7,), levels=6)


class Filter(nn.Module):
    """A user's own, of real numbers (N, T, C): shifted by `shift`, as causal models are."""

    def __init__(self, shift=1) -> None:
        super().__init__()
        self.conv, self.shift = nn.Conv1d(2, 3, 3), shift

    def forward(self, x):
        x = nn.functional.pad(x.mT, (2 + self.shift, -self.shift))
        return self.conv(x).mT


def test_own_modules_of_real_numbers_have_gradients():
    report = check_causality(Filter(), shape=(8, 2))
    assert report.methods == ("perturbation", "gradients")
    assert report.unseen[(5,)] == [(0,), (1,)]
    assert not report.blind_spot[(5,)]
    with pytest.raises(CausalityError, match="site 0 sees site 0 channel 0, which it is to draw"):
        check_causality(Filter(shift=0), shape=(8, 2))


def test_what_gradients_cannot_see_perturbation_does():
    class Rounding(Filter):
        def forward(self, x):
            return super().forward(x) + x.flip(1).round()[..., :1]

    with pytest.raises(CausalityError, match=r"site 0 sees site 7 channel 0"):
        check_causality(Rounding(), shape=(8, 2), repeats=9)


def test_the_first_value_is_found_between_probes():
    class Peeking(nn.Module):
        def forward(self, tokens):
            return (tokens[:, 7] + tokens[:, -1]).double()[:, None, None].expand(*tokens.shape, 1)

    with pytest.raises(
        CausalityError, match="site 0 sees site 7, which is drawn after it"
    ) as caught:
        check_causality(Peeking(), shape=(40,), levels=3, probes=5)
    assert 7 not in caught.value.report.probed


def test_layers_that_do_not_shift_are_caught():
    class Unshifted(SequenceModel):
        def forward(self, tokens):
            return self.readout(self.rnn(self.embed(tokens))[0])

    with pytest.raises(CausalityError, match="site 0 sees site 0, which it is to draw"):
        check_causality(Unshifted(heads.Categorical(4), width=3))


def test_a_wrong_network_is_found_by_gradients_alone():
    """Levels all equal: nothing that enters moves, and what comes back still tells."""

    class Constant(Single):
        def encode(self, x):
            return torch.zeros_like(x, dtype=self.layer.weight.dtype)

        def network(self, encoded):
            return self.layer(encoded).permute(0, 2, 3, 1)[..., None, :]

        def forward(self, x):
            return self.network(self.encode(x))

    check_causality(Constant((1, 3, 4), 3))
    with pytest.raises(CausalityError, match=r"site \(0, 0\) sees site \(0, 1\)"):
        check_causality(Constant((1, 3, 4), 3, (1, 2)))
    with pytest.raises(CausalityError, match=r"site \(0, 0\) sees site \(0, 0\)"):
        check_causality(Constant((1, 3, 4), 3, (1, 1)))


class Glitch(torch.autograd.Function):
    """The identity, but for the calls in `at`, which add a little to one number that they pass."""

    at: tuple[int, ...] = ()
    calls = 0
    backwards = False

    @classmethod
    def passed(cls, number, backwards):
        if backwards == cls.backwards:
            cls.calls += 1
            if cls.calls in cls.at:
                number = number.clone()
                number[:, :, 1, 2] += 1e-9
        return number

    @staticmethod
    def forward(ctx, number):
        return Glitch.passed(number, False)

    @staticmethod
    def backward(ctx, grad):
        return Glitch.passed(grad, True)


class Glitching(Single):
    """Sound, on a machine that is not."""

    def encode(self, x):
        return x.to(self.layer.weight.dtype)

    def network(self, encoded):
        return self.layer(Glitch.apply(encoded)).permute(0, 2, 3, 1)[..., None, :]

    def forward(self, x):
        return self.network(self.encode(x))


@pytest.mark.parametrize("backwards", [False, True])
def test_a_fault_that_does_not_come_again_is_no_alarm(monkeypatch, backwards):
    """Wherever it falls: in the scores that all are held against, in others, in gradients."""
    monkeypatch.setattr(Glitch, "backwards", backwards)
    model = Glitching((1, 4, 5), 3)
    calls = 0
    while calls < 30:
        calls += 1
        monkeypatch.setattr(Glitch, "calls", 0)
        monkeypatch.setattr(Glitch, "at", (calls,))
        check_causality(model)
        if Glitch.calls < calls:
            break
    assert calls > 2


@pytest.mark.parametrize("backwards", [False, True])
def test_a_fault_that_stays_is_an_alarm(monkeypatch, backwards):
    class Wrong(Glitching):
        def forward(self, x):  # no perturbation sees it
            scores = super().forward(x)
            return torch.zeros_like(scores) if backwards else scores

    monkeypatch.setattr(Glitch, "backwards", backwards)
    monkeypatch.setattr(Glitch, "at", range(0, 10**6, 1) if backwards else range(2, 10**6, 2))
    monkeypatch.setattr(Glitch, "calls", 0)
    with pytest.raises(CausalityError):
        check_causality(Wrong((1, 4, 5), 3))


def test_gradients_of_nan_say_nothing(monkeypatch):
    class Root(Single):
        def encode(self, x):
            return torch.zeros_like(x, dtype=self.layer.weight.dtype)

        def network(self, encoded):
            return self.layer(encoded.sqrt()).permute(0, 2, 3, 1)[..., None, :]

        def forward(self, x):
            return self.network(self.encode(x))

    with pytest.raises(FloatingPointError, match="gradients that are NaN"):
        check_causality(Root((1, 4, 4), 3))

    class Moving(Root):
        def forward(self, x):
            return Single.forward(self, x)

    with pytest.raises(CausalityError, match=r"site \(0, 0\) sees site \(0, 1\)"):
        check_causality(Moving((1, 4, 4), 3, (1, 2)))


def test_other_layouts_are_arranged():
    class Classic(Single):
        def forward(self, x):
            return self.layer(x.to(self.layer.weight.dtype))

    model = Classic((1, 4, 4), 3)
    with pytest.raises(ValueError, match=r"must give scores \(N, H, W, D, P\)"):
        check_causality(model)
    check_causality(model, arrange=lambda s: s.permute(0, 2, 3, 1)[..., None, :])


@pytest.fixture(scope="module")
def masked():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as everywhere here
    model = PixelCNN((1, 9, 12), levels=4, width=8, depth=9, variant="masked")
    report = check_causality(model, probes=108)
    torch.set_num_threads(before)
    return report


def cone(y, x, height, width):
    """What 3x3 layers on a 7x7 one never see: right of a diagonal that starts 3 columns on."""
    return [
        (row, column)
        for row, column in product(range(height), range(width))
        if row < y and column > x + (y - row) + 2
    ]


def test_the_blind_spot_of_masked_is_the_cone(masked):
    assert masked.unseen == {(y, x): cone(y, x, 9, 12) for y, x in product(range(9), range(12))}
    assert masked.blind_spot[(8, 1)] == cone(8, 1, 9, 12) != []


def test_gated_has_none():
    model = PixelCNN((1, 9, 12), levels=4, width=8, depth=9, variant="gated")
    report = check_causality(model, probes=108)
    assert not any(report.unseen.values())
    assert report.dependencies == {(y, x): 12 * y + x for y, x in product(range(9), range(12))}
    assert "blind spot   none" in str(report)


def test_far_away_is_no_blind_spot():
    """Of a shallow network much is out of reach, and nothing of that within reach is missed."""
    report = check_causality(PixelCNN((1, 20, 20), levels=4, width=8, depth=2, variant="gated"))
    assert len(report.probed) == 64
    assert len(report.unseen[(19, 19)]) == 399 - 24
    assert not any(report.blind_spot.values())


def test_the_picture_marks_the_blind_spot(masked, tmp_path):
    kinds = masked.classes(8 * 12 + 1).reshape(9, 12)
    assert kinds[8, 1] == KIND["the site"]
    assert (kinds[8, 2:] == KIND["drawn later"]).all()
    blind = set(zip(*(kinds == KIND["blind spot"]).nonzero(), strict=True))
    assert blind == set(cone(8, 1, 9, 12))
    masked.png(tmp_path / "cone.png", (8, 1))
    pixels = matplotlib.image.imread(tmp_path / "cone.png")[..., :3]
    orange = torch.tensor([0xF5, 0x9F, 0x00]) / 255
    near = (torch.from_numpy(pixels) - orange).abs().amax(-1) < 0.01
    share = near.sum() / near.numel()
    assert 0.5 * len(blind) / 108 < share < len(blind) / 108
    with pytest.raises(ValueError, match="site must be one that was probed, got"):
        masked.plot((9, 0))


def test_the_picture_of_an_error_shows_the_pair():
    with pytest.raises(CausalityError) as caught:
        check_causality(Single((1, 5, 6), 3, (1, 2)))
    report = caught.value.report
    assert report.first is not None
    assert report.classes(report.first.site)[report.first.seen] == KIND["seen, but drawn later"]
    assert len(report.plot().axes) == 1


def test_the_picture_of_a_sequence_is_a_strip():
    report = check_causality(Filter(), shape=(8, 2))
    names = [KINDS[kind][0] for kind in report.classes(5)]
    assert names == ["out of reach"] * 2 + ["seen"] * 3 + ["the site"] + ["drawn later"] * 2
    report.plot((5,))


def test_the_model_is_left_as_it_was():
    model = PixelCNN((1, 4, 4), levels=3, width=4, depth=1).train()
    before = copy.deepcopy(model.state_dict())
    check_causality(model)
    assert model.training
    for name, weight in model.state_dict().items():
        assert weight.dtype == before[name].dtype
        assert weight.equal(before[name])
    assert all(weight.requires_grad and weight.grad is None for weight in model.parameters())


def test_dropout_is_off():
    check_causality(SequenceModel(heads.Categorical(5), width=4, depth=2, dropout=0.5).train())


def test_says_that_nothing_is_seen():
    model = Single((1, 4, 4), 3)
    nn.init.zeros_(model.layer.weight)
    assert "are weights of the model zero?" in str(check_causality(model))


def test_models_of_float32_are_checked_as_they_are():
    class Stubborn(Single):
        def forward(self, x):
            return self.layer(x.float()).permute(0, 2, 3, 1)[..., None, :]

    with pytest.raises(RuntimeError, match=r"(?i)float"):
        check_causality(Stubborn((1, 4, 4), 3))
    assert check_causality(Stubborn((1, 4, 4), 3), dtype=None).dtype == "float32"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"probes": 0}, "probes must be at least 1, got 0"),
        ({"repeats": 0}, "repeats must be at least 1, got 0"),
        ({"levels": 1}, "levels must be at least 2, got 1"),
        ({"shape": (1, 0, 4)}, r"shape must be \(C, H, W\), .* got \(1, 0, 4\)"),
        ({"shape": (1, 1, 4, 4)}, "shape must be"),
        ({"shape": "wide"}, "shape must be"),
        ({"conditions": {"classes": torch.zeros(0)}}, "conditions must have a row, got classes"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=f"check_causality: {message}"):
        check_causality(Single((1, 4, 4), 3), **arguments)


def test_bad_models_are_named():
    with pytest.raises(ValueError, match=r"model must be an nn\.Module, got int 3"):
        check_causality(3)
    with pytest.raises(ValueError, match="shape must be"):
        check_causality(nn.Linear(2, 2))
    model = Single((3, 4, 4), 3)
    with pytest.raises(ValueError, match="a site has 1 or 3 draws"):
        check_causality(model, arrange=lambda s: s.expand(-1, -1, -1, 2, -1))
    nn.init.constant_(model.layer.weight, torch.nan)
    with pytest.raises(FloatingPointError, match="scores that are NaN"):
        check_causality(model)


def test_it_is_public():
    assert genfast.check_causality is check_causality
