"""Export: trained networks for use without gentickets, as ONNX, or as safetensors with a reader of their own."""

from __future__ import annotations

from gentickets.export.described import as_safetensors, reader
from gentickets.export.onnx_file import as_onnx, check_packages
from gentickets.export.parts import BATCH, Part, parts_of
from gentickets.export.plain import plain

__all__ = ["BATCH", "Part", "as_onnx", "as_safetensors", "check_packages", "parts_of", "plain", "reader"]
