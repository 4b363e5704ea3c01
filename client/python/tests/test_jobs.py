"""Kept jobs: watched again after a lost connection or a restart, and drawn once."""

import itertools
from pathlib import Path

import grpc
import pytest

import sakuga
from sakuga.generation.v1 import job_pb2, job_service_pb2
from tests.proxy import Proxy
from tests.support import LIMIT_S, Server, StartServer, png_size

SLOW = ("--engine", "scripted", "--scripted-step-ms", "20")
LONG = 200


def whole(events: list[sakuga.Event]) -> None:
    """These are all events of a completed job that a reader must see, each once and in order."""
    assert all(before.sequence < after.sequence for before, after in itertools.pairwise(events))
    assert len([event for event in events if isinstance(event, sakuga.Accepted)]) == 1
    steps = [event for event in events if isinstance(event, sakuga.Step)]
    assert [step.index for step in steps] == list(range(1, steps[0].total + 1))
    assert isinstance(events[-1], sakuga.Completed)
    assert len([event for event in events if isinstance(event, sakuga.Completed)]) == 1


def test_a_kept_job_draws_what_generate_draws(client: sakuga.Client, two_girls: str) -> None:
    job = client.create(two_girls, seed=7, steps=5, width=64, height=64, timeout=LIMIT_S)
    whole(list(job))
    direct = client.generate(two_girls, seed=7, steps=5, width=64, height=64, deadline=LIMIT_S)
    assert job.picture.pixels_sha256 == direct.picture.pixels_sha256
    assert client.artifact(job.id) == job.picture.data


def test_an_estimate_creates_nothing(client: sakuga.Client, two_girls: str) -> None:
    before = len(list(client.list_jobs()))
    estimate = client.estimate(two_girls, steps=5, width=64, height=64, timeout=LIMIT_S)
    assert estimate.fits and estimate.steps == 5 and estimate.tokens and estimate.memory_needed_bytes > 0
    assert estimate.time.low.ToTimedelta() < estimate.time.expected.ToTimedelta() < estimate.time.high.ToTimedelta()
    assert len(list(client.list_jobs())) == before
    picture = client.generate(two_girls, seed=7, steps=5, width=64, height=64, deadline=LIMIT_S).picture
    assert client.estimate(picture.request).learned_jobs >= 1
    with pytest.raises(sakuga.RequestRefused) as refused:
        client.estimate(two_girls, steps=999)
    assert [violation.field for violation in refused.value.violations] == ["sampling.steps"]
    with pytest.raises(sakuga.RequestError, match="change its fields"):
        client.estimate(picture.request, steps=9)


@pytest.mark.parametrize("cuts", [1, 5])
def test_a_cut_connection_loses_nothing(scripted: Server, two_girls: str, cuts: int) -> None:
    with Proxy(scripted.address) as proxy, sakuga.Client(proxy.address) as client:
        job = client.create(two_girls, seed=7, steps=100, width=64, height=64, preview="linear", timeout=LIMIT_S)
        events, done = [], 0
        for event in job:
            events.append(event)
            # Between two connections there is nothing to cut: then the next step is as good.
            if isinstance(event, sakuga.Step) and done < cuts and event.index > done * 15:
                done += proxy.cut()
        whole(events)
        assert done == cuts and proxy.connections >= 2
    with sakuga.Client(scripted.address) as direct:
        again = direct.generate(two_girls, seed=7, steps=100, width=64, height=64, deadline=LIMIT_S).picture
    assert job.picture.pixels_sha256 == again.pixels_sha256


def test_another_process_goes_on_where_one_stopped(scripted: Server, two_girls: str) -> None:
    with sakuga.Client(scripted.address) as first:
        job = first.create(two_girls, seed=9, steps=30, width=64, height=64, timeout=LIMIT_S)
        seen = list(itertools.takewhile(lambda event: not (isinstance(event, sakuga.Step) and event.index == 10), job))
        job.close()
        last = job.last_sequence
    assert seen and last is not None
    with sakuga.Client(scripted.address) as second:
        rest = list(second.watch(job.id, after_sequence=last))
        assert rest[0].sequence > last
        assert [event.index for event in rest if isinstance(event, sakuga.Step)] == list(range(11, 31))
        end = rest[-1]
        assert isinstance(end, sakuga.Completed) and png_size(end.pictures[0].data) == (64, 64)
        # The pieces are behind this one, so the picture is fetched.
        late = second.watch(job.id, after_sequence=end.sequence - 1)
        assert late.picture.data == end.pictures[0].data


