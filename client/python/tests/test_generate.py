"""One request: events in order, previews, statistics, and a picture with the announced checksum."""

import hashlib
import itertools
from pathlib import Path

import pytest

import sakuga
from sakuga.prompt.v1 import prompt_pb2
from tests.support import LIMIT_S, Server, png_size

MAGIC = {"png": b"\x89PNG\r\n\x1a\n", "jpeg": b"\xff\xd8\xff", "webp": b"RIFF"}


def test_every_event_of_a_job_comes_in_order(client: sakuga.Client, two_girls: str) -> None:
    job = client.generate(
        two_girls, seed=7, steps=10, width=64, height=128, preview="linear", gpu_stats_interval_ms=20, deadline=LIMIT_S
    )
    events = list(job)
    assert isinstance(events[0], sakuga.Accepted) and isinstance(events[-1], sakuga.Completed)
    assert {event.job_id for event in events} == {job.id}
    assert all(before.sequence < after.sequence for before, after in itertools.pairwise(events))
    assert sum(event.missed_before for event in events) == job.missed_events

    (started,) = [event for event in events if isinstance(event, sakuga.Started)]
    assert started.seeds == (7,) and started.request.sampling.steps == 10
    stages = [event.stage for event in events if isinstance(event, sakuga.StageBegun)]
    assert stages == [
        sakuga.Stage.TEXT_ENCODE,
        sakuga.Stage.DENOISE,
        sakuga.Stage.DECODE,
        sakuga.Stage.ENCODE_IMAGE,
    ]
    steps = [event for event in events if isinstance(event, sakuga.Step)]
    assert [(step.index, step.total) for step in steps] == [(index, 10) for index in range(1, 11)]
    assert all(step.step_ms > 0 and step.t == pytest.approx(1 - step.sigma) for step in steps)
    assert steps[-1].t == pytest.approx(1)

    stats = [event.stats for event in events if isinstance(event, sakuga.Stats)]
    assert stats and all(sample.source in ("nvml", "host") for sample in stats)
    assert any(sample.memory_used_bytes for sample in stats)

    (received,) = [event for event in events if isinstance(event, sakuga.Receiving)]
    assert job.completed is not None
    assert received.received_bytes == received.total_bytes == len(job.picture.data)
    assert job.completed.timings.total >= job.completed.timings.denoise > job.completed.timings.queued
    assert next(job, None) is None


def test_an_image_is_drawn_again_and_a_second_pass_is_reported(client: sakuga.Client) -> None:
    first = client.generate("1girl, solo", steps=4, width=64, height=64, seed=3, deadline=LIMIT_S).picture.data
    job = client.generate(
        "1girl, solo", init=first, strength=0.5, hires=1.5, steps=8, width=64, height=64, seed=3, deadline=LIMIT_S
    )
    events = list(job)
    stages = [(event.stage, event.pass_number) for event in events if isinstance(event, sakuga.StageBegun)]
    assert stages == [
        (sakuga.Stage.TEXT_ENCODE, 1),
        (sakuga.Stage.VAE_ENCODE, 1),
        (sakuga.Stage.DENOISE, 1),
        (sakuga.Stage.DECODE, 1),
        (sakuga.Stage.VAE_ENCODE, 2),
        (sakuga.Stage.DENOISE, 2),
        (sakuga.Stage.DECODE, 2),
        (sakuga.Stage.ENCODE_IMAGE, 2),
    ]
    assert [step.pass_number for step in events if isinstance(step, sakuga.Step)] == [1] * 4 + [2] * 4
    assert job.completed is not None and job.completed.timings.vae_encode is not None
    assert png_size(job.picture.data) == (96, 96)
    request = job.picture.request
    assert request.init.image.asset == hashlib.sha256(first).hexdigest()
    with pytest.raises(sakuga.RequestRefused) as refused:
        client.submit(request)
    assert [violation.field for violation in refused.value.violations] == ["init.image.asset"]
    request.init.image.inline = first
    assert client.submit(request).picture.pixels_sha256 == job.picture.pixels_sha256


@pytest.mark.parametrize("form", MAGIC)
def test_previews_come_in_the_form_that_was_asked_for(client: sakuga.Client, form: str) -> None:
    job = client.generate(
        "1girl, solo",
        steps=6,
        preview="decoder",
        preview_format=form,  # type: ignore[arg-type]
        preview_max_edge=32,
        preview_every_steps=2,
        deadline=LIMIT_S,
    )
    previews = [event for event in job if isinstance(event, sakuga.Preview)]
    # A slow reader may miss some, never one that was not asked for.
    assert previews and {preview.step for preview in previews} <= {2, 4, 6}
    for preview in previews:
        assert (preview.method, preview.format, preview.width, preview.height) == ("decoder", form, 32, 32)
        assert preview.data.startswith(MAGIC[form])


