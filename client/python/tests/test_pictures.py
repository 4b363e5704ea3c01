"""Pieces that do not fit together are refused."""

import hashlib

import pytest

from sakuga import DamagedPicture, ProtocolError
from sakuga.generation.v1 import event_pb2
from sakuga.pictures import Assembler

FILE = b"not really a PNG"


def chunk(offset: int, data: bytes, index: int = 0, total: int = len(FILE)) -> event_pb2.ImageChunk:
    return event_pb2.ImageChunk(image_index=index, offset=offset, total_size=total, data=data)


def info(**changes: object) -> event_pb2.ImageInfo:
    fields = {"sha256": hashlib.sha256(FILE).hexdigest(), "size": len(FILE), "width": 4, "height": 2} | changes
    return event_pb2.ImageInfo(**fields)  # type: ignore[arg-type]


def test_pieces_are_put_together() -> None:
    assembler = Assembler(1000)
    assert [assembler.add(chunk(0, FILE[:5])), assembler.add(chunk(5, FILE[5:]))] == [5, len(FILE)]
    (picture,) = assembler.finish([info()])
    assert (picture.data, picture.width, picture.height) == (FILE, 4, 2)


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (chunk(6, FILE[6:]), "5 bytes arrived and the next piece starts at 6"),
        (chunk(5, FILE[5:], total=99), "its size was 16 bytes and became 99"),
        (chunk(5, FILE), "more arrived than the announced 16 bytes"),
        (chunk(0, b"", index=1, total=999), "at most 1000 for all pictures together"),
    ],
)
def test_a_piece_that_does_not_fit_is_refused(second: event_pb2.ImageChunk, reason: str) -> None:
    assembler = Assembler(1000)
    assembler.add(chunk(0, FILE[:5]))
    with pytest.raises(DamagedPicture, match=reason):
        assembler.add(second)


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        ([info(sha256="00")], "its SHA-256 is"),
        ([info(size=3)], "its description 3"),
        ([info(), info()], "picture 1 is damaged: it was announced as finished and did not arrive"),
        ([], "picture 0 is damaged: it arrived and the server does not describe it"),
    ],
)
def test_a_picture_that_is_not_what_was_sent_is_refused(images: list[event_pb2.ImageInfo], reason: str) -> None:
    assembler = Assembler(1000)
    assembler.add(chunk(0, FILE))
    with pytest.raises(DamagedPicture, match=reason):
        assembler.finish(images)


def test_a_job_without_a_picture_is_not_completed() -> None:
    with pytest.raises(ProtocolError):
        Assembler(1000).finish([])
