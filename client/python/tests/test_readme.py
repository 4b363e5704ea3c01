"""The Python that the pages show runs as it stands, and does what they say."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import generate
from tests.support import LIMIT_S, ROOT, Server, png_size

PAGES = ["README.md", "client/python/README.md"]


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text("utf-8"), re.DOTALL | re.MULTILINE)


CASES = [
    pytest.param(block, id=f"{page}-{index}") for page in PAGES for index, block in enumerate(blocks(page, "python"))
]


@pytest.mark.parametrize("block", CASES)
def test_the_lines_make_a_picture(embedded: Server, tmp_path: Path, block: str) -> None:
    (tmp_path / "prompt.xml").write_text(blocks("README.md", "xml")[0], "utf-8")
    environment = os.environ | {"SAKUGA_SERVER": embedded.address, "PYTHONPATH": str(generate.PACKAGE)}
    ended = subprocess.run(
        [sys.executable, "-c", block], capture_output=True, text=True, timeout=LIMIT_S, cwd=tmp_path, env=environment
    )
    assert ended.returncode == 0, ended.stderr
    for said, expected in (("step {", r"^step \d+ of \d+$"), ("violation.field", r"^sampling\.steps: .* \[[a-z-]+\]$")):
        assert said not in block or re.search(expected, ended.stdout, re.MULTILINE), ended.stdout
    for picture in re.findall(r'save\("([^"]+)"\)', block):
        assert min(png_size((tmp_path / picture).read_bytes())) >= 64


def test_the_readmes_make_a_picture_in_ten_lines() -> None:
    for page in PAGES:
        block = blocks(page, "python")[0]
        assert 'save("' in block
        assert len([line for line in block.splitlines() if line.strip()]) <= 10
