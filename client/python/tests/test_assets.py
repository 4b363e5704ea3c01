"""Files on the server: uploaded across a cut connection, listed, fetched and deleted."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

import sakuga
from sakuga.asset.v1 import asset_service_pb2
from tests.proxy import Proxy
from tests.support import LIMIT_S, Server


def tensors(size: int) -> bytes:
    """A safetensors file whose bytes do not repeat."""
    header = f'{{"t":{{"dtype":"U8","shape":[{size}],"data_offsets":[0,{size}]}}}}'.encode()
    return len(header).to_bytes(8, "little") + header + bytes(index * index // 7 % 256 for index in range(size))


def test_a_picture_is_uploaded_listed_fetched_and_deleted(client: sakuga.Client, tmp_path: Path) -> None:
    picture = client.generate("1girl", steps=1, width=64, height=32, deadline=LIMIT_S).picture
    path = tmp_path / "girl.png"
    picture.save(path)
    asset = client.upload_asset(path)
    assert (asset.kind, asset.size) == (asset_service_pb2.ASSET_KIND_PNG, len(picture.data))
    assert (asset.picture.width, asset.picture.height, asset.picture.has_alpha) == (64, 32, False)
    assert client.upload_asset(picture.data).sha256 == asset.sha256
    assert [found.sha256 for found in client.list_assets()] == [asset.sha256]
    assert client.get_asset(asset.sha256) == picture.data
    client.delete_asset(asset.sha256)
    assert list(client.list_assets()) == []
    for call in (client.get_asset, client.delete_asset):
        with pytest.raises(sakuga.RequestRefused) as refused:
            call(asset.sha256)
        assert refused.value.reason == "ASSET_NOT_FOUND"


def test_only_regular_files_are_read(client: sakuga.Client, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (Path("/dev/zero"), pipe, tmp_path):
        with pytest.raises(sakuga.RequestError, match="regular file"):
            client.upload_asset(path)


def test_what_is_no_picture_is_refused(client: sakuga.Client) -> None:
    with pytest.raises(sakuga.RequestRefused) as refused:
        client.upload_asset(b"#!/bin/sh\necho no picture\n")
    assert refused.value.reason == "ASSET_UNUSABLE"
    with pytest.raises(sakuga.RequestError, match="bytes or a path"):
        client.upload_asset(7)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        client.upload_asset("/no/such/file.png")
    with pytest.raises(sakuga.RequestError, match="SHA-256 of an asset"):
        client.upload_asset("ab" * 32)


def test_requests_name_uploaded_files(scripted: Server) -> None:
    with sakuga.Client(scripted.address) as client:
        picture = client.generate("1girl", steps=1, width=64, height=32, deadline=LIMIT_S).picture
        image, adapter = client.upload_asset(picture.data), client.upload_asset(tensors(4))
        job = client.generate(
            "1girl", init=image, adapters=[(adapter, 0.5)], steps=2, width=64, height=32, deadline=LIMIT_S
        )
        request = job.picture.request
        assert (request.init.image.asset, request.adapters[0].sha256) == (image.sha256, adapter.sha256)
        for asset in (image, adapter):
            client.delete_asset(asset.sha256)


def test_an_upload_goes_on_after_a_cut(scripted: Server) -> None:
    file = tensors(3_000_000)
    with Proxy(scripted.address) as proxy, sakuga.Client(proxy.address) as client:
        client.info()
        cut = threading.Timer(0.005, proxy.cut)
        cut.start()
        asset = client.upload_asset(file)
        cut.join()
        proxy.cut()
        assert client.get_asset(asset.sha256) == file
        client.delete_asset(asset.sha256)


def test_asyncio_has_the_same_methods(scripted: Server) -> None:
    async def main() -> None:
        file = tensors(600_000)
        async with sakuga.AsyncClient(scripted.address) as client:
            asset = await client.upload_asset(file)
            assert asset.tensors.tensors == 1
            assert [found.sha256 async for found in client.list_assets()] == [asset.sha256]
            assert await client.get_asset(asset.sha256) == file
            await client.delete_asset(asset.sha256)
            with pytest.raises(sakuga.RequestRefused):
                await client.get_asset(asset.sha256)

    asyncio.run(asyncio.wait_for(main(), LIMIT_S))
