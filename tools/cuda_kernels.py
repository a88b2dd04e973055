#!/usr/bin/env python3
"""Compiles every CUDA kernel and prints, as a Markdown table, what ptxas reports of it: registers, stack, spills, shared memory, and the theoretical
occupancy that follows from them. Estimates, not measured: no GPU is needed.

  cmake --build build --target cuda_kernels                  # writes build/cuda_kernels.md
  tools/cuda_kernels.py --include build/include --check      # exit code 1 where a kernel spills or can't be launched
"""
import argparse
import concurrent.futures
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a multiprocessor has: CUDA C++ Programming Guide, "Technical Specifications per Compute Capability"; how registers and shared memory
    are handed out in pieces, and what each block gives to the system: cuda_occupancy.h of the toolkit."""
    threads: int
    blocks: int
    shared: int                  # bytes
    registers: int = 65536
    shared_piece: int = 128      # bytes
    shared_of_system: int = 1024  # bytes of each block
    registers_piece: int = 256   # of a warp
    parts: int = 4               # a warp's registers lie in one of them


LIMITS = {
    "sm_75": Limits(threads=1024, blocks=16, shared=64 << 10, shared_piece=256, shared_of_system=0),
    "sm_80": Limits(threads=2048, blocks=32, shared=164 << 10),
    "sm_86": Limits(threads=1536, blocks=16, shared=100 << 10),
    "sm_89": Limits(threads=1536, blocks=24, shared=100 << 10),
    "sm_90": Limits(threads=2048, blocks=32, shared=228 << 10),
    "sm_100": Limits(threads=2048, blocks=32, shared=228 << 10),
    "sm_120": Limits(threads=1536, blocks=24, shared=100 << 10),
}
WARP = 32


@dataclasses.dataclass(frozen=True)
class Kernel:
    """ptxas's report of one kernel on one architecture."""
    name: str  # demangled
    architecture: str
    registers: int
    stack: int    # bytes of a thread's own memory, spills and arrays
    spilled: int  # bytes stored and loaded
    shared: int   # bytes, static


@dataclasses.dataclass(frozen=True)
class Launch:
    threads: int
    shared: int  # bytes a block, dynamic


# How bodies are launched: that whose name is the longest beginning of the body's counts. What depends on sizes is as in training the report's
# network with 64 images a step (tests/cuda_kernels_test.py compares those), or the most.
USUAL = Launch(256, 0)
LAUNCHES = {
    "AddTotals": Launch(512, 256),
    "BatchNormData": Launch(256, 256),
    "ConvPlainWeight": Launch(64, 0),
    "ConvTile": Launch(64, 14464),
    "ConvTile<4, 2": Launch(64, 17152),
    "ConvWeightTile": Launch(160, 12800),
    "CopyTiles<float>": Launch(256, 32 * 33 * 4),
    "CopyTiles<int>": Launch(256, 32 * 33 * 4),
    "CopyTiles<unsigned char>": Launch(256, 32 * 33),
    "Normalise": Launch(256, 256),
    "ProductTile<1,": Launch(256, 8704),
    "ProductTile<4,": Launch(256, 16384),
    "ProductTile<16,": Launch(256, 16384),
    "PutAlong": Launch(256, 32768),
    "ReduceColumns<MaxOut>": Launch(256, 2048),
    "ReduceColumns<SumOut>": Launch(256, 1024),
    "ReduceRows": Launch(256, 256),
    "SliceGradients": Launch(256, 256),
    "SliceSums": Launch(256, 256),
    "SoftmaxRows": Launch(256, 256),
    "SumParts": Launch(256, 1024),
}


def launch_of(body, launches=None):
    launches = LAUNCHES if launches is None else launches
    return launches[max(names, key=len)] if (names := [name for name in launches if body.startswith(name)]) else USUAL


def parse(report):
    """The kernels of a report that nvcc prints with -Xptxas -v. Throws ValueError where a line that matters is not understood."""
    kernels, name, architecture, stack, spilled = [], None, None, 0, None
    for line in report.splitlines():
        if match := re.search(r"Compiling entry function '(\S+)' for '(\w+)'", line):
            name, architecture, spilled = match[1], match[2], None
        elif match := re.search(r"Function properties for (\S+)", line):
            spilled = None if match[1] == name else spilled
        elif match := re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line):
            if name is not None and spilled is None:
                stack, spilled = int(match[1]), int(match[2]) + int(match[3])
        elif match := re.search(r"Used (\d+) registers", line):
            if name is None or spilled is None:
                raise ValueError(f"ptxas reports registers of no known kernel: {line}")
            shared = re.search(r"(\d+)(?:\+\d+)? bytes smem", line)
            kernels.append(Kernel(name, architecture, int(match[1]), stack, spilled, int(shared[1]) if shared else 0))
            name = None
    if name is not None:
        raise ValueError(f"ptxas reports no registers of {name}")
    return kernels


def demangled(kernels):
    if not kernels:
        return []
    names = subprocess.run(["c++filt"], input="\n".join(kernel.name for kernel in kernels), capture_output=True, text=True, check=True).stdout
    return [dataclasses.replace(kernel, name=name) for kernel, name in zip(kernels, names.splitlines(), strict=True)]


