"""Where the fixtures go and how they are written: tensors as float32, JSON with one line a value."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from .numerics import f64

OUT = Path(__file__).parent.parent / "parity"


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n")


def write_tensors(path, tensors):
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = {}
    for name, value in tensors.items():
        value = np.asarray(value)
        stored[name] = np.ascontiguousarray(value.astype(np.float32) if value.dtype == f64 else value)
    save_file(stored, path, metadata={"format": "pt"})
