"""Whether held networks train as with masked gradients: random networks, masks and optimizers, against a plain loop.

The plain loop is the definition: after each backward pass gradients are multiplied by the mask, after each step the
weights. Kept weights must be the same, bit for bit, and pruned ones zero, before every forward pass and at the end.

    python benchmarks/masked_training.py [--examples 1000] [--seed 0] [--quick]
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from typing import Any

import torch
from goals import goal
from torch import Tensor, nn

from gentickets.masks import Mask, full_mask, hold

Parameters = Iterable[nn.Parameter]
Build = Callable[[Parameters], torch.optim.Optimizer]
STEPS = 4


class Tied(nn.Module):
    """An autoencoder whose decoder uses the encoder's weight, transposed, as a parameter on the same memory."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(16, 6, bias=False), nn.Linear(6, 16, bias=False)
        self.decoder.weight = nn.Parameter(self.encoder.weight.detach().t())

    def forward(self, x: Tensor) -> Tensor:
        """(n, 16) to (n, 16)."""
        y: Tensor = self.decoder(torch.tanh(self.encoder(x)))
        return y


class Shared(nn.Module):
    """One layer under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(16, 16), nn.Linear(16, 16)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        """(n, 16) to (n, 16)."""
        y: Tensor = self.second(torch.tanh(self.first(x)))
        return y


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Sequential(nn.Linear(16, 12), nn.Tanh(), nn.Linear(12, 16)),
    "conv": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 4, 4)), nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Tanh(),
        nn.ConvTranspose2d(3, 1, 3, padding=1), nn.Flatten(),
    ),
    "shared": Shared,
    "tied": Tied,
    "spectral": lambda: nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(16, 16)), nn.Linear(16, 16)),
    "weight norm": lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(16, 16)), nn.Linear(16, 16)),
}  # fmt: skip


class SAM(torch.optim.Optimizer):
    """Sharpness-aware minimization as it is commonly written: two half steps, and `step` of another optimizer."""

    def __init__(self, parameters: Parameters, base: Build, rho: float = 0.1) -> None:
        super().__init__(parameters, {"rho": rho})
        self.base_optimizer = base([p for group in self.param_groups for p in group["params"]])

    @torch.no_grad()
    def first_step(self) -> None:
        """Climb, by the norm of all gradients."""
        moving = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        norm = torch.stack([p.grad.norm() for p in moving]).norm() + 1e-12
        for p in moving:
            self.state[p]["before"] = p.detach().clone()
            p.data.add_(p.grad * self.param_groups[0]["rho"] / norm)

    @torch.no_grad()
    def second_step(self) -> None:
        """Go back, and step by the gradients of the top."""
        for p, state in self.state.items():
            p.data.copy_(state["before"])
        self.base_optimizer.step()


class Whole(torch.optim.Optimizer):
    """A step by the whole tensor's norm, as LARS and LAMB take it, written through ``.data``."""

    def __init__(self, parameters: Parameters, lr: float = 0.01) -> None:
        super().__init__(parameters, {"lr": lr})

    def step(self, closure: Any = None) -> None:
        """By lr |w| / |g| times g."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.data.add_(p.grad * (-group["lr"] * p.data.norm() / (p.grad.norm() + 1e-12)))


def _matrices(build: Callable[[list[nn.Parameter]], torch.optim.Optimizer]) -> Build:
    return lambda parameters: build([p for p in parameters if p.ndim == 2])


def optimizers() -> dict[str, Build]:
    """Every optimizer that this PyTorch has for dense gradients, in several settings, and kinds from elsewhere."""
    found: dict[str, Build] = {
        "SAM": lambda p: SAM(p, lambda q: torch.optim.SGD(q, lr=0.05, momentum=0.9)),
        "SAM, fused": lambda p: SAM(p, lambda q: torch.optim.Adam(q, lr=0.01, fused=True)),
        "by norms": Whole,
    }
    for name in dir(torch.optim):
        kind = getattr(torch.optim, name)
        if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer) and kind is not torch.optim.Optimizer:
            found |= _settings(name, kind)
    return found


def _settings(name: str, kind: Any) -> dict[str, Build]:
    if name == "SparseAdam":
        return {}  # takes no dense gradients
    if name == "Muon":
        return {name: _matrices(lambda p: kind(p, lr=0.02))}
    found: dict[str, Build] = {name: lambda p: kind(p)}
    if name in ("Adam", "AdamW"):
        found[f"{name}, fused"] = lambda p: kind(p, lr=0.01, fused=True)
        found[f"{name}, decay"] = lambda p: kind(p, lr=0.01, weight_decay=0.1, amsgrad=True)
        found[f"{name}, foreach"] = lambda p: kind(p, lr=0.01, foreach=True)
    if name in ("SGD", "RMSprop"):
        found[f"{name}, momentum"] = lambda p: kind(p, lr=0.01, momentum=0.9, weight_decay=0.01)
    if name == "SGD":
        found[f"{name}, fused"] = lambda p: kind(p, lr=0.05, momentum=0.9, nesterov=True, fused=True)
    if name == "LBFGS":
        found[f"{name}, Wolfe"] = lambda p: kind(p, lr=0.5, max_iter=4, line_search_fn="strong_wolfe")
    return found


def train(net: nn.Module, optimizer: Any, inputs: Tensor, after_backward: Callable[[], object]) -> None:
    """Some steps of reconstruction; `after_backward` is called before the optimizer sees gradients."""
    for x in inputs:

        def closure(x: Tensor = x) -> Tensor:
            optimizer.zero_grad()
            loss: Tensor = (net(x) - x).square().mean()
            loss.backward()  # type: ignore[no-untyped-call]
            after_backward()
            return loss

        if isinstance(optimizer, SAM):
            closure()
            optimizer.first_step()
            closure()
            optimizer.second_step()
        elif isinstance(optimizer, torch.optim.LBFGS):
            optimizer.step(closure)  # type: ignore[no-untyped-call]
        else:
            closure()
            optimizer.step()


def by_hand(net: nn.Module, build: Build, masks: dict[str, Tensor], inputs: Tensor) -> None:
    """The definition: gradients times mask after each backward pass, weights times mask before each forward pass."""
    weights = {name: weight for name, weight in net.named_parameters(remove_duplicate=False) if name in masks}

    def mask_gradients() -> None:
        for name, weight in weights.items():
            if weight.grad is not None:
                weight.grad.mul_(masks[name])

    def mask_weights(*_: object) -> None:
        for name, weight in weights.items():
            weight.data.mul_(masks[name])

    mask_weights()
    net.register_forward_pre_hook(mask_weights)
    train(net, build(net.parameters()), inputs, mask_gradients)
    mask_weights()


def example(seed: int) -> tuple[str, bool, str]:
    """One network, mask and optimizer drawn from a seed: their name, whether all is as by hand, and what is not."""
    rng = torch.Generator().manual_seed(seed)
    choices = optimizers()
    network, name = (_pick(list(options), rng) for options in (NETWORKS, choices))
    network = "linear" if name == "Muon" and network == "conv" else network  # it takes matrices only
    network = "shared" if name.startswith("LBFGS") and network == "tied" else network  # it takes no transposes
    with torch.random.fork_rng([]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        net = NETWORKS[network]()
        net(torch.randn(4, 16))
    mask = random_mask(net, rng)
    inputs = torch.randn(STEPS, 8, 16, generator=rng)
    wrong = compare(net, choices[name], mask, inputs)
    return f"{name}, {network}, {mask.density:.0%}, seed {seed}", not wrong, wrong


def compare(net: nn.Module, build: Build, mask: Mask, inputs: Tensor) -> str:
    """What differs between a network that is held and one that is masked by hand; nothing as a rule."""
    held, other = retied(deepcopy(net)), retied(deepcopy(net))
    optimizer, alive = build(held.parameters()), [0]
    try:
        handle = hold(mask, held, optimizer)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    masks = under_all_names(other, mask)
    other.load_state_dict(held.state_dict())  # spectral norms are settled
    held.register_forward_pre_hook(lambda *_: alive.append(handle.check()))
    train(held, optimizer, inputs, lambda: None)
    alive.append(handle.check())
    by_hand(other, build, masks, inputs)
    finite = all(bool(torch.isfinite(weight).all()) for weight in other.parameters())
    if any(alive) and finite:  # a product keeps NaN, by hand too
        return f"{max(alive)} pruned weights were alive"
    theirs = dict(other.named_parameters())
    differing = [name for name, weight in held.named_parameters() if not _same(weight, theirs[name])]
    return f"{', '.join(differing)} differ" if differing else ""


def random_mask(net: nn.Module, rng: torch.Generator) -> Mask:
    """Random masks at random densities; one weight of every row stays, which weight norm divides by."""
    found = {}
    for name, kept in full_mask(net).items():
        density = float(torch.rand((), generator=rng))
        drawn = torch.rand(kept.shape, generator=rng) < density
        drawn.flatten(1)[:, 0] = True
        found[name] = drawn
    return Mask(found)


def retied(net: nn.Module) -> nn.Module:
    """A deep copy unties tensors that are two parameters on one memory."""
    if isinstance(net, Tied):
        net.decoder.weight = nn.Parameter(net.encoder.weight.detach().t())
    return net


def under_all_names(net: nn.Module, mask: Mask) -> dict[str, Tensor]:
    """The mask of every parameter whose memory it covers."""
    masks = dict(mask)
    if isinstance(net, Tied):
        masks["decoder.weight"] = mask["encoder.weight"].t()
    return masks


def examples(seed: int, n: int) -> Iterator[tuple[str, bool, str]]:
    """``n`` examples: what was tried, whether it held, and why not."""
    for number in range(n):
        yield example(seed + number)


def _pick(options: list[str], rng: torch.Generator) -> str:
    return options[int(torch.randint(len(options), (), generator=rng))]


def _same(one: Tensor, other: Tensor) -> bool:
    return torch.equal(one.nan_to_num(nan=1e30) + 0.0, other.nan_to_num(nan=1e30) + 0.0)


def main() -> None:
    """Try examples, and print those that did not hold."""
    parser = argparse.ArgumentParser(description="Held networks against masked gradients.")
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a tenth of the examples")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    tried, held = chosen.examples // (10 if chosen.quick else 1), 0
    for name, ok, why in examples(chosen.seed, tried):
        held += ok
        if not ok:
            print(f"{name}: {why}")
    print(f"{held} of {tried} held networks trained as with masked gradients")
    goal("held networks that trained otherwise", tried - held, 0)
    sys.exit(held < tried)


if __name__ == "__main__":
    main()
