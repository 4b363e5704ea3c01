"""Numbers of enums as words, and words as numbers."""

from google.protobuf.descriptor import EnumDescriptor

from sakuga.errors import RequestError


def word(enumeration: EnumDescriptor, number: int) -> str:
    """`PREVIEW_METHOD_LINEAR` as `linear`; a number that this client does not know as `unknown`."""
    return {known: word for word, known in _words(enumeration).items()}.get(number, "unknown")


def number(enumeration: EnumDescriptor, word: str | None) -> int:
    """`linear` as the number of `PREVIEW_METHOD_LINEAR`; no word as 0, which leaves the choice to the server."""
    if word is None:
        return 0
    words = _words(enumeration)
    if not isinstance(word, str) or word not in words:
        raise RequestError(f"{word!r} is not one of {', '.join(f'`{known}`' for known in words)}")
    return words[word]


def _words(enumeration: EnumDescriptor) -> dict[str, int]:
    """Every word but that for 0. Names begin with the name of their enum, as in the style of buf."""
    prefix = enumeration.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return {value.name.removeprefix(prefix).lower(): value.number for value in enumeration.values if value.number}
