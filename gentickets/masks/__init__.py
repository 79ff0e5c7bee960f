"""Masks: which weights stay, which go, and how they are held there."""

from .channels import Channels
from .densities import erk, erk_like, shuffled, uniform
from .excluded import by_reason, excluded
from .held import unhold
from .hold import Hold, Holding, apply_mask, hold
from .interop import from_torch_prune, masked_state_dict
from .mask import (
    PRUNABLE,
    Mask,
    component_of,
    full_mask,
    left_out,
    plain_name,
    prunable,
    prunable_layers,
    require_initialized,
    require_maskable,
)
from .names import first_names, named_tensors, sharing, under_all_names
from .select import SCOPES, Magnitudes, Scores, keep_top, tied_share
from .unprunable import require_prunable

__all__ = [
    "PRUNABLE",
    "SCOPES",
    "Channels",
    "Hold",
    "Holding",
    "Magnitudes",
    "Mask",
    "Scores",
    "apply_mask",
    "by_reason",
    "component_of",
    "erk",
    "erk_like",
    "excluded",
    "first_names",
    "from_torch_prune",
    "full_mask",
    "hold",
    "keep_top",
    "left_out",
    "masked_state_dict",
    "named_tensors",
    "plain_name",
    "prunable",
    "prunable_layers",
    "require_initialized",
    "require_maskable",
    "require_prunable",
    "sharing",
    "shuffled",
    "tied_share",
    "under_all_names",
    "unhold",
    "uniform",
]
