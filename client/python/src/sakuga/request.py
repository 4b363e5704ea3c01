"""Builds a request from arguments. An argument that is left out is not sent, so the server and the model choose."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, TypedDict, TypeVar, cast

from google.protobuf.message import Message

from sakuga.asset.v1 import asset_service_pb2
from sakuga.controls import control_messages
from sakuga.errors import RequestError
from sakuga.files import hash_of, open_regular
from sakuga.generation.v1 import image_input_pb2, request_pb2
from sakuga.images import ImageOptions, put_images
from sakuga.prompt.v1 import prompt_pb2, prompt_service_pb2
from sakuga.wording import number

_AdapterName: TypeAlias = str | asset_service_pb2.Asset

AdapterLike: TypeAlias = (
    _AdapterName | tuple[_AdapterName, float] | tuple[_AdapterName, float, float] | request_pb2.Adapter
)
"""The name of an adapter, or an uploaded one by its `Asset` or its SHA-256 of 64 hexadecimal digits; perhaps with factors on its
effect on the denoiser and on the text encoders. Or the message."""

PromptLike: TypeAlias = str | os.PathLike[str] | prompt_pb2.Prompt
"""The text of a prompt, the path of a file with it, or the typed form."""

_Filled = TypeVar("_Filled")

_TEXT_BYTES_MAX: Final = 64 << 20
"""The largest file that is read as a prompt. The prompt language allows far less."""

_SECONDS_MAX: Final = 365 * 24 * 3600
"""The longest time limit, a year."""


class PassOptions(TypedDict, total=False):
    """How one model draws: what the pictures of a request and the scene over them share."""

    strict: bool
    """Accept only documents that the XSD accepts, instead of repairing what can be repaired without loss."""
    model: str
    """The model, by its name in `Client.models`."""
    adapters: Sequence[AdapterLike]
    """Adapters that change the model for this request, at most 8, by their names in `Client.list_adapters` or as uploaded files:
    `"ink"`, `("ink", 0.8)`, or `(asset, 0.8, 0.0)` with a factor of its own for the text encoders."""
    refiner: float | request_pb2.Refiner
    """Let the model's refiner compute the end of the schedule, from this share of its times on, 0 to 1: 0.8 is usual. Or the message,
    with the refiner's aesthetic scores."""
    system_prompt: str
    """System prompt of the text encoder; empty for none."""
    negative_system_prompt: str
    """System prompt of the text encoder before the negative prompt; empty for none. By default the one in front of the
    negative prompt's text, or else the prompt's."""
    steps: int
    """Number of steps from noise to picture."""
    solver: Literal["euler", "midpoint", "rk4", "dpm", "euler_ancestral", "ddim", "unipc"]
    """The solver; `info().model.solvers` lists those of the model."""
    schedule: Literal["native", "karras", "exponential"]
    """Noise levels of the steps. By default Karras for `dpm` where the model offers it, else the model's own."""
    guidance_scale: float
    """Scale of classifier-free guidance, 1 to 30."""
    guidance_from: float
    """Guidance is active from this t on, 0 to 1, and must be below `guidance_until`. 0: from the beginning."""
    guidance_until: float
    """Guidance is active while t is below this, 0 to 1: t is 0 for noise and 1 for the picture."""
    guidance_renorm: float
    """Limits the norm of the guided velocity to this multiple of the conditional velocity's, 0 to 100. 0: no limit."""
    guidance_rescale: float
    """Share by which the guided prediction is scaled to the deviation of the conditional one, 0 to 1. 0: off."""
    shift: float
    """Shift of the time schedule, 0.1 to 20: larger values spend more steps near the noise."""
    quality: Literal["exact", "high", "fast"]
    """How exactly evaluations are computed: `high` and `fast` reuse some of them."""
    step_cache: request_pb2.StepCache
    """What evaluations reuse, instead of what `quality` stands for."""


