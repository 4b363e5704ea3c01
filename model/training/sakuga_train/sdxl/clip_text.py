"""A text encoder of CLIP: pre-norm transformer with causal attention, over chunks of a fixed length with start and end."""

import jax
import jax.numpy as jnp

from ..layers import F32, Init, layer_norm, linear

EPS = 1e-5


def init(c, source):
    make = Init(source)
    hidden = c["hidden"]
    # OpenAI's standard deviations are for a vocabulary of 49408 and a width of 512; these keep tokens apart at small widths.
    make.normal("embeddings.token_embedding.weight", (c["vocab"], hidden), 0.3)
    make.normal("embeddings.position_embedding.weight", (c["tokens"], hidden), 0.1)

    def norm(name):
        make.constant(f"{name}.weight", (hidden,), 1.0)
        make.constant(f"{name}.bias", (hidden,), 0.0)

    for i in range(c["layers"]):
        name = f"encoder.layers.{i}"
        norm(f"{name}.layer_norm1")
        for part in "qkv":
            make.linear(f"{name}.self_attn.{part}_proj", hidden, hidden)
        make.linear(f"{name}.self_attn.out_proj", hidden, hidden, gain=0.5)
        norm(f"{name}.layer_norm2")
        make.linear(f"{name}.mlp.fc1", c["ffn"], hidden)
        make.linear(f"{name}.mlp.fc2", hidden, c["ffn"], gain=0.5)
    norm("final_layer_norm")
    if c["projection"]:
        make.linear("text_projection", c["projection"], hidden, bias=False)
    return make.weights


def attention(q, k, v, causal=False):
    """Softmax attention of q [B, S, H, D] over k and v [B, T, H, D], with weights in f32."""
    scores = jnp.einsum("bshd,bthd->bhst", q, k, preferred_element_type=F32) * q.shape[-1] ** -0.5
    if causal:
        place = jnp.arange(q.shape[1])
        scores = jnp.where(place[:, None] >= place[None], scores, -jnp.inf)
    return jnp.einsum("bhst,bthd->bshd", jax.nn.softmax(scores, -1).astype(v.dtype), v)


def encode(c, w, ids):
    """Ids `[B, L]` to the embeddings and the state after each layer, `[B, L, hidden]` each, and the last one normed."""

    def norm(name, x):
        return layer_norm(x, EPS, w[f"{name}.weight"], w[f"{name}.bias"])

    x = w["embeddings.token_embedding.weight"][ids] + w["embeddings.position_embedding.weight"][: ids.shape[1]]
    states = [x]
    batch, length, hidden = x.shape
    for i in range(c["layers"]):
        name = f"encoder.layers.{i}"
        y = norm(f"{name}.layer_norm1", x)
        q, k, v = (
            linear(w, f"{name}.self_attn.{part}_proj", y).reshape(batch, length, c["heads"], -1) for part in "qkv"
        )
        x = x + linear(w, f"{name}.self_attn.out_proj", attention(q, k, v, True).reshape(batch, length, hidden))
        y = linear(w, f"{name}.mlp.fc1", norm(f"{name}.layer_norm2", x))
        y = jax.nn.gelu(y, approximate=False) if c["activation"] == "gelu" else y * jax.nn.sigmoid(1.702 * y)
        x = x + linear(w, f"{name}.mlp.fc2", y)
        states.append(x)
    return states, norm("final_layer_norm", x)


def pool(w, last, ends):
    """The projection of the normed state at each text's end token, `[B, projection]`."""
    state = jnp.take_along_axis(last, ends[:, None, None], 1)[:, 0]
    return linear(w, "text_projection", state)


def read(c, l, g, body, lengths):
    """What the U-Net reads of texts, as the service computes it.

    `body` [B, C, L - 2] holds `lengths` [B, C] tokens in each chunk. The result is the states before the last layer of both
    encoders, `[B, C * L, width]`, and the pooled text of the first chunk.
    """
    batch, chunks, inside = body.shape
    flat, ends = body.reshape(-1, inside).astype(jnp.int32), lengths.reshape(-1) + 1
    place = jnp.arange(inside + 2)
    ids = jnp.pad(flat, ((0, 0), (1, 1)), constant_values=c["start"])
    at, end = place[None], ends[:, None]
    # CLIP-L reads end tokens behind the text, CLIP-G the entry 0.
    ids_l = jnp.where(at >= end, c["end"], ids)
    ids_g = jnp.where(at == end, c["end"], jnp.where(at > end, 0, ids))
    states_l, _ = encode(c["clip_l"], l, ids_l)
    states_g, last = encode(c["clip_g"], g, ids_g)
    context = jnp.concatenate([states_l[-2], states_g[-2]], -1)
    last = last.reshape(batch, chunks, *last.shape[1:])[:, 0]
    return context.reshape(batch, chunks * (inside + 2), -1), pool(g, last, lengths[:, 0] + 1)
