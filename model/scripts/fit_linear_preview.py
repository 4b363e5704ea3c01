"""Fits the linear latent -> RGB map of `src/families/newbie/preview.rs` for FLUX.1's 16-channel latent space.

    pip install numpy safetensors ml_dtypes
    python fit_linear_preview.py taef1_encoder.safetensors

Pictures are drawn at random (gradients, smooth colour fields, flat shapes with outlines, a little grain), encoded with
TAEF1's encoder (https://github.com/madebyollin/taesd, MIT; not part of this repository), and each latent vector is
regressed on the mean colour of the 8 x 8 pixels it stands for. Least squares with a small ridge; the last eighth of the
pictures measures the error. Prints Rust.
"""

import sys

import ml_dtypes  # noqa: F401  (teaches numpy the name bfloat16)
import numpy as np
from safetensors.numpy import load_file

EDGE, PICTURES, RIDGE = 256, 96, 1e-3


def conv3x3(x, weight, bias=None, stride=1):
    """x [C, H, W], weight [O, C, 3, 3], padding 1."""
    c, h, w = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    rows, columns = h // stride, w // stride
    out = np.zeros((weight.shape[0], rows * columns), np.float32)
    for dy in range(3):
        for dx in range(3):
            window = padded[:, dy : dy + h : stride, dx : dx + w : stride].reshape(c, -1)
            out += weight[:, :, dy, dx] @ window
    if bias is not None:
        out += bias[:, None]
    return out.reshape(-1, rows, columns)


def encode(p, x):
    """TAEF1's encoder: image [3, H, W] in 0..1 -> model latents [16, H/8, W/8]."""
    relu = lambda v: np.maximum(v, 0)

    def block(i, v):
        h = relu(conv3x3(v, p[f"{i}.conv.0.weight"], p[f"{i}.conv.0.bias"]))
        h = relu(conv3x3(h, p[f"{i}.conv.2.weight"], p[f"{i}.conv.2.bias"]))
        return relu(conv3x3(h, p[f"{i}.conv.4.weight"], p[f"{i}.conv.4.bias"]) + v)

    x = block(1, conv3x3(x, p["0.weight"], p["0.bias"]))
    for down in (2, 6, 10):
        x = conv3x3(x, p[f"{down}.weight"], stride=2)
        for i in range(down + 1, down + 4):
            x = block(i, x)
    return conv3x3(x, p["14.weight"], p["14.bias"])


def smooth(rng, cells):
    """A colour field with about `cells` features along an edge, bilinear between random colours."""
    grid = rng.random((3, cells + 1, cells + 1))
    at = np.linspace(0, cells, EDGE, endpoint=False)
    i, f = at.astype(int), at % 1
    rows = grid[:, i] * (1 - f)[:, None] + grid[:, i + 1] * f[:, None]
    return rows[:, :, i] * (1 - f) + rows[:, :, i + 1] * f


def picture(rng):
    y, x = np.mgrid[0:EDGE, 0:EDGE] / EDGE
    image = smooth(rng, int(rng.integers(1, 12)))
    image = image * rng.uniform(0.2, 1) + rng.random((3, 1, 1)) * rng.uniform(0, 0.6)
    for _ in range(int(rng.integers(0, 24))):
        cx, cy, a, b = *rng.random(2), *rng.uniform(0.03, 0.35, 2)
        turn = rng.uniform(0, np.pi)
        u = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)
        v = (y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)
        reach = (u / a) ** 2 + (v / b) ** 2 if rng.random() < 0.6 else np.maximum(abs(u) / a, abs(v) / b)
        image = np.where(reach < 1, rng.random((3, 1, 1)), image)
        if rng.random() < 0.5:
            image = np.where((reach > 0.9) & (reach < 1), rng.uniform(0, 0.3), image)
    image = image + rng.normal(0, rng.uniform(0, 0.02), image.shape)
    return np.clip(image, 0, 1).astype(np.float32)


def main(path):
    weights = {k: np.asarray(v, np.float32) for k, v in load_file(path).items()}
    rng = np.random.default_rng(20260101)
    latents, colours = [], []
    for _ in range(PICTURES):
        image = picture(rng)
        latents.append(encode(weights, image).reshape(16, -1).T)
        cells = image.reshape(3, EDGE // 8, 8, EDGE // 8, 8).mean((2, 4))
        colours.append(cells.reshape(3, -1).T)
    held = PICTURES // 8
    x = np.concatenate(latents[:-held]).astype(np.float64)
    y = np.concatenate(colours[:-held]).astype(np.float64)
    x1 = np.hstack([x, np.ones((len(x), 1))])
    penalty = RIDGE * len(x) * np.eye(17)
    penalty[16, 16] = 0
    solution = np.linalg.solve(x1.T @ x1 + penalty, x1.T @ y)
    test = np.concatenate(latents[-held:])
    truth = np.concatenate(colours[-held:])
    error = np.sqrt(np.mean((np.hstack([test, np.ones((len(test), 1))]) @ solution - truth) ** 2))
    spread = np.sqrt(np.mean((truth - truth.mean(0)) ** 2))
    print(
        f"// held-out error (rms, 0..1): {error:.4f}; spread of the colours: {spread:.4f}; latents: "
        f"mean {x.mean():.3f}, std {x.std():.3f}"
    )
    for row in solution[:16]:
        print("    [" + ", ".join(f"{v:.5f}" for v in row) + "],")
    print("bias: [" + ", ".join(f"{v:.5f}" for v in solution[16]) + "]")


if __name__ == "__main__":
    main(sys.argv[1])
