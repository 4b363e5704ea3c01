#!/usr/bin/env python3
"""Writes testdata/tokenizer_golden.json: token ids of the synthetic checkpoint's tokenizers, computed here by hand.

A byte-level BPE in its plainest form, written independently of the library that the crate uses: split the text into
words, turn bytes into printable letters, and merge the pair of the lowest rank until none is left. The ids before and
after the text are those of Gemma (<bos> = 2) and of XLM-R (<s> = 0, </s> = 2) in the synthetic checkpoint.
"""

import json
import pathlib
import unicodedata

ROOT = pathlib.Path(__file__).resolve().parent.parent
TEXTS = {
    "empty": "",
    "word": "girl",
    "tags": "1girl, solo, long_hair, blue_eyes",
    "xml": "<character_1>\n<n>hatsune_miku</n>\n<gender>1girl</gender>\n</character_1>",
    "japanese": "初音ミク、青い髪の少女",
    "emoji": "a cat 😺 with <character_1> tags",
    "spaces": "  two  spaces\n\tand tabs ",
    "contraction": "it's the girls' umbrella",
    "caption": "Two girls hold umbrellas under a cherry tree. 12 petals fall!",
}


def letters_of_bytes():
    """GPT-2's table: printable bytes stand for themselves, the others for letters from 256 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table, extra = {byte: chr(byte) for byte in printable}, 0
    for byte in range(256):
        if byte not in table:
            table[byte] = chr(256 + extra)
            extra += 1
    return table


def words(text):
    """GPT-2's split: 's|'t|'re|'ve|'m|'ll|'d| ?letters| ?digits| ?others|spaces not before a word|spaces."""

    def kind(char):
        category = unicodedata.category(char)[0]
        return "space" if char.isspace() else {"L": "letter", "N": "digit"}.get(category, "other")

    at, found = 0, []
    while at < len(text):
        suffix = next((s for s in ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d") if text.startswith(s, at)), None)
        if suffix:
            end = at + len(suffix)
        else:
            start = at + 1 if text[at] == " " and at + 1 < len(text) and kind(text[at + 1]) != "space" else at
            end = start
            while end < len(text) and kind(text[end]) == kind(text[start]):
                end += 1
            # Of several spaces before a word the last one is left to that word.
            if kind(text[start]) == "space" and end < len(text) and end - start > 1:
                end -= 1
        found.append(text[at:end])
        at = end
    return found


def encode(text, vocabulary, ranks):
    letters, ids = letters_of_bytes(), []
    for word in words(text):
        pieces = [letters[byte] for byte in word.encode()]
        while len(pieces) > 1:
            pairs = [(ranks.get(pair, len(ranks)), at) for at, pair in enumerate(zip(pieces, pieces[1:]))]
            rank, at = min(pairs)
            if rank == len(ranks):
                break
            pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]
        ids += [vocabulary[piece] for piece in pieces]
    return ids


def main():
    model = json.loads((ROOT / "assets/tokenizer.json").read_text())["model"]
    ranks = {tuple(pair): rank for rank, pair in enumerate(model["merges"])}
    cases = {}
    for name, text in TEXTS.items():
        ids = encode(text, model["vocab"], ranks)
        cases[name] = {"text": text, "gemma3": [2, *ids], "xlmr": [0, *ids, 2]}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(case, ensure_ascii=False)}" for name, case in cases.items())
    path = ROOT / "testdata/tokenizer_golden.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text('{"cases": {\n' + lines + "\n}}\n")


if __name__ == "__main__":
    main()
