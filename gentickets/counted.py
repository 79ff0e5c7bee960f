"""Counted norms: statistics over what is left of each group, with removed channels counted as the zeros that they were.

A GroupNorm, LayerNorm or RMSNorm whose other channels are silent (at zero) takes means and variances over all of them.
Its narrow form must do so too, or it is another function. So how many channels are left of each group stands beside the
scale and the shift, as ``left``; how many there were is what the norm was built with.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

LEFT = "left"
"""The name of the count in a norm's state: int64, one number for each group."""
_HALF = (torch.float16, torch.bfloat16)


class _Counted(nn.Module):
    """A norm that knows how many channels are left of each of its groups."""

    left: Tensor


class CountedGroupNorm(nn.GroupNorm, _Counted):
    """GroupNorm of (n, channels left, ...). ``num_groups`` and ``num_channels`` stay those of the full width."""

    def forward(self, input: Tensor) -> Tensor:
        """The same shape. Every channel's moments in one pass, each group's from those, one multiply-add."""
        if input.dtype in _HALF or torch.is_autocast_enabled(input.device.type):
            with torch.autocast(input.device.type, enabled=False):
                return self._normed(input.float()).to(input.dtype)
        return self._normed(input)

    def _normed(self, input: Tensor) -> Tensor:
        n, channels = input.shape[:2]
        count = self.num_channels // self.num_groups
        x, mean, rstd = torch.native_group_norm(input, None, None, n, channels, input[0, 0].numel(), channels, self.eps)
        member = _members(self.left, channels).to(mean.dtype)
        centre = (mean @ member.t() / count) @ member
        apart = (mean - centre).square() + rstd.pow(-2) - self.eps
        gone = ((count - self.left).to(mean.dtype) / count) @ member
        scale = ((apart @ member.t() / count) @ member + gone * centre.square() + self.eps).rsqrt()
        shift = (mean - centre) * scale
        if self.affine:
            scale, shift = scale * self.weight, shift * self.weight + self.bias
        shape = (n, channels) + (1,) * (input.ndim - 2)
        return torch.addcmul(shift.view(shape).to(x.dtype), x, (scale / rstd).view(shape).to(x.dtype))


class CountedLayerNorm(nn.LayerNorm, _Counted):
    """LayerNorm over a last dimension of which some is gone. ``normalized_shape`` stays that of the full width."""

    def forward(self, input: Tensor) -> Tensor:
        """The same shape."""
        width = input.shape[-1]
        share = width / self.normalized_shape[0]
        x, mean, rstd = torch.native_layer_norm(input, [width], None, None, self.eps)
        variance = rstd.pow(-2) - self.eps
        whole = (share * (variance + (1 - share) * mean.square()) + self.eps).rsqrt()
        x = torch.addcmul(((1 - share) * mean * whole).to(x.dtype), x, (whole / rstd).to(x.dtype))
        if self.weight is None:
            return x
        return x * self.weight if self.bias is None else torch.addcmul(self.bias, x, self.weight)


class CountedRMSNorm(nn.RMSNorm, _Counted):
    """RMSNorm over a last dimension of which some is gone. ``normalized_shape`` stays that of the full width."""

    def forward(self, input: Tensor) -> Tensor:
        """The same shape."""
        eps = torch.finfo(input.dtype).eps if self.eps is None else self.eps
        share = input.shape[-1] / self.normalized_shape[0]
        # mean over the full width = share * mean over what is left; a factor on both leaves torch's own function
        x = torch.rms_norm(input, [input.shape[-1]], None, eps / share) / share**0.5
        normed: Tensor = x if self.weight is None else x * self.weight
        return normed


COUNTED: dict[type[nn.Module], type[nn.Module]] = {
    nn.GroupNorm: CountedGroupNorm,
    nn.LayerNorm: CountedLayerNorm,
    nn.RMSNorm: CountedRMSNorm,
}


def full_runs(norm: nn.Module) -> tuple[int, ...] | None:
    """How many channels each statistic of a norm is over, group by group, at its full width; None for other modules.

    None too for a norm over several dimensions, whose channels do not stand along one.
    """
    if isinstance(norm, nn.GroupNorm):
        return (norm.num_channels // norm.num_groups,) * norm.num_groups
    if isinstance(norm, nn.LayerNorm | nn.RMSNorm) and len(norm.normalized_shape) == 1:
        return (int(norm.normalized_shape[0]),)
    return None


def runs_of(norm: nn.Module) -> tuple[int, ...] | None:
    """The same, as the norm now is: what is left of each group."""
    return tuple(norm.left.tolist()) if isinstance(norm, _Counted) else full_runs(norm)


def is_counted(norm: nn.Module) -> bool:
    """Whether a norm counts what was removed."""
    return isinstance(norm, _Counted)


def count_in(norm: nn.Module, left: Tensor) -> None:
    """Make a norm count what was removed, in place: its class and its ``left``; parameters stay, whatever shape."""
    if not isinstance(norm, _Counted):
        kind: Any = next(counted for plain, counted in COUNTED.items() if isinstance(norm, plain))
        norm.__class__ = kind
    device = next((tensor.device for tensor in norm.parameters()), left.device)
    norm.register_buffer(LEFT, left.detach().clone().to(device))


def _members(left: Tensor, channels: int) -> Tensor:
    """(groups, channels), True where the channel is of the group."""
    ends = left.cumsum(0)[:, None]
    place = torch.arange(channels, device=left.device)
    return (place < ends) & (place >= ends - left[:, None])
