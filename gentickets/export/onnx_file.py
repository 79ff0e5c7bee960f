"""ONNX files: a part as a graph with a batch of any size, compared with PyTorch before it is handed out."""

from __future__ import annotations

import inspect
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from gentickets import __version__
from gentickets.errors import Status, TicketError
from gentickets.export.parts import BATCH, Part
from gentickets.untouched import untouched

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
CLOSE = 1e-4
"""How far onnxruntime may be from PyTorch, absolute and relative."""
SIZES = (1, 2, 3, BATCH)
"""The batch sizes that are compared; the graph is made with another one."""
TRACED = 5
_MOST = 2**31 - 1
"""Bytes that one protocol buffer can hold."""


def check_packages() -> None:
    """Raise TicketError where a package that ONNX needs is missing."""
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        what = f"--format onnx needs the package{'s' * (len(missing) > 1)} {', '.join(missing)}"
        raise TicketError(f"{what}: pip install 'gentickets[onnx]'; --format safetensors needs none of them")


def as_onnx(part: Part, about: Mapping[str, str]) -> bytes:
    """The bytes of an ONNX file: one graph with its weights, its first dimension the batch's, of any size.

    ``about`` becomes its metadata, beside what goes in and comes out. Nothing of this machine stands in it (the
    exporter would write the paths of source files), and equal networks give equal bytes with equal packages.

    Raises TicketError (status 1) where PyTorch cannot export the part, or onnxruntime gives something else than it.
    """
    check_packages()
    with _quietly(), untouched(part.module, 0):
        model = _model(part)
        _clean(model)
        about = {**about, "part": part.name}
        for side, tensors in part.told().items():
            about |= {f"{side}.{one['name']}": f"{one['means']}, ({_spoken(one['shape'])})" for one in tensors}
        for key, value in sorted(about.items()):
            model.metadata_props.add(key=key, value=value)
        model.producer_name, model.producer_version = "gentickets", __version__
        data = _bytes(part, model)
        _compare(part, data)
    return data


def _spoken(shape: list[int | str]) -> str:
    return ", ".join(map(str, shape))


def _model(part: Part) -> Any:
    inputs = part.examples(TRACED)
    part.result(inputs)
    batch = torch.export.Dim("n", min=1)
    try:
        program = torch.onnx.export(
            part.module, inputs, dynamo=True, verbose=False, external_data=False,
            dynamic_shapes=_dynamic(part, batch), input_names=[name for name, _ in part.takes],
            output_names=[part.gives[0]],
        )  # fmt: skip
    except Exception as error:  # the exporter raises errors of many kinds, over many lines
        why = " ".join(str(error.__cause__ or error).split())[:300]
        raise TicketError(f"PyTorch cannot export '{part.name}' to ONNX: {why}", Status.FAILED) from error
    if program is None:
        raise TicketError(f"PyTorch cannot export '{part.name}' to ONNX", Status.FAILED)
    return program.model_proto


def _dynamic(part: Part, batch: Any) -> Any:
    """Which dimensions may change: the first of every input; modules that take ``*inputs`` want them in one tuple."""
    each = tuple({0: batch} for _ in part.takes)
    first = next(iter(inspect.signature(part.module.forward).parameters.values()))
    return (each,) if first.kind is first.VAR_POSITIONAL else each


def _clean(model: Any) -> None:
    """Drop what the exporter says about its own machine: stack traces with paths, names of Python objects."""
    for field, value in list(_fields(model)):
        if field in ("metadata_props", "doc_string"):
            value.ClearField(field)


def _fields(message: Any) -> Iterator[tuple[str, Any]]:
    """(field, message) of everything that is set in a message, and in those inside it."""
    for descriptor, value in message.ListFields():
        yield descriptor.name, message
        if descriptor.message_type is not None:
            for one in [value] if hasattr(value, "ListFields") else value:
                yield from _fields(one)


def _bytes(part: Part, model: Any) -> bytes:
    import onnx

    if model.ByteSize() > _MOST:
        raise TicketError(f"'{part.name}' is above 2 GiB, more than an ONNX file holds; use --format safetensors")
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        what = f"the ONNX graph of '{part.name}' is not sound: {' '.join(str(error).split())[:300]}"
        raise TicketError(what, Status.FAILED) from error
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _compare(part: Part, data: bytes) -> None:
    """Raise TicketError unless onnxruntime gives what PyTorch gives, for batches of several sizes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, torch.get_num_threads()
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        names = {one.name for one in session.get_inputs()}
        for n in SIZES:
            inputs = part.examples(n)
            given = {name: value.numpy() for (name, _), value in zip(part.takes, inputs, strict=True) if name in names}
            (found,) = session.run(None, given)
            _check_same(part, n, found, part.result(inputs).numpy())
    except TicketError:
        raise
    except Exception as error:  # onnxruntime's own errors share no class
        what = f"onnxruntime cannot run '{part.name}' on batches of any size: {' '.join(str(error).split())[:300]}"
        raise TicketError(what, Status.FAILED) from error


def _check_same(part: Part, n: int, found: Any, wanted: Any) -> None:
    if found.shape != wanted.shape or not np.allclose(found, wanted, rtol=CLOSE, atol=CLOSE, equal_nan=True):
        off = f"{abs(found - wanted).max():.2g}" if found.shape == wanted.shape else f"shape {found.shape}"
        what = f"onnxruntime gives something else for '{part.name}' than PyTorch, for {n} images: off by {off}"
        raise TicketError(f"{what}; nothing is written", Status.FAILED)


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the exporter's prints, warnings and log lines: what matters is checked afterwards."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
