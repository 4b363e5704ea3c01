"""The two text encoders: a Gemma 3 text tower and a Jina CLIP v2 text tower, both small."""

import jax
import jax.numpy as jnp

from .layers import F32, Init, attend, layer_norm, linear, rotate_half

GEMMA_EPS = 1e-6
GEMMA_ROPE = 1e4
JINA_EPS = 1e-5
JINA_ROPE = 20000.0

GEMMA_PAD, GEMMA_BOS = 0, 2
JINA_BOS, JINA_PAD, JINA_EOS = 0, 1, 2


def init_gemma(c, key):
    """Norm weights are stored as the deviation from 1, as Gemma has them."""
    make = Init(key)
    # Embeddings are multiplied by sqrt(hidden) when they are read.
    make.normal("model.embed_tokens.weight", (c["vocab"], c["hidden"]), c["hidden"] ** -0.5)
    for i in range(c["layers"]):
        name = f"model.layers.{i}"
        make.linear(f"{name}.self_attn.q_proj", c["heads"] * c["head_dim"], c["hidden"], False)
        make.linear(f"{name}.self_attn.k_proj", c["kv_heads"] * c["head_dim"], c["hidden"], False)
        make.linear(f"{name}.self_attn.v_proj", c["kv_heads"] * c["head_dim"], c["hidden"], False)
        make.linear(f"{name}.self_attn.o_proj", c["hidden"], c["heads"] * c["head_dim"], False)
        for norm in "qk":
            make.constant(f"{name}.self_attn.{norm}_norm.weight", (c["head_dim"],), 0.0)
        make.linear(f"{name}.mlp.gate_proj", c["ffn"], c["hidden"], False)
        make.linear(f"{name}.mlp.up_proj", c["ffn"], c["hidden"], False)
        make.linear(f"{name}.mlp.down_proj", c["hidden"], c["ffn"], False)
        for norm in ("input", "post_attention", "pre_feedforward", "post_feedforward"):
            make.constant(f"{name}.{norm}_layernorm.weight", (c["hidden"],), 0.0)
    make.constant("model.norm.weight", (c["hidden"],), 0.0)
    return make.weights


def gemma(c, w, ids):
    """Output of the last layer but one, `[B, L, hidden]`; the last layer and the final norm are never run."""

    def norm(name, x):
        wide = x.astype(F32)
        wide = wide * jax.lax.rsqrt(jnp.mean(wide * wide, -1, keepdims=True) + GEMMA_EPS)
        return (wide * (1 + w[name + ".weight"].astype(F32))).astype(x.dtype)

    table = w["model.embed_tokens.weight"]
    x = table[ids] * jnp.asarray(c["hidden"] ** 0.5, table.dtype)
    batch, length, _ = x.shape
    for i in range(c["layers"] - 1):
        name = f"model.layers.{i}"
        y = norm(f"{name}.input_layernorm", x)

        def project(part, heads, y=y, name=name):
            return linear(w, f"{name}.self_attn.{part}_proj", y).reshape(batch, length, heads, -1)

        q = rotate_half(norm(f"{name}.self_attn.q_norm", project("q", c["heads"])), GEMMA_ROPE)
        k = rotate_half(norm(f"{name}.self_attn.k_norm", project("k", c["kv_heads"])), GEMMA_ROPE)
        y = attend(q, k, project("v", c["kv_heads"]), causal=True).reshape(batch, length, -1)
        y = linear(w, f"{name}.self_attn.o_proj", y)
        x = x + norm(f"{name}.post_attention_layernorm", y)
        y = norm(f"{name}.pre_feedforward_layernorm", x)
        gate = jax.nn.gelu(linear(w, f"{name}.mlp.gate_proj", y), approximate=True)
        y = linear(w, f"{name}.mlp.down_proj", gate * linear(w, f"{name}.mlp.up_proj", y))
        x = x + norm(f"{name}.post_feedforward_layernorm", y)
    return x


def init_jina(c, key):
    make = Init(key)
    hidden = c["hidden"]
    make.normal("embeddings.word_embeddings.weight", (c["vocab"], hidden), 0.5)
    make.constant("embeddings.token_type_embeddings.weight", (1, hidden), 0.0)

    def norm(name):
        make.constant(f"{name}.weight", (hidden,), 1.0)
        make.constant(f"{name}.bias", (hidden,), 0.0)

    norm("emb_ln")
    for i in range(c["layers"]):
        name = f"encoder.layers.{i}"
        make.linear(f"{name}.mixer.Wqkv", 3 * hidden, hidden)
        make.linear(f"{name}.mixer.out_proj", hidden, hidden)
        make.linear(f"{name}.mlp.fc1", c["ffn"], hidden)
        make.linear(f"{name}.mlp.fc2", hidden, c["ffn"])
        norm(f"{name}.norm1")
        norm(f"{name}.norm2")
    return make.weights


def jina(c, w, ids):
    """Mean of the last hidden states over the tokens that are not padding, `[B, hidden]`."""

    def norm(name, x):
        return layer_norm(x, JINA_EPS, w[name + ".weight"], w[name + ".bias"])

    visible = ids != JINA_PAD
    lengths = visible.sum(-1)
    x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.token_type_embeddings.weight"][0]
    x = norm("emb_ln", x)
    batch, length, hidden = x.shape
    for i in range(c["layers"]):
        name = f"encoder.layers.{i}"
        qkv = linear(w, f"{name}.mixer.Wqkv", x).reshape(batch, length, 3, c["heads"], -1)
        q, k = rotate_half(qkv[:, :, 0], JINA_ROPE), rotate_half(qkv[:, :, 1], JINA_ROPE)
        y = attend(q, k, qkv[:, :, 2], lengths).reshape(batch, length, hidden)
        x = norm(f"{name}.norm1", x + linear(w, f"{name}.mixer.out_proj", y))
        y = linear(w, f"{name}.mlp.fc2", jax.nn.gelu(linear(w, f"{name}.mlp.fc1", x), approximate=False))
        x = norm(f"{name}.norm2", x + y)
    return jnp.where(visible[..., None], x.astype(F32), 0).sum(1) / lengths[:, None]


def gemma_ids(body, lengths):
    """`<bos>` before each text. body [B, L] holds `lengths` tokens a row; the result is [B, L + 2].

    cuDNN's attention wants an even length, so this is as wide as `jina_ids`.
    """
    ids = jnp.pad(body.astype(jnp.int32), ((0, 0), (1, 1)), constant_values=GEMMA_BOS)
    return jnp.where(jnp.arange(ids.shape[1]) <= lengths[:, None], ids, GEMMA_PAD)


def jina_ids(body, lengths):
    """`<s>` before and `</s>` after each text; the result is [B, L + 2]."""
    ids = jnp.pad(body.astype(jnp.int32), ((0, 0), (1, 1)), constant_values=JINA_BOS)
    place = jnp.arange(ids.shape[1])
    ids = jnp.where(place == lengths[:, None] + 1, JINA_EOS, ids)
    return jnp.where(place > lengths[:, None] + 1, JINA_PAD, ids)
