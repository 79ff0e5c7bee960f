"""Operators: whole layers by hand, every kernel of attention, and what has no known count says so by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers import make_task
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.flop_counter import flop_registry, register_flop_formula

from gentickets.accounting import Counter, forward_flops, masked_flops, network_flops, step_flops
from gentickets.accounting.formulas import FORMULAS, KINDS, formula_of
from gentickets.accounting.free import FREE, is_free
from gentickets.actions.measure import sampler
from gentickets.criteria import CRITERIA
from gentickets.data import Batches
from gentickets.masks import full_mask
from gentickets.recipe import load_recipe, shipped_recipes
from gentickets.tasks import FAMILIES, Autoencoder, Objective, Task
from gentickets.untouched import untouched

N, T, S = 3, 5, 7
"""Images; queries, or steps of a sequence; keys."""
Build = Callable[[], nn.Module]
Modes = {"grad": torch.enable_grad, "no_grad": torch.no_grad, "inference": torch.inference_mode}


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def asks(*shape: int) -> Tensor:
    return noise(*shape).requires_grad_()


def counted(do: Callable[[], object]) -> Counter:
    with Counter() as counter:
        do()
    return counter


def tensors(tree: Any) -> list[Tensor]:
    if isinstance(tree, Tensor):
        return [tree]
    return [one for part in tree for one in tensors(part)] if isinstance(tree, tuple) else []


def backward(do: Callable[[], object]) -> Counter:
    """Of the first result, to all that requires a gradient."""
    y = tensors(do())[0]
    return counted(lambda: y.backward(torch.ones_like(y)))


# -- attention -------------------------------------------------------------------------------------------------

KERNELS = {"fused": SDPBackend.FLASH_ATTENTION, "math": SDPBackend.MATH}
H, D = 2, 8
ATTENTION: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "plain": ((N, H, T, D), (N, H, T, D), {}),
    "other keys": ((N, H, T, D), (N, H, S, D), {}),
    "masked": ((N, H, T, D), (N, H, S, D), {"attn_mask": torch.zeros(T, S)}),
    "causal": ((N, H, T, D), (N, H, T, D), {"is_causal": True}),
    "fewer heads of keys": ((N, 2 * H, T, D), (N, H, S, D), {"enable_gqa": True}),
    "without heads": ((N, T, D), (N, T, D), {}),
}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("case", ATTENTION)
def test_attention_costs_its_products_by_every_kernel(case: str, kernel: str) -> None:
    """Forward 2; backward 4, and the first one again where it is fused."""
    ours, theirs, options = ATTENTION[case]
    heads = ours[1] if len(ours) == 4 else 1
    once = 2 * N * heads * T * theirs[-2] * D
    q, k, v = asks(*ours), asks(*theirs), asks(*theirs)
    with sdpa_kernel(KERNELS[kernel]):
        for mode in Modes.values():
            with mode():
                found = counted(lambda: F.scaled_dot_product_attention(q, k, v, **options))
            assert (found.kinds["linear"], found.total, found.uncounted) == (2 * once, 2 * once, set())
        back = backward(lambda: F.scaled_dot_product_attention(q, k, v, **options))
    assert (back.total, back.uncounted) == ((5 if kernel == "fused" else 4) * once, set())


def test_attention_to_values_of_another_width() -> None:
    q, k, v = asks(N, H, T, D), asks(N, H, S, D), asks(N, H, S, 6)
    once = 2 * N * H * T * S
    assert counted(lambda: F.scaled_dot_product_attention(q, k, v)).total == once * (D + 6)
    assert backward(lambda: F.scaled_dot_product_attention(q, k, v)).total == once * (2 * D + 2 * 6)


LENGTH_FIRST = ("_flash_attention", "_efficient_attention")
FUSED = [name for name in FORMULAS if "attention" in name]


@pytest.mark.parametrize("name", FUSED)
def test_formulas_of_kernels_of_other_devices(name: str) -> None:
    """Features of queries and keys 8, of values 6: forward one product over each, backward 3 and 2."""
    first = name.startswith(LENGTH_FIRST)
    q, k, v = (
        torch.empty(N, size, H, d) if first else torch.empty(N, H, size, d) for size, d in ((T, 8), (S, 8), (S, 6))
    )
    kind, formula = FORMULAS[name]
    given = {"query": q, "key": k, "value": v, "q": q, "k": k, "v": v}
    pencil = 3 * 8 + 2 * 6 if name.endswith("backward") else 8 + 6
    assert (kind, formula(given, None)) == ("linear", 2 * N * H * T * S * pencil)


def test_sequences_one_behind_the_other() -> None:
    """Each sequence attends to itself alone: 2 and 3 queries to 4 and 1 keys."""
    _, formula = FORMULAS["_flash_attention_forward"]
    q, k = torch.empty(5, H, D), torch.empty(5, H, D)
    given = {
        "query": q,
        "key": k,
        "value": k,
        "cum_seq_q": torch.tensor([0, 2, 5]),
        "cum_seq_k": torch.tensor([0, 4, 5]),
    }
    assert formula(given, None) == 4 * H * D * (2 * 4 + 3 * 1)
    assert formula({**given, "window_size_left": 2}, None) is None
    assert formula({**given, "cum_seq_k": None}, None) is None


# -- layers ----------------------------------------------------------------------------------------------------

W, F_ = 8, 16
"""Width of a transformer, and of its layers in between."""
SELF = 2 * T * 4 * W * W + 4 * T * T * W
"""Attention of T tokens to themselves: four matrices, two products."""
CROSS = 2 * (2 * T + 2 * S) * W * W + 4 * T * S * W
NORM = 7 * T * W


def self_attention(**options: Any) -> nn.Module:
    return Called(nn.MultiheadAttention(W, 2, batch_first=True), lambda own, x: own(x, x, x, **options))


class Called(nn.Module):
    """A layer, called in another way."""

    def __init__(self, own: nn.Module, call: Callable[..., Any]) -> None:
        super().__init__()
        self.own, self.call = own, call

    def forward(self, *given: Tensor) -> Any:
        return self.call(self.own, *given)


def packed(own: nn.Module, x: Tensor) -> Tensor:
    lengths = [T, 2, 1]
    return own(pack_padded_sequence(x, lengths, batch_first=True))[0].data  # type: ignore[no-any-return]


ENCODER = SELF + 4 * T * W * F_
DECODER = SELF + CROSS + 4 * T * W * F_
BAG = torch.randint(0, 9, (N, 4), generator=torch.Generator().manual_seed(0))
LAYERS: dict[str, tuple[Build, list[tuple[int, ...]], int, int, int]] = {
    "bilinear": (lambda: nn.Bilinear(3, 4, 6), [(3,), (4,)], 2 * 6 * (3 * 4 + 4), 3 * 2 * 6 * 3 * 4, 0),
    "lstm": (lambda: nn.LSTM(4, 6, batch_first=True), [(T, 4)], 2 * T * 24 * 10, 4 * T * 24 * 10, 0),
    "lstm of two layers and directions": (
        lambda: nn.LSTM(4, 6, 2, bidirectional=True, batch_first=True),
        [(T, 4)], 2 * T * 2 * 24 * (4 + 6 + 12 + 6), 4 * T * 2 * 24 * (4 + 6 + 12 + 6), 0,
    ),
    "lstm with projections": (  # put together of steps: the first state wants no gradient
        lambda: nn.LSTM(4, 6, proj_size=3, batch_first=True),
        [(T, 4)], 2 * T * (24 * (4 + 3) + 6 * 3), 4 * T * (24 * (4 + 3) + 6 * 3) - 2 * 24 * 3, 0,
    ),
    "gru": (
        lambda: nn.GRU(4, 6, batch_first=True), [(T, 4)], 2 * T * 18 * 10, 4 * T * 18 * 10 - 2 * 18 * 6, 0,
    ),
    "rnn of two directions": (
        lambda: nn.RNN(4, 6, bidirectional=True, batch_first=True),
        [(T, 4)], 2 * 2 * T * 6 * 10, 2 * (4 * T * 6 * 10 - 2 * 6 * 6), 0,
    ),
    "lstm cell": (lambda: nn.LSTMCell(4, 6), [(4,)], 2 * 24 * 10, 4 * 24 * 10 - 2 * 24 * 6, 0),
    "gru cell": (lambda: nn.GRUCell(4, 6), [(4,)], 2 * 18 * 10, 4 * 18 * 10 - 2 * 18 * 6, 0),
    "rnn cell": (lambda: nn.RNNCell(4, 6), [(4,)], 2 * 6 * 10, 4 * 6 * 10 - 2 * 6 * 6, 0),
    "attention with weights": (self_attention, [(T, W)], SELF, 2 * SELF, 0),
    "attention, fused": (lambda: self_attention(need_weights=False), [(T, W)], SELF, 2 * SELF + 2 * T * T * W, 0),
    "encoder layer": (
        lambda: nn.TransformerEncoderLayer(W, 2, F_, 0.0, batch_first=True),
        [(T, W)], ENCODER, 2 * ENCODER + 2 * T * T * W, 2 * NORM,
    ),
    "encoder": (
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(W, 2, F_, 0.0, batch_first=True, norm_first=True), 2,
                                      enable_nested_tensor=False),
        [(T, W)], 2 * ENCODER, 2 * (2 * ENCODER + 2 * T * T * W), 4 * NORM,
    ),
    "decoder layer": (
        lambda: nn.TransformerDecoderLayer(W, 2, F_, 0.0, batch_first=True),
        [(T, W), (S, W)], DECODER, 2 * DECODER + 2 * T * T * W + 2 * T * S * W, 3 * NORM,
    ),
    "rms norm": (lambda: nn.RMSNorm(W), [(T, W)], 0, 0, 0),
    "response norm": (lambda: nn.LocalResponseNorm(2), [(4, 6, 6)], 0, 0, 0),
    "pooling": (lambda: nn.Sequential(nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1)), [(4, 6, 6)], 0, 0, 0),
    "bilinear upsampling": (
        lambda: nn.Upsample(scale_factor=2, mode="bilinear"), [(4, 3, 3)], 2 * 4 * 4 * 36, 2 * 4 * 4 * 36, 0,
    ),
    "nearest upsampling": (lambda: nn.Upsample(scale_factor=2), [(4, 3, 3)], 0, 0, 0),
    "unfold and fold": (
        lambda: nn.Sequential(nn.Unfold(3), nn.Fold((6, 6), 3)), [(2, 6, 6)], 0, 0, 0,
    ),
    "losses": (
        lambda: Called(nn.Identity(), lambda own, x: F.cross_entropy(x, x.softmax(1))), [(4,)], 0, 0, 0,
    ),
    "similarity": (lambda: nn.CosineSimilarity(), [(4,), (4,)], 0, 0, 0),
    "distances": (
        lambda: Called(nn.Identity(), lambda own, x, y: torch.cdist(x, y)),
        [(T, 4), (S, 4)], 3 * T * S * 4, 6 * T * S * 4, 0,
    ),
    "distances by 1": (
        lambda: Called(nn.Identity(), lambda own, x, y: torch.cdist(x, y, p=1.0)),
        [(T, 4), (S, 4)], 3 * T * S * 4, 6 * T * S * 4, 0,
    ),
    "affine grid": (
        lambda: Called(nn.Identity(), lambda own, x: F.affine_grid(x, [len(x), 1, 4, 5], align_corners=False)),
        [(2, 3)], 2 * 20 * 2 * 3, 2 * 20 * 2 * 3, 0,
    ),
    "sampling on a grid": (
        lambda: Called(nn.Identity(), lambda own, x, g: F.grid_sample(x, g.tanh(), align_corners=False)),
        [(3, 6, 6), (4, 5, 2)], 2 * 4 * 60, 3 * 2 * 4 * 60, 0,
    ),
}  # fmt: skip
"""Layer, shapes of its inputs, FLOPs of an image: of products forward and backward, of norms forward."""


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("n", [1, N])
def test_whole_layers_cost_what_a_pencil_says(name: str, n: int) -> None:
    """In training and in evaluation, with and without gradients."""
    build, shapes, forth, back, norms = LAYERS[name]
    layer, given = build(), [asks(n, *shape) for shape in shapes]
    for training in (True, False):
        layer.train(training)
        for mode in Modes.values():
            with mode():
                found = counted(lambda: layer(*given))
            assert (found.total - found.kinds["norm"], found.kinds["norm"]) == (n * forth, n * norms)
            assert found.uncounted == set()
        there = backward(lambda: layer(*given))
        assert (there.total - there.kinds["norm"], there.uncounted) == (n * back, set())


@pytest.mark.parametrize(("build", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_packed_sequences_cost_their_steps(build: Callable[..., nn.Module], gates: int) -> None:
    layer = build(4, 6, batch_first=True)
    assert counted(lambda: packed(layer, noise(3, T, 4))).total == 2 * (T + 2 + 1) * gates * 6 * 10


@pytest.mark.parametrize(("mode", "each"), [("sum", 1), ("mean", 1), ("max", 1), ("weighted", 2)])
def test_bags_cost_their_rows(mode: str, each: int) -> None:
    weight, rows = asks(9, 5), noise(N, 4).requires_grad_() if mode == "weighted" else None
    kind = "sum" if mode == "weighted" else mode

    def bag() -> Tensor:
        return F.embedding_bag(BAG, weight, mode=kind, per_sample_weights=rows)

    assert counted(bag).total == each * N * 4 * 5
    assert backward(bag).total == (each if rows is None else 2 + 2) * N * 4 * 5
    assert counted(lambda: F.embedding(BAG, weight)).total == 0


CUDNN = [
    torch.empty(24, 4),
    torch.empty(24, 6),
    torch.empty(24),
    torch.empty(24),
    torch.empty(24, 6),
    torch.empty(24, 6),
]


@pytest.mark.parametrize("name", ["_cudnn_rnn", "miopen_rnn", "_lstm_mps"])
def test_recurrent_layers_of_other_devices(name: str) -> None:
    """Every matrix times every step, the weights' gradients only where they are asked for."""
    given = {"input": torch.empty(T, N, 4), "weight": CUDNN, "params": CUDNN}
    once = 2 * T * N * 24 * (4 + 6 + 6 + 6)
    assert FORMULAS[name][1](given, None) == once
    behind = "lstm_mps_backward" if name == "_lstm_mps" else f"{name}_backward"
    assert FORMULAS[behind][1](given, None) == 2 * once
    assert FORMULAS[behind][1]({**given, "output_mask": (True, True, True, False)}, None) == once


