"""A job that the server keeps: its events can be read from any one on, also after a lost connection."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, Protocol, TypeVar

import grpc

from sakuga.errors import ConnectionLost, DamagedPicture, ProtocolError, RequestRefused, SakugaError, explain
from sakuga.generation.v1 import event_pb2, job_service_pb2, job_service_pb2_grpc
from sakuga.pictures import PICTURES_BYTES_MAX
from sakuga.request import fill

_ATTEMPTS_MAX: Final = 12
"""Together with the waits half a minute to a minute, longer than most servers take to restart."""

EMPTY_PAGES_MAX: Final = 100
"""Empty pages one after the other after which a list ends."""

_WAIT_FIRST_S: Final = 0.1
_WAIT_MAX_S: Final = 10.0

_Answer = TypeVar("_Answer")


class _Stream(Protocol):
    """The type of a stream of answers, for which gRPC has no name."""

    def __iter__(self) -> Iterator[job_service_pb2.WatchJobResponse]: ...

    def __next__(self) -> job_service_pb2.WatchJobResponse: ...

    def cancel(self) -> object: ...


class Backoff:
    """How long to wait between attempts, longer each time."""

    def __init__(self, attempts_max: int = _ATTEMPTS_MAX) -> None:
        self._attempts_max = attempts_max
        self._failures = 0

    def after(self, error: SakugaError) -> float:
        """The seconds to wait if another attempt can help. Raises the error otherwise, and after the last attempt."""
        self._failures += 1
        if self._failures >= self._attempts_max or not _passes(error):
            raise error
        # Jitter, so that not all clients of a restarted server reconnect at one moment.
        return min(_WAIT_MAX_S, _WAIT_FIRST_S * float(1 << self._failures)) * random.uniform(0.5, 1.0)

    def succeeded(self) -> None:
        """Resets the count of failures."""
        self._failures = 0


class Retry:
    """Waits between attempts, longer each time, and raises the error after the last."""

    def __init__(self, attempts_max: int = _ATTEMPTS_MAX, sleep: Callable[[float], object] = time.sleep) -> None:
        self._backoff = Backoff(attempts_max)
        self._sleep = sleep

    def after(self, error: SakugaError) -> None:
        """Waits if another attempt can help, else raises the error."""
        self._sleep(self._backoff.after(error))

    def succeeded(self) -> None:
        """Resets the count of failures."""
        self._backoff.succeeded()

    def ask(self, call: Callable[[], _Answer], address: str) -> _Answer:
        """A call that may be repeated."""
        while True:
            try:
                return call()
            except grpc.RpcError as error:
                self.after(explain(error, address))


def _passes(error: SakugaError) -> bool:
    """Whether the same call can succeed later: no connection, or a server that restarts."""
    if isinstance(error, RequestRefused):
        return error.code is grpc.StatusCode.UNAVAILABLE
    return isinstance(error, ConnectionLost)


class WatchCall:
    """The events of a kept job after a known one. After a lost connection it continues without losing or repeating any."""

    def __init__(
        self, stub: job_service_pb2_grpc.JobServiceStub, job_id: str, after_sequence: int | None, address: str
    ) -> None:
        self._stub = stub
        self._job_id = job_id
        self._after = after_sequence
        self._address = address
        self._retry = Retry(sleep=self._pause)
        self._call: _Stream | None = None
        self._closed = threading.Event()

    def receive(self) -> event_pb2.GenerateEvent | None:
        """The next event; `None` at the end, and once the stream was closed here."""
        while not self._closed.is_set():
            request = fill(job_service_pb2.WatchJobRequest, job_id=self._job_id, after_sequence=self._after)
            call = self._call = self._call or self._stub.WatchJob(request)
            try:
                response = next(call)
            except StopIteration:
                return None
            except grpc.RpcError as error:
                self._call = None
                if not self._closed.is_set():
                    self._retry.after(explain(error, self._address))
                continue
            self._retry.succeeded()
            # The other messages say that the stream is open, or that the connection is alive.
            if response.HasField("event"):
                # After a lost connection the stream continues after this one.
                self._after = response.event.sequence
                return response.event
        return None

    def cancel(self) -> None:
        """Asks the server to cancel the job; its last event says at which step."""
        request = fill(job_service_pb2.CancelJobRequest, job_id=self._job_id)
        Retry().ask(lambda: self._stub.CancelJob(request), self._address)

    def close(self) -> None:
        """Closes the stream. The job continues unless it was created with `cancel_on_disconnect`."""
        self._closed.set()
        if self._call is not None:
            self._call.cancel()

    def fetch(self, image_index: int) -> bytes:
        """A finished picture, whose pieces before `after_sequence` are not sent again."""
        return fetch(self._stub, self._job_id, image_index, self._address)

    def _pause(self, seconds: float) -> None:
        self._closed.wait(seconds)


class ArtifactPieces:
    """A picture that is read from the server piece by piece."""

    def __init__(self, image_index: int) -> None:
        self._image_index = image_index
        self._total: int | None = None
        self.data = bytearray()
        """The bytes so far."""

    @property
    def is_whole(self) -> bool:
        """Whether all bytes are here."""
        return self._total is not None and len(self.data) >= self._total

    def add(self, chunk: event_pb2.ImageChunk) -> None:
        """Adds the next piece. Raises `DamagedPicture` if it is not that."""
        if chunk.offset != len(self.data) or self._total not in (None, chunk.total_size):
            raise DamagedPicture(
                self._image_index, f"{len(self.data)} bytes arrived and the next piece starts at {chunk.offset}"
            )
        if chunk.total_size > PICTURES_BYTES_MAX or len(self.data) + len(chunk.data) > chunk.total_size:
            raise DamagedPicture(self._image_index, f"the server sent more than the {PICTURES_BYTES_MAX} bytes allowed")
        self.data += chunk.data
        self._total = chunk.total_size

    def end(self) -> None:
        """Raises `ProtocolError` if a stream that ended well did not send everything."""
        if not self.is_whole:
            raise ProtocolError(f"picture {self._image_index} ended after {len(self.data)} bytes of {self._total}")


def fetch(
    stub: job_service_pb2_grpc.JobServiceStub, job_id: str, image_index: int, address: str, *, max_edge: int = 0
) -> bytes:
    """Reads a picture of a completed job, or a smaller version of it. After a lost connection it continues at the next byte."""
    pieces = ArtifactPieces(image_index)
    retry = Retry()
    while not pieces.is_whole:
        request = fill(
            job_service_pb2.GetArtifactRequest,
            job_id=job_id,
            image_index=image_index,
            offset=len(pieces.data),
            max_edge=max_edge,
        )
        try:
            for response in stub.GetArtifact(request):
                pieces.add(response.chunk)
                retry.succeeded()
        except grpc.RpcError as error:
            retry.after(explain(error, address))
            continue
        pieces.end()
    return bytes(pieces.data)
