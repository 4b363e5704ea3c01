"""The record in a picture's file."""

import struct
import zlib
from pathlib import Path

import pytest

import sakuga
from tests.support import LIMIT_S


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))


def png(*chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + chunk(b"IEND", b"")


def itxt(text: bytes) -> bytes:
    return chunk(b"iTXt", b"sakuga\0\0\0\0\0" + text)


RECORD = b'{"version":1,"request":{"model":"newbie"},"seed":"42"}'


def test_a_picture_is_drawn_again_from_its_file(client: sakuga.Client, tmp_path: Path) -> None:
    picture = client.generate("1girl, 猫", steps=2, width=64, height=32, deadline=LIMIT_S).picture
    path = picture.save(tmp_path / "girl.png")
    record = sakuga.read_record(path)
    assert record == sakuga.read_record(picture.data) == picture.metadata
    assert client.submit(record.request, deadline=LIMIT_S).picture.pixels_sha256 == picture.pixels_sha256


@pytest.mark.parametrize(
    "text",
    [
        itxt(RECORD),
        chunk(b"iTXt", b"sakuga\0\1\0en\0\0" + zlib.compress(RECORD)),
        chunk(b"tEXt", b"sakuga\0" + RECORD),
        chunk(b"zTXt", b"sakuga\0\0" + zlib.compress(RECORD)),
    ],
    ids=["iTXt", "compressed iTXt", "tEXt", "zTXt"],
)
def test_every_kind_of_text_is_read(text: bytes) -> None:
    record = sakuga.read_record(png(chunk(b"tEXt", b"Comment\0hello"), text))
    assert (record.seed, record.request.model) == (42, "newbie")


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"GIF89a", "not a PNG"),
        (png(chunk(b"tEXt", b"parameters\x001girl")), "no record"),
        (png(itxt(RECORD))[:40], "damaged at byte 8"),
        (png(itxt(RECORD)).replace(b"newbie", b"nobody"), "damaged at byte 8"),
        (b"\x89PNG\r\n\x1a\n" + struct.pack(">I4s", 2**32 - 1, b"iTXt") + b"sakuga\0", "damaged"),
        (png(itxt(b"not JSON")), "cannot be read"),
        (png(itxt(b"\xff")), "cannot be read"),
        (png(chunk(b"iTXt", b"sakuga\0")), "cannot be read"),
        (png(chunk(b"zTXt", b"sakuga\0\0" + zlib.compress(bytes(64 << 20)))), "more than 4194304 bytes"),
        (png(itxt(b"[" * 100_000)), "cannot be read"),
        (png(itxt(b'{"version":1}')), "no request"),
        (png(itxt(b'{"version":1,"request":{"mood":1}}')), "mood"),
        (png(itxt(b'{"version":2,"request":{"mood":1}}')), "version 2"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_without_a_usable_record_says_why(file: bytes, reason: str) -> None:
    with pytest.raises(sakuga.RequestError, match=reason):
        sakuga.read_record(file)
