"""The events of one job from their messages: checks their order, and assembles pictures. It neither sends nor waits."""

from sakuga import wire
from sakuga.errors import JobCancelled, JobFailed, ProtocolError, RequestRefused, SakugaError, Status
from sakuga.events import Cancelled, Completed, Event, Receiving
from sakuga.generation.v1 import event_pb2
from sakuga.pictures import PICTURES_BYTES_MAX, Assembler, Picture


class Reader:
    """What is known of a job after the events so far."""

    def __init__(self, *, can_fetch: bool) -> None:
        """`can_fetch`: finished pictures can be fetched, so that pieces from the middle of one may be left out."""
        self._can_fetch = can_fetch
        self._assembler = Assembler(PICTURES_BYTES_MAX)
        self._next_sequence = 0
        self.missed_events = 0
        """How many events the server dropped so far."""
        self.end: Completed | Cancelled | None = None
        """The terminal event."""
        self.failure: SakugaError | None = None
        """The error that ended the job."""

    def missing(self, message: event_pb2.GenerateEvent) -> list[int]:
        """The pictures that have to be fetched and added with `put` before this message is read."""
        if not self._can_fetch or message.WhichOneof("event") != "completed":
            return []
        return self._assembler.missing(message.completed.images)

    def put(self, index: int, data: bytes) -> None:
        """Adds a picture that was fetched."""
        self._assembler.put(index, data)

    def read(self, message: event_pb2.GenerateEvent) -> Event:
        """The event of a message. Raises `JobFailed` for `failed`, `DamagedPicture` and `ProtocolError`."""
        missed = message.sequence - self._next_sequence
        if missed < 0:
            raise ProtocolError(f"event {message.sequence} came after event {self._next_sequence - 1}")
        self._next_sequence = message.sequence + 1
        self.missed_events += missed
        header = wire.header(message, missed)
        match message.WhichOneof("event"):
            case "image_chunk":
                chunk = message.image_chunk
                if self._can_fetch and self._assembler.skips(chunk):
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
                pictures = self._assembler.finish(message.completed.images)
                timings = wire.timings(message.completed.timings)
                self.end = Completed(**header, pictures=pictures, timings=timings)
                return self.end
            case "failed":
                raise JobFailed(Status.decode(message.failed))
            case "requeued":
                # The job starts again, so earlier pieces of pictures are void.
                self._assembler = Assembler(PICTURES_BYTES_MAX)
                return wire.plain(message, header)
            case _:
                event = wire.plain(message, header)
                if isinstance(event, Cancelled):
                    self.end = event
                return event

    def fail(self, error: SakugaError) -> SakugaError:
        """Keeps the error that ended the job, and returns it: after acceptance a refusal is a failure of the job."""
        is_failure = self._next_sequence > 0 and isinstance(error, RequestRefused)
        self.failure = JobFailed(error.status) if is_failure and isinstance(error, RequestRefused) else error
        return self.failure

    def pictures(self) -> tuple[Picture, ...]:
        """The finished pictures, after the last event. Raises the error that ended the job."""
        match self.end:
            case Completed(pictures=pictures):
                return pictures
            case Cancelled(at_step=step, reason=reason):
                raise JobCancelled(f"the job was cancelled after {step} steps: {reason.name.lower()}")
            case None if self.failure is not None:
                raise self.failure
            case None:
                raise JobCancelled("the job was cancelled by this client")
