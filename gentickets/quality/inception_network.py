"""Inception's network: torch-fidelity's, with a check in front of its weights. Loads torchvision, so imported late."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

FEATURES = ("2048", "logits_unbiased")
Check = Callable[[Mapping[str, Tensor]], None]


class Network(FeatureExtractorInceptionV3):  # type: ignore[misc]  # the library has no types
    """uint8 images (n, 3, h, w) -> features (n, 2048), logits without their bias (n, 1008)."""

    def __init__(self, weights: io.BytesIO, check: Check) -> None:
        self._check = check
        super().__init__("inception-v3-compat", list(FEATURES), feature_extractor_weights_path=weights)
        del self._check

    def load_state_dict(self, state_dict: Mapping[str, Any], *arguments: Any, **keywords: Any) -> Any:
        """Load after the check of the names and shapes that are expected; counters that are missing are left at 0."""
        own = self.state_dict()
        self._check(own)
        known = {name: state_dict.get(name, value) for name, value in own.items()}
        return super().load_state_dict(known, *arguments, **keywords)
