"""After a lost connection the stream continues, and other errors are raised at once."""

from collections.abc import Iterator

import grpc
import pytest
from google.protobuf.any_pb2 import Any
from google.rpc import error_details_pb2, status_pb2

import sakuga
from sakuga.errors import ConnectionLost
from sakuga.generation.v1 import event_pb2, job_service_pb2
from sakuga.job import Job
from sakuga.watch import Retry, WatchCall

Message = job_service_pb2.WatchJobResponse


class Broken(grpc.RpcError, grpc.Call):
    """A call that ended with this code."""

    def __init__(self, code: grpc.StatusCode, reason: str = "") -> None:
        status = status_pb2.Status(code=code.value[0], message="cut")
        if reason:
            packed = Any()
            packed.Pack(error_details_pb2.ErrorInfo(reason=reason))
            status.details.append(packed)
        self._code = code
        self._trailers = (("grpc-status-details-bin", status.SerializeToString()),) if reason else ()

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return "cut"

    def trailing_metadata(self) -> object:  # type: ignore[override]
        return self._trailers

    initial_metadata = is_active = time_remaining = add_callback = None  # type: ignore[assignment]

    def cancel(self) -> bool:
        return False


class Streams:
    """A service with scripted streams that records its calls."""

    def __init__(self, *streams: list[Message | Exception]) -> None:
        self.streams = list(streams)
        self.asked: list[int | None] = []

    def WatchJob(self, request: job_service_pb2.WatchJobRequest) -> "Stream":  # noqa: N802
        self.asked.append(request.after_sequence if request.HasField("after_sequence") else None)
        return Stream(self.streams.pop(0))


class Stream:
    """One stream."""

    def __init__(self, messages: list[Message | Exception]) -> None:
        self.messages = messages
        self.cancelled = False

    def __iter__(self) -> Iterator[Message]:
        return self

    def __next__(self) -> Message:
        if not self.messages:
            raise StopIteration
        message = self.messages.pop(0)
        if isinstance(message, Exception):
            raise message
        return message

    def cancel(self) -> None:
        self.cancelled = True


CREATED = Message(created=job_service_pb2.WatchCreated())
PROGRESS = Message(progress=job_service_pb2.WatchProgress(next_sequence=2))
CUT = Broken(grpc.StatusCode.UNAVAILABLE)


def event(sequence: int, **kind: object) -> Message:
    return Message(event=event_pb2.GenerateEvent(sequence=sequence, job_id="j", **kind))  # type: ignore[arg-type]


END = event(9, cancelled=event_pb2.Cancelled(at_step=3, reason=event_pb2.CANCEL_REASON_REQUESTED))


def watch(service: Streams, after: int | None = None, waits: list[float] | None = None) -> Job:
    """Watches through the service without waiting."""
    source = WatchCall(service, "j", after, "here")  # type: ignore[arg-type]
    source._retry = Retry(sleep=(waits if waits is not None else list[float]()).append)
    return Job(source, "j")


def test_after_a_lost_connection_the_stream_continues_after_the_last_event() -> None:
    accepted, stage = event(0, accepted=event_pb2.Accepted()), event(4, stage=event_pb2.StageBegun())
    service = Streams([CREATED, accepted, PROGRESS, CUT], [CUT], [CREATED, stage, CUT], [CREATED, END])
    job = watch(service)
    assert [found.sequence for found in job] == [0, 4, 9]
    assert service.asked == [None, 0, 0, 4]
    assert job.last_sequence == 9


def test_a_restart_of_the_server_is_waited_for() -> None:
    service = Streams([CREATED, Broken(grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")], [CREATED, END])
    waits: list[float] = []
    assert [found.sequence for found in watch(service, 7, waits)] == [9]
    assert service.asked == [7, 7] and len(waits) == 1 and 0 < waits[0] < 1


def test_events_that_are_not_kept_raise_at_once() -> None:
    service = Streams([Broken(grpc.StatusCode.OUT_OF_RANGE, "EVENTS_COMPACTED")])
    with pytest.raises(sakuga.RequestRefused) as refused:
        next(watch(service, 1))
    assert refused.value.code is grpc.StatusCode.OUT_OF_RANGE
    assert service.asked == [1]


def test_a_server_that_stays_away_is_given_up() -> None:
    waits: list[float] = []
    cuts: list[list[Message | Exception]] = [[CUT] for _ in range(50)]
    away = Streams(*cuts)
    with pytest.raises(ConnectionLost):
        next(watch(away, waits=waits))
    assert len(waits) == 11 and waits[0] < 1 and 30 < sum(waits) < 63


def test_a_closed_job_does_not_come_back() -> None:
    service = Streams([CREATED, event(0, accepted=event_pb2.Accepted()), CUT])
    job = watch(service)
    next(job)
    job.close()
    assert next(job, None) is None and service.asked == [None]