class Options(PassOptions, ImageOptions, total=False):
    """How to draw."""

    negative: str | os.PathLike[str] | prompt_pb2.NegativePrompt
    """The negative prompt: a document or plain tags, the path of a file with either, or the typed form."""
    seed: int
    """Seed of the noise. Image i of any request with this seed starts from the same noise. By default a random one."""
    width: int
    """Width in pixels, a multiple of 16."""
    height: int
    """Height in pixels, a multiple of 16."""
    images: int
    """Number of pictures of the batch."""
    image_indices: Sequence[int]
    """Draw only these pictures of the batch, by index from 0, each the same bytes as in the whole batch. By default all."""
    controls: Sequence[image_input_pb2.Control]
    """Images that steer the pictures through control networks, at most 4, each made by `sakuga.control`."""
    request_id: str
    """Identifies the job for its caller, at most 64 characters."""
    preview: Literal["none", "linear", "decoder"]
    """Method of previews."""
    preview_format: Literal["jpeg", "png", "webp"]
    """File format of previews."""
    preview_max_edge: int
    """Largest edge of a preview in pixels."""
    preview_every_steps: int
    """Number of steps between previews."""
    preview_min_interval_ms: int
    """Shortest time between two previews of one image."""
    gpu_stats_interval_ms: int
    """Shortest time between two samples of the device."""
    profile: bool
    """Measure the operations on the device, for `Profile` events. The pictures are the same."""
    scene: request_pb2.Scene
    """Draw a scene over the pictures with another model, as made by `sakuga.scene`."""
    expansion: request_pb2.Expansion
    """What the prompts were made from, for the metadata of the pictures. It changes no pixel."""


_PLAIN: Final = (
    "seed",
    "width",
    "height",
    "images",
    "model",
    "system_prompt",
    "negative_system_prompt",
    "request_id",
    "gpu_stats_interval_ms",
    "profile",
)
_SAMPLING: Final = tuple(
    field.name
    for field in request_pb2.Sampling.DESCRIPTOR.fields
    if field.name not in ("solver", "schedule", "quality", "step_cache")
)
_PREVIEW: Final = ("max_edge", "every_steps", "min_interval_ms")


def build(prompt: PromptLike, options: Options) -> request_pb2.GenerateRequest:
    """The request for these arguments."""
    given = cast(Mapping[str, Any], options)
    if unknown := given.keys() - Options.__annotations__.keys():
        raise RequestError(f"there is no option {', '.join(f'`{name}`' for name in sorted(unknown))}")
    request = request_pb2.GenerateRequest()
    put_prompt(request, prompt)
    match options.get("negative"):
        case None:
            pass
        case prompt_pb2.NegativePrompt() as typed:
            request.negative_prompt.CopyFrom(typed)
        case text_or_path:
            _put_text(request, "negative_text", text_or_path, "negative", "NegativePrompt")
    if options.get("strict", False):
        request.strictness = prompt_service_pb2.STRICTNESS_STRICT
    for name in _PLAIN:
        _put(request, name, given, name)
    _put_indices(request, options.get("image_indices"))
    match options.get("expansion"):
        case None:
            pass
        case request_pb2.Expansion() as expansion:
            request.expansion.CopyFrom(expansion)
        case other:
            raise RequestError(f"`expansion` is an Expansion, not {type(other).__name__}")
    match options.get("scene"):
        case None:
            pass
        case request_pb2.Scene() as scene:
            request.scene.CopyFrom(scene)
        case no_scene:
            raise RequestError(f"`scene` is what `sakuga.scene` makes, not {type(no_scene).__name__}")
    request.controls.extend(control_messages(options.get("controls")))
    if isinstance(refiner := given.get("refiner"), request_pb2.Refiner):
        request.refiner.CopyFrom(refiner)
    else:
        _put(request.refiner, "switch_at", given, "refiner")
    request.adapters.extend(_adapters(options.get("adapters")))
    for name in _SAMPLING:
        _put(request.sampling, name, given, name)
    request.sampling.solver = request_pb2.Solver.ValueType(number(request_pb2.Solver.DESCRIPTOR, options.get("solver")))
    request.sampling.schedule = request_pb2.NoiseSchedule.ValueType(
        number(request_pb2.NoiseSchedule.DESCRIPTOR, options.get("schedule"))
    )
    request.sampling.quality = request_pb2.Quality.ValueType(
        number(request_pb2.Quality.DESCRIPTOR, options.get("quality"))
    )
    step_cache = options.get("step_cache")
    if isinstance(step_cache, request_pb2.StepCache):
        request.sampling.step_cache.CopyFrom(step_cache)
    elif step_cache is not None:
        raise RequestError(f"`step_cache` is a StepCache, not {type(step_cache).__name__}")
    preview = request.preview
    preview.method = request_pb2.PreviewMethod.ValueType(
        number(request_pb2.PreviewMethod.DESCRIPTOR, options.get("preview"))
    )
    preview.format = request_pb2.ImageFormat.ValueType(
        number(request_pb2.ImageFormat.DESCRIPTOR, options.get("preview_format"))
    )
    for name in _PREVIEW:
        _put(preview, name, given, f"preview_{name}")
    put_images(request, given)
    return request


