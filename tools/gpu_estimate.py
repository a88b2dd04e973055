#!/usr/bin/env python3
"""Estimates, from its FLOPs and bytes alone, how long a planned training step takes on GPUs: a roofline (Williams, Waterman and Patterson 2009,
"Roofline") of every launch, added up. Estimates, not measured: no GPU is needed.

  tools/gpu_estimate.py                                      # the report's network, 64, 256 and 1024 images
  tools/gpu_estimate.py --script resnet --batch 64 --steps   # each launch of another one
"""
import argparse
import dataclasses
import json
import math
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]


@dataclasses.dataclass(frozen=True)
class Gpu:
    """From the makers' data sheets: f32 without tensor cores, and the memory's bandwidth."""
    name: str
    flops: float      # a second
    bandwidth: float  # bytes a second


GPUS = [Gpu("A100 SXM 80 GB (sm_80)", 19.5e12, 2.039e12), Gpu("H100 SXM (sm_90)", 66.9e12, 3.35e12), Gpu("RTX 5090 (sm_120)", 104.8e12, 1.792e12)]
LEAST = 2e-6  # seconds of a launch of a recorded graph whatever it does: an assumption
SIZES = {"f32": 4, "i32": 4, "u8": 1, "f64": 8}


@dataclasses.dataclass
class Launch:
    text: str
    flops: float
    bytes: int

    def seconds(self, gpu):
        return max(LEAST, self.flops / gpu.flops, self.bytes / gpu.bandwidth)


def bytes_of(step):
    """Of all that it reads and writes, once."""
    return sum(math.prod(value["shape"]) * SIZES[value["dtype"]] for value in step["inputs"] + step["outputs"])


def launches_beside(plan):
    """Those that a step on a device has and the host's plan has not: the batch from the set, the watch over gradients, the totals."""
    image = next(value for step in plan["steps"] for value in step["inputs"] if value["storage"] == "input" and len(value["shape"]) == 4)
    pixels = math.prod(image["shape"])
    gradients = sum(math.prod(value["shape"]) * SIZES[value["dtype"]] for step in plan["steps"] if step["op"] == "adam" for value in step["inputs"][:1])
    return [Launch("gather_batch", 0, pixels * (SIZES["u8"] + SIZES["f32"])), Launch("not_finite", 0, gradients), Launch("training_totals", 0, 0)]


def launches_of(plan):
    """Of a plan as `wengert plan --json` prints it. The host's plan has a device's fusions; all of Adam's calls are one launch on a device."""
    launches, adam = [], None
    for step in plan["steps"]:
        if not step["runs"]:
            continue
        launch = Launch(f"{step['op']} {step['name']}".strip(), step["flops"], bytes_of(step))
        if step["op"] != "adam":
            launches.append(launch)
        elif adam is None:
            adam = launch
            adam.text = "adam, all of them"
            launches.append(adam)
        else:
            adam.flops += launch.flops
            adam.bytes += launch.bytes
    return launches


def microseconds(value):
    return f"{value * 1e6:.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wengert", default=ROOT / "build/bin/wengert", type=pathlib.Path, help="the command (build/bin/wengert)")
    parser.add_argument("--script", default="mnist_cnn", help="model script (mnist_cnn)")
    parser.add_argument("--batch", default="64,256,1024", help="images a step (64,256,1024)")
    parser.add_argument("--steps", action="store_true", help="a row for each launch")
    options = parser.parse_args()
    if not options.wengert.exists():
        sys.exit(f"{options.wengert} is not there: build it, or name another with --wengert")
    print(f"Estimates, not measured: for each launch the longest of its FLOPs at peak speed, its bytes at full bandwidth, and {microseconds(LEAST)} us.\n")
    header = "| " + " | ".join(["batch", "launches", "MFLOP", "MB"] + [f"{gpu.name}, us" for gpu in GPUS]) + " |"
    print(header + "\n|" + "---:|" * (4 + len(GPUS)))
    detail = []
    for batch in options.batch.split(","):
        done = subprocess.run([options.wengert, "plan", options.script, "--batch", batch, "--json"], capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr.strip())
        plan = json.loads(done.stdout)
        launches = launches_beside(plan) + launches_of(plan)
        rows = [[launch.text, launch.flops / 1e6, launch.bytes / 1e6] + [launch.seconds(gpu) for gpu in GPUS] for launch in launches]
        sums = [sum(row[i] for row in rows) for i in range(1, 3 + len(GPUS))]
        print(f"| {batch} | {len(launches)} | {sums[0]:.1f} | {sums[1]:.2f} | " + " | ".join(map(microseconds, sums[2:])) + " |")
        detail += [f"\nBatch {batch}:\n", header.replace("batch | launches", "launch"), "|---|" + "---:|" * (2 + len(GPUS))]
        detail += [f"| {row[0]} | {row[1]:.2f} | {row[2]:.3f} | " + " | ".join(map(microseconds, row[3:])) + " |" for row in rows]
    if options.steps:
        print("\n".join(detail))


if __name__ == "__main__":
    main()
