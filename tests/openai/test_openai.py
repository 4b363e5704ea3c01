"""Drives the servers that `cargo xtask test languages` starts, with OpenAI's client for Python."""

import asyncio
import base64
import json
import os
import pathlib
import shutil
import struct
import subprocess
import urllib.request
import zlib

import openai
import pytest
from openai import OpenAI
from openai.types import (
    ImageEditCompletedEvent,
    ImageEditPartialImageEvent,
    ImageGenCompletedEvent,
    ImageGenPartialImageEvent,
    ImageGenStreamEvent,
)

PROMPT = "<character_1><gender>1girl</gender><appearance>blue_hair</appearance></character_1>"
BROKEN = "<character_1>\n  <gender>1girl</gendr>\n</character_1>"
SHORT = {"sakuga": {"seed": 7, "sampling": {"steps": 8}}}
DOCUMENT = pathlib.Path(__file__).parents[2] / "server/OPENAI.md"


def connect(variable="SAKUGA_TEST_HTTP", **options):
    options = {"api_key": "none", "max_retries": 0} | options
    return OpenAI(base_url=os.environ[variable].rstrip("/") + "/v1", **options)


@pytest.fixture
def client():
    with connect() as client:
        yield client


def picture(text):
    data = base64.b64decode(text, validate=True)
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", data[16:24])


def png(edge, pixel):
    """A PNG file of RGBA pixels."""
    rows = b"".join(b"\0" + b"".join(bytes(pixel(x, y)) for x in range(edge)) for y in range(edge))
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", edge, edge, 8, 6, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    packed = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


IMAGE = ("image.png", png(64, lambda x, y: (4 * x, 4 * y, 200, 255)), "image/png")
MASK = ("mask.png", png(64, lambda x, y: (0, 0, 0, 0 if x < 32 else 255)), "image/png")


def test_models(client):
    [model] = client.models.list().data
    assert (model.id, model.object, model.owned_by) == ("scripted", "model", "sakuga")
    assert client.models.retrieve("scripted").id == "scripted"


def test_pictures_as_base64(client):
    answer = client.images.generate(prompt=PROMPT, n=2, size="128x64", quality="high", extra_body=SHORT)
    assert [picture(image.b64_json) for image in answer.data] == [(128, 64), (128, 64)]
    assert answer.data[0].b64_json != answer.data[1].b64_json
    assert (answer.size, answer.quality, answer.output_format, answer.background) == ("128x64", "high", "png", "opaque")
    assert answer.usage.input_tokens > 0
    assert answer.sakuga["job_id"] == answer._request_id
    again = client.images.generate(prompt=PROMPT, n=2, size="128x64", extra_body=SHORT)
    assert again.data == answer.data


def test_a_picture_by_its_url(client):
    answer = client.images.generate(prompt=PROMPT, response_format="url", output_format="jpeg", extra_body=SHORT)
    with urllib.request.urlopen(answer.data[0].url) as fetched:
        assert fetched.headers["content-type"] == "image/jpeg"
        assert fetched.read(3) == b"\xff\xd8\xff"


def test_partial_pictures(client):
    with client.images.generate(prompt=PROMPT, stream=True, partial_images=3, size="64x64", extra_body=SHORT) as stream:
        *partials, completed = stream
    assert [event.partial_image_index for event in partials] == [0, 1, 2]
    assert all(isinstance(event, ImageGenPartialImageEvent) for event in partials)
    assert isinstance(completed, ImageGenCompletedEvent)
    assert {picture(event.b64_json) for event in [*partials, completed]} == {(64, 64)}
    assert len({event.b64_json for event in [*partials, completed]}) == 4
    assert completed.usage.input_tokens > 0
    assert completed.sakuga["seed"] == "7"


def test_partial_pictures_asynchronously():
    async def draw():
        async with openai.AsyncOpenAI(
            base_url=os.environ["SAKUGA_TEST_HTTP"].rstrip("/") + "/v1", api_key="none"
        ) as client:
            stream = await client.images.generate(prompt=PROMPT, stream=True, partial_images=2, extra_body=SHORT)
            return [event.type async for event in stream]

    partial = "image_generation.partial_image"
    assert asyncio.run(draw()) == [partial, partial, "image_generation.completed"]


