"""Scenes: one model draws the characters, and another one draws the scene over them, in one job."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypedDict, Unpack, cast

from google.protobuf.message import Message

from sakuga.errors import RequestError
from sakuga.files import ImageLike
from sakuga.generation.v1 import image_input_pb2, request_pb2
from sakuga.images import put_file
from sakuga.prompt.v1 import prompt_pb2
from sakuga.request import AdapterLike, Options, PromptLike, build
from sakuga.wording import number


class SceneOptions(TypedDict, total=False):
    """How to draw the scene over the characters. Options that `generate` has too mean the same."""

    model: str
    negative: PromptLike | prompt_pb2.NegativePrompt
    strict: bool
    seed: int
    """Seed of the noise of the scene. By default one more than that of the request."""
    width: int
    """Width in pixels, a multiple of 16. By default that of the characters' picture."""
    height: int
    """Height in pixels, a multiple of 16. By default that of the characters' picture."""
    adapters: Sequence[AdapterLike]
    refiner: float | request_pb2.Refiner
    system_prompt: str
    negative_system_prompt: str
    steps: int
    solver: Literal["euler", "midpoint", "rk4", "dpm", "euler_ancestral", "ddim", "unipc"]
    schedule: Literal["native", "karras", "exponential"]
    guidance_scale: float
    guidance_from: float
    guidance_until: float
    guidance_renorm: float
    guidance_rescale: float
    shift: float
    quality: Literal["exact", "high", "fast"]
    step_cache: request_pb2.StepCache
    strength: float
    """Share of the steps that are computed, 0 to 1: small values change the characters little. By default 0.4."""
    resize: Literal["crop", "pad", "stretch"]
    """How the characters' picture gets the size of the scene."""
    protect: ImageLike | Sequence[tuple[int, int, int, int]]
    """What is kept bit for bit: rectangles of column, row, width and height, or an image that is white there."""
    feather: int
    """Pixels around what is protected over which kept and drawn pixels are mixed, 0 to 256."""


_OWN: Final = ("strength", "resize", "protect", "feather")
_SHARED: Final = frozenset(field.name for field in request_pb2.Scene.DESCRIPTOR.fields) - {
    "strength",
    "resize",
    "protection",
}


def scene(prompt: PromptLike, **options: Unpack[SceneOptions]) -> request_pb2.Scene:
    """A scene for `scene`: what is drawn over the characters, and how. Raises `RequestError` for what no request can hold."""
    given = cast(Mapping[str, Any], options)
    if unknown := given.keys() - SceneOptions.__annotations__.keys():
        raise RequestError(f"a scene has no option {', '.join(f'`{name}`' for name in sorted(unknown))}")
    shared = cast(Options, {name: value for name, value in given.items() if name not in _OWN})
    request = build(prompt, shared)
    message = request_pb2.Scene()
    for field, value in request.ListFields():
        if field.name not in _SHARED:
            continue
        match value:
            case Message():
                getattr(message, field.name).CopyFrom(value)
            case bool() | int() | float() | str():
                setattr(message, field.name, value)
            case several:
                getattr(message, field.name).extend(several)
    try:
        message.resize = image_input_pb2.ResizeMode.ValueType(
            number(image_input_pb2.ResizeMode.DESCRIPTOR, options.get("resize"))
        )
        if (strength := options.get("strength")) is not None:
            message.strength = strength
        if (feather := options.get("feather")) is not None:
            message.protection.feather = feather
    except (TypeError, ValueError, OverflowError) as error:
        raise RequestError(f"a scene with an argument of the wrong type or size: {error}") from error
    _protect(message, options.get("protect"))
    return message


def _protect(message: request_pb2.Scene, given: object) -> None:
    """Puts what is protected into a scene. A list has rectangles; everything else is an image."""
    match given:
        case None:
            pass
        case list() | tuple():
            try:
                for left, top, width, height in given:
                    message.protection.boxes.add(left=left, top=top, width=width, height=height)
            except (TypeError, ValueError, OverflowError) as error:
                raise RequestError(f"a box of `protect` is column, row, width and height in pixels: {error}") from error
        case image:
            put_file(message.protection.image, image, "protect")
