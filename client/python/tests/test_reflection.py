"""A client without one generated line draws a picture."""

import subprocess
import sys
from pathlib import Path

from tests.support import LIMIT_S, ROOT, Server, png_size

EXAMPLE = ROOT / "client/python/examples/reflection.py"


def run(server: Server, prompt: Path, out: Path) -> "subprocess.CompletedProcess[str]":
    """Runs the example where it cannot find our package: isolated, and outside the repository."""
    address = server.address.removeprefix("http://")
    command = [sys.executable, "-I", str(EXAMPLE), address, str(prompt), str(out)]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, cwd=out.parent)


def test_it_cannot_know_our_package(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-I", "-c", "import sakuga"], capture_output=True, text=True, cwd=tmp_path)
    assert "No module named 'sakuga'" in ended.stderr
    assert "import sakuga" not in EXAMPLE.read_text("utf-8")


def test_a_picture_by_reflection_alone(embedded: Server, tmp_path: Path) -> None:
    ended = run(embedded, ROOT / "schema/examples/two_girls.xml", tmp_path / "girls.png")
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    for service in (
        "sakuga.generation.v1.GenerationService",
        "sakuga.model.v1.ModelService",
        "sakuga.prompt.v1.PromptService",
        "sakuga.system.v1.SystemService",
        "grpc.health.v1.Health",
    ):
        assert service in lines
    assert "  Generate(GenerateRequest) -> GenerateResponse" in lines
    assert [line for line in lines if line.startswith("step ")] == [f"step {index} of 4" for index in range(1, 5)]
    assert [line for line in lines if line.startswith("preview of ")]
    width, height = png_size((tmp_path / "girls.png").read_bytes())
    assert width == height >= 64


def test_a_finding_is_shown_and_nothing_drawn(scripted: Server, tmp_path: Path) -> None:
    prompt = tmp_path / "prompt.xml"
    prompt.write_text("<character_1>\n<gender>robot</gender>\n</character_1>\n", "utf-8")
    ended = run(scripted, prompt, tmp_path / "none.png")
    assert ended.returncode == 1 and "the prompt is not valid" in ended.stderr
    assert ended.stdout.splitlines()[-1].startswith("2:9: ")
    assert not (tmp_path / "none.png").exists()