def put_prompt(
    request: request_pb2.GenerateRequest | prompt_service_pb2.ValidatePromptRequest, prompt: PromptLike
) -> None:
    """Puts the prompt into the request, in its own form."""
    match prompt:
        case prompt_pb2.Prompt():
            request.typed.CopyFrom(prompt)
        case _:
            _put_text(request, "xml", prompt, "prompt", "Prompt")


def fill(kind: Callable[..., _Filled], **fields: object) -> _Filled:
    """A message with these fields. Raises `RequestError` for a value that a field cannot hold."""
    try:
        return kind(**fields)
    except (TypeError, ValueError, OverflowError) as error:
        raise RequestError(f"an argument of the wrong type or size: {error}") from error


def seconds(name: str, value: float | None) -> float | None:
    """A time limit. Raises `RequestError` unless it is a number that a call can carry."""
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= _SECONDS_MAX:
        raise RequestError(f"`{name}` is a number of seconds from 0 to {_SECONDS_MAX}, not {value!r}")
    return value


def _adapters(given: object) -> list[request_pb2.Adapter]:
    """The adapters of a request. A name alone would be read letter by letter, so it is refused."""
    match given:
        case None:
            return []
        case str() | bytes():
            raise RequestError("`adapters` is a list, as in `adapters=['ink']`")
        case Sequence() as several:
            return [_adapter(one) for one in several]
        case _:
            raise RequestError(f"`adapters` is a list of adapters, not {type(given).__name__}")


def _adapter(given: AdapterLike) -> request_pb2.Adapter:
    """An adapter of a request."""
    match given:
        case request_pb2.Adapter():
            return given
        case (name, scale):
            return fill(request_pb2.Adapter, scale=scale, **_adapter_name(name, given))
        case (name, scale, text_scale):
            return fill(request_pb2.Adapter, scale=scale, text_scale=text_scale, **_adapter_name(name, given))
        case name:
            return fill(request_pb2.Adapter, **_adapter_name(name, given))


def _adapter_name(name: object, given: object) -> dict[str, str]:
    """The field that names an adapter."""
    if (sha256 := hash_of(name)) is not None:
        return {"sha256": sha256}
    if isinstance(name, str):
        return {"name": name}
    raise RequestError(
        f"an adapter is a name or an Asset, or a tuple of it and one or two factors, not {given!r}"[:200]
    )


def _put_text(message: Message, name: str, given: object, option: str, typed: str) -> None:
    """Puts a text, or the content of the file that a path names, into a field."""
    match given:
        case str(text):
            pass
        case os.PathLike():
            text = _read(Path(given))
        case _:
            raise RequestError(f"`{option}` is text, a path or a {typed}, not {type(given).__name__}")
    try:
        setattr(message, name, text)
    except ValueError as error:
        raise RequestError(f"`{option}` is not Unicode text: {error}") from error


def _read(path: Path) -> str:
    """The text of a file. A file that cannot be opened is Python's own `OSError`."""
    with open_regular(path) as file:
        content = file.read(_TEXT_BYTES_MAX + 1)
    if len(content) > _TEXT_BYTES_MAX:
        raise RequestError(f"{path} has more than {_TEXT_BYTES_MAX >> 20} MiB, so it is not a prompt")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RequestError(
            f"{path} is not UTF-8 text: {error.reason} at byte {error.start}; save it as UTF-8, or decode it and pass the text"
        ) from error


def _put_indices(request: request_pb2.GenerateRequest, given: Sequence[int] | None) -> None:
    """Puts the indices of the pictures that are drawn. No index at all would mean every picture, so it is refused."""
    if given is None:
        return
    try:
        request.image_indices.extend(given)
    except (TypeError, ValueError, OverflowError) as error:
        raise RequestError(f"`image_indices` cannot be {given!r}: {error}") from error
    if not request.image_indices:
        raise RequestError("`image_indices` names no picture; leave it out for all of them")


def _put(message: Message, name: str, given: Mapping[str, Any], option: str) -> None:
    if given.get(option) is None:
        return
    try:
        setattr(message, name, given[option])
    except (TypeError, ValueError, OverflowError) as error:
        raise RequestError(f"`{option}` cannot be {given[option]!r}: {error}") from error
