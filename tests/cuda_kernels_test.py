"""tools/cuda_kernels.py reads ptxas's report and works out occupancies. The report is one that nvcc 13.0 has printed, shortened."""
import os
import pathlib
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(os.environ["WENGERT_SOURCE"])
sys.path.insert(0, str(SOURCE / "tools"))
from cuda_kernels import LIMITS, Launch, body_of, demangled, launch_of, occupancy, parse, table  # noqa: E402

REPORT = """ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_ZN7wengert4cuda6device5entryINS1_5WatchEEEvT_' for 'sm_80'
ptxas info    : Function properties for _ZN7wengert4cuda6device5entryINS1_5WatchEEEvT_
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 22 registers, used 0 barriers, 1912 bytes cmem[0]
ptxas info    : Compile time = 5.001 ms
ptxas info    : Compiling entry function '_ZN7wengert4cuda6device5entryINS1_4TileILi8ELi4EEEEEvT_' for 'sm_80'
ptxas info    : Function properties for _ZN7wengert4cuda6device5entryINS1_4TileILi8ELi4EEEEEvT_
    24 bytes stack frame, 16 bytes spill stores, 8 bytes spill loads
ptxas info    : Function properties for _ZN7wengert4cuda6device6helperEf
    96 bytes stack frame, 96 bytes spill stores, 96 bytes spill loads
ptxas info    : Used 128 registers, used 1 barriers, 2048 bytes smem, 400 bytes cmem[0]
"""

found = demangled(parse(REPORT))
assert [body_of(kernel.name) for kernel in found] == ["Watch", "Tile<8, 4>"], found
watch, tile = found
assert (watch.architecture, watch.registers, watch.stack, watch.spilled, watch.shared) == ("sm_80", 22, 0, 0, 0), watch
assert (tile.registers, tile.stack, tile.spilled, tile.shared) == (128, 24, 24, 2048), tile
for broken in (REPORT.replace("Used 128 registers", "Needs 128 registers"), REPORT.replace("Compiling entry function", "Compiling the function")):
    try:
        parse(broken)
    except ValueError:
        continue
    sys.exit("a report that is not understood: wanted a ValueError")

assert body_of("void wengert::cuda::device::entry<wengert::cuda::device::(anonymous namespace)::Conv<3, true> >(wengert::cuda::X)") == "Conv<3, true>"
assert body_of("other_kernel(float*)") == "other_kernel(float*)"

# By hand: 32 registers fill an A100's 2048 threads; 128 leave 4 blocks of 128 threads; 48 KiB (and 1 KiB of the system's) fit three times in 164 KiB.
assert occupancy(LIMITS["sm_80"], 32, 256, 0) == 1.0
assert occupancy(LIMITS["sm_80"], 128, 128, 0) == 4 * 128 / 2048
assert occupancy(LIMITS["sm_80"], 32, 256, 48 << 10) == 3 * 256 / 2048
assert occupancy(LIMITS["sm_120"], 32, 1024, 0) == 1024 / 1536      # one such block, and no room for a second
assert occupancy(LIMITS["sm_75"], 32, 32, 0) == 16 * 32 / 1024      # as many blocks as there may be
assert occupancy(LIMITS["sm_90"], 65, 1024, 0) == 0.0               # a block of so many threads has 64 registers each

launches = {"Tile": Launch(64, 0), "Tile<8,": Launch(96, 0)}
assert [launch_of(body, launches).threads for body in ("Tile<4, 1>", "Tile<8, 1>", "Other")] == [64, 96, 256]

text, problems = table([("watch.cu", watch), ("tile.cu", tile)], ["sm_80"], {"Tile": Launch(1024, 1024)})
assert "Estimates, not measured" in text, text
assert "| Watch | watch.cu | 256 | 22 | 0 | 0 | 0 | 100% |" in text, text
assert "| Tile<8, 4> | tile.cu | 1024 | 128 | 24 | 24 | 3072 | 0% |" in text, text
assert problems == ["Tile<8, 4> spills 24 bytes on sm_80", "Tile<8, 4> can't be launched with 1024 threads on sm_80"], problems

# The table of launches says what a training step of 64 images asks for.
with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "launches"
    subprocess.run([pathlib.Path(os.environ["WENGERT_BUILD"]) / "bin/wengert_tests", "--test-case=the launches of a training step of 64 images"],
                   env={**os.environ, "WENGERT_LAUNCHES": str(path)}, check=True, stdout=subprocess.DEVNULL)
    asked = [line.rsplit(" ", 2) for line in path.read_text().splitlines()]
names = subprocess.run(["c++filt", "-t"], input="\n".join(name for name, _, _ in asked), capture_output=True, text=True, check=True).stdout.splitlines()
wrong = {body: (asked_for, known) for body, asked_for in ((body_of(f"entry<{name}>"), Launch(int(threads), int(shared)))
                                                          for name, (_, threads, shared) in zip(names, asked, strict=True))
         if (known := launch_of(body)) != asked_for}
assert not wrong, wrong

done = subprocess.run([sys.executable, SOURCE / "tools/cuda_kernels.py", "--architectures", "sm_80,sm_30"], capture_output=True, text=True)
assert done.returncode != 0 and "got sm_30" in done.stderr, done
