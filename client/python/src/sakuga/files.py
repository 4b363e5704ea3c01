"""How a call names a file: by its bytes, its path, or the SHA-256 of one that was uploaded. One rule for every method."""

import io
import os
import stat
import string
from typing import Final, TypeAlias

from sakuga.asset.v1 import asset_service_pb2
from sakuga.errors import RequestError

FileLike: TypeAlias = bytes | os.PathLike[str] | str
"""The bytes of a file, or its path. A `str` of 64 hexadecimal digits is not a path: write `Path` for a file of that name."""

ImageLike: TypeAlias = bytes | os.PathLike[str] | str | asset_service_pb2.Asset
"""The bytes of a file, its path, or a file that was uploaded: its `Asset`, or its SHA-256 as a `str` of 64 hexadecimal digits. Any
other `str` is a path."""

_HASH_DIGITS: Final = 64

_FLAGS: Final = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)


def open_regular(path: str | os.PathLike[str]) -> io.BufferedReader:
    """Opens a regular file for reading.

    Everything else is a `RequestError`: a pipe waits for a writer, and a device may never end. A file that cannot be opened is
    Python's own `OSError`.
    """
    # Before it is opened: opening a device may change its state.
    _require_regular(os.stat(path), path)
    descriptor = os.open(path, _FLAGS)
    try:
        # A pipe may have replaced the file since.
        _require_regular(os.fstat(descriptor), path)
    except BaseException:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def _require_regular(status: os.stat_result, path: str | os.PathLike[str]) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise RequestError(f"{os.fspath(path)} is a folder, device or pipe; name a regular file")


def hash_of(given: object) -> str | None:
    """The SHA-256 of an uploaded file; `None` if `given` is not an uploaded file."""
    match given:
        case asset_service_pb2.Asset():
            return given.sha256
        case str(text) if len(text) == _HASH_DIGITS and all(digit in string.hexdigits for digit in text):
            return text.lower()
        case _:
            return None
