"""The text tower of Jina CLIP v2: an XLM-R with rotary positions and norms after the sums. Modules are named as its tensors."""

from dataclasses import dataclass, fields

import torch
from torch import nn
from torch.nn import functional

from . import checkpoint
from .layers import attend, rotate_halves, unseen

PREFIXES = ("text_model.transformer.roberta.", "roberta.", "model.", "")
TOLERATED = ("vision_model.*", "logit_scale", "spiece_model")
STACKED = ".parametrizations.weight."


@dataclass
class JinaConfig:
    """Sizes; the defaults are those of the published tower."""

    vocab_size: int = 250002
    hidden_size: int = 1024
    num_hidden_layers: int = 24
    num_attention_heads: int = 16
    intermediate_size: int = 4096
    type_vocab_size: int = 1
    layer_norm_eps: float = 1e-5
    rotary_emb_base: float = 20000.0
    pad_token_id: int = 1

    @classmethod
    def of(cls, values):
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})


class Mixer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads = c.num_attention_heads
        self.Wqkv = nn.Linear(c.hidden_size, 3 * c.hidden_size)
        self.out_proj = nn.Linear(c.hidden_size, c.hidden_size)

    def forward(self, x, turn, visible):
        q, k, v = self.Wqkv(x).unflatten(-1, (3, self.heads, -1)).unbind(2)
        return self.out_proj(attend(rotate_halves(q, turn), rotate_halves(k, turn), v, visible).flatten(2))


class Mlp(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.fc1 = nn.Linear(c.hidden_size, c.intermediate_size)
        self.fc2 = nn.Linear(c.intermediate_size, c.hidden_size)

    def forward(self, x):
        return self.fc2(functional.gelu(self.fc1(x)))


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.mixer = Mixer(c)
        self.norm1 = nn.LayerNorm(c.hidden_size, c.layer_norm_eps)
        self.mlp = Mlp(c)
        self.norm2 = nn.LayerNorm(c.hidden_size, c.layer_norm_eps)

    def forward(self, x, turn, visible):
        x = self.norm1(x + self.mixer(x, turn, visible))
        return self.norm2(x + self.mlp(x))


class JinaClip(nn.Module):
    def __init__(self, config):
        super().__init__()
        c = self.config = config
        self.embeddings = nn.ModuleDict(
            {
                "word_embeddings": nn.Embedding(c.vocab_size, c.hidden_size),
                "token_type_embeddings": nn.Embedding(c.type_vocab_size, c.hidden_size),
            }
        )
        self.emb_ln = nn.LayerNorm(c.hidden_size, c.layer_norm_eps)
        self.encoder = nn.ModuleDict({"layers": nn.ModuleList(Layer(c) for _ in range(c.num_hidden_layers))})

    def forward(self, ids, see=unseen):
        """Ids [B, L] to the mean of the last hidden states over the tokens that are not padding, [B, hidden]."""
        visible = ids != self.config.pad_token_id
        mask = None if bool(visible.all()) else visible
        turn = self.rotary(ids.shape[1], ids.device)
        x = self.embeddings["word_embeddings"](ids) + self.embeddings["token_type_embeddings"].weight[0]
        x = self.emb_ln(x)
        see("hidden_states.0", x)
        for i, layer in enumerate(self.encoder["layers"]):
            x = layer(x, turn, mask)
            see(f"hidden_states.{i + 1}", x)
        see("last_hidden_state", x)
        shares = visible.unsqueeze(-1) / visible.sum(-1)[:, None, None]
        return (x.float() * shares).sum(1).type_as(x)

    def rotary(self, length, device):
        """Cosines and sines of positions 0, 1, ..., [1, L, 1, head_dim / 2] in f32."""
        width = self.config.hidden_size // self.config.num_attention_heads
        frequencies = self.config.rotary_emb_base ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
        angles = torch.arange(length)[:, None].float() * frequencies.float()
        angles = angles.double()[None, :, None]
        return angles.cos().to(device, torch.float32), angles.sin().to(device, torch.float32)


def merged(tensors, settings, task):
    """Plain weights from parametrised ones: W + B A scale for a linear, W + A B scale for an embedding, in f32.

    Factors are stacked, one a task; `task` names which, nothing means the original weights alone.
    """
    tasks = settings.get("lora_adaptations", ["retrieval.query"])
    scale = settings.get("lora_alpha", settings.get("lora_rank", 4)) / settings.get("lora_rank", 4)
    plain = {}
    for name, tensor in tensors.items():
        if STACKED not in name:
            plain[name] = tensor
            continue
        module, part = name.split(STACKED)
        if part != "original":
            continue
        weight = tensor.float()
        if task is not None:
            a, b = (tensors[f"{module}{STACKED}0.lora_{side}"][tasks.index(task)].float() for side in "AB")
            weight = weight + scale * (a @ b if "embeddings" in module else b @ a)
        plain[f"{module}.weight"] = weight
    return plain


def load(folder, device, dtype, files=None, without_adapter=False):
    """The tower of `clip_model/`, with the adapter merged that its configuration names."""
    config = checkpoint.read_json(folder / "config.json")
    text = config.get("text_config", config)
    settings = text.get("hf_model_config_kwargs", text)
    tasks = settings.get("lora_adaptations", ["retrieval.query"])
    task = text.get("default_lora_task", tasks[0] if tasks else None)
    # Merged in f32 and rounded once.
    files = files or checkpoint.weight_files(folder)
    tensors = checkpoint.read_tensors(files, device, torch.float32, PREFIXES, TOLERATED)
    tensors = merged(tensors, settings, None if without_adapter else task)
    with torch.device("meta"):
        tower = JinaClip(JinaConfig.of(settings))
    return checkpoint.fill(tower, {name: tensor.to(dtype) for name, tensor in tensors.items()})
