"""The recipes of the cookbook run as they stand."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import generate
import sakuga
from tests.support import LIMIT_S, PROGRAM, Server, StartServer, png_size
from tests.test_assets import tensors
from tests.test_readme import blocks

PAGE = "client/COOKBOOK.md"
BATCH, BOT, CI, EDITOR, RETRY, FAN_OUT, CHANGE, A1111 = blocks(PAGE, "python")
(CHANGE_CLI,) = blocks(PAGE, "sh")
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


@pytest.fixture
def drawing(start_server: StartServer, tmp_path: Path) -> Server:
    """A server of its own, since the recipe leaves assets there, and the files of the recipe."""
    server = start_server("--engine", "scripted")
    with sakuga.Client(server.address) as client:
        client.generate("1girl", steps=1, width=64, height=64).picture.save(tmp_path / "drawing.png")
    (tmp_path / "ink.safetensors").write_bytes(tensors(4))
    return server


def assert_changed(folder: Path) -> None:
    """A region of the drawing was drawn with the adapter, and the result enlarged."""
    request = sakuga.read_record(folder / "changed.png").request
    digest = hashlib.sha256((folder / "drawing.png").read_bytes()).hexdigest()
    assert request.init.image.asset == digest and len(request.mask.boxes) == len(request.adapters) == 1
    assert png_size((folder / "large.png").read_bytes()) == (96, 96)


def test_a_drawing_is_changed(drawing: Server, tmp_path: Path) -> None:
    said = run(CHANGE, drawing, tmp_path)
    assert said.startswith("4 steps in about ") and "fits: True\nthe same pixels: True\n" in said
    assert "pass 1: vae_encode\n" in said and "pass 2: denoise\n" in said
    assert_changed(tmp_path)


def test_a_drawing_is_changed_on_the_command_line(drawing: Server, tmp_path: Path) -> None:
    cli = Path(os.environ[PROGRAM]).resolve().with_name("sakuga")
    assert cli.exists(), f"build it next to the server: cargo build --bin sakuga makes {cli}"
    environment = {
        "SAKUGA_SERVER": drawing.address,
        "PATH": f"{cli.parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
    }
    command = ["sh", "-e", "-c", CHANGE_CLI]
    ended = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
    )
    assert ended.returncode == 0, ended.stderr
    assert "steps   4, " in ended.stdout
    assert_changed(tmp_path)
    pictures = [(tmp_path / name).read_bytes() for name in ("changed.png", "again.png")]
    # From the pixels on: the texts before them name each request.
    first, again = (picture[picture.index(b"IDAT") :] for picture in pictures)
    assert first == again


def test_the_payload_of_another_program_is_drawn(scripted: Server, tmp_path: Path) -> None:
    assert run(A1111, scripted, tmp_path).startswith('2 {"all_seeds": [7')


def test_there_are_nine_recipes() -> None:
    assert len(blocks(PAGE, "python")) + len(blocks(PAGE, "js")) == 9
