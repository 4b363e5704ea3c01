"""The messages of calls that both clients make, and the settings of a connection."""

import os
import uuid
from collections.abc import Iterable
from datetime import timedelta
from typing import Literal

from sakuga.connection import Address
from sakuga.credentials import CA_VARIABLE, TOKEN_VARIABLE, Credentials, Pem
from sakuga.errors import RequestError
from sakuga.generation.v1 import generation_service_pb2, job_pb2, job_service_pb2, request_pb2
from sakuga.prompt.v1 import prompt_service_pb2
from sakuga.request import Options, PromptLike, build, fill, put_prompt, seconds
from sakuga.wording import number

PriorityName = Literal["low", "normal", "high"]
"""A job's share of the device while others wait."""

PlacementName = Literal["throughput", "latency"]
"""On how many devices a job is drawn: one, or two if a second one is free."""


def settings(
    address: str | None, ca: Pem | None, identity: tuple[Pem, Pem] | None, token: str | None
) -> tuple[Address, Credentials]:
    """The address and the credentials; environment variables stand in for what is left out."""
    parsed = Address.find(address)
    if ca is None and parsed.scheme == "https":
        ca = os.environ.get(CA_VARIABLE) or None
    return parsed, Credentials(ca, identity, os.environ.get(TOKEN_VARIABLE) or None if token is None else token)


def validation(prompt: PromptLike, *, strict: bool, model: str) -> prompt_service_pb2.ValidatePromptRequest:
    """Asks for a check of a prompt."""
    request = fill(prompt_service_pb2.ValidatePromptRequest, model=model, strictness=strictness(strict))
    put_prompt(request, prompt)
    return request


def strictness(strict: bool) -> prompt_service_pb2.Strictness.ValueType:
    """How strictly a text is read."""
    return prompt_service_pb2.STRICTNESS_STRICT if strict else prompt_service_pb2.STRICTNESS_UNSPECIFIED


def creation(
    prompt: PromptLike,
    options: Options,
    *,
    priority: PriorityName,
    timeout: float | None,
    placement: PlacementName | None,
    cancel_on_disconnect: bool,
) -> job_service_pb2.CreateJobRequest:
    """Asks for a job, under a name, so that the call can be repeated."""
    request = build(prompt, options)
    request.request_id = request.request_id or uuid.uuid4().hex
    treat = _job_options(priority, timeout, placement)
    treat.cancel_on_disconnect = cancel_on_disconnect
    return fill(job_service_pb2.CreateJobRequest, request=request, options=treat)


def estimation(
    prompt: PromptLike | request_pb2.GenerateRequest,
    options: Options,
    *,
    priority: PriorityName,
    timeout: float | None,
    placement: PlacementName | None,
) -> generation_service_pb2.EstimateRequest:
    """Asks what a job would take. A whole request takes no options."""
    if isinstance(prompt, request_pb2.GenerateRequest):
        if options:
            raise RequestError("a `GenerateRequest` has its options itself; change its fields")
        request = prompt
    else:
        request = build(prompt, options)
    return fill(
        generation_service_pb2.EstimateRequest, request=request, options=_job_options(priority, timeout, placement)
    )


def _job_options(priority: PriorityName, timeout: float | None, placement: PlacementName | None) -> job_pb2.JobOptions:
    treat = job_pb2.JobOptions()
    treat.priority = job_pb2.Priority.ValueType(number(job_pb2.Priority.DESCRIPTOR, priority))
    if placement is not None:
        treat.placement = job_pb2.Placement.ValueType(number(job_pb2.Placement.DESCRIPTOR, placement))
    if (limit := seconds("timeout", timeout)) is not None:
        treat.timeout.FromTimedelta(timedelta(seconds=limit))
    return treat


def labelling(job_id: str, add: Iterable[str], remove: Iterable[str]) -> job_service_pb2.LabelJobRequest:
    """Asks for a change of the labels of a job. A label alone would be read letter by letter, so it is refused."""
    for name, labels in (("add", add), ("remove", remove)):
        if isinstance(labels, str | bytes):
            raise RequestError(f"`{name}` is a list, as in `{name}=['favourite']`")
    return fill(job_service_pb2.LabelJobRequest, job_id=job_id, add=add, remove=remove)