def test_a_picture_is_whole_and_can_be_drawn_again(client: sakuga.Client, two_girls: str, tmp_path: Path) -> None:
    first = client.generate(two_girls, seed=11, steps=2, width=64, height=96, deadline=LIMIT_S).picture
    assert (first.index, first.width, first.height, first.seed) == (0, 64, 96, 11)
    assert hashlib.sha256(first.data).hexdigest() == first.sha256
    assert first.save(tmp_path / "girl.png").read_bytes() == first.data
    assert png_size(first.data) == (64, 96)

    again = client.submit(first.request, deadline=LIMIT_S).picture
    other = client.generate(two_girls, seed=12, steps=2, width=64, height=96, deadline=LIMIT_S).picture
    assert again.pixels_sha256 == first.pixels_sha256 != other.pixels_sha256


def test_several_pictures_come_in_their_order(client: sakuga.Client, two_girls: str) -> None:
    job = client.generate(two_girls, seed=1, images=3, steps=2, width=64, height=64, deadline=LIMIT_S)
    pictures = job.pictures
    assert [picture.index for picture in pictures] == [0, 1, 2]
    assert len({picture.pixels_sha256 for picture in pictures}) == 3
    assert job.pictures is pictures


def test_a_picture_of_a_batch_is_drawn_alone(client: sakuga.Client, two_girls: str) -> None:
    batch = client.generate(two_girls, seed=1, images=3, steps=2, width=64, height=64, deadline=LIMIT_S).pictures
    job = client.generate(
        two_girls, seed=1, images=3, image_indices=[2], steps=2, width=64, height=64, deadline=LIMIT_S
    )
    assert (job.picture.index, job.picture.data) == (2, batch[2].data)
    assert client.artifact(job.id, 2) == batch[2].data
    whole = client.submit(batch[2].request, deadline=LIMIT_S).pictures
    assert [picture.data for picture in whole] == [picture.data for picture in batch]
    with pytest.raises(sakuga.RequestRefused, match="image_indices"):
        _ = client.generate(two_girls, images=3, image_indices=[3], deadline=LIMIT_S).picture
    for wrong in ([], [-1], 2):
        with pytest.raises(sakuga.RequestError, match="image_indices"):
            client.generate(two_girls, images=3, image_indices=wrong)  # type: ignore[arg-type]


def test_typed_prompts_are_drawn(client: sakuga.Client) -> None:
    tags = prompt_pb2.TagList
    girl = prompt_pb2.Character(n="$character_1$", gender=prompt_pb2.GENDER_GIRL, appearance=tags(tags=["blue_hair"]))
    prompt = prompt_pb2.Prompt(characters=[girl], general_tags=prompt_pb2.GeneralTags(count=tags(tags=["1girl"])))
    negative = prompt_pb2.NegativePrompt(danbooru_tags=tags(tags=["lowres"]))
    picture = client.generate(prompt, negative=negative, steps=1, width=64, height=64, deadline=LIMIT_S).picture
    assert picture.request.typed == prompt and picture.request.negative_prompt == negative
    assert "blue_hair" in picture.metadata.model_text


def test_the_model_of_the_program_draws(embedded: Server, two_girls: str) -> None:
    with sakuga.Client(embedded.address) as client:
        assert client.info().engine == "burn"
        size = client.models()[0].default_size
        job = client.generate(two_girls, seed=20250826, steps=2, preview="linear", deadline=LIMIT_S)
        kinds = {type(event) for event in job}
        assert {sakuga.Step, sakuga.Preview, sakuga.Stats, sakuga.Completed} <= kinds
        assert png_size(job.picture.data) == (size, size)


def test_the_device_can_be_watched_alone(client: sakuga.Client) -> None:
    samples = list(itertools.islice(client.watch_device(interval_ms=100), 2))
    assert len(samples) == 2
    assert all(sample.name and (sample.memory_total_bytes or 0) > 0 for sample in samples)


def test_a_profile_tells_where_the_time_went(client: sakuga.Client, two_girls: str) -> None:
    job = client.generate(two_girls, seed=7, steps=3, width=64, height=64, profile=True, deadline=LIMIT_S)
    profiles = [event for event in job if isinstance(event, sakuga.Profile)]
    assert [profile.stage for profile in profiles] == [
        sakuga.Stage.TEXT_ENCODE,
        sakuga.Stage.DENOISE,
        sakuga.Stage.DECODE,
    ]
    denoise = profiles[1]
    assert sum(span.ms for span in denoise.spans) == pytest.approx(denoise.device_ms)
    assert {(span.network, span.layer) for span in denoise.spans} == {("denoiser", 0), ("denoiser", 1)}
    assert denoise.peak_flops_per_second is not None
    # What was seen of the device meanwhile is there afterwards.
    assert all(sample.memory_used_bytes > 0 for sample in client.telemetry(job.id).samples)


def test_the_activity_can_be_watched_alone(client: sakuga.Client) -> None:
    (activity,) = itertools.islice(client.watch_activity(interval_ms=100), 1)
    assert {pool.name for pool in activity.pools} == {"weights and tensors", "scratch"}
