"""A job that the server keeps: its events come again from any one on, also after a cut."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, Protocol, TypeVar

import grpc

from sakuga.errors import ConnectionLost, DamagedPicture, ProtocolError, RequestRefused, SakugaError, explain
from sakuga.generation.v1 import event_pb2, job_service_pb2, job_service_pb2_grpc

_ATTEMPTS_MAX: Final = 12
"""With the waits between them half a minute to a minute: longer than most servers take to start again."""

_WAIT_FIRST_S: Final = 0.1
_WAIT_MAX_S: Final = 10.0

_Answer = TypeVar("_Answer")


class _Stream(Protocol):
    """What gRPC's Python has no name for: answers as they come, until they are given up."""

    def __iter__(self) -> Iterator[job_service_pb2.WatchJobResponse]: ...

    def __next__(self) -> job_service_pb2.WatchJobResponse: ...

    def cancel(self) -> object: ...


class Retry:
    """Waits between attempts, longer from time to time, and says when there were enough."""

    def __init__(self, attempts_max: int = _ATTEMPTS_MAX, sleep: Callable[[float], object] = time.sleep) -> None:
        self._attempts_max = attempts_max
        self._sleep = sleep
        self._failures = 0

    def after(self, error: SakugaError) -> None:
        """Waits, if trying again can help; else raises the error."""
        self._failures += 1
        if self._failures >= self._attempts_max or not _passes(error):
            raise error
        # Not all clients of a server that was away come back at the same moment.
        self._sleep(min(_WAIT_MAX_S, _WAIT_FIRST_S * 2**self._failures) * random.uniform(0.5, 1.0))

    def succeeded(self) -> None:
        """The next failure is the first again."""
        self._failures = 0

    def ask(self, call: Callable[[], _Answer], address: str) -> _Answer:
        """A call that may be repeated."""
        while True:
            try:
                return call()
            except grpc.RpcError as error:
                self.after(explain(error, address))


def _passes(error: SakugaError) -> bool:
    """Whether the error is of a kind that passes: no connection, or a server that goes down and comes back."""
    if isinstance(error, RequestRefused):
        return error.code is grpc.StatusCode.UNAVAILABLE
    return isinstance(error, ConnectionLost)


class WatchCall:
    """The events of a kept job behind one that is known already. A cut is mended without losing or repeating any."""

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
            call = self._call = self._call or self._stub.WatchJob(
                job_service_pb2.WatchJobRequest(job_id=self._job_id, after_sequence=self._after)
            )
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
            # Other messages say that the stream stands, or that the job and the connection are alive.
            if response.HasField("event"):
                # What comes after a cut is behind this one.
                self._after = response.event.sequence
                return response.event
        return None

    def cancel(self) -> None:
        """Asks the server to give the job up; its last event says at which step."""
        request = job_service_pb2.CancelJobRequest(job_id=self._job_id)
        Retry().ask(lambda: self._stub.CancelJob(request), self._address)

    def close(self) -> None:
        """Lets the stream go. The job goes on unless it was created with `cancel_on_disconnect`."""
        self._closed.set()
        if self._call is not None:
            self._call.cancel()

    def fetch(self, image_index: int) -> bytes:
        """A finished picture, for which there may be no pieces: those before `after_sequence` do not come again."""
        return fetch(self._stub, self._job_id, image_index, self._address)

    def _pause(self, seconds: float) -> None:
        self._closed.wait(seconds)


def fetch(stub: job_service_pb2_grpc.JobServiceStub, job_id: str, image_index: int, address: str) -> bytes:
    """Reads a picture of a completed job. A cut is mended from the byte on that is missing."""
    data = bytearray()
    total: int | None = None
    retry = Retry()
    while total is None or len(data) < total:
        request = job_service_pb2.GetArtifactRequest(job_id=job_id, image_index=image_index, offset=len(data))
        try:
            for response in stub.GetArtifact(request):
                chunk = response.chunk
                if chunk.offset != len(data) or total not in (None, chunk.total_size):
                    raise DamagedPicture(
                        image_index, f"{len(data)} bytes arrived and the next piece starts at {chunk.offset}"
                    )
                data += chunk.data
                total = chunk.total_size
                retry.succeeded()
        except grpc.RpcError as error:
            retry.after(explain(error, address))
            continue
        if total is None or len(data) != total:
            raise ProtocolError(f"picture {image_index} ended after {len(data)} bytes of {total}")
    return bytes(data)