@pytest.mark.parametrize(
    ("do", "flops"),
    [
        (lambda: noise(4, 6).addmm_(noise(4, 5), noise(5, 6)), 2 * 4 * 5 * 6),
        (lambda: noise(2, 4, 6).baddbmm_(noise(2, 4, 5), noise(2, 5, 6)), 2 * 2 * 4 * 5 * 6),
        (lambda: noise(4).addmv_(noise(4, 5), noise(5)), 2 * 4 * 5),
        (lambda: torch.addr(noise(3, 4), noise(3), noise(4)), 2 * 3 * 4),
        (lambda: torch.tensordot(noise(3, 4, 5), noise(4, 5, 6)), 2 * 3 * 20 * 6),
        (lambda: torch.linalg.multi_dot([noise(2, 3), noise(3, 4), noise(4, 5)]), 2 * (2 * 3 * 4 + 2 * 4 * 5)),
        (lambda: torch.conv_tbc(noise(5, N, 2), noise(3, 2, 4), noise(4)), 2 * 3 * N * 24),
        (lambda: torch.cdist(noise(30, 4), noise(40, 4)), 2 * 30 * 40 * 6),
        (lambda: F.pdist(noise(6, 4)), 3 * 15 * 4),
        (lambda: torch.sparse.mm(torch.eye(4).to_sparse(), noise(4, 5)), 2 * 4 * 5),
        (lambda: torch.eye(4).to_sparse_csr() @ noise(4, 5), 2 * 4 * 5),
        (lambda: torch.einsum("ij,jk->ik", *(noise(*size) + 0j for size in ((3, 4), (4, 5)))), 4 * 2 * 3 * 4 * 5),
        (lambda: torch.vdot(noise(4) + 0j, noise(4) + 0j), 4 * 2 * 4),
        (lambda: torch.vmap(torch.mm)(noise(2, 3, 4), noise(2, 4, 5)), 2 * 2 * 3 * 4 * 5),
    ],
)  # fmt: skip
def test_products_in_other_forms(do: Callable[[], object], flops: int) -> None:
    found = counted(do)
    assert (found.total, found.uncounted) == (flops, set())


