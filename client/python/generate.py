"""Writes the generated modules of the package from `proto/`: messages, stubs and their types.

`cargo xtask python` runs it. The same protos and the same pinned tools give the same bytes, which a test relies on.
"""

import argparse
import re
import shutil
import sys
import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

HERE = Path(__file__).resolve().parent
PROTO = HERE.parent.parent / "proto"
PACKAGE = HERE / "src"


def generate(target: Path) -> list[Path]:
    """Writes every module under `target` and returns them, relative to it and sorted."""
    protos = sorted(path.relative_to(PROTO).as_posix() for path in PROTO.glob("sakuga/**/*.proto"))
    # What the server keeps on its disk is not part of the API.
    protos = [proto for proto in protos if not proto.startswith("sakuga/internal/")]
    services = [proto for proto in protos if re.search(r"^service ", (PROTO / proto).read_text("utf-8"), re.MULTILINE)]
    # The plugin is in the interpreter's folder, which need not be the first on the path.
    plugins = [f"--plugin={name}={_program(name)}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")]
    include = [f"-I{PROTO}", f"-I{resources.files('grpc_tools') / '_proto'}"]
    with tempfile.TemporaryDirectory() as scratch:
        _protoc(*plugins, *include, f"--python_out={scratch}", f"--mypy_out=quiet:{scratch}", *protos)
        _protoc(*plugins, *include, f"--grpc_python_out={scratch}", f"--mypy_grpc_out=quiet:{scratch}", *services)
        for folder in {parent for proto in protos for parent in Path(proto).parents[:-2]}:
            name = ".".join(folder.parts)
            Path(scratch, folder, "__init__.py").write_text(
                f'"""The protobuf package `{name}`, generated."""\n', "utf-8"
            )
        modules = sorted(path.relative_to(scratch) for path in Path(scratch).rglob("*.py*"))
        for module in modules:
            text = _without_version_checks(Path(scratch, module).read_text("utf-8"))
            (target / module).parent.mkdir(parents=True, exist_ok=True)
            (target / module).write_text(text.rstrip("\n") + "\n", "utf-8", newline="\n")
    return modules


def _without_version_checks(text: str) -> str:
    """A module that also runs with packages older than its generator.

    protoc and the plugin of gRPC refuse every runtime older than themselves, whether they use anything new or not. What the
    modules do use is in all versions that `pyproject.toml` admits; the tests run with the oldest of them too.
    """
    text = text.replace("from google.protobuf import runtime_version as _runtime_version\n", "")
    text = re.sub(
        r"^_runtime_version\.ValidateProtobufRuntimeVersion\(\n.*?^\)\n", "", text, flags=re.DOTALL | re.MULTILINE
    )
    return re.sub(r"^_version_not_supported = False\n.*?^    \)\n", "", text, flags=re.DOTALL | re.MULTILINE)


def generated(package: Path = PACKAGE) -> list[Path]:
    """The generated modules that lie under `package`, relative to it and sorted."""
    return sorted(path.relative_to(package) for path in package.glob("sakuga/*/**/*.py*") if path.suffix != ".pyc")


def main() -> None:
    """Replaces the generated modules."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    for folder in PACKAGE.glob("sakuga/*/v1"):
        # No module written by hand lies in its own folder.
        shutil.rmtree(folder.parent)
    modules = generate(PACKAGE)
    size = sum((PACKAGE / module).stat().st_size for module in modules)
    print(f"{len(modules)} modules, {size} bytes, under {PACKAGE.relative_to(HERE.parent.parent)}")


def _program(name: str) -> str:
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        sys.exit(f"{name} is not installed; `cargo xtask python` installs it, from tests/xtask/python/requirements.txt")
    return found


def _protoc(*arguments: str) -> None:
    if protoc.main(["protoc", *arguments]) != 0:
        sys.exit("protoc failed; its message is above")


if __name__ == "__main__":
    main()
