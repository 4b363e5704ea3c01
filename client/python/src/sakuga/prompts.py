"""The findings of a check of a prompt."""

import enum
import warnings
from dataclasses import dataclass

from sakuga.prompt.v1 import diagnostic_pb2, prompt_pb2, prompt_service_pb2


class Severity(enum.Enum):
    """How much a finding matters."""

    UNKNOWN = 0
    """A severity of a newer server."""
    ERROR = 1
    """The prompt is not valid."""
    WARNING = 2
    """The prompt is accepted, perhaps after a repair, but something is probably not meant."""
    ADVICE = 3
    """Worth knowing; nothing has to change."""

    @classmethod
    def _missing_(cls, value: object) -> "Severity":
        return cls.UNKNOWN


@dataclass(frozen=True, slots=True)
class Edit:
    """Replaces a range of bytes, of the sent text in UTF-8."""

    start: int
    """Start of the range, inclusive."""
    end: int
    """End of the range, exclusive."""
    replacement: str
    """What stands there afterwards."""


@dataclass(frozen=True, slots=True)
class Fix:
    """A correction of a finding."""

    description: str
    """What to do, as a sentence."""
    edits: tuple[Edit, ...]
    """The edits in the order of the text; empty if a person has to decide."""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding about a prompt's text. Positions are those of the text as it was sent."""

    code: str
    """Stable kebab-case name of the rule, such as `unknown-element`."""
    severity: Severity
    """How much it matters."""
    message: str
    """What is wrong."""
    start: int
    """Where it starts, in bytes of UTF-8, inclusive."""
    end: int
    """Where it ends, in bytes of UTF-8, exclusive."""
    line: int
    """Line of the start, from 1."""
    column: int
    """Column of the start in characters, from 1."""
    end_line: int
    """Line of the end, from 1."""
    end_column: int
    """Column just past the end in characters, from 1."""
    path: str
    """Where in the prompt: `character_2/appearance`. Empty for the whole text."""
    fix: Fix | None
    """The correction, if there is one."""

    @classmethod
    def read(cls, wire: diagnostic_pb2.Diagnostic) -> "Diagnostic":
        """From the wire."""
        fix = None
        if wire.HasField("fix"):
            edits = tuple(Edit(edit.span_start, edit.span_end, edit.replacement) for edit in wire.fix.edits)
            fix = Fix(wire.fix.description, edits)
        return cls(
            code=wire.code,
            severity=Severity(wire.severity),
            message=wire.message,
            start=wire.span_start,
            end=wire.span_end,
            line=wire.line,
            column=wire.column,
            end_line=wire.end_line,
            end_column=wire.end_column,
            path=wire.path,
            fix=fix,
        )

    def __str__(self) -> str:
        return f"{self.line}:{self.column}: {self.severity.name.lower()}[{self.code}]: {self.message}"


@dataclass(frozen=True, slots=True)
class TokenCount:
    """The length of the prompt for one text encoder."""

    encoder: str
    """The encoder: `gemma3` or `jina_clip`."""
    tokens: int
    """Tokens of the whole text, special tokens and system prompt included."""
    limit: int
    """The most that the encoder reads."""
    truncated: bool
    """Whether the text would be cut."""
    first_lost: str
    """The first part of the text that would be lost. Empty if nothing is."""

    @classmethod
    def read(cls, wire: prompt_service_pb2.TokenCount) -> "TokenCount":
        """From the wire."""
        return cls(wire.encoder, wire.tokens, wire.limit, wire.truncated, wire.first_lost)


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a check. It is true for a valid prompt."""

    valid: bool
    """Whether the server would draw the prompt."""
    diagnostics: tuple[Diagnostic, ...]
    """Every finding, in the order of the text."""
    canonical_xml: str
    """The canonical XML. Empty if the text could not be read as a prompt."""
    model_text: str
    """The text that the encoders read. Empty if the text could not be read as a prompt."""
    token_counts: tuple[TokenCount, ...]
    """One entry an encoder. Empty if the text could not be read as a prompt."""
    negative_canonical_xml: str = ""
    """The canonical XML of the negative prompt inside the text, which is split off. Empty: none."""
    negative_model_text: str = ""
    """The text that the encoders read as the negative prompt. Empty: none."""
    negative_token_counts: tuple[TokenCount, ...] = ()
    """One entry an encoder for the negative prompt. Empty if there is none."""
    system_prompt: str = ""
    """The system prompt in front of the prompt, which is split off. Empty: none."""
    negative_system_prompt: str = ""
    """The system prompt in front of the negative prompt, which is split off. Empty: none."""

    @classmethod
    def read(cls, wire: prompt_service_pb2.ValidatePromptResponse) -> "Report":
        """From the wire."""
        return cls(
            valid=wire.valid,
            diagnostics=tuple(map(Diagnostic.read, wire.diagnostics)),
            canonical_xml=wire.canonical_xml,
            model_text=wire.model_text,
            token_counts=tuple(map(TokenCount.read, wire.token_counts)),
            negative_canonical_xml=wire.negative_canonical_xml,
            negative_model_text=wire.negative_model_text,
            negative_token_counts=tuple(map(TokenCount.read, wire.negative_token_counts)),
            system_prompt=wire.system_prompt,
            negative_system_prompt=wire.negative_system_prompt,
        )

    def __bool__(self) -> bool:
        return self.valid

    def __str__(self) -> str:
        verdict = "the prompt is valid" if self.valid else "the prompt is not valid"
        return "\n".join([verdict, *map(str, self.diagnostics)])


@dataclass(frozen=True, slots=True)
class Parsed:
    """A text, taken apart."""

    prompt: prompt_pb2.Prompt
    """The typed prompt."""
    system_prompt: str
    """The system prompt in front of it. Empty: none."""
    negative: prompt_pb2.NegativePrompt | None
    """The negative prompt inside the text, if there is one."""
    negative_system_prompt: str
    """The system prompt in front of the negative prompt. Empty: none."""
    diagnostics: tuple[Diagnostic, ...]
    """What was repaired, and what is worth knowing."""

    @classmethod
    def read(cls, wire: prompt_service_pb2.ParsePromptResponse) -> "Parsed":
        """From the wire."""
        return cls(
            prompt=wire.prompt,
            system_prompt=wire.system_prompt,
            negative=wire.negative if wire.HasField("negative") else None,
            negative_system_prompt=wire.negative_system_prompt,
            diagnostics=tuple(map(Diagnostic.read, wire.diagnostics)),
        )

    def warn_of_negative(self) -> None:
        """Warns the caller's caller of a negative prompt that only the whole result holds."""
        if self.negative is not None or self.negative_system_prompt:
            warnings.warn("the text holds a negative prompt as well; `take_apart` returns it", stacklevel=3)
