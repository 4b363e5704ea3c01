"""The tokenizer of the small encoders: byte-level BPE whose pieces are whole XML tags, words and marks.

A word with the comma, blank or underscore before it is one piece, so a tag such as `, blue_hair` is two tokens.
"""

import json
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

GEMMA_SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>"]
JINA_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
PIECES = r"</?[A-Za-z_][A-Za-z_0-9]*>\n?|(?:, ?|[ _])?[A-Za-z]+|(?:, ?|[ _])?[0-9]|[^\sA-Za-z0-9<,]+|\s+|[<,]"


def train(texts, vocabulary):
    """A tokenizer without special tokens around its texts, with Gemma's at the first ids."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=GEMMA_SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def variants(tokenizer):
    """`tokenizer.json` for Gemma (`<bos>` in front) and for Jina CLIP (`<s>` in front, `</s>` behind)."""
    return _with_special(tokenizer, GEMMA_SPECIAL, ["<bos>"], []), _with_special(
        tokenizer, JINA_SPECIAL, ["<s>"], ["</s>"]
    )


def _with_special(tokenizer, special, before, behind):
    base = json.loads(tokenizer.to_str())
    for token, name in zip(base["added_tokens"], special, strict=True):
        token["content"] = name
    vocabulary = {name: index for name, index in base["model"]["vocab"].items() if index >= len(special)}
    base["model"]["vocab"] = {name: index for index, name in enumerate(special)} | vocabulary
    around = [{"SpecialToken": {"id": name, "type_id": 0}} for name in before]
    around += [{"Sequence": {"id": "A", "type_id": 0}}]
    around += [{"SpecialToken": {"id": name, "type_id": 0}} for name in behind]
    base["post_processor"] = {
        "type": "TemplateProcessing",
        "single": around,
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {
            name: {"id": name, "ids": [special.index(name)], "tokens": [name]} for name in before + behind
        },
    }
    return base


def body(folder: Path):
    """The checkpoint's tokenizer, which puts nothing around a text when asked so."""
    return Tokenizer.from_file(str(folder / "text_encoder" / "tokenizer.json"))