def test_a_stream_resumes_after_a_cut(client):
    options = {"sakuga": {"sampling": {"steps": 150}}}
    stream = client.images.generate(prompt=PROMPT, stream=True, partial_images=3, extra_body=options)
    first = next(stream)
    stream.close()
    assert (first.type, first.partial_image_index) == ("image_generation.partial_image", 0)
    resumed = client.get(
        f"/images/generations/{first.sakuga['job_id']}/events",
        cast_to=ImageGenStreamEvent,
        options={"headers": {"Last-Event-ID": first.sakuga["event_id"]}},
        stream=True,
        stream_cls=openai.Stream[ImageGenStreamEvent],
    )
    *partials, completed = resumed
    assert [event.partial_image_index for event in partials] == [1, 2]
    assert completed.type == "image_generation.completed"
    assert completed.b64_json.startswith("iVBORw0KGgo")


def test_edits(client):
    answer = client.images.edit(image=IMAGE, mask=MASK, prompt=PROMPT, n=2, extra_body=SHORT)
    assert [picture(image.b64_json) for image in answer.data] == [(64, 64), (64, 64)]
    options = {"sakuga": json.dumps({"init": {"strength": 0.9}, "sampling": {"steps": 20}})}
    stream = client.images.edit(image=[IMAGE], prompt=PROMPT, stream=True, partial_images=2, extra_body=options)
    *partials, completed = stream
    assert [type(event) for event in partials] == [ImageEditPartialImageEvent] * 2
    assert isinstance(completed, ImageEditCompletedEvent)


def test_a_bad_request_names_the_parameter(client):
    for arguments, param in [
        ({"quality": "hd"}, "quality"),
        ({"n": 99}, "n"),
        ({"style": "vivid"}, "style"),
        ({"extra_body": {"sakuga": {"samplin": {}}}}, "sakuga.samplin"),
        ({"prompt": BROKEN, "extra_body": {"sakuga": {"strictness": "STRICTNESS_STRICT"}}}, "prompt"),
    ]:
        with pytest.raises(openai.BadRequestError) as raised:
            client.images.generate(**{"prompt": PROMPT} | arguments)
        error = raised.value
        assert (error.param, error.code, error.type) == (param, "INVALID_REQUEST", "invalid_request_error")
    assert "line 2, column" in error.message
    with pytest.raises(openai.BadRequestError) as raised:
        client.images.edit(image=IMAGE, mask=IMAGE, prompt=PROMPT)
    assert raised.value.param == "mask"


def test_other_errors_are_those_of_the_client(client):
    with pytest.raises(openai.NotFoundError) as raised:
        client.images.generate(prompt=PROMPT, model="dall-e-3")
    assert raised.value.code == "MODEL_NOT_FOUND"
    with pytest.raises(openai.AuthenticationError) as raised:
        connect("SAKUGA_TEST_HTTP_TOKENS", api_key="wrong").models.list()
    assert raised.value.code == "TOKEN_UNKNOWN"
    limited = connect("SAKUGA_TEST_HTTP_TOKENS", api_key=os.environ["SAKUGA_TEST_HTTP_LIMITED"])
    limited.models.list()
    with pytest.raises(openai.RateLimitError) as raised:
        limited.models.list()
    assert raised.value.code == "CLIENT_RATE_LIMIT"
    assert int(raised.value.response.headers["retry-after"]) > 0


@pytest.mark.skipif(not all(map(shutil.which, ["bash", "curl", "jq"])), reason="bash, curl or jq is not installed")
def test_the_documented_commands(tmp_path):
    text = DOCUMENT.read_text(encoding="utf-8")
    commands = text.split("```sh\n")[1].split("```")[0].split("\n\n", 1)[1]
    commands = commands.replace("http://127.0.0.1:50052", os.environ["SAKUGA_TEST_HTTP"].rstrip("/"))
    printed = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", commands],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert "/v1/pictures/" in printed.stdout
    events = (tmp_path / "events.txt").read_text(encoding="utf-8")
    assert events.count("event: image_generation.partial_image") == 2
    for name in ["girl.png", "blue.png"]:
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
