"""The event stream of one job: it ends with a terminal event or an error."""

from collections.abc import Iterator
from types import TracebackType
from typing import Self

from sakuga.errors import ProtocolError, SakugaError
from sakuga.events import Completed, Event
from sakuga.pictures import Picture
from sakuga.reader import Reader
from sakuga.source import Source


class Job(Iterator[Event]):
    """The running job of one request: an iterator of its events that ends after the terminal one.

    Closing it before the end, or leaving its `with`, cancels a job of `Client.generate`. A job of `Client.create` continues,
    and `Client.watch` finds it again.
    """

    def __init__(self, source: Source, job_id: str | None = None) -> None:
        self._source = source
        self._reader = Reader(can_fetch=source.fetch is not None)
        self._is_over = False
        self._is_cancelled = False
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
        return self._reader.pictures()

    @property
    def picture(self) -> Picture:
        """The first finished picture. Waits as `pictures` does."""
        return self.pictures[0]

    @property
    def completed(self) -> Completed | None:
        """The event `Completed`, once it was read."""
        return self._reader.end if isinstance(self._reader.end, Completed) else None

    @property
    def missed_events(self) -> int:
        """How many events the server dropped so far, because this side read too slowly."""
        return self._reader.missed_events

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
                if self._source.fetch is not None:
                    for index in self._reader.missing(message):
                        self._reader.put(index, self._source.fetch(index))
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
