"""Assembles pictures from their pieces, and rejects whatever does not fit."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sakuga.errors import DamagedPicture, ProtocolError, RequestError
from sakuga.generation.v1 import event_pb2, request_pb2

PICTURES_BYTES_MAX: Final = 1 << 30
"""The most that the pictures of one job may have together."""

_PICTURES_MAX: Final = 1024
"""The most pictures of one job."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One finished picture."""

    index: int
    """Index of the picture in its batch, from 0."""
    data: bytes = field(repr=False)
    """The PNG file."""
    sha256: str
    """SHA-256 of `data`, in lower-case hexadecimal; equal to what the server named."""
    pixels_sha256: str
    """SHA-256 of the pixels alone (RGB, 8 bit, row by row), as the server names it."""
    width: int
    """Width in pixels."""
    height: int
    """Height in pixels."""
    metadata: event_pb2.ImageMetadata = field(repr=False)
    """The metadata in the file."""

    @property
    def seed(self) -> int:
        """The seed of this picture's noise."""
        return self.metadata.seed

    @property
    def request(self) -> request_pb2.GenerateRequest:
        """The request with every default filled in. Sent again, it draws the same picture on the same device."""
        return self.metadata.request

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the file and returns its path. A file that cannot be written is Python's own `OSError`."""
        try:
            target = Path(path)
            target.write_bytes(self.data)
        except (TypeError, ValueError) as error:
            raise RequestError(f"{path!r} cannot be the name of a file: {error}") from error
        return target


@dataclass(slots=True)
class _Part:
    total: int
    data: bytearray


def _indexed(images: Iterable[event_pb2.ImageInfo]) -> Iterator[tuple[int, event_pb2.ImageInfo]]:
    """Each picture with its index in the batch, of which the job may have drawn a part."""
    for position, image in enumerate(images):
        yield (image.metadata.image_index if image.HasField("metadata") else position), image


class Assembler:
    """The pictures of one job, as far as they have arrived."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._parts: dict[int, _Part] = {}

    def add(self, chunk: event_pb2.ImageChunk) -> int:
        """Adds the next piece and returns the bytes received of its picture."""
        part = self._parts.get(chunk.image_index)
        if part is None:
            if chunk.total_size == 0 or len(self._parts) >= _PICTURES_MAX:
                raise DamagedPicture(chunk.image_index, "it is empty, or the server announced too many pictures")
            announced = sum(part.total for part in self._parts.values()) + chunk.total_size
            if announced > self._max_bytes:
                raise DamagedPicture(
                    chunk.image_index,
                    f"the server announced {announced} bytes; this client takes at most {self._max_bytes} for all "
                    "pictures together",
                )
            part = self._parts[chunk.image_index] = _Part(chunk.total_size, bytearray())
        if chunk.total_size != part.total:
            raise DamagedPicture(chunk.image_index, f"its size was {part.total} bytes and became {chunk.total_size}")
        if chunk.offset != len(part.data):
            reason = f"{len(part.data)} bytes arrived and the next piece starts at {chunk.offset}"
            raise DamagedPicture(chunk.image_index, reason)
        if len(part.data) + len(chunk.data) > part.total:
            raise DamagedPicture(chunk.image_index, f"more arrived than the announced {part.total} bytes")
        part.data += chunk.data
        return len(part.data)

    def skips(self, chunk: event_pb2.ImageChunk) -> bool:
        """Whether earlier pieces of the picture are missing, so that this one is useless."""
        return chunk.offset > 0 and chunk.image_index not in self._parts

    def missing(self, images: Iterable[event_pb2.ImageInfo]) -> list[int]:
        """The indices of those of these pictures of which no piece has arrived."""
        return [index for index, _ in _indexed(images) if index not in self._parts]

    def put(self, index: int, data: bytes) -> None:
        """Adds a whole picture."""
        self._parts[index] = _Part(len(data), bytearray(data))

    def finish(self, images: Iterable[event_pb2.ImageInfo]) -> tuple[Picture, ...]:
        """Checks the pictures against their descriptions."""
        pictures = []
        for index, image in _indexed(images):
            part = self._parts.pop(index, None)
            if part is None:
                raise DamagedPicture(index, "it was announced as finished and did not arrive")
            if not len(part.data) == part.total == image.size:
                reason = (
                    f"{len(part.data)} bytes arrived; its pieces announced {part.total}, its description {image.size}"
                )
                raise DamagedPicture(index, reason)
            file = bytes(part.data)
            sha256 = hashlib.sha256(file).hexdigest()
            if sha256 != image.sha256.lower():
                raise DamagedPicture(index, f"its SHA-256 is {sha256}, the server named {image.sha256}")
            pictures.append(
                Picture(index, file, sha256, image.pixels_sha256, image.width, image.height, image.metadata)
            )
        if self._parts:
            raise DamagedPicture(min(self._parts), "it arrived and the server does not describe it")
        if not pictures:
            raise ProtocolError("the job is completed and has no picture")
        return tuple(pictures)
