"""Jobs that end without pictures: cancelled, past their deadline, or with the server gone."""

from pytest import raises

import sakuga
from tests.support import LIMIT_S, Server, StartServer

LONG = 200
"""Steps that take long enough that no test waits for their end: four seconds and more."""


def until_step(job: sakuga.Job, index: int) -> sakuga.Step:
    """Reads events until that step is done."""
    return next(event for event in job if isinstance(event, sakuga.Step) and event.index >= index)


def test_a_cancelled_job_frees_the_device(client: sakuga.Client) -> None:
    job = client.generate("1girl", steps=LONG, width=64, height=64, deadline=LIMIT_S)
    until_step(job, 3)
    job.cancel()
    # The next job gets the device long before the first would have ended.
    second = client.generate("1girl", steps=1, width=64, height=64, deadline=LIMIT_S)
    assert second.picture
    assert not [event for event in job if isinstance(event, sakuga.Step) and event.index > LONG // 2]
    with raises(sakuga.JobCancelled, match="by this client"):
        _ = job.picture
    job.cancel()


def test_a_waiting_job_is_cancelled_without_the_device(client: sakuga.Client) -> None:
    with client.generate("1girl", steps=LONG, width=64, height=64, deadline=LIMIT_S) as running:
        until_step(running, 1)
        waiting = client.generate("1girl", steps=LONG, width=64, height=64, deadline=LIMIT_S)
        queued = next(event for event in waiting if isinstance(event, sakuga.Queued))
        assert queued.position == 1
        waiting.cancel()
        assert not [event for event in waiting if isinstance(event, sakuga.Started)]


def test_leaving_the_job_gives_it_up(client: sakuga.Client) -> None:
    with client.generate("1girl", steps=LONG, width=64, height=64, deadline=LIMIT_S) as job:
        until_step(job, 1)
    assert next(job, None) is None
    started = [
        event
        for event in client.generate("1girl", steps=1, width=64, height=64, deadline=LIMIT_S)
        if isinstance(event, sakuga.Started)
    ]
    assert started


def test_a_deadline_ends_the_job(start_server: StartServer) -> None:
    # A server that has not measured a step yet cannot know beforehand that the time is too short.
    with sakuga.Client(start_server("--engine", "scripted", "--scripted-step-ms", "20").address) as client:
        job = client.generate("1girl", steps=LONG, width=64, height=64, deadline=0.5)
        # The server's last word and this side's clock race for it.
        with raises((sakuga.DeadlineExceeded, sakuga.JobCancelled), match="deadline"):
            _ = job.picture


def test_a_server_that_dies_is_a_lost_connection(start_server: StartServer) -> None:
    server: Server = start_server("--engine", "scripted", "--scripted-step-ms", "20")
    with sakuga.Client(server.address) as client:
        job = client.generate("1girl", steps=LONG, width=64, height=64, deadline=LIMIT_S)
        until_step(job, 1)
        server.kill()
        with raises(sakuga.ConnectionLost):
            list(job)
        assert next(job, None) is None
        with raises(sakuga.ConnectionLost):
            _ = job.picture
        with raises(sakuga.ConnectionLost):
            client.info()


def test_a_server_that_goes_down_says_so(start_server: StartServer) -> None:
    server = start_server("--engine", "scripted", "--scripted-step-ms", "20", "--drain-timeout", "0")
    with sakuga.Client(server.address) as client:
        job = client.generate("1girl", steps=LONG, width=64, height=64, deadline=LIMIT_S)
        until_step(job, 1)
        server.process.terminate()
        (end,) = [event for event in job if isinstance(event, sakuga.Cancelled)]
        assert end.reason is sakuga.CancelReason.SHUTDOWN and 1 <= end.at_step < LONG
        with raises(sakuga.JobCancelled, match="shutdown"):
            _ = job.picture