def test_a_server_that_was_killed_draws_on(start_server: StartServer, two_girls: str, tmp_path: Path) -> None:
    flags = (*SLOW, "--data-dir", str(tmp_path / "data"))
    server = start_server(*flags)
    with Proxy(server.address) as proxy, sakuga.Client(proxy.address) as client:
        job = client.create(two_girls, seed=7, steps=40, width=64, height=64, timeout=LIMIT_S)
        events = [next(job)]
        while not (isinstance(events[-1], sakuga.Step) and events[-1].index == 10):
            events.append(next(job))
        server.kill()
        proxy.move(start_server(*flags).address)
        events += job
        (requeued,) = [event for event in events if isinstance(event, sakuga.Requeued)]
        assert requeued.attempt == 2
        assert all(before.sequence < after.sequence for before, after in itertools.pairwise(events))
        last = events[events.index(requeued) :]
        assert [event.index for event in last if isinstance(event, sakuga.Step)] == list(range(1, 41))
        assert client.job(job.id).attempt == 2
        again = client.generate(two_girls, seed=7, steps=40, width=64, height=64, deadline=LIMIT_S).picture
        assert job.picture.pixels_sha256 == again.pixels_sha256


def test_the_same_name_is_the_same_job(client: sakuga.Client) -> None:
    first = client.create("1girl", request_id="once-7", seed=1, steps=1, width=64, height=64)
    again = client.create("1girl", request_id="once-7", seed=1, steps=1, width=64, height=64)
    assert first.id == again.id and first.picture.data == again.picture.data
    with pytest.raises(sakuga.RequestRefused) as refused:
        client.create("1boy", request_id="once-7", seed=1, steps=1, width=64, height=64)
    assert refused.value.code is grpc.StatusCode.ALREADY_EXISTS


def test_a_job_is_cancelled_by_its_name(client: sakuga.Client) -> None:
    job = client.create("1girl", steps=LONG, width=64, height=64, timeout=LIMIT_S)
    next(event for event in job if isinstance(event, sakuga.Step))
    client.cancel(job.id)
    end = list(job)[-1]
    assert isinstance(end, sakuga.Cancelled)
    assert end.reason is sakuga.CancelReason.REQUESTED and 1 <= end.at_step < LONG
    assert client.job(job.id).state == job_pb2.JOB_STATE_CANCELLED
    with pytest.raises(sakuga.JobCancelled, match="requested"):
        _ = job.picture


def test_jobs_are_listed_and_deleted(client: sakuga.Client) -> None:
    ids = []
    for seed in range(3):
        job = client.create("1girl", request_id=f"listed-{seed}", seed=seed, steps=1, width=64, height=64)
        assert job.picture
        ids.append(job.id)
    completed = job_service_pb2.JobFilter(states=[job_pb2.JOB_STATE_COMPLETED])
    listed = [job.job_id for job in client.list_jobs(completed)]
    assert [job_id for job_id in listed if job_id in ids] == ids[::-1]
    labelled = client.label(ids[1], add=["favourite"])
    assert list(labelled.labels) == ["favourite"]
    for search in (job_service_pb2.JobFilter(labels=["favourite"]), job_service_pb2.JobFilter(text="LISTED-1 1girl")):
        assert [job.job_id for job in client.list_jobs(search)] == [ids[1]]
    assert not client.label(ids[1], remove=["favourite"]).labels
    with pytest.raises(sakuga.RequestError, match="list"):
        client.label(ids[1], add="favourite")
    assert client.artifact(ids[1], max_edge=32).startswith(b"\xff\xd8\xff")
    client.delete(ids[0])
    with pytest.raises(sakuga.RequestRefused) as refused:
        client.job(ids[0])
    assert refused.value.code is grpc.StatusCode.NOT_FOUND


def test_a_time_that_is_too_short_is_refused_at_once(client: sakuga.Client) -> None:
    # The server has measured its steps now.
    assert client.generate("1girl", steps=5, width=64, height=64, deadline=LIMIT_S).picture
    with pytest.raises(sakuga.RequestRefused) as refused:
        client.create("1girl", steps=LONG, width=64, height=64, timeout=0.1)
    assert refused.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert refused.value.reason
