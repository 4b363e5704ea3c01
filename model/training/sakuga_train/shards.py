"""Pictures and texts from `sakuga-figures dataset`, shard by shard, read and removed by its own thread."""

import json
import queue
import threading
import time
from pathlib import Path

import numpy as np


def read(rgb: Path):
    """Pictures of a shard, `[N, height, width, 3]` bytes, and their lines of text."""
    lines = [json.loads(line) for line in rgb.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()]
    images = np.fromfile(rgb, np.uint8).reshape(-1, lines[0]["height"], lines[0]["width"], 3)
    return images, lines


def tokens(tokenizer, texts, width):
    """Ids without anything around them, `[N, width]`, and the lengths before longer texts were cut."""
    encoded = tokenizer.encode_batch(texts, add_special_tokens=False)
    ids, lengths = np.zeros((len(texts), width), np.int16), np.zeros(len(texts), np.int32)
    for row, encoding in enumerate(encoded):
        kept = encoding.ids[:width]
        ids[row, : len(kept)], lengths[row] = kept, len(encoding.ids)
    return ids, lengths


class Stream:
    """Shards of a folder in order, each deleted after it was read.

    With a tokenizer each shard is (what `prepare` makes of the pictures, their size, ids, lengths), else the pictures.
    """

    def __init__(self, folder: Path, tokenizer=None, width=0, prepare=None, ahead=3):
        self.folder, self.tokenizer, self.width, self.prepare = folder, tokenizer, width, prepare
        self.ready = queue.Queue(ahead)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        number = 0
        while True:
            done = self.folder / f"{number:06}.jsonl"
            while not done.exists():
                time.sleep(0.01)
            images, lines = read(done.with_suffix(".rgb"))
            done.with_suffix(".rgb").unlink()
            done.unlink()
            self.ready.put(images if self.tokenizer is None else self._with_texts(images, lines))
            number += 1

    def _with_texts(self, images, lines):
        texts = [text for line in lines for text in line["texts"]]
        ids, lengths = tokens(self.tokenizer, texts, self.width)
        ids, lengths = ids.reshape(len(lines), -1, self.width), lengths.reshape(len(lines), -1)
        return self.prepare(images), images.shape[1:3], ids, lengths

    def next(self, wait=True):
        """The next shard, or None when there is none yet and `wait` is false."""
        try:
            return self.ready.get(block=wait)
        except queue.Empty:
            return None
