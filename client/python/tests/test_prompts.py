"""Prompts are checked and converted, and findings have places and fixes."""

from pathlib import Path

import pytest

import sakuga
from sakuga.prompt.v1 import prompt_pb2
from tests.support import ROOT

MISSPELT = "<character_1>\n<gender>1girl</gender>\n<appearence>blue_hair</appearence>\n</character_1>\n"


def test_a_valid_prompt_is_counted(client: sakuga.Client, two_girls: str) -> None:
    report = client.validate(two_girls)
    assert report and report.valid
    assert not [found for found in report.diagnostics if found.severity is sakuga.Severity.ERROR]
    assert report.canonical_xml.startswith("<character_1>")
    assert [count.encoder for count in report.token_counts] == ["main_encoder", "pooled_encoder"]
    assert all(0 < count.tokens <= count.limit and not count.truncated for count in report.token_counts)


def test_a_path_is_read(client: sakuga.Client, two_girls: str) -> None:
    assert client.validate(ROOT / "schema/examples/two_girls.xml") == client.validate(two_girls)


def test_a_finding_has_a_place_and_a_fix(client: sakuga.Client) -> None:
    report = client.validate(MISSPELT)
    assert report.valid
    (found,) = [found for found in report.diagnostics if found.code == "unknown-element"]
    assert found.severity is sakuga.Severity.WARNING
    assert (found.line, found.column, found.path) == (3, 1, "character_1/appearance")
    assert str(found).startswith("3:1: warning[unknown-element]: ") and "appearence" in str(found)
    assert found.fix is not None
    assert {edit.replacement for edit in found.fix.edits} == {"appearance"}
    assert {MISSPELT.encode()[edit.start : edit.end] for edit in found.fix.edits} == {b"appearence"}
    assert str(found) in str(report)


def test_strict_accepts_no_repair(client: sakuga.Client, two_girls: str) -> None:
    assert client.validate(two_girls, strict=True)
    report = client.validate(MISSPELT, strict=True)
    assert not report
    assert [found.code for found in report.diagnostics if found.severity is sakuga.Severity.ERROR] == [
        "unknown-element"
    ]


def test_typed_prompts_and_xml_are_the_same_thing(client: sakuga.Client, two_girls: str) -> None:
    typed = client.parse(two_girls)
    assert [character.gender for character in typed.characters] == [prompt_pb2.GENDER_GIRL] * 2
    assert client.format(typed) == client.validate(two_girls).canonical_xml
    assert client.validate(typed).canonical_xml == client.format(typed)


def test_what_is_no_prompt_is_not_parsed(client: sakuga.Client) -> None:
    with pytest.raises(sakuga.RequestRefused) as refused:
        client.parse("<character_1><gender>robot</gender></character_1>")
    assert refused.value.reason == "INVALID_REQUEST"
    assert [found.field for found in refused.value.violations] == ["character_1/gender"]


def test_a_file_that_is_not_there_is_pythons_own_error(client: sakuga.Client, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        client.validate(tmp_path / "none.xml")


SPLIT = (
    "You are good. <Prompt Start>\n<caption>A girl.</caption>\n\nNegative prompt: You are bad. <Prompt Start> lowres"
)


def test_a_negative_prompt_inside_the_text_is_reported(client: sakuga.Client) -> None:
    report = client.validate(SPLIT)
    assert report
    assert report.canonical_xml == "<caption>A girl.</caption>\n"
    assert (report.negative_canonical_xml, report.negative_model_text) == ("<caption>lowres</caption>\n", "lowres")
    assert report.system_prompt == "You are good. <Prompt Start>"
    assert report.negative_system_prompt == "You are bad. <Prompt Start>"
    assert [count.tokens for count in report.negative_token_counts] == [6, 1]


def test_a_text_is_taken_apart(client: sakuga.Client) -> None:
    parts = client.take_apart(SPLIT)
    assert parts.prompt.caption == "A girl."
    assert parts.negative is not None and parts.negative.caption == "lowres"
    assert parts.system_prompt == "You are good. <Prompt Start>"
    assert parts.negative_system_prompt == "You are bad. <Prompt Start>"
    assert "negative-split" in [found.code for found in parts.diagnostics]
    assert client.take_apart("<caption>A girl.</caption>").negative is None


def test_parse_warns_of_a_negative_prompt_that_it_leaves_out(client: sakuga.Client) -> None:
    with pytest.warns(UserWarning, match="take_apart"):
        assert client.parse(SPLIT).caption == "A girl."
