"""A stream that violates the protocol raises an error and never ends silently."""

import pytest

import sakuga
from sakuga.generation.v1 import event_pb2
from sakuga.job import Job


class Canned:
    """Scripted events."""

    fetch = None

    def __init__(self, *events: event_pb2.GenerateEvent) -> None:
        self.events = list(events)
        self.closed = False

    def receive(self) -> event_pb2.GenerateEvent | None:
        return self.events.pop(0) if self.events else None

    def cancel(self) -> None:
        self.close()

    def close(self) -> None:
        self.closed = True
        self.events.clear()


def event(sequence: int, **kind: object) -> event_pb2.GenerateEvent:
    return event_pb2.GenerateEvent(sequence=sequence, job_id="j", **kind)  # type: ignore[arg-type]


ACCEPTED = event(0, accepted=event_pb2.Accepted(request_id="r"))


def test_a_stream_without_an_event_is_no_job() -> None:
    with pytest.raises(sakuga.ProtocolError, match="without a terminal event"):
        Job(Canned())


def test_a_stream_that_just_stops_is_an_error() -> None:
    job = Job(Canned(ACCEPTED, event(1, step=event_pb2.Step(index=1, total=2))))
    assert next(job).sequence == 0 and next(job).sequence == 1
    with pytest.raises(sakuga.ProtocolError):
        next(job)
    assert next(job, None) is None


def test_a_number_that_was_used_is_an_error() -> None:
    source = Canned(ACCEPTED, event(0, queued=event_pb2.Queued(position=1)))
    job = Job(source)
    next(job)
    with pytest.raises(sakuga.ProtocolError, match="event 0 came after event 0"):
        next(job)
    assert source.closed


def test_holes_are_counted() -> None:
    cancelled = event_pb2.Cancelled(at_step=2, reason=event_pb2.CANCEL_REASON_REQUESTED)
    job = Job(
        Canned(
            ACCEPTED, event(4, stage=event_pb2.StageBegun(stage=event_pb2.STAGE_DECODE)), event(5, cancelled=cancelled)
        )
    )
    assert [found.missed_before for found in job] == [0, 3, 0]
    assert job.missed_events == 3
    with pytest.raises(sakuga.JobCancelled, match="after 2 steps: requested"):
        _ = job.pictures


def test_a_failure_keeps_its_details() -> None:
    failed = event(1)
    failed.failed.code, failed.failed.message = 13, "the device burns"
    job = Job(Canned(ACCEPTED, failed))
    with pytest.raises(sakuga.JobFailed, match="the device burns"):
        list(job)
    with pytest.raises(sakuga.JobFailed, match="the device burns"):
        _ = job.picture


def test_a_kind_that_is_not_known_is_passed_on() -> None:
    job = Job(Canned(ACCEPTED, event(1)))
    next(job)
    assert isinstance(next(job), sakuga.Unknown)
