"""The event stream of one job: checks the order of events, assembles pictures, and ends with an end or an error."""

from collections.abc import Iterator
from types import TracebackType
from typing import Self

from sakuga import wire
from sakuga.errors import JobCancelled, JobFailed, ProtocolError, RequestRefused, SakugaError, Status
from sakuga.events import Cancelled, Completed, Event, Receiving
from sakuga.generation.v1 import event_pb2
from sakuga.pictures import PICTURES_BYTES_MAX, Assembler, Picture
from sakuga.source import Source


class Job(Iterator[Event]):
    """The running job of one request: an iterator of its events that ends after the terminal one.

    Closing it before the end, or leaving its `with`, cancels a job of `Client.generate`. A job of `Client.create` continues,
    and `Client.watch` finds it again.
    """

    def __init__(self, source: Source, job_id: str | None = None) -> None:
        self._source = source
        self._assembler = Assembler(PICTURES_BYTES_MAX)
        self._next_sequence = 0
        self._end: Completed | Cancelled | None = None
        self._failure: SakugaError | None = None
        self._is_over = False
        self._is_cancelled = False
        self.missed_events: int = 0
        """How many events the server dropped so far, because this side read too slowly."""
        self.last_sequence: int | None = None
        """The number of the last event, after which `Client.watch` can continue."""
        self._first: Event | None = None
        if job_id is not None:
            self.id: str = job_id
            """The identifier of the job."""
            return
        # The first event is the acceptance, so a refusal is raised here and not later.
        self._first = self._advance()
        if self._first is None:
            raise ProtocolError("the stream ended before the request was accepted")
        self.id = self._first.job_id

    def __next__(self) -> Event:
        """The next event.

        Raises `JobFailed` for the terminal event `failed`, and another error of `sakuga.errors` for a lost connection, a
        passed deadline, a damaged picture or a violated protocol. No event follows an error.
        """
        event, self._first = self._first, None
        event = event or self._advance()
        if event is None:
            raise StopIteration
        self.last_sequence = event.sequence
        return event

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """The finished pictures. Waits for them and skips the events until then.

        Raises `JobCancelled` if the job was cancelled, else the error that ended it.
        """
        for _ in self:
            pass
        match self._end:
            case Completed(pictures=pictures):
                return pictures
            case Cancelled(at_step=step, reason=reason):
                raise JobCancelled(f"the job was cancelled after {step} steps: {reason.name.lower()}")
            case None if self._failure is not None:
                raise self._failure
            case None:
                raise JobCancelled("the job was cancelled by this client")

    @property
    def picture(self) -> Picture:
        """The first finished picture. Waits as `pictures` does."""
        return self.pictures[0]

    @property
    def completed(self) -> Completed | None:
        """The event `Completed`, once it was read."""
        return self._end if isinstance(self._end, Completed) else None

    def cancel(self) -> None:
        """Cancels the job: at once if it waits, at its next step if it runs."""
        if not self._is_over:
            self._is_cancelled = True
            self._source.cancel()

    def close(self) -> None:
        """Closes the stream."""
        if not self._is_over:
            self._is_over = True
            self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _advance(self) -> Event | None:
        if self._is_over:
            return None
        try:
            message = self._source.receive()
            if message is not None:
                return self._read(message)
        except SakugaError as error:
            # After acceptance an error is a failure of the job, not a refusal.
            accepted = self._next_sequence > 0
            failed = JobFailed(error.status) if accepted and isinstance(error, RequestRefused) else error
            self._failure = failed
            self.close()
            raise failed from error.__cause__
        self._is_over = True
        if not self._is_cancelled:
            self._failure = ProtocolError("the stream ended without a terminal event")
            raise self._failure
        return None

    def _read(self, message: event_pb2.GenerateEvent) -> Event:
        missed = message.sequence - self._next_sequence
        if missed < 0:
            raise ProtocolError(f"event {message.sequence} came after event {self._next_sequence - 1}")
        self._next_sequence = message.sequence + 1
        self.missed_events += missed
        header = wire.header(message, missed)
        match message.WhichOneof("event"):
            case "image_chunk":
                chunk = message.image_chunk
                if self._source.fetch is not None and self._assembler.skips(chunk):
                    # The whole picture is fetched at the end.
                    received = chunk.offset + len(chunk.data)
                else:
                    received = self._assembler.add(chunk)
                return Receiving(
                    **header,
                    image_index=chunk.image_index,
                    received_bytes=received,
                    total_bytes=chunk.total_size,
                )
            case "completed":
                pictures = self._assembler.finish(message.completed.images, self._source.fetch)
                timings = wire.timings(message.completed.timings)
                return self._finish(Completed(**header, pictures=pictures, timings=timings))
            case "failed":
                raise JobFailed(Status.decode(message.failed))
            case "requeued":
                # The job starts again, so earlier pieces of pictures are void.
                self._assembler = Assembler(PICTURES_BYTES_MAX)
                return wire.plain(message, header)
            case _:
                event = wire.plain(message, header)
                return self._finish(event) if isinstance(event, Cancelled) else event

    def _finish(self, event: Completed | Cancelled) -> Event:
        self._end = event
        self._is_over = True
        return event
