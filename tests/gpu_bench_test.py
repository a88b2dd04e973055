"""tools/bench/gpu.py writes its file: tried out on the CPU, with tests that find the emulated device."""
import os
import pathlib
import subprocess
import sys
import tempfile

SOURCE, BUILD = pathlib.Path(os.environ["WENGERT_SOURCE"]), os.environ["WENGERT_BUILD"]


def run(folder, *options):
    out = pathlib.Path(folder) / "gpu.md"
    done = subprocess.run([sys.executable, SOURCE / "tools/bench/gpu.py", "--build", BUILD, "--out", out, "--pytorch", f"{folder}/none", "--batches", "8",
                           "--rounds", "2", "--steps", "3", "--seeds", "0", "--quick", *options], capture_output=True, text=True)
    return done, out.read_text()


with tempfile.TemporaryDirectory() as folder:
    done, text = run(folder, "--device", "cpu", "--tests", "*cuda_open_test.cpp")
    assert done.returncode == 0, done.stderr
    for wanted in ("# Wengert on a GPU", "| 8 | ", "PyTorch (", "passed: on emulated CUDA device", "| nothing fused | ", "| cuda-cudnn | absent: ", "gpu.trace.json"):
        assert wanted in text, (wanted, text)
    assert (pathlib.Path(folder) / "gpu.trace.json").stat().st_size > 0

    done, text = run(folder, "--device", "metal", "--tests", "*no_such_test.cpp")
    assert done.returncode == 1 and "Failed: *no_such_test.cpp; steps: " in done.stderr and "FAILED: " in text, (done.stderr, text)
