"""The recipes of the cookbook run as they stand."""

import json
import os
import subprocess
import sys
from pathlib import Path

import generate
from tests.support import LIMIT_S, Server, png_size
from tests.test_readme import blocks

PAGE = "client/COOKBOOK.md"
BATCH, BOT, CI, EDITOR, RETRY, FAN_OUT, A1111 = blocks(PAGE, "python")
PROMPT = "<character_1><n>$character_1$</n><gender>1girl</gender><appearance>blue_hair</appearance></character_1>\n"


def run(recipe: str, server: Server, folder: Path, code: int = 0) -> str:
    """What a recipe prints in this folder."""
    environment = os.environ | {"SAKUGA_SERVER": server.address, "PYTHONPATH": str(generate.PACKAGE)}
    ended = subprocess.run(
        [sys.executable, "-c", recipe], capture_output=True, text=True, timeout=LIMIT_S, cwd=folder, env=environment
    )
    assert ended.returncode == code, ended.stderr
    return ended.stdout


def test_a_batch_resumes(scripted: Server, tmp_path: Path) -> None:
    rows = "".join(f"{tmp_path.name}-{number},{number},1girl\n" for number in range(3))
    (tmp_path / "prompts.csv").write_text(f"name,seed,prompt\n{rows}", "utf-8")
    assert run(BATCH, scripted, tmp_path).count("drawn") == 3
    pictures = sorted((tmp_path / "batch").iterdir())
    assert len(pictures) == 3
    first = pictures[0].read_bytes()
    png_size(first)
    pictures[0].unlink()
    assert run(BATCH, scripted, tmp_path) == f"drawn {pictures[0].name}\n"
    assert pictures[0].read_bytes() == first, "the job of the first run is found by its name"


def test_a_bot_answers(scripted: Server, tmp_path: Path) -> None:
    said = run(BOT, scripted, tmp_path)
    assert "'1girl, solo, blue_hair': " in said and " bytes" in said
    assert "character_1/gender: " in said


def test_prompts_are_checked(scripted: Server, tmp_path: Path) -> None:
    folder = tmp_path / "prompts"
    folder.mkdir()
    (folder / "a.xml").write_text(PROMPT, "utf-8")
    (folder / "b.xml").write_text(PROMPT.replace("1girl", "robot"), "utf-8")
    assert f"{Path('prompts') / 'b.xml'}:1:" in run(CI, scripted, tmp_path, code=1)
    (folder / "b.xml").write_text(PROMPT, "utf-8")
    assert "error" not in run(CI, scripted, tmp_path)


def test_an_editor_gets_places_and_edits(scripted: Server, tmp_path: Path) -> None:
    folder = tmp_path / "prompts"
    folder.mkdir()
    (folder / "misspelt.xml").write_text(PROMPT.replace("appearance>", "appearence>"), "utf-8")
    found = json.loads(run(EDITOR, scripted, tmp_path))
    (named,) = [one for one in found if one["code"] == "unknown-element"]
    assert named["severity"] == 2 and named["range"]["start"]["line"] == 0
    edit = named["data"][0]
    start, end = edit["range"]["start"]["character"], edit["range"]["end"]["character"]
    assert PROMPT[start:end].startswith("appear") and edit["newText"] == "appearance"


def test_a_picture_comes_after_retries(scripted: Server, tmp_path: Path) -> None:
    run(RETRY, scripted, tmp_path)
    png_size((tmp_path / "retried.png").read_bytes())


def test_prompts_fan_out(scripted: Server, tmp_path: Path) -> None:
    run(FAN_OUT, scripted, tmp_path)
    assert len(list(tmp_path.glob("*.png"))) == 6


def test_the_payload_of_another_program_is_drawn(scripted: Server, tmp_path: Path) -> None:
    assert run(A1111, scripted, tmp_path).startswith('2 {"all_seeds": [7')


def test_there_are_eight_recipes() -> None:
    assert len(blocks(PAGE, "python")) + len(blocks(PAGE, "js")) == 8
