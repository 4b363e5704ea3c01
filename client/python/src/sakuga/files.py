"""How a call names a file: by its bytes, its path, or the SHA-256 of one that was uploaded. One rule for every method."""

import os
import string
from typing import Final, TypeAlias

from sakuga.asset.v1 import asset_service_pb2

FileLike: TypeAlias = bytes | os.PathLike[str] | str
"""The bytes of a file, or its path. A `str` of 64 hexadecimal digits is not a path: write `Path` for a file of that name."""

ImageLike: TypeAlias = bytes | os.PathLike[str] | str | asset_service_pb2.Asset
"""The bytes of a file, its path, or a file that was uploaded: its `Asset`, or its SHA-256 as a `str` of 64 hexadecimal digits. Any
other `str` is a path."""

_HASH_DIGITS: Final = 64


def hash_of(given: object) -> str | None:
    """The SHA-256 of an uploaded file; `None` if `given` is not an uploaded file."""
    match given:
        case asset_service_pb2.Asset():
            return given.sha256
        case str(text) if len(text) == _HASH_DIGITS and all(digit in string.hexdigits for digit in text):
            return text.lower()
        case _:
            return None
