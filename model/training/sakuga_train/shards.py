"""Pictures and texts from `sakuga-figures dataset`, shard by shard, read and removed by its own thread."""

import json
import queue
import threading
import time
from pathlib import Path

import numpy as np


def read(rgb: Path, edge):
    """Pictures of a shard, `[N, edge, edge, 3]` bytes, and their lines of text."""
    images = np.fromfile(rgb, np.uint8).reshape(-1, edge, edge, 3)
    lines = [json.loads(line) for line in rgb.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()]
    return images, lines


def tokens(tokenizer, texts, width):
    """Ids without anything around them, `[N, width]`, and their lengths; longer texts are cut."""
    encoded = tokenizer.encode_batch(texts, add_special_tokens=False)
    ids, lengths = np.zeros((len(texts), width), np.int16), np.zeros(len(texts), np.int32)
    for row, encoding in enumerate(encoded):
        kept = encoding.ids[:width]
        ids[row, : len(kept)], lengths[row] = kept, len(kept)
    return ids, lengths


class Stream:
    """Shards of a folder in order, each deleted after it was read."""

    def __init__(self, folder: Path, edge, tokenizer=None, width=0, ahead=3):
        self.folder, self.edge, self.tokenizer, self.width = folder, edge, tokenizer, width
        self.ready = queue.Queue(ahead)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        number = 0
        while True:
            done = self.folder / f"{number:06}.jsonl"
            while not done.exists():
                time.sleep(0.01)
            images, lines = read(done.with_suffix(".rgb"), self.edge)
            done.with_suffix(".rgb").unlink()
            done.unlink()
            ids = lengths = None
            if self.tokenizer is not None:
                texts = [text for line in lines for text in line["texts"]]
                ids, lengths = tokens(self.tokenizer, texts, self.width)
                ids, lengths = ids.reshape(len(lines), -1, self.width), lengths.reshape(len(lines), -1)
            self.ready.put((images, ids, lengths))
            number += 1

    def next(self, wait=True):
        """The next shard, or None when there is none yet and `wait` is false."""
        try:
            return self.ready.get(block=wait)
        except queue.Empty:
            return None
