"""The record in the file of a picture: the request that drew it, from the PNG's text chunk `sakuga`."""

import os
import struct
import zlib
from collections.abc import Iterator
from typing import Final

from google.protobuf import json_format

from sakuga.errors import RequestError
from sakuga.files import open_regular
from sakuga.generation.v1 import event_pb2

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_KEYWORD: Final = b"sakuga"
_VERSION: Final = 1
"""The version of the records that this module reads."""

_RECORD_BYTES_MAX: Final = 4 << 20
"""The longest record. A prompt has at most 64 KiB."""


def read_record(source: bytes | str | os.PathLike[str]) -> event_pb2.ImageMetadata:
    """The record of a picture, given by the bytes of its PNG file or by its path.

    `client.submit(read_record("girl.png").request)` draws the same picture on the same device. A file that the request began from is
    named by its SHA-256 there, and has to be on the server.

    Raises `RequestError` if the file is not a PNG, is damaged, or has no record that this version can read. A path that cannot be
    read is Python's own `OSError`.
    """
    file = source if isinstance(source, bytes) else _read(source)
    if not file.startswith(_SIGNATURE):
        raise RequestError("it is not a PNG file")
    text = next((text for kind, body in _chunks(file) if (text := _record(kind, body)) is not None), None)
    if text is None:
        raise RequestError(
            "the PNG file has no record of a request: Sakuga did not draw it, or another program removed the record"
        )
    record = _parse(text, ignore_unknown_fields=True)
    # The version first: a newer record may have fields that are unknown here.
    if record.version > _VERSION:
        raise RequestError(
            f"the record in the PNG file has version {record.version}, and this client reads version {_VERSION}; use a newer release"
        )
    record = _parse(text, ignore_unknown_fields=False)
    if not record.HasField("request"):
        raise RequestError("the record in the PNG file has no request")
    return record


def _chunks(file: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each chunk, up to the end of the picture."""
    place = len(_SIGNATURE)
    while place + 12 <= len(file):
        length, kind = struct.unpack_from(">I4s", file, place)
        body = file[place + 8 : place + 8 + length]
        checksum = file[place + 8 + length : place + 12 + length]
        if len(checksum) < 4 or int.from_bytes(checksum, "big") != zlib.crc32(kind + body):
            raise RequestError(f"the PNG file is damaged at byte {place}")
        yield kind, body
        if kind == b"IEND":
            return
        place += 12 + length
    raise RequestError("the PNG file is damaged: its end is missing")


def _read(path: str | os.PathLike[str]) -> bytes:
    with open_regular(path) as file:
        return file.read()


def _record(kind: bytes, body: bytes) -> str | None:
    """The text of a chunk if it is the record. The server writes iTXt; image editors also write the two older kinds."""
    keyword, _, rest = body.partition(b"\0")
    if keyword != _KEYWORD or kind not in (b"iTXt", b"zTXt", b"tEXt"):
        return None
    try:
        match kind:
            case b"tEXt":
                return rest.decode("latin-1")
            case b"zTXt":
                return _inflate(rest[1:]).decode("latin-1")
        is_compressed = rest[:1] == b"\1"
        # Two bytes of compression, the language, and the keyword in that language.
        _, _, text = rest[2:].split(b"\0", 2)
        return (_inflate(text) if is_compressed else text).decode()
    except (ValueError, zlib.error) as error:
        raise RequestError(f"the record in the PNG file cannot be read: {error}") from error


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    text = inflater.decompress(data, _RECORD_BYTES_MAX)
    if not inflater.eof:
        raise ValueError(f"it is cut off, or has more than {_RECORD_BYTES_MAX} bytes")
    return text


def _parse(text: str, *, ignore_unknown_fields: bool) -> event_pb2.ImageMetadata:
    try:
        return json_format.Parse(text, event_pb2.ImageMetadata(), ignore_unknown_fields=ignore_unknown_fields)
    except (json_format.ParseError, RecursionError) as error:
        raise RequestError(f"the record in the PNG file cannot be read: {error}"[:500]) from error
