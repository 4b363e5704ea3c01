"""Files on the server that requests refer to: what is sent of them, and what arrives."""

import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sakuga.asset.v1 import asset_service_pb2
from sakuga.errors import ProtocolError, RequestError, RequestRefused, SakugaError
from sakuga.files import FileLike, hash_of, open_regular
from sakuga.request import fill

_PIECE_BYTES: Final = 256 << 10
"""Bytes of a message: as many as the server takes."""

_RESTARTS_MAX: Final = 12
"""Calls after which the server has no more bytes than before."""


class Upload:
    """A file that is sent piece by piece, from where the server says on."""

    def __init__(self, source: FileLike) -> None:
        """Reads the file once, for its size and its SHA-256.

        A path that cannot be read is Python's own `OSError`. A device or pipe, which has no size, is a `RequestError`.
        """
        if hash_of(source) is not None:
            raise RequestError(
                "that is the SHA-256 of an asset and not a file; for a file of that name, write Path(name)"
            )
        if isinstance(source, str | os.PathLike):
            self._source: bytes | Path = Path(source)
        elif isinstance(source, bytes):
            self._source = source
        else:
            raise RequestError(f"a file is bytes or a path, not {type(source).__name__}")
        self._offset = 0
        self._restarts = 0
        with self._open() as file:
            self.sha256: str = hashlib.file_digest(file, "sha256").hexdigest()
            """The name of the asset."""
            self._size = file.seek(0, os.SEEK_END)

    def parts(self) -> Iterator[asset_service_pb2.UploadAssetRequest]:
        """The messages of a call."""
        start = fill(asset_service_pb2.UploadStart, sha256=self.sha256, size=self._size, offset=self._offset)
        yield asset_service_pb2.UploadAssetRequest(start=start)
        with self._open() as file:
            file.seek(self._offset)
            while data := file.read(_PIECE_BYTES):
                yield asset_service_pb2.UploadAssetRequest(data=data)

    def continues(self, error: SakugaError) -> bool:
        """Whether the next call can be made at once, because the error says where it begins."""
        if not isinstance(error, RequestRefused) or error.reason not in ("UPLOAD_OFFSET", "UPLOAD_IDLE"):
            return False
        held = error.status.metadata.get("offset", "")
        if not held.isdecimal() or int(held) > self._size:
            return False
        self._restarts = 0 if int(held) > self._offset else self._restarts + 1
        self._offset = int(held)
        return self._restarts < _RESTARTS_MAX

    def _open(self) -> io.BytesIO | io.BufferedReader:
        return io.BytesIO(self._source) if isinstance(self._source, bytes) else open_regular(self._source)


class Download:
    """An asset that is read from the server piece by piece."""

    def __init__(self, sha256: str) -> None:
        self._sha256 = sha256
        self._asset: asset_service_pb2.Asset | None = None
        self._data = bytearray()

    def request(self) -> asset_service_pb2.GetAssetRequest:
        """Asks for what is missing."""
        return fill(asset_service_pb2.GetAssetRequest, sha256=self._sha256, offset=len(self._data))

    def add(self, response: asset_service_pb2.GetAssetResponse) -> None:
        """Adds the next piece. Raises `ProtocolError` if it is not that."""
        if response.HasField("asset"):
            self._asset = response.asset
        if response.offset != len(self._data) or self._asset is None:
            raise ProtocolError(f"{len(self._data)} bytes arrived and the next piece starts at {response.offset}")
        self._data += response.data
        if len(self._data) > self._asset.size:
            raise ProtocolError(f"the server sent more than the {self._asset.size} bytes of the asset")

    def finish(self) -> bytes:
        """The whole file. Raises `ProtocolError` if it is not what was uploaded."""
        if hashlib.sha256(self._data).hexdigest() != self._sha256:
            raise ProtocolError(f"asset {self._sha256} arrived damaged: {len(self._data)} bytes with another SHA-256")
        return bytes(self._data)