# -- what is not known says so ---------------------------------------------------------------------------------


@pytest.fixture
def twice() -> Iterator[Callable[[Tensor], Tensor]]:
    """An operator of somebody else's: a matrix times itself."""
    operator = torch.library.custom_op(
        "elsewhere::twice", lambda x: x @ x, mutates_args=(), schema="(Tensor x) -> Tensor"
    )
    operator.register_autograd(lambda context, given: given, setup_context=lambda ctx, inputs, output: None)
    yield operator
    flop_registry.pop(torch.ops.elsewhere.twice, None)


def test_operators_of_others_are_told_by_name(twice: Callable[[Tensor], Tensor]) -> None:
    """Until their formula is registered; the rest is counted all the same."""

    def run() -> Tensor:
        return twice(noise(4, 4)) @ noise(4, 4)

    for mode in Modes.values():
        with mode():
            found = counted(run)
        assert (found.total, found.uncounted) == (2 * 4**3, {"elsewhere::twice"})

    @register_flop_formula(torch.ops.elsewhere.twice)
    def flops(shape: tuple[int, int], *given: object, **more: object) -> int:
        return 2 * int(shape[0]) ** 3

    found = counted(run)
    assert (found.total, found.uncounted) == (2 * 2 * 4**3, set())


@pytest.mark.parametrize(
    ("do", "name"),
    [
        (lambda: torch.fft.rfft(noise(8)), "aten::_fft_r2c"),
        (lambda: torch.linalg.eigh(torch.eye(3)), "aten::_linalg_eigh"),
        (lambda: torch.linalg.inv(torch.eye(3)), "aten::linalg_inv_ex"),
        (lambda: F.interpolate(noise(1, 1, 8, 8), 4, mode="bilinear", antialias=True), "aten::_upsample_bilinear2d_aa"),
        (lambda: torch.cond(torch.tensor(True), lambda x: x @ x, lambda x: x, (noise(3, 3),)), "higher_order::cond"),
        (lambda: torch.eye(3).to_sparse() @ torch.eye(3).to_sparse(), "aten::mm"),
        (lambda: F.linear(torch.nested.nested_tensor([noise(2, 3), noise(4, 3)]), noise(5, 3)), "aten::linear"),
        (lambda: torch._native_multi_head_attention(*[noise(1, 2, 4)] * 3, 4, 1, noise(12, 4), noise(12), noise(4, 4),
                                                    noise(4)), "aten::_native_multi_head_attention"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*nested tensors is in prototype")
def test_operators_without_a_count_are_told_by_name(do: Callable[[], object], name: str) -> None:
    found = counted(do)
    assert found.uncounted == {name}


@pytest.mark.parametrize(
    ("formula", "run"),
    [
        (
            "_scaled_dot_product_flash_attention_for_cpu",
            lambda: F.scaled_dot_product_attention(*[noise(1, 1, 4, 8)] * 3),
        ),
        ("addmm", lambda: nn.Linear(3, 2)(noise(1, 3))),
        ("_trilinear", lambda: nn.Bilinear(2, 2, 2)(noise(1, 2), noise(1, 2))),
        ("mkldnn_rnn_layer", lambda: nn.LSTM(2, 2)(noise(3, 1, 2))),
        ("native_layer_norm", lambda: nn.LayerNorm(4)(noise(2, 4))),
    ],
)
def test_without_its_formula_an_operator_is_told(
    formula: str, run: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(FORMULAS, formula)
    monkeypatch.delitem(flop_registry, getattr(torch.ops.aten, formula), raising=False)
    assert counted(run).uncounted == {f"aten::{formula}"}


def test_no_operator_stands_in_both_tables() -> None:
    assert not FREE & FORMULAS.keys()
    assert not any(is_free(f"elsewhere::{name}") for name in ("add", "relu", "view"))
    assert is_free("aten::_foreach_add_")
    assert not is_free("aten::_foreach_mm")
    assert formula_of("elsewhere::mm") is None


def test_products_of_nested_tensors_are_counted_in_their_parts() -> None:
    rows = torch.nested.nested_tensor([noise(2, 3), noise(4, 3)], layout=torch.jagged)
    found = counted(lambda: rows @ noise(3, 5))
    assert (found.total, found.uncounted) == (2 * 6 * 3 * 5, set())


def test_compiled_functions_run_as_written_while_counting() -> None:
    weight = noise(4, 4)
    function = torch.compile(lambda x: (x @ weight).relu(), backend="eager")
    assert counted(lambda: function(noise(2, 4))).total == 2 * 2 * 4 * 4


def test_the_fused_evaluation_is_off_while_counting_and_as_before_afterwards() -> None:
    layer = nn.TransformerEncoder(nn.TransformerEncoderLayer(W, 2, F_, batch_first=True), 1).eval()
    padding = torch.tensor([[False] * T, [False] * 3 + [True] * (T - 3)])
    for enabled in (True, False):
        torch.backends.mha.set_fastpath_enabled(enabled)
        try:
            with torch.no_grad():
                found = counted(lambda: layer(noise(2, T, W), src_key_padding_mask=padding))
            assert (found.total - found.kinds["norm"], found.uncounted) == (2 * ENCODER, set())
            with pytest.raises(KeyError), Counter(), Counter():
                raise KeyError
            assert torch.backends.mha.get_fastpath_enabled() is enabled
        finally:
            torch.backends.mha.set_fastpath_enabled(True)


# -- tasks -----------------------------------------------------------------------------------------------------


class Attending(nn.Module):
    """Rows of an 8x8 image attend to each other; with an operator that nobody knows, where one is given."""

    def __init__(self, also: Callable[[Tensor], Tensor] = lambda x: x) -> None:
        super().__init__()
        self.layer, self.also = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True), also
        self.code = nn.Linear(64, 4)

    def forward(self, x: Tensor) -> Tensor:
        codes: Tensor = self.code(self.also(self.layer(x[:, 0])).flatten(1))
        return codes


def attending(also: Callable[[Tensor], Tensor] = lambda x: x) -> Autoencoder:
    task = Autoencoder((1, 8, 8), width=4, latent=4)
    task.encoder = Attending(also)
    return task


def test_attention_counts_in_a_tasks_forward_pass_and_step() -> None:
    """Under a mask what is prunable shrinks; attention's products and its parameters that are not stay dense."""
    task, plain_task = attending(), Autoencoder((1, 8, 8), width=4, latent=4)
    decoder = network_flops(plain_task).dense - forward_flops(plain_task).of("encoder").kind("convolution").dense
    decoder -= forward_flops(plain_task).of("encoder").kind("linear").dense
    encoder = 2 * 8 * 4 * 8 * 8 + 4 * 8 * 8 * 8 + 4 * 8 * 8 * 16 + 2 * 64 * 4
    assert network_flops(task).dense == encoder + decoder
    assert network_flops(task).uncounted == step_flops(task, 4).uncounted == frozenset()
    nothing = type(full_mask(task))({name: torch.zeros_like(kept) for name, kept in full_mask(task).items()})
    left = 4 * 8 * 8 * 8 + 2 * 8 * 3 * 8 * 8 * ("encoder.layer.self_attn.in_proj_weight" not in nothing)
    assert masked_flops(task, nothing) == left
    step = step_flops(task, 4)
    assert step.layers[""] == (2 + 5) * 4 * 2 * 8 * 8 * 8


def test_a_task_with_an_unknown_operator_says_so() -> None:
    task = attending(lambda x: torch.fft.rfft2(x, s=x.shape[-2:]).abs().sum() * 0 + x)
    assert forward_flops(task).uncounted == network_flops(task).uncounted == {"aten::_fft_r2c"}
    assert forward_flops(task).of("decoder").uncounted == frozenset()
    assert "aten::_fft_r2c" in step_flops(task, 4).uncounted
    assert network_flops(task).dense == network_flops(attending()).dense


def test_kinds_stay_three() -> None:
    assert KINDS == ("convolution", "linear", "norm")


# -- what ships ------------------------------------------------------------------------------------------------


def shipped_tasks() -> dict[str, Task]:
    """A narrow task of each kind that a shipped recipe trains."""
    found: dict[str, Task] = {}
    for name in shipped_recipes():
        task = load_recipe(name).task
        narrow = {"width": 2 if task.keywords.get("network") == "maxpool" else 4}
        known = dict(sorted({**task.keywords, **narrow}.items()))
        if (key := f"{task.family} {known}") not in found:
            side = 32 if known.get("network") in ("maxpool", "resnet", "resnet18", "sngan") else 16
            found[key] = FAMILIES[task.family]((1, side, side), **known)
    return found


def test_no_shipped_recipe_is_counted_at_least() -> None:
    """Its steps, its forward pass and a sample; whole runs are in `test_experiment` and `test_early_bird_runs`."""
    tasks = shipped_tasks()
    assert len(tasks) > 15
    for key, task in tasks.items():
        assert step_flops(task, 4).uncounted == network_flops(task).uncounted == frozenset(), key
        call = sampler(task, torch.zeros(4, *task.image))
        assert call is not None
        with untouched(task, 0):
            assert counted(call).uncounted == set(), key


@pytest.mark.parametrize("case", ["vae-conv", "gan-mlp"])
def test_no_criterion_is_counted_at_least(case: str, batches: Batches) -> None:
    for name, criterion in CRITERIA.items():
        task = make_task(case)
        found = counted(lambda task=task, criterion=criterion: criterion(task, [batches(0)], seed=0))  # type: ignore[misc]
        assert found.uncounted == set(), name


class Cubed(Task):
    """Its loss multiplies a matrix of pairs of images with itself."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.net = (1, 2, 2), nn.Linear(4, 4, bias=False)

    def objectives(self) -> list[Objective]:
        def loss(batch: Tensor, draw: object) -> Tensor:
            codes = self.net(batch.flatten(1))
            pairs = codes @ codes.t()
            return (pairs @ pairs).mean()

        return [Objective("pairs", loss, ("net",))]


@pytest.mark.parametrize("n", [1, 3, 8, 32])
def test_a_loss_that_grows_with_the_cube_of_the_batch_is_counted_by_the_batch(n: int) -> None:
    """Each product forward, and two backward; the images have no gradient."""
    assert step_flops(Cubed(), n).total == 2 * (2 * 16 * n) + 3 * (2 * 4 * n**2) + 3 * (2 * n**3)


def test_products_of_distributed_tensors_are_named(tmp_path: Path) -> None:
    """Counted with the shapes of their first call, they were twice what they cost."""
    from torch import distributed
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import DTensor, Replicate, distribute_tensor

    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        mesh = init_device_mesh("cpu", (1,))
        weight = distribute_tensor(torch.randn(4, 3), mesh, [Replicate()])
        given = DTensor.from_local(torch.randn(5, 4), mesh, [Replicate()])
        with Counter() as counter:
            out = given @ weight
        assert torch.equal(out.to_local(), given.to_local() @ weight.to_local())
        assert counter.total == 0
        assert "aten::mm of a DTensor" in counter.uncounted
    finally:
        distributed.destroy_process_group()
