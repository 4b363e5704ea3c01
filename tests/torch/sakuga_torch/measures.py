"""How far two results lie apart, in f64, and the machine they came from."""

import math
import platform
import subprocess

import torch

# Beyond this two pictures are the same; keeps infinity out of the JSON.
PSNR_MAX_DB = 200.0


def nearness(found, expected):
    """Cosine and relative error (L2) of two [rows, width]: of all together, and of the worst row."""
    a, b = found.double().flatten(1), expected.double().flatten(1)
    rows = (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))
    return {
        "cosine": float((a * b).sum() / (a.norm() * b.norm())),
        "cosine_worst_row": float(rows.min()),
        "relative_error": float((a - b).norm() / b.norm()),
        "relative_error_worst_row": float(((a - b).norm(dim=1) / b.norm(dim=1)).max()),
    }


def picture_nearness(found, expected):
    """PSNR of pictures in 0..1, and the largest difference in grey levels after rounding to 8 bits."""
    a, b = found.double(), expected.double()
    error = float((a - b).square().mean())
    levels = ((a * 255).round() - (b * 255).round()).abs()
    return {
        "psnr_db": PSNR_MAX_DB if error == 0 else min(PSNR_MAX_DB, -10 * math.log10(error)),
        "grey_levels_max": int(levels.max()),
        "pixels_equal": float((levels == 0).double().mean()),
    }


def machine(device):
    """Names and versions that a figure belongs to."""
    import transformers

    found = {"torch": torch.__version__, "transformers": transformers.__version__, "python": platform.python_version()}
    if torch.device(device).type == "cuda":
        found |= {
            "device": torch.cuda.get_device_name(device),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "driver": nvidia_smi("driver_version"),
        }
    else:
        found["device"] = f"CPU, {torch.get_num_threads()} threads"
    return found


def nvidia_smi(*names):
    """What `nvidia-smi` says of the first device at this moment, or nothing where it is not there."""
    command = ["nvidia-smi", "--id=0", f"--query-gpu={','.join(names)}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    values = [value.strip() for value in answer.stdout.split(",")]
    return values[0] if len(names) == 1 else dict(zip(names, values, strict=True))
