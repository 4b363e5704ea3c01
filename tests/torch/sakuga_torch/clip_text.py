"""The text encoders of Stable Diffusion XL: CLIP-L and CLIP-G of transformers, and CLIP's tokenizer."""

import json
from pathlib import Path

import torch
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from . import checkpoint

# Ids of the two tokens of each merge of the published vocabulary, little-endian u16.
MERGES = Path(__file__).parents[3] / "model" / "assets" / "clip_merges.bin"
WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
START, END, WORD_END = "<|startoftext|>", "<|endoftext|>", "</w>"
# Tokens of a text between start and end.
CHUNK_TOKENS = 75


def tokenizer(folder):
    """The tokenizer in `folder`, or the published one where there is no such folder."""
    if folder.is_dir():
        vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
        merges = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
    else:
        vocabulary, merges = published()
    found = Tokenizer(models.BPE(vocabulary, merges, end_of_word_suffix=WORD_END))
    found.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    split = pre_tokenizers.Split(Regex(WORDS), "removed", invert=True)
    found.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    found.add_special_tokens([AddedToken(START), AddedToken(END)])
    return found


def published():
    """Vocabulary and merges: the bytes, the bytes at the end of a word, what each merge gives, start and end."""
    printed = [*range(33, 127), *range(161, 173), *range(174, 256)]
    characters = [chr(byte) for byte in printed] + [chr(256 + i) for i in range(256 - len(printed))]
    tokens, merges = characters + [character + WORD_END for character in characters], []
    ids = memoryview(MERGES.read_bytes()).cast("H")
    for first, second in zip(ids[::2], ids[1::2], strict=True):
        merges.append((tokens[first], tokens[second]))
        tokens.append(tokens[first] + tokens[second])
    return {token: i for i, token in enumerate([*tokens, START, END])}, merges


def chunks(found, text, pad, device):
    """Ids of a text in chunks with start, end and padding, [N, 77]. A text without tokens has one chunk."""
    ids = found.encode(text, add_special_tokens=False).ids
    start, end = found.token_to_id(START), found.token_to_id(END)
    rows = []
    for first in range(0, max(len(ids), 1), CHUNK_TOKENS):
        part = ids[first : first + CHUNK_TOKENS]
        rows.append([start, *part, end, *[pad] * (CHUNK_TOKENS - len(part))])
    return torch.tensor(rows, device=device)


def load(folder, device, dtype):
    """The encoder of a folder: CLIP-L, or with a projection CLIP-G."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    values = checkpoint.read_json(folder / "config.json")
    kind = CLIPTextModelWithProjection if "WithProjection" in values["architectures"][0] else CLIPTextModel
    tensors = checkpoint.read_tensors(checkpoint.weight_files(folder), device, dtype, tolerated=("*.position_ids",))
    with torch.device("meta"):
        encoder = kind(CLIPTextConfig(**values))
    names = set(encoder.state_dict())
    if not names & set(tensors):
        # Newer releases of transformers have the layers of CLIP-L without this prefix.
        tensors = {name.removeprefix("text_model."): tensor for name, tensor in tensors.items()}
    encoder = checkpoint.fill(encoder, tensors)
    positions = torch.arange(values["max_position_embeddings"], device=device)[None]
    for module in encoder.modules():
        if "position_ids" in dict(module.named_buffers(recurse=False)):
            module.position_ids = positions
    return encoder


def encode(encoder, ids):
    """The penultimate states of all chunks one after the other, [1, L, width], and the projection of the first, [1, P]."""
    found = encoder(input_ids=ids, output_hidden_states=True)
    pooled = getattr(found, "text_embeds", None)
    return found.hidden_states[-2].flatten(0, 1)[None], None if pooled is None else pooled[:1]
