"""The client for asyncio."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

import sakuga
from tests.proxy import Proxy
from tests.support import LIMIT_S, Server, StartServer
from tests.test_credentials import Secured, secured

__all__ = ["secured"]


def with_client(address: str, story: Callable[[sakuga.AsyncClient], Awaitable[None]]) -> None:
    """Runs a story with a client, within the limit."""

    async def run() -> None:
        async with sakuga.AsyncClient(address) as client:
            await asyncio.wait_for(story(client), LIMIT_S)

    asyncio.run(run())


def test_a_prompt_is_checked_and_drawn(scripted: Server, two_girls: str) -> None:
    async def story(client: sakuga.AsyncClient) -> None:
        report = await client.validate(two_girls.replace("appearance>", "appearence>", 2))
        assert report.diagnostics[0].code == "unknown-element" and report.diagnostics[0].fix
        assert "<general_tags>" in await client.format(await client.parse(two_girls))
        job = await client.generate(
            two_girls, seed=7, steps=12, width=64, height=64, preview="linear", gpu_stats_interval_ms=100
        )
        seen = [type(event) async for event in job]
        assert seen[0] is sakuga.Accepted and seen[-1] is sakuga.Completed
        assert seen.count(sakuga.Step) == 12
        assert {sakuga.Preview, sakuga.Stats} <= set(seen)
        picture = await job.picture()
        assert picture.seed == 7 and job.completed and job.completed.pictures == (picture,)
        assert [model.name for model in await client.models()]
        assert (await client.info()).engine == "scripted"

    with_client(scripted.address, story)


def test_jobs_run_side_by_side_and_are_cancelled(scripted: Server, two_girls: str) -> None:
    async def story(client: sakuga.AsyncClient) -> None:
        first, second = await asyncio.gather(
            client.generate(two_girls, steps=3, width=64, height=64),
            client.create(two_girls, steps=200, width=64, height=64),
        )

        async def cancelled_at_its_first_step() -> None:
            async for event in second:
                if isinstance(event, sakuga.Step):
                    await second.cancel()

        await asyncio.gather(first.pictures(), cancelled_at_its_first_step())
        with pytest.raises(sakuga.JobCancelled, match="requested"):
            await second.pictures()
        async with await client.generate(two_girls, steps=200, width=64, height=64) as dropped:
            await anext(dropped)
        while (await client.job(dropped.id)).HasField("cancelled") is False:
            await asyncio.sleep(0.05)

    with_client(scripted.address, story)


def test_events_continue_after_a_cut(start_server: StartServer, two_girls: str, tmp_path: Path) -> None:
    server = start_server("--engine", "scripted", "--scripted-step-ms", "20", "--data-dir", str(tmp_path / "data"))

    async def story(client: sakuga.AsyncClient) -> None:
        job = await client.create(two_girls, steps=40, width=64, height=64)
        steps = []
        async for event in job:
            if isinstance(event, sakuga.Step):
                steps.append(event.index)
                if event.index in (5, 20):
                    assert proxy.cut()
        assert steps == list(range(1, 41))
        picture = await job.picture()
        # The pieces of the picture are not sent again, so it is fetched.
        assert job.completed
        again = client.watch(job.id, after_sequence=job.completed.sequence - 1)
        assert (await again.picture()).data == picture.data == await client.artifact(job.id)
        assert [kept.job_id async for kept in client.list_jobs()] == [job.id]
        await client.delete(job.id)

    with Proxy(server.address) as proxy:
        with_client(proxy.address, story)
        assert proxy.connections >= 3


def test_errors_are_decoded(scripted: Server) -> None:
    async def story(client: sakuga.AsyncClient) -> None:
        with pytest.raises(sakuga.RequestRefused) as refused:
            await client.generate("<character_1><gender>robot</gender></character_1>", steps=999)
        assert refused.value.reason == "INVALID_REQUEST"
        assert "sampling.steps" in [violation.field for violation in refused.value.violations]
        with pytest.raises(sakuga.RequestError):
            await client.generate("1girl", mood="blue")  # type: ignore[call-arg]
        async for sample in client.watch_device(interval_ms=100):
            assert sample.name
            break

    with_client(scripted.address, story)
    with pytest.raises(sakuga.ConnectionLost):
        with_client("http://127.0.0.1:1", lambda client: client.info())  # type: ignore[arg-type, return-value]


def test_a_token_is_sent(secured: Secured, two_girls: str) -> None:
    async def story() -> None:
        async with sakuga.AsyncClient(secured.server.address, ca=secured.ca, token=secured.token) as client:
            job = await client.generate(two_girls, steps=1, width=64, height=64)
            assert len(await job.pictures()) == 1
        async with sakuga.AsyncClient(secured.server.address, ca=secured.ca) as client:
            with pytest.raises(sakuga.RequestRefused) as refused:
                await client.models()
            assert refused.value.reason == "TOKEN_MISSING"

    asyncio.run(story())
    with pytest.raises(sakuga.AddressError):
        sakuga.AsyncClient("http://gpu-box", token="secret")
