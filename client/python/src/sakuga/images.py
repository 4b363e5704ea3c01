"""The images of a request: the one that pictures begin from, a mask, and a second pass."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypedDict

from google.protobuf.message import Message

from sakuga.errors import RequestError
from sakuga.files import ImageLike, hash_of, open_regular
from sakuga.generation.v1 import image_input_pb2, request_pb2
from sakuga.wording import number

_INLINE_BYTES_MAX: Final = 2 << 20
"""The largest file within a request."""


class ImageOptions(TypedDict, total=False):
    """What to begin from, what of it to draw again, and a second pass."""

    init: ImageLike
    """The image to begin from: PNG, JPEG or WebP of at most 2 MiB, or an uploaded one of any size."""
    strength: float
    """Share of the steps that are computed, 0 to 1: small values change the image little. By default 0.75."""
    resize: Literal["crop", "pad", "stretch"]
    """How an image of another size gets the size of the picture."""
    canvas: Literal["center"] | tuple[int, int]
    """Draw around the image, which keeps its size: in the middle, or with this number of columns left of it and rows above it.
    `width` and `height` are those of the whole picture."""
    mask: ImageLike
    """Draw only what is white in this image again, and keep every other pixel as it is."""
    mask_boxes: Sequence[tuple[int, int, int, int]]
    """The same for rectangles of the picture: column, row, width, height."""
    feather: int
    """Width in pixels of the transition around the mask between drawn and kept pixels, 0 to 256."""
    masked_only: bool
    """Draw only the surroundings of the mask, at the model's own size, and put them back."""
    padding: int
    """Pixels around the mask that `masked_only` draws with it, 0 to 1024. By default 32."""
    hires: float
    """Enlarge the picture by this factor and draw it again in a second pass."""
    hires_upscaler: Literal["lanczos", "latent_bilinear"]
    """How the second pass enlarges: pixels, or latents."""
    hires_strength: float
    """Share of its steps that the second pass computes, 0 to 1. By default 0.5."""
    hires_steps: int
    """Steps of the second pass. By default those of the first."""


def put_images(request: request_pb2.GenerateRequest, given: Mapping[str, Any]) -> None:
    """Puts the images into the request. An option that is left out is not sent."""
    _put_init(request, given)
    _put_mask(request, given)
    if given.get("hires_upscaler") is not None:
        word = number(image_input_pb2.Upscaler.DESCRIPTOR, given["hires_upscaler"])
        request.second_pass.upscaler = image_input_pb2.Upscaler.ValueType(word)
    for name, option in (("factor", "hires"), ("strength", "hires_strength"), ("steps", "hires_steps")):
        if given.get(option) is not None:
            _set(request.second_pass, name, given[option], option)


def _put_init(request: request_pb2.GenerateRequest, given: Mapping[str, Any]) -> None:
    if given.get("init") is not None:
        put_file(request.init.image, given["init"], "init")
    if given.get("strength") is not None:
        _set(request.init, "strength", given["strength"], "strength")
    if given.get("resize") is not None:
        word = number(image_input_pb2.ResizeMode.DESCRIPTOR, given["resize"])
        request.init.resize = image_input_pb2.ResizeMode.ValueType(word)
    match given.get("canvas"):
        case None:
            pass
        case "center":
            request.init.canvas.SetInParent()
        case (left, top):
            _set(request.init.canvas, "left", left, "canvas")
            _set(request.init.canvas, "top", top, "canvas")
        case other:
            raise RequestError(f"`canvas` is 'center' or two numbers of pixels, not {other!r}")


def _put_mask(request: request_pb2.GenerateRequest, given: Mapping[str, Any]) -> None:
    if given.get("mask") is not None:
        put_file(request.mask.image, given["mask"], "mask")
    match given.get("mask_boxes"):
        case None:
            pass
        case str() | bytes() | Mapping():
            raise RequestError("`mask_boxes` is a list of boxes, each column, row, width and height")
        case boxes:
            put_boxes(request.mask.boxes, boxes, "mask_boxes")
    if given.get("feather") is not None:
        _set(request.mask, "feather", given["feather"], "feather")
    if given.get("masked_only"):
        request.mask.masked_only.SetInParent()
    if given.get("padding") is not None:
        if not given.get("masked_only"):
            raise RequestError("`padding` is for `masked_only`; set it to True")
        _set(request.mask.masked_only, "padding", given["padding"], "padding")


def put_boxes(field: Any, boxes: Any, option: str) -> None:
    """Adds boxes, each of column, row, width and height in pixels, to a repeated field."""
    try:
        for left, top, width, height in boxes:
            field.add(left=left, top=top, width=width, height=height)
    except (TypeError, ValueError, OverflowError) as error:
        raise RequestError(f"a box of `{option}` is column, row, width and height in pixels: {error}") from error


def put_file(source: image_input_pb2.ImageSource, given: object, option: str) -> None:
    """Puts a picture into a request: its bytes, the file of a path, or the hash of an uploaded one."""
    if (sha256 := hash_of(given)) is not None:
        source.asset = sha256
        return
    match given:
        case bytes(content):
            pass
        case str() | os.PathLike():
            try:
                with open_regular(given) as file:
                    content = file.read(_INLINE_BYTES_MAX + 1)
            except ValueError as error:  # A NUL, or half of a surrogate pair.
                raise RequestError(f"`{option}` is not the name of a file: {error}") from error
        case _:
            raise RequestError(f"`{option}` is bytes, a path, an Asset or a SHA-256, not {given!r}"[:200])
    if len(content) > _INLINE_BYTES_MAX:
        raise RequestError(f"`{option}` has more than {_INLINE_BYTES_MAX >> 20} MiB; save it smaller, or upload it")
    source.inline = content


def _set(message: Message, name: str, value: object, option: str) -> None:
    try:
        setattr(message, name, value)
    except (TypeError, ValueError, OverflowError) as error:
        raise RequestError(f"`{option}` cannot be {value!r}: {error}") from error
