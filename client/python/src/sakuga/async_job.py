"""The event stream of one job for asyncio, and its two sources: one call, or a job that is watched."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self, TypeVar

import grpc

from sakuga.errors import ProtocolError, SakugaError, explain
from sakuga.events import Completed, Event
from sakuga.generation.v1 import event_pb2, generation_service_pb2, job_service_pb2, request_pb2
from sakuga.pictures import Picture
from sakuga.reader import Reader
from sakuga.request import fill
from sakuga.watch import ArtifactPieces, Backoff

if TYPE_CHECKING:
    from sakuga.generation.v1.generation_service_pb2_grpc import GenerationServiceAsyncStub
    from sakuga.generation.v1.job_service_pb2_grpc import JobServiceAsyncStub

_Answer = TypeVar("_Answer")


class AsyncSource(Protocol):
    """Messages with the events of one job."""

    @property
    def fetch(self) -> Callable[[int], Awaitable[bytes]] | None:
        """Fetches a finished picture of the job, if the server keeps it."""

    async def receive(self) -> event_pb2.GenerateEvent | None:
        """The next event; `None` at the end of the stream, and after `cancel` without an answer of the server."""

    async def cancel(self) -> None:
        """Cancels the job. Events that were already sent may still arrive."""

    def close(self) -> None:
        """Closes the stream."""


class AsyncJob(AsyncIterator[Event]):
    """The running job of one request, as `Job` for asyncio.

    Closing it before the end, or leaving its `async with`, cancels a job of `AsyncClient.generate`. A job of
    `AsyncClient.create` continues, and `AsyncClient.watch` finds it again.
    """

    def __init__(self, source: AsyncSource, job_id: str) -> None:
        self._source = source
        self._reader = Reader(can_fetch=source.fetch is not None)
        self._is_over = False
        self._is_cancelled = False
        self._first: Event | None = None
        self.id: str = job_id
        """The identifier of the job."""
        self.last_sequence: int | None = None
        """The number of the last event, after which `AsyncClient.watch` can continue."""

    @classmethod
    async def accepted(cls, source: AsyncSource) -> Self:
        """The job of a call. Its first event is the acceptance, so a refusal is raised here and not later."""
        job = cls(source, "")
        job._first = await job._advance()
        if job._first is None:
            raise ProtocolError("the stream ended before the request was accepted")
        job.id = job._first.job_id
        return job

    async def __anext__(self) -> Event:
        """The next event. Raises as `Job` does."""
        event, self._first = self._first, None
        event = event or await self._advance()
        if event is None:
            raise StopAsyncIteration
        self.last_sequence = event.sequence
        return event

    async def pictures(self) -> tuple[Picture, ...]:
        """The finished pictures. Waits for them and skips the events until then. Raises as `Job.pictures` does."""
        async for _ in self:
            pass
        return self._reader.pictures()

    async def picture(self) -> Picture:
        """The first finished picture."""
        return (await self.pictures())[0]

    @property
    def completed(self) -> Completed | None:
        """The event `Completed`, once it was read."""
        return self._reader.end if isinstance(self._reader.end, Completed) else None

    @property
    def missed_events(self) -> int:
        """How many events the server dropped so far, because this side read too slowly."""
        return self._reader.missed_events

    async def cancel(self) -> None:
        """Cancels the job: at once if it waits, at its next step if it runs."""
        if not self._is_over:
            self._is_cancelled = True
            await self._source.cancel()

    def close(self) -> None:
        """Closes the stream."""
        if not self._is_over:
            self._is_over = True
            self._source.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def _advance(self) -> Event | None:
        if self._is_over:
            return None
        try:
            message = await self._source.receive()
            if message is not None:
                if self._source.fetch is not None:
                    for index in self._reader.missing(message):
                        self._reader.put(index, await self._source.fetch(index))
                event = self._reader.read(message)
                self._is_over = self._reader.end is not None
                return event
        except SakugaError as error:
            failed = self._reader.fail(error)
            self.close()
            raise failed from error.__cause__
        self._is_over = True
        if not self._is_cancelled:
            raise self._reader.fail(ProtocolError("the stream ended without a terminal event"))
        return None


class AsyncGenerateCall:
    """One call of `Generate`. The job ends with the call."""

    fetch = None

    def __init__(
        self,
        stub: "GenerationServiceAsyncStub",
        request: request_pb2.GenerateRequest,
        deadline: float | None,
        address: str,
    ) -> None:
        self._address = address
        self._cancelled = False
        self._call: Final = stub.Generate(request, timeout=deadline)

    async def receive(self) -> event_pb2.GenerateEvent | None:
        """The next event; `None` at the end, and once the call was cancelled here."""
        try:
            response: generation_service_pb2.GenerateResponse | object = await self._call.read()
        except (grpc.RpcError, asyncio.CancelledError) as error:
            if self._cancelled:
                return None
            if isinstance(error, asyncio.CancelledError):
                self.close()
                raise
            raise explain(error, self._address) from error
        if not isinstance(response, generation_service_pb2.GenerateResponse):
            return None
        if not response.HasField("event"):
            raise ProtocolError("a message has no event")
        return response.event

    async def cancel(self) -> None:
        """Ends the call. The server then cancels the job at its next step."""
        self.close()

    def close(self) -> None:
        """Ends the call: no other call can watch this job."""
        self._cancelled = True
        self._call.cancel()


class AsyncWatchCall:
    """The events of a kept job after a known one. After a lost connection it continues without losing or repeating any."""

    def __init__(self, stub: "JobServiceAsyncStub", job_id: str, after_sequence: int | None, address: str) -> None:
        self._stub = stub
        self._job_id = job_id
        self._after = after_sequence
        self._address = address
        self._backoff = Backoff()
        self._call: (
            grpc.aio.UnaryStreamCall[job_service_pb2.WatchJobRequest, job_service_pb2.WatchJobResponse] | None
        ) = None
        self._closed = False

    async def receive(self) -> event_pb2.GenerateEvent | None:
        """The next event; `None` at the end, and once the stream was closed here."""
        while not self._closed:
            request = fill(job_service_pb2.WatchJobRequest, job_id=self._job_id, after_sequence=self._after)
            call = self._call = self._call or self._stub.WatchJob(request)
            try:
                response = await call.read()
            except grpc.RpcError as error:
                self._call = None
                if not self._closed:
                    await asyncio.sleep(self._backoff.after(explain(error, self._address)))
                continue
            except asyncio.CancelledError:
                if self._closed:
                    return None
                self.close()
                raise
            if not isinstance(response, job_service_pb2.WatchJobResponse):
                return None
            self._backoff.succeeded()
            # The other messages say that the stream is open, or that the connection is alive.
            if response.HasField("event"):
                self._after = response.event.sequence
                return response.event
        return None

    async def cancel(self) -> None:
        """Asks the server to cancel the job; its last event says at which step."""
        request = fill(job_service_pb2.CancelJobRequest, job_id=self._job_id)
        await ask_again(lambda: self._stub.CancelJob(request), self._address)

    def close(self) -> None:
        """Closes the stream. The job continues unless it was created with `cancel_on_disconnect`."""
        self._closed = True
        if self._call is not None:
            self._call.cancel()

    async def fetch(self, image_index: int) -> bytes:
        """A finished picture, whose pieces before `after_sequence` are not sent again."""
        return await fetch(self._stub, self._job_id, image_index, self._address)


async def ask_again(call: Callable[[], Awaitable[_Answer]], address: str) -> _Answer:
    """A call that may be repeated until it is answered."""
    backoff = Backoff()
    while True:
        try:
            return await call()
        except grpc.RpcError as error:
            await asyncio.sleep(backoff.after(explain(error, address)))


async def fetch(
    stub: "JobServiceAsyncStub", job_id: str, image_index: int, address: str, *, max_edge: int = 0
) -> bytes:
    """Reads a picture of a completed job, or a smaller version of it. After a lost connection it continues at the next byte."""
    pieces = ArtifactPieces(image_index)
    backoff = Backoff()
    while not pieces.is_whole:
        request = fill(
            job_service_pb2.GetArtifactRequest,
            job_id=job_id,
            image_index=image_index,
            offset=len(pieces.data),
            max_edge=max_edge,
        )
        try:
            async for response in stub.GetArtifact(request):
                pieces.add(response.chunk)
                backoff.succeeded()
        except grpc.RpcError as error:
            await asyncio.sleep(backoff.after(explain(error, address)))
            continue
        pieces.end()
    return bytes(pieces.data)
