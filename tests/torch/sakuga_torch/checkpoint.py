"""Reading a checkpoint of the published layout, and filling modules from it or with random weights."""

import json
from fnmatch import fnmatch
from pathlib import Path

import torch
from safetensors import safe_open


class CheckpointError(Exception):
    """A checkpoint that cannot be read, with what to do about it."""


def read_json(path):
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path} is missing")
    return json.loads(path.read_text(encoding="utf-8"))


def weight_files(folder):
    """The safetensors files of one part: the single one, or those that an index names."""
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is missing: name the folder of a checkpoint in the published layout")
    for name in ("diffusion_pytorch_model.safetensors", "model.safetensors"):
        if (folder / name).is_file():
            return [folder / name]
    found = sorted(folder.glob("*.safetensors.index.json"))
    if found:
        names = sorted(set(read_json(found[0])["weight_map"].values()))
        return [folder / name for name in names]
    found = sorted(folder.glob("*.safetensors"))
    if len(found) != 1:
        raise CheckpointError(
            f"{folder} has {len(found)} safetensors files and no index: one file or an index is needed"
        )
    return found


def read_tensors(files, device, dtype=None, prefixes=("",), tolerated=()):
    """Tensors by name, floating-point ones in `dtype`, on `device`.

    Names begin with the first of `prefixes` that any tensor has; it is cut off, and tensors elsewhere are left out when
    they match `tolerated`. Reading goes straight to the device: a full-size part never lies in host memory as a whole.
    """
    opened = [safe_open(str(file), framework="pt", device=str(device)) for file in files]
    owner = {name: file for file in opened for name in file.keys()}
    prefix = next((prefix for prefix in prefixes if any(name.startswith(prefix) for name in owner)), "")
    tensors = {}
    for name, file in owner.items():
        if any(fnmatch(name, pattern) for pattern in tolerated):
            continue
        tensor = file.get_tensor(name)
        # Widening is exact; narrowing is the one rounding that any bf16 run of f32 weights makes.
        tensors[name.removeprefix(prefix)] = tensor.to(dtype) if tensor.is_floating_point() else tensor
    return tensors


def fill(module, tensors):
    """Gives a module that was made on the meta device its weights; every one must be there, and no other."""
    # Assigned, not copied: the tensors become the parameters.
    module.load_state_dict(tensors, strict=True, assign=True)
    return module.requires_grad_(False).eval()


def randomise(module, device, dtype, seed=0):
    """Gives a module that was made on the meta device random matrices, norm weights of one and biases of zero."""
    generator = torch.Generator(device).manual_seed(seed)
    tensors = {}
    for name, meta in module.state_dict().items():
        if meta.dim() > 1:
            values = torch.randn(meta.shape, generator=generator, device=device, dtype=dtype) * 0.02
        else:
            values = torch.full(meta.shape, 0.0 if name.endswith("bias") else 1.0, device=device, dtype=dtype)
        tensors[name] = values
    return fill(module, tensors)