def body_of(name):
    """What an entry<BODY> is called, without the namespaces that all bodies share."""
    start = name.find("entry<")
    if start < 0:
        return name
    depth, begin = 1, start + len("entry<")
    for end in range(begin, len(name)):
        depth += {"<": 1, ">": -1}.get(name[end], 0)
        if depth == 0:
            break
    body = re.sub(r"\bwengert::cuda::((device|emulated)::)?", "", name[begin:end])
    return body.replace("(anonymous namespace)::", "").strip()


def round_up(value, piece):
    return -(-value // piece) * piece


def occupancy(limits, registers, threads, shared):
    """The share of a multiprocessor's threads that can be at work; 0 where a block does not fit."""
    warps = -(-threads // WARP)
    of_warp = round_up(registers * WARP, limits.registers_piece)
    if threads > 1024 or of_warp * round_up(warps, limits.parts) > limits.registers:
        return 0.0
    by_registers = limits.registers // limits.parts // of_warp * limits.parts // warps
    of_block = round_up(shared + limits.shared_of_system, limits.shared_piece)
    by_shared = limits.shared // of_block if of_block > 0 else limits.blocks
    blocks = min(limits.blocks, limits.threads // WARP // warps, by_registers, by_shared)
    return blocks * warps * WARP / limits.threads


def each(values):
    """One text where all architectures have the same, else one each."""
    texts = [str(value) for value in values]
    return texts[0] if len(set(texts)) == 1 else " / ".join(texts)


def table(kernels, architectures, launches=None):
    """Markdown, a row a kernel, and the problems: spills, and kernels that can't be launched."""
    rows, files, problems = {}, {}, []
    for file, kernel in kernels:
        body = body_of(kernel.name)
        rows.setdefault(body, {})[kernel.architecture] = kernel
        files.setdefault(body, {})[file] = None  # in their order
    lines = [f"Estimates, not measured: from ptxas's report for {', '.join(architectures)}; where they differ, in this order.", "",
             "| kernel | file | threads a block | registers | stack bytes | spill bytes | shared bytes | theoretical occupancy |",
             "|---|---|---:|---:|---:|---:|---:|---:|"]
    for body, found in sorted(rows.items(), key=lambda row: (list(files[row[0]]), row[0])):
        launch = launch_of(body, launches)
        compiled = [found[architecture] for architecture in architectures]
        shares = [occupancy(LIMITS[k.architecture], k.registers, launch.threads, k.shared + launch.shared) for k in compiled]
        problems += [f"{body} spills {k.spilled} bytes on {k.architecture}" for k in compiled if k.spilled]
        problems += [f"{body} keeps {k.stack} bytes in memory on {k.architecture}" for k in compiled if k.stack and not k.spilled]
        problems += [f"{body} can't be launched with {launch.threads} threads on {k.architecture}" for k, share in zip(compiled, shares) if not share]
        lines.append(f"| {body} | {', '.join(files[body])} | {launch.threads} | {each(k.registers for k in compiled)} | {each(k.stack for k in compiled)} | {each(k.spilled for k in compiled)} | "
                     f"{each(k.shared + launch.shared for k in compiled)} | {each(f'{share:.0%}' for share in shares)} |")
    return "\n".join(lines) + "\n", problems


def compile_one(nvcc, include, source, architecture):
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([nvcc, "-std=c++20", "-O3", f"-arch={architecture}", "-cubin", "-Xptxas", "-v", "-I", include, source,
                               "-o", pathlib.Path(folder) / "cubin"], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{source} does not compile for {architecture}:\n{done.stderr}")
    return [(source.name, kernel) for kernel in demangled(parse(done.stderr))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nvcc", default=shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc")
    parser.add_argument("--include", default=ROOT / "build/include", help="folder in which wengert/ is")
    parser.add_argument("--architectures", default="sm_80,sm_90,sm_120", help="of " + ", ".join(LIMITS))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--check", action="store_true", help="exit code 1 where a kernel spills or can't be launched")
    parser.add_argument("--out", help="file for the table (standard output)")
    options = parser.parse_args()
    architectures = options.architectures.split(",")
    if unknown := [architecture for architecture in architectures if architecture not in LIMITS]:
        sys.exit(f"wanted architectures of {', '.join(LIMITS)}, got {', '.join(unknown)}")
    sources = sorted(path for path in (ROOT / "backends/cuda").rglob("*.cu") if path.parent.name != "runtime")
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        jobs = [pool.submit(compile_one, options.nvcc, options.include, source, architecture) for source in sources for architecture in architectures]
        kernels = [kernel for job in jobs for kernel in job.result()]
    bodies = {body_of(kernel.name) for _, kernel in kernels}
    if gone := [name for name in LAUNCHES if not any(body.startswith(name) for body in bodies)]:
        sys.exit(f"{', '.join(gone)}: in the table LAUNCHES, but no kernel")
    text, problems = table(kernels, architectures)
    if options.out:
        pathlib.Path(options.out).write_text(text)
    else:
        print(text, end="")
    for problem in problems:
        print(problem, file=sys.stderr)
    if options.check and problems:
        sys.exit(1)


if __name__ == "__main__":
    main()
