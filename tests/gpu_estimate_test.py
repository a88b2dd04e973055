"""tools/gpu_estimate.py adds up rooflines of a plan's launches."""
import os
import pathlib
import subprocess
import sys

SOURCE = pathlib.Path(os.environ["WENGERT_SOURCE"])
sys.path.insert(0, str(SOURCE / "tools"))
from gpu_estimate import LEAST, Gpu, Launch, launches_beside, launches_of  # noqa: E402

gpu = Gpu("simple", flops=1e12, bandwidth=1e11)
assert Launch("", 5e6, 1000).seconds(gpu) == 5e-6   # its FLOPs take longest
assert Launch("", 0, 300000).seconds(gpu) == 3e-6   # its bytes
assert Launch("", 0, 0).seconds(gpu) == LEAST


def step(op, name, flops, runs, *shapes):
    values = [{"shape": shape, "dtype": "f32"} for shape in shapes]
    return {"op": op, "name": name, "flops": flops, "runs": runs, "inputs": values[:-1], "outputs": values[-1:]}


found = launches_of({"steps": [step("conv2d", "c", 7.0, True, [2, 3], [4], [2, 5]), step("reshape", "", 0, False, [9], [9]),
                               step("adam", "a", 1.0, True, [3], [3]), step("adam", "b", 2.0, True, [1], [1])]})
image = {"shape": [2, 1, 4, 4], "dtype": "f32", "storage": "input"}
beside = launches_beside({"steps": [{"op": "conv2d", "inputs": [image]}, {"op": "adam", "inputs": [{"shape": [3], "dtype": "f32", "storage": "batch"}]}]})
assert [launch.bytes for launch in beside] == [32 * 5, 12, 0], beside
assert found == [Launch("conv2d c", 7.0, 4 * (6 + 4 + 10)), Launch("adam, all of them", 3.0, 4 * 8)], found

command = [sys.executable, SOURCE / "tools/gpu_estimate.py", "--wengert", os.environ["WENGERT_COMMAND"]]
done = subprocess.run([*command, "--batch", "64,128", "--steps"], capture_output=True, text=True)
assert done.returncode == 0 and "Estimates, not measured" in done.stdout and done.stdout.count("| conv2d_fused conv1 | ") == 2, done
of_64, of_128 = (float(next(line for line in done.stdout.splitlines() if line.startswith(f"| {batch} |")).split("|")[3]) for batch in (64, 128))
assert abs(of_128 / of_64 - 2) < 0.01, (of_64, of_128)  # FLOPs are in proportion to the images

done = subprocess.run([*command, "--script", "no_such_network"], capture_output=True, text=True)
assert done.returncode and "no_such_network" in done.stderr and "Traceback" not in done.stderr, done
