"""Arguments become a request. What is left out stays out, so that the defaults of the server and the model hold."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, TypedDict, cast

from google.protobuf.message import Message

from sakuga.errors import RequestError
from sakuga.generation.v1 import request_pb2
from sakuga.prompt.v1 import prompt_pb2, prompt_service_pb2
from sakuga.wording import number

PromptLike: TypeAlias = str | os.PathLike[str] | prompt_pb2.Prompt
"""The text of a prompt, the path of a file that holds it, or the typed form."""


class Options(TypedDict, total=False):
    """How to draw."""

    negative: str | prompt_pb2.NegativePrompt
    """What the picture must not be: a negative document, plain tags, or the typed form."""
    strict: bool
    """Accept only documents that the XSD accepts; else what can be repaired without loss is repaired."""
    seed: int
    """Start of the noise. Image i of any request with this seed begins from the same noise. The server draws one."""
    width: int
    """Width in pixels, a multiple of 16."""
    height: int
    """Height in pixels, a multiple of 16."""
    images: int
    """How many pictures."""
    model: str
    """The model, as `Client.models` names it."""
    system_prompt: str
    """Read by Gemma before the prompt; empty: nothing is."""
    request_id: str
    """Names the job for its caller, at most 64 characters."""
    steps: int
    """Intervals from noise to picture."""
    solver: Literal["euler", "midpoint", "rk4", "dpm"]
    """How the latents are integrated."""
    guidance_scale: float
    """Scale of classifier-free guidance, 1 to 30."""
    guidance_until: float
    """Guidance is active while t is below this, 0 to 1."""
    guidance_renorm: float
    """Bounds the norm of the guided velocity to this multiple of the conditional one's. 0: off."""
    shift: float
    """Time shift, 0.1 to 20."""
    preview: Literal["none", "linear", "decoder"]
    """How previews are made from the predicted picture."""
    preview_format: Literal["jpeg", "png", "webp"]
    """How previews are encoded."""
    preview_max_edge: int
    """The longer edge of a preview in pixels at the most."""
    preview_every_steps: int
    """A preview after every this many steps."""
    preview_min_interval_ms: int
    """Least time between two previews of one image."""
    gpu_stats_interval_ms: int
    """Least time between two samples of the device."""
    profile: bool
    """Measure on the device where the time goes, told in `Profile` events. The pictures are the same."""


_PLAIN: Final = (
    "seed",
    "width",
    "height",
    "images",
    "model",
    "system_prompt",
    "request_id",
    "gpu_stats_interval_ms",
    "profile",
)
_SAMPLING: Final = ("steps", "guidance_scale", "guidance_until", "guidance_renorm", "shift")
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
        case str(text):
            request.negative_text = text
        case typed:
            request.negative_prompt.CopyFrom(typed)
    if options.get("strict", False):
        request.strictness = prompt_service_pb2.STRICTNESS_STRICT
    for name in _PLAIN:
        _put(request, name, given, name)
    for name in _SAMPLING:
        _put(request.sampling, name, given, name)
    request.sampling.solver = request_pb2.Solver.ValueType(number(request_pb2.Solver.DESCRIPTOR, options.get("solver")))
    preview = request.preview
    preview.method = request_pb2.PreviewMethod.ValueType(
        number(request_pb2.PreviewMethod.DESCRIPTOR, options.get("preview"))
    )
    preview.format = request_pb2.ImageFormat.ValueType(
        number(request_pb2.ImageFormat.DESCRIPTOR, options.get("preview_format"))
    )
    for name in _PREVIEW:
        _put(preview, name, given, f"preview_{name}")
    return request


def put_prompt(
    request: request_pb2.GenerateRequest | prompt_service_pb2.ValidatePromptRequest, prompt: PromptLike
) -> None:
    """Puts the prompt into the request in the form that it has."""
    match prompt:
        case prompt_pb2.Prompt():
            request.typed.CopyFrom(prompt)
        case str(text):
            request.xml = text
        case path:
            request.xml = Path(path).read_text("utf-8")


def _put(message: Message, name: str, given: Mapping[str, Any], option: str) -> None:
    if given.get(option) is None:
        return
    try:
        setattr(message, name, given[option])
    except (TypeError, ValueError) as error:
        raise RequestError(f"`{option}` cannot be {given[option]!r}: {error}") from error
