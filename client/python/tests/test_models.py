"""Several models in one server: listed, chosen, loaded and unloaded."""

import asyncio
import struct
from pathlib import Path

import pytest

import sakuga
from sakuga.model.v1 import model_service_pb2
from tests.support import LIMIT_S, StartServer

TWO = ("--engine", "scripted", "--scripted-step-ms", "0", "--model", "anime=x", "--model", "photo=x")
LOADED = model_service_pb2.MODEL_STATE_LOADED
UNLOADED = model_service_pb2.MODEL_STATE_UNLOADED
ON_HOST = model_service_pb2.MODEL_STATE_ON_HOST


def test_a_model_is_chosen_and_loaded_for_its_job(start_server: StartServer, two_girls: str) -> None:
    server = start_server(*TWO, "--memory-budget", "64MiB")
    with sakuga.Client(server.address) as client:
        assert [model.name for model in client.models()] == ["anime", "photo"]
        assert [(model.name, model.is_default, model.state) for model in client.list_models()] == [
            ("anime", True, LOADED),
            ("photo", False, UNLOADED),
        ]
        job = client.generate(two_girls, model="photo", steps=1, width=64, height=64, deadline=LIMIT_S)
        events = list(job)
        stages = [event.stage for event in events if isinstance(event, sakuga.StageBegun)]
        assert stages[0] is sakuga.Stage.LOAD_MODEL
        completed = events[-1]
        assert isinstance(completed, sakuga.Completed) and completed.timings.load_model is not None
        assert job.picture.request.model == "photo"
        assert [model.state for model in client.list_models()] == [ON_HOST, LOADED]

        assert client.unload_model("anime").state == UNLOADED
        assert client.load_model("anime").state == LOADED
        job = client.generate(two_girls, steps=1, width=64, height=64, deadline=LIMIT_S)
        completed = list(job)[-1]
        assert isinstance(completed, sakuga.Completed) and completed.timings.load_model is None


def test_an_unknown_model_is_answered_with_the_known_ones(start_server: StartServer, two_girls: str) -> None:
    server = start_server(*TWO)
    with sakuga.Client(server.address) as client:
        with pytest.raises(sakuga.RequestRefused, match="did you mean `photo`") as refused:
            client.generate(two_girls, model="photos")
        assert refused.value.reason == "MODEL_NOT_FOUND"
        with pytest.raises(sakuga.RequestRefused, match="anime, photo"):
            client.load_model("nothing")


def test_adapters_are_listed_and_used_by_name(start_server: StartServer, two_girls: str, tmp_path: Path) -> None:
    folder = tmp_path / "adapters"
    folder.mkdir()
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    (folder / "ink.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    server = start_server("--engine", "scripted", "--scripted-step-ms", "0", "--adapters", str(folder))
    with sakuga.Client(server.address) as client:
        (ink,) = client.list_adapters()
        assert (ink.name, ink.fits[0].model, ink.fits[0].is_usable) == ("ink", "scripted", True)
        job = client.generate(two_girls, adapters=[("ink", 0.5)], steps=1, width=64, height=64, deadline=LIMIT_S)
        stages = [event.stage for event in job if isinstance(event, sakuga.StageBegun)]
        assert stages[0] is sakuga.Stage.LOAD_ADAPTERS
        (adapter,) = job.picture.request.adapters
        assert (adapter.sha256, adapter.scale, adapter.text_scale) == (ink.sha256, 0.5, 0.5)
        # The request in the picture names the adapter by its content.
        again = client.submit(job.picture.request, deadline=LIMIT_S)
        assert again.picture.data == job.picture.data
        with pytest.raises(sakuga.RequestRefused, match="did you mean `ink`"):
            client.generate(two_girls, adapters=["inc"], steps=1, width=64, height=64)

    async def listed() -> list[str]:
        async with sakuga.AsyncClient(server.address) as client:
            job = await client.generate(two_girls, adapters=["ink"], steps=1, width=64, height=64, deadline=LIMIT_S)
            async for _ in job:
                pass
            return [adapter.name for adapter in await client.list_adapters()]

    assert asyncio.run(listed()) == ["ink"]
