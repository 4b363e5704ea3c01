"""Compiles every file of model/src/cuda/kernels with NVRTC, as the program does when a GPU is opened. Needs no GPU.

    pip install nvidia-cuda-nvrtc
    python model/scripts/compile_kernels.py [ARCHITECTURE ...]

Architectures are those of NVRTC, such as compute_90, which is taken where none is named. Ends with 1 if a file does not
compile, and with 2 where there is no NVRTC.
"""

import ctypes
import re
import sys
from importlib.util import find_spec
from pathlib import Path

CUDA = Path(__file__).parents[1] / "src" / "cuda"
# `module(capability, "stream.cu", concat!(stream_source!(), include_str!("kernels/stream.cu")))`
MODULE = re.compile(r'module\(\s*capability,\s*"(?P<file>\w+\.cu)",(?P<source>.*?)\)\?', re.DOTALL)
INCLUDED = re.compile(r'stream_source!\(\)|include_str!\("kernels/(\w+\.cuh?)"\)')


def nvrtc():
    package = find_spec("nvidia")
    folders = [Path(folder) for folder in package.submodule_search_locations] if package else []
    for folder in folders:
        for library in sorted(folder.glob("*/lib/libnvrtc.so.*")):
            if ".alt." not in library.name:
                return ctypes.CDLL(str(library))
    try:
        return ctypes.CDLL("libnvrtc.so")
    except OSError:
        print("there is no NVRTC; pip install nvidia-cuda-nvrtc", file=sys.stderr)
        sys.exit(2)


def modules():
    """File and source of every module that the program loads, put together as it does."""
    read = {path.name: path.read_text(encoding="utf-8") for path in (CUDA / "kernels").iterdir()}
    for rust in sorted(CUDA.glob("*.rs")):
        for found in MODULE.finditer(rust.read_text(encoding="utf-8")):
            parts = [part[1] or "stream.cuh" for part in INCLUDED.finditer(found["source"])]
            yield found["file"], "\n".join(read[part] for part in ["common.cuh", *parts])


def compile_one(library, file, source, architecture):
    """The compiler's log; empty if there is nothing to say."""
    program = ctypes.c_void_p()
    library.nvrtcCreateProgram(ctypes.byref(program), source.encode(), file.encode(), 0, None, None)
    options = [f"--gpu-architecture={architecture}".encode(), b"-default-device"]
    result = library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    size = ctypes.c_size_t()
    library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    library.nvrtcGetProgramLog(program, log)
    library.nvrtcDestroyProgram(ctypes.byref(program))
    return result, log.value.decode().strip()


def main():
    library = nvrtc()
    found = list(modules())
    missing = {path.name for path in (CUDA / "kernels").glob("*.cu")} - {file for file, _ in found}
    failed = [f"{file} is loaded by nobody" for file in sorted(missing)]
    for architecture in sys.argv[1:] or ["compute_90"]:
        for file, source in found:
            result, log = compile_one(library, file, source, architecture)
            print(f"{file:<12} {architecture}  {'ok' if result == 0 else 'failed'}")
            if result != 0:
                failed.append(f"{file} for {architecture}:\n{log}")
    if failed:
        sys.exit("\n".join(failed))


if __name__ == "__main__":
    main()
