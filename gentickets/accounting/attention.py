"""FLOPs of attention: the products of fused kernels, which arrive as one operation.

Forward 2 products: of queries with keys, of weights with values. Backward 5, whatever gradients are wanted: a fused
kernel makes the first product again, and then the gradients of values, weights, queries and keys. (Attention that is
put together of matrix products is counted as those, backward 4.)

A mask does not change the count, a causal one neither: how much of it is skipped depends on a kernel's blocks. Where
keys and values have fewer heads than queries, each head of the queries counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from math import prod
from typing import Any

from torch import Tensor

Given = Mapping[str, Any]
Formulas = dict[str, Callable[[Given, Any], int | None]]
FORWARD, BACKWARD = (1, 1), (3, 2)
"""How many products run over the features of queries and keys, and how many over those of values."""
SPECIAL = ("block_table", "seqused_k", "seqlen_k", "window_size", "window_size_left", "window_size_right")
"""Arguments under which a kernel sees some of the keys alone."""


def _heads_first(given: Given, out: object, products: tuple[int, int]) -> int:
    """Of queries (..., heads, length, features)."""
    query, key, value = _three(given)
    return _products(query, int(key.shape[-2]) * prod(query.shape[:-1]), value, products)


def _length_first(given: Given, out: object, products: tuple[int, int]) -> int | None:
    """Of queries (batch, length, heads, features), or of sequences one behind the other, with where they begin."""
    query, key, value = _three(given)
    if any(given.get(name) not in (None, -1) for name in SPECIAL):
        return None
    begins = [given.get(f"{start}_{side}") for side in "qk" for start in ("cum_seq", "cu_seqlens")]
    known = [begin.tolist() for begin in begins if begin is not None and begin.numel()]
    if not known:
        return _products(query, int(key.shape[1]) * prod(query.shape[:-1]), value, products)
    if len(known) != 2:
        return None
    lengths = zip(*([after - before for before, after in pairwise(begin)] for begin in known), strict=True)
    return _products(query, int(query.shape[-2]) * sum(ours * theirs for ours, theirs in lengths), value, products)


def _products(query: Tensor, pairs: int, value: Tensor, products: tuple[int, int]) -> int:
    """``pairs`` of a query and a key meet, over all heads and images."""
    of_keys, of_values = products
    return 2 * pairs * (of_keys * int(query.shape[-1]) + of_values * int(value.shape[-1]))


def _three(given: Given) -> tuple[Tensor, Tensor, Tensor]:
    query, key, value = (given[name] if name in given else given[name[0]] for name in ("query", "key", "value"))
    return query, key, value


_KERNELS = (
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_fused_attention_overrideable",
)
ATTENTION: Formulas = {
    **{name: partial(_heads_first, products=FORWARD) for name in _KERNELS},
    **{f"{name}_backward": partial(_heads_first, products=BACKWARD) for name in _KERNELS},
    "_scaled_dot_product_attention_math_for_mps": partial(_heads_first, products=FORWARD),
    "_triton_scaled_dot_attention": partial(_heads_first, products=FORWARD),
    "_flash_attention_forward": partial(_length_first, products=FORWARD),
    "_flash_attention_forward_no_dropout_inplace": partial(_length_first, products=FORWARD),
    "_efficient_attention_forward": partial(_length_first, products=FORWARD),
    "_flash_attention_backward": partial(_length_first, products=BACKWARD),
    "_efficient_attention_backward": partial(_length_first, products=BACKWARD),
}
"""Operation -> formula."""
