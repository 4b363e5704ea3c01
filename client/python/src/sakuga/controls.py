"""Images that steer a request through control networks."""

from collections.abc import Sequence
from typing import Literal

from sakuga.errors import RequestError
from sakuga.files import ImageLike
from sakuga.generation.v1 import image_input_pb2
from sakuga.images import put_file
from sakuga.wording import number


def control(
    network: str,
    image: ImageLike,
    *,
    scale: float | None = None,
    start: float | None = None,
    end: float | None = None,
    preprocessor: Literal["canny"] | None = None,
    resize: Literal["crop", "pad", "stretch"] | None = None,
    canny: tuple[int, int] | None = None,
) -> image_input_pb2.Control:
    """A control image for `controls`: the network's name in `Client.models`, and a picture as for `init`.

    `scale` is the factor on its effect, 0 to 2; it acts from `start` to `end`, shares of the steps from 0 to 1. `preprocessor="canny"`
    draws the edges of the image first, with the thresholds `canny`. Depth and poses have to be drawn by another program.
    """
    low, high = canny if canny is not None else (None, None)
    try:
        message = image_input_pb2.Control(
            network=network,
            preprocessor=image_input_pb2.Preprocessor.ValueType(
                number(image_input_pb2.Preprocessor.DESCRIPTOR, preprocessor)
            ),
            scale=scale,
            start=start,
            end=end,
            resize=image_input_pb2.ResizeMode.ValueType(number(image_input_pb2.ResizeMode.DESCRIPTOR, resize)),
            canny_low=low,
            canny_high=high,
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise RequestError(f"a control image with an argument of the wrong type or size: {error}") from error
    put_file(message.image, image, "controls")
    return message


def control_messages(given: object) -> list[image_input_pb2.Control]:
    """The control images of a request."""
    match given:
        case None:
            return []
        case Sequence() if all(isinstance(one, image_input_pb2.Control) for one in given):
            return list(given)
        case _:
            raise RequestError("`controls` is a list of what `sakuga.control` makes")
