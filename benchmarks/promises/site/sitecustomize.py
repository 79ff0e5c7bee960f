"""Imported by Python as it starts, where `faults.environment` says so: the faults of a try, in every process of it."""

import importlib.util
import os
from pathlib import Path

if any(name.startswith("RELIABILITY_") for name in os.environ):
    for name in ("faults", "broken"):
        spec = importlib.util.spec_from_file_location(f"reliability_{name}", Path(__file__).parents[1] / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.install()
