"""CLIP's tokenizer with a vocabulary of the figures' tags, and the chunks of a prompt.

The published vocabulary has 49408 entries, which would be most of a small model. This one has the 512 entries of bytes that
every CLIP tokenizer has, merges learnt from the texts of the figures, and start and end. Files and rules are CLIP's.
"""

import json
from pathlib import Path

import numpy as np
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

START, END, ZERO, WORD_END = "<|startoftext|>", "<|endoftext|>", "!", "</w>"
WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
# How far before the end of a full chunk a comma is looked for.
COMMA_REACH = 20


def byte_characters():
    """The character of each byte, in the order of CLIP's vocabulary."""
    printed = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printed]
    return [chr(byte) for byte in printed] + [chr(256 + i) for i in range(len(others))]


def _with_rules(tokenizer):
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer


def train(texts, vocabulary):
    """Entries and merges, with `vocabulary` entries in all."""
    learner = _with_rules(Tokenizer(models.BPE(end_of_word_suffix=WORD_END)))
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        initial_alphabet=byte_characters(),
        end_of_word_suffix=WORD_END,
        show_progress=False,
    )
    learner.train_from_iterator(texts, trainer)
    merges = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    characters = byte_characters()
    entries = characters + [character + WORD_END for character in characters]
    known, kept = set(entries), []
    for first, second in merges:
        if len(entries) == vocabulary - 2:
            break
        if first + second not in known:
            entries.append(first + second)
            known.add(first + second)
            kept.append((first, second))
    return [*entries, START, END], kept


def write(folder: Path, entries, merges):
    """The folders of both encoders, which differ in their padding."""
    for name, pad in (("tokenizer", END), ("tokenizer_2", ZERO)):
        here = folder / name
        here.mkdir(parents=True, exist_ok=True)
        vocabulary = {entry: number for number, entry in enumerate(entries)}
        text = json.dumps(vocabulary, ensure_ascii=False, separators=(",", ":"))
        (here / "vocab.json").write_text(text + "\n", encoding="utf-8")
        lines = ["#version: 0.2", *(f"{first} {second}" for first, second in merges)]
        (here / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        config = {"tokenizer_class": "CLIPTokenizer", "bos_token": START, "eos_token": END, "pad_token": pad}
        (here / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


class Clip:
    """The tokenizer of a checkpoint."""

    def __init__(self, folder: Path):
        here = folder / "tokenizer"
        vocabulary = json.loads((here / "vocab.json").read_text(encoding="utf-8"))
        lines = (here / "merges.txt").read_text(encoding="utf-8").splitlines()[1:]
        merges = [tuple(line.split(" ")) for line in lines]
        self.tokenizer = _with_rules(Tokenizer(models.BPE(vocabulary, merges, end_of_word_suffix=WORD_END)))
        self.start, self.end, self.comma = vocabulary[START], vocabulary[END], vocabulary["," + WORD_END]

    def encode(self, texts):
        """The ids of each text without anything around them. Brackets are escaped in these texts, as the service writes them."""
        texts = [text.replace("\\", "") for text in texts]
        return [encoding.ids for encoding in self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    def chunks(self, ids, inside):
        """The chunks of a prompt by AUTOMATIC1111's rules, as `model/src/families/sdxl/prompt/a1111.rs` has them."""
        chunks, current, comma = [], [], None
        for token in ids:
            if token == self.comma:
                comma = len(current)
            elif comma is not None and len(current) == inside and len(current) - comma <= COMMA_REACH:
                chunks.append(current[: comma + 1])
                current, comma = current[comma + 1 :], None
            if len(current) == inside:
                chunks.append(current)
                current, comma = [], None
            current.append(token)
        if current or not chunks:
            chunks.append(current)
        return chunks

    def bodies(self, texts, inside, most):
        """Ids `[N, most, inside]`, the tokens of each chunk `[N, most]`, and the number of chunks of each text, which may be
        larger than `most`."""
        bodies = np.zeros((len(texts), most, inside), np.int16)
        lengths = np.zeros((len(texts), most), np.int16)
        counts = np.zeros(len(texts), np.int32)
        for row, ids in enumerate(self.encode(texts)):
            chunks = self.chunks(ids, inside)
            counts[row] = len(chunks)
            for place, chunk in enumerate(chunks[:most]):
                bodies[row, place, : len(chunk)] = chunk
                lengths[row, place] = len(chunk)
        return bodies, lengths, counts
