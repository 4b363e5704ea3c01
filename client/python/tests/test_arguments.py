"""Arguments that no request can hold raise errors of this package, before a server is asked."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

import sakuga
from sakuga import wire
from sakuga.asset.v1 import asset_service_pb2
from sakuga.connection import Address
from sakuga.errors import span
from sakuga.generation.v1 import event_pb2, image_input_pb2, job_pb2, job_service_pb2, request_pb2
from sakuga.prompt.v1 import prompt_pb2
from sakuga.request import build


@pytest.fixture
def nobody() -> Iterator[sakuga.Client]:
    """A client of a port without a server. A call that reaches the network would raise `ConnectionLost`."""
    with sakuga.Client("127.0.0.1:9") as client:
        yield client


@pytest.mark.parametrize("content", ["a prompt".encode("utf-16"), b"\xff", "caf\xe9".encode("latin-1")])
def test_a_file_that_is_not_utf_8_says_what_to_do(nobody: sakuga.Client, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "prompt.xml"
    path.write_bytes(content)
    calls: list[Callable[[], object]] = [
        lambda: nobody.validate(path),
        lambda: nobody.generate(path),
        lambda: nobody.create(path),
        lambda: nobody.generate("1girl", negative=path),
    ]
    for call in calls:
        with pytest.raises(sakuga.RequestError, match=r"prompt\.xml is not UTF-8 text.*save it as UTF-8"):
            call()


def test_a_negative_prompt_can_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "negative.txt"
    path.write_text("low_quality, \u732b", "utf-8")
    assert build("1girl", {"negative": path}).negative_text == "low_quality, \u732b"
    assert build("1girl", {"negative": "blurry"}).negative_text == "blurry"


def test_a_negative_prompt_has_a_system_prompt_of_its_own() -> None:
    assert build("1girl", {"negative_system_prompt": "You are bad. "}).negative_system_prompt == "You are bad. "
    assert build("1girl", {"negative_system_prompt": ""}).HasField("negative_system_prompt")
    assert not build("1girl", {}).HasField("negative_system_prompt")


def test_images_fill_their_messages(tmp_path: Path) -> None:
    path = tmp_path / "girl.png"
    path.write_bytes(b"a file")
    sha256 = "ab" * 32
    request = build(
        "1girl",
        {
            "init": path,
            "strength": 0.5,
            "canvas": (8, 16),
            "mask": sha256,
            "mask_boxes": [(1, 2, 3, 4), (5, 6, 7, 8)],
            "feather": 9,
            "masked_only": True,
            "padding": 10,
            "hires": 1.5,
            "hires_upscaler": "latent_bilinear",
            "hires_strength": 0.25,
            "hires_steps": 11,
        },
    )
    assert (request.init.image.inline, request.init.strength) == (b"a file", 0.5)
    assert (request.init.canvas.left, request.init.canvas.top) == (8, 16)
    assert (request.mask.image.asset, request.mask.feather, request.mask.masked_only.padding) == (sha256, 9, 10)
    assert [(box.left, box.top, box.width, box.height) for box in request.mask.boxes] == [(1, 2, 3, 4), (5, 6, 7, 8)]
    second = request.second_pass
    assert (second.factor, second.strength, second.steps) == (1.5, 0.25, 11)
    assert second.upscaler == image_input_pb2.UPSCALER_LATENT_BILINEAR
    assert build("1girl", {"init": b"a file", "resize": "pad"}).init.resize == image_input_pb2.RESIZE_MODE_PAD
    assert not build("1girl", {"canvas": "center"}).init.canvas.HasField("left")
    plain = build("1girl", {"masked_only": False})
    assert not any(plain.HasField(name) for name in ("init", "mask", "second_pass"))


def test_images_that_no_request_holds_are_refused(tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(bytes((2 << 20) + 1))
    wrong: list[dict[str, object]] = [
        {"init": large},
        {"canvas": (1, 2, 3)},
        {"mask_boxes": [(1, 2, 3)]},
        {"padding": 5},
        {"resize": "cover"},
        {"hires_upscaler": "esrgan"},
    ]
    for options in wrong:
        with pytest.raises(sakuga.RequestError, match=next(iter(options)).split("_")[0] + "|is not one of"):
            build("1girl", cast(sakuga.Options, options))


def test_files_are_bytes_paths_and_uploaded_ones(tmp_path: Path) -> None:
    digest = "Ab" * 32
    path = tmp_path / "girl.png"
    path.write_bytes(b"content")
    for given in (b"content", path, str(path)):
        assert build("1girl", {"init": given}).init.image.inline == b"content"
    for uploaded in (digest, asset_service_pb2.Asset(sha256=digest.lower())):
        request = build("1girl", {"init": uploaded, "mask": uploaded, "adapters": [uploaded, (uploaded, 0.5)]})
        named = [request.init.image.asset, request.mask.image.asset, *(one.sha256 for one in request.adapters)]
        assert named == [digest.lower()] * 4
    # 64 characters that are no digits are a path.
    with pytest.raises(FileNotFoundError):
        build("1girl", {"init": "z" * 64})
    with pytest.raises(sakuga.RequestError, match="`init` is bytes, a path, an Asset"):
        build("1girl", {"init": 7})  # type: ignore[typeddict-item]


def test_controls_are_made_by_their_function() -> None:
    made = sakuga.control("canny", b"a picture", scale=0.5, end=0.75, preprocessor="canny", canny=(50, 150))
    (sent,) = build("1girl", {"controls": [made]}).controls
    assert (sent.network, sent.image.inline, sent.scale, sent.end) == ("canny", b"a picture", 0.5, 0.75)
    assert (sent.preprocessor, sent.canny_low, sent.canny_high) == (image_input_pb2.PREPROCESSOR_CANNY, 50, 150)
    assert not sent.HasField("start")
    for wrong in ("canny", [("canny", b"x")]):
        with pytest.raises(sakuga.RequestError, match=r"`sakuga\.control`"):
            build("1girl", {"controls": wrong})  # type: ignore[typeddict-item]
    with pytest.raises(sakuga.RequestError):
        sakuga.control("pose", b"x", preprocessor="openpose")  # type: ignore[arg-type]


def test_a_scene_is_made_by_its_function() -> None:
    boxes = [(1, 2, 3, 4)]
    made = sakuga.scene(
        "1girl, forest",
        negative="rain",
        model="sdxl",
        seed=0,
        steps=30,
        solver="dpm",
        strength=0.5,
        resize="crop",
        width=96,
        adapters=[("ink", 0.8)],
        system_prompt="",
        protect=boxes,
        feather=8,
    )
    sent = build("1girl", {"scene": made, "model": "newbie"}).scene
    assert (sent.xml, sent.negative_text, sent.model, sent.seed) == ("1girl, forest", "rain", "sdxl", 0)
    assert sent.HasField("seed") and sent.HasField("system_prompt") and not sent.HasField("negative_system_prompt")
    assert (sent.sampling.steps, sent.sampling.solver) == (30, request_pb2.SOLVER_DPM)
    assert (sent.strength, sent.resize, sent.width) == (0.5, image_input_pb2.RESIZE_MODE_CROP, 96)
    assert sent.adapters[0].name == "ink" and sent.protection.boxes[0].height == 4 and sent.protection.feather == 8
    by_image = sakuga.scene(prompt_pb2.Prompt(caption="a forest"), protect=b"a picture")
    assert by_image.typed.caption == "a forest" and by_image.protection.image.inline == b"a picture"
    assert not by_image.HasField("strength")
    wrong: list[Any] = [{"images": 2}, {"strength": "much"}, {"protect": [(1, 2)]}, {"protect": 7}, {"resize": "fit"}]
    for options in wrong:
        with pytest.raises(sakuga.RequestError):
            sakuga.scene("1girl", **options)
    with pytest.raises(sakuga.RequestError, match=r"`sakuga\.scene`"):
        build("1girl", {"scene": "1girl"})  # type: ignore[typeddict-item]


def test_a_refiner_is_a_share_or_the_message() -> None:
    given = request_pb2.Refiner(switch_at=0.7, aesthetic_score=5)
    assert build("1girl", {"refiner": given}).refiner == given
    assert round(build("1girl", {"refiner": 0.8}).refiner.switch_at, 3) == 0.8
    assert not build("1girl", {}).HasField("refiner")
    with pytest.raises(sakuga.RequestError, match="`refiner` cannot be"):
        build("1girl", {"refiner": "0.8"})  # type: ignore[typeddict-item]


def test_adapters_are_names_with_factors() -> None:
    given = request_pb2.Adapter(sha256="ab" * 32)
    adapters = build("1girl", {"adapters": ["ink", ("wash", 0.5), ("line", 1, 0), given]}).adapters
    assert [adapter.name or adapter.sha256 for adapter in adapters] == ["ink", "wash", "line", "ab" * 32]
    assert [adapter.HasField("scale") for adapter in adapters] == [False, True, True, False]
    assert (adapters[1].scale, adapters[2].text_scale) == (0.5, 0.0)
    wrong: list[Any] = [7, ("ink", "much"), ("ink", 1, 2, 3), (0.5, "ink")]
    for value in wrong:
        with pytest.raises(sakuga.RequestError):
            build("1girl", {"adapters": [value]})


def test_a_file_without_end_is_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (Path("/dev/zero"), pipe, tmp_path):
        with pytest.raises(sakuga.RequestError, match="regular file"):
            build(path, {})
        with pytest.raises(sakuga.RequestError, match="regular file"):
            sakuga.read_record(path)


WRONG: list[Callable[[Any, Any], object]] = [
    lambda client, value: client.validate(value),
    lambda client, value: client.generate(value),
    lambda client, value: client.generate("1girl", negative=value),
    lambda client, value: client.generate("1girl", seed=value),
    lambda client, value: client.generate("1girl", model=value),
    lambda client, value: client.generate("1girl", solver=value),
    lambda client, value: client.generate("1girl", preview=value),
    lambda client, value: client.generate("1girl", deadline=value),
    lambda client, value: client.create("1girl", timeout=value),
    lambda client, value: client.create("1girl", priority=value),
    lambda client, value: client.submit(value),
    lambda client, value: client.parse(value),
    lambda client, value: client.format(value),
    lambda client, value: client.job(value),
    lambda client, value: next(client.watch(value)),
    lambda client, value: next(client.watch("j", after_sequence=value)),
    lambda client, value: client.cancel(value),
    lambda client, value: client.label(value, add=["favourite"]),
    lambda client, value: client.label("j", add=[value]),
    lambda client, value: client.artifact(value),
    lambda client, value: client.artifact("j", value),
    lambda client, value: client.telemetry(value),
    lambda client, value: client.delete(value),
    lambda client, value: next(client.list_jobs(value)),
    lambda client, value: next(client.watch_device(interval_ms=value)),
    lambda client, value: next(client.watch_activity(interval_ms=value)),
]


@pytest.mark.parametrize("call", WRONG)
@pytest.mark.parametrize("value", [[], {"a": 1}, object(), "\ud800"])
def test_values_of_another_type_raise_nothing_else(
    nobody: sakuga.Client, call: Callable[[Any, Any], object], value: object
) -> None:
    with pytest.raises(sakuga.RequestError):
        call(nobody, value)


def test_a_list_of_empty_pages_ends(nobody: sakuga.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def pages(request: job_service_pb2.ListJobsRequest) -> job_service_pb2.ListJobsResponse:
        asked.append(request.page_token)
        jobs = [job_pb2.Job(job_id="j")] if len(asked) < 3 else []
        return job_service_pb2.ListJobsResponse(jobs=jobs, next_page_token=f"page-{len(asked)}")

    monkeypatch.setattr(nobody.jobs, "ListJobs", pages)
    assert len(list(nobody.list_jobs())) == 2
    # A search has empty pages before the next job.
    assert len(asked) == 102


def test_times_beyond_the_range_of_python_are_cut_to_it() -> None:
    most = 315_576_000_000
    assert span(Duration(seconds=most)) == timedelta(seconds=most)
    assert (span(Duration(seconds=2**62)), span(Duration(seconds=-(2**62)))) == (timedelta.max, timedelta.min)
    for seconds, expected in ((2**62, datetime.max), (-(2**62), datetime.min)):
        event = event_pb2.GenerateEvent(time=Timestamp(seconds=seconds))
        assert wire.header(event, 0)["time"] == expected.replace(tzinfo=UTC)


@pytest.mark.parametrize("value", [2**70, -(2**70), float("inf"), "\ud800", b"x", [], object()])
@pytest.mark.parametrize("option", sorted(sakuga.Options.__annotations__))
def test_options_raise_nothing_else(option: str, value: object) -> None:
    # What a field can hold is the server's to judge.
    with suppress(sakuga.RequestError):
        build("1girl", cast(sakuga.Options, {option: value}))


@pytest.mark.parametrize("address", ["", " ", "\0", "\ud800", "a b", "x" * 300, "http://", ":50051", 5, b"x"])
def test_what_cannot_be_an_address_is_refused(address: Any) -> None:
    with pytest.raises(sakuga.AddressError):
        sakuga.Client(address)


@pytest.mark.parametrize("path", ["\0", "\ud800"])
def test_names_that_no_file_has_are_refused(path: str) -> None:
    with pytest.raises(sakuga.CredentialsError):
        sakuga.Client("https://127.0.0.1:9", ca=path)
    with pytest.raises(sakuga.RequestError):
        picture().save(path)


@pytest.mark.parametrize("path", [None, 5, [], b"x"])
def test_a_picture_is_saved_under_a_path(path: Any) -> None:
    with pytest.raises(sakuga.RequestError):
        picture().save(path)


def test_a_certificate_without_end_is_refused() -> None:
    with pytest.raises(sakuga.CredentialsError, match="regular file"):
        sakuga.Client("https://127.0.0.1:9", ca="/dev/zero")


def test_the_loopback_is_known_in_every_form() -> None:
    for host in ("localhost", "127.0.0.1", "127.8.9.1", "[::1]", "[::ffff:127.0.0.1]"):
        assert Address.parse(f"http://{host}:9").is_this_machine, host
    for host in ("10.0.0.1", "[::ffff:10.0.0.1]", "localhost.example", "0.0.0.0"):
        assert not Address.parse(f"http://{host}:9").is_this_machine, host


def picture() -> sakuga.Picture:
    """A picture without content."""
    return sakuga.Picture(0, b"", "", "", 0, 0, event_pb2.ImageMetadata())
