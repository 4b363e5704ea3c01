"""Scenes: one model draws the characters, and another one draws the scene over them, in one job."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Unpack, cast

from google.protobuf.message import Message

from sakuga.errors import RequestError
from sakuga.files import ImageLike
from sakuga.generation.v1 import image_input_pb2, request_pb2
from sakuga.images import put_boxes, put_file
from sakuga.prompt.v1 import prompt_pb2
from sakuga.request import Options, PassOptions, PromptLike, build
from sakuga.wording import number


class SceneOptions(PassOptions, total=False):
    """How to draw the scene over the characters. Options that `generate` has too mean the same."""

    negative: PromptLike | prompt_pb2.NegativePrompt
    seed: int
    """Seed of the noise of the scene. By default one more than that of the request."""
    width: int
    """Width in pixels, a multiple of 16. By default that of the characters' picture."""
    height: int
    """Height in pixels, a multiple of 16. By default that of the characters' picture."""
    strength: float
    """Share of the steps that are computed, 0 to 1: small values change the characters little. By default 0.4."""
    resize: Literal["crop", "pad", "stretch"]
    """How the characters' picture gets the size of the scene."""
    protect: ImageLike | Sequence[tuple[int, int, int, int]]
    """What is kept bit for bit: rectangles of column, row, width and height, or an image that is white there."""
    feather: int
    """Pixels around what is protected over which kept and drawn pixels are mixed, 0 to 256."""


_OWN: Final = ("strength", "resize", "protect", "feather")


def scene(prompt: PromptLike, **options: Unpack[SceneOptions]) -> request_pb2.Scene:
    """A scene for `scene`: what is drawn over the characters, and how. Raises `RequestError` for what no request can hold."""
    given = cast(Mapping[str, Any], options)
    if unknown := given.keys() - SceneOptions.__annotations__.keys():
        raise RequestError(f"a scene has no option {', '.join(f'`{name}`' for name in sorted(unknown))}")
    shared = cast(Options, {name: value for name, value in given.items() if name not in _OWN})
    request = build(prompt, shared)
    message = request_pb2.Scene()
    for field, value in request.ListFields():
        if field.name not in request_pb2.Scene.DESCRIPTOR.fields_by_name:
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
            put_boxes(message.protection.boxes, given, "protect")
        case image:
            put_file(message.protection.image, image, "protect")
