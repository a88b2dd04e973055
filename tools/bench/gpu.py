#!/usr/bin/env python3
"""Tests and measures a build of Wengert on a device and writes what it finds to one Markdown file; tools/bench/gpu.sh builds and calls it.

What fails or is missing is named in the file, and the rest goes on; the exit code is 1 where a test or a sanitizer failed.
"""
import argparse
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from systems import CORES, Failure, Peer

ROOT = pathlib.Path(__file__).resolve().parents[2]
SANITIZERS = ("memcheck", "racecheck", "initcheck", "synccheck")
WANTED_ACCURACY = 0.99  # of the fast training
RUNGS = ("cuda-plain", "cuda-im2col", "cuda-cudnn")  # kernels of convolutions, beside those that a plan takes


def options_of(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)

    def numbers(text):
        return [int(word) for word in text.split(",")]

    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/gpu", help="folder of the build")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build/gpu.md", help="file to write")
    parser.add_argument("--device", default="cuda", help="as of the command; cpu tries this program out where there is no GPU")
    parser.add_argument("--pytorch", default=str(ROOT / "build/peers/torch/bin/python"), help="Python with PyTorch")
    parser.add_argument("--quick", action="store_true", help="without the sanitizers")
    parser.add_argument("--tests", default="*", help="test sources to run")
    parser.add_argument("--sanitized-tests", default="*device_test.cpp,*table_test.cpp", help="those to run under each sanitizer")
    parser.add_argument("--batches", type=numbers, default=[64, 256, 1024])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=500, help="a round")
    parser.add_argument("--seeds", type=int, default=5, help="of the fast training")
    return parser.parse_args(arguments)


def said(*command):
    """What a command prints, or why it printed nothing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    except OSError as error:
        return str(error)
    return (done.stdout if done.returncode == 0 else done.stderr).strip() or f"exit code {done.returncode}"


def table(head, rows):
    return "\n".join([f"| {' | '.join(head)} |", "|" + "---|" * len(head), *(f"| {' | '.join(map(str, row))} |" for row in rows)])


def spread(values, unit):
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.4g} ({low:.4g} to {high:.4g}) {unit}"


class Report:
    def __init__(self, options):
        self.options, self.failed, self.parts = options, [], []
        self.command = str(options.build / "bin/wengert")

    def add(self, title, text):
        self.parts.append(f"## {title}\n{text}\n")
        self.options.out.write_text("# Wengert on a GPU\n" + "\n".join(self.parts))
        print(f"{title}\n{text}\n", flush=True)

    def machine(self):
        gpu = said("nvidia-smi", "--query-gpu=name,driver_version,compute_cap,memory.total,clocks.max.sm", "--format=csv,noheader")
        rows = [("GPU, driver, compute capability, memory, clock", gpu), ("processor", f"{platform.processor() or platform.machine()}, {len(CORES)} cores"),
                ("Wengert", said(self.command, "--version")), ("commit", said("git", "describe", "--always", "--dirty"))]
        self.add("Machine", table(("", ""), rows))

    def tests(self):
        self.add("Tests on the device", self.run_tests([], self.options.tests)
                 + "\n\nThe op table runs every kernel there. What the emulator alone can see, the tests named cuda_*, stays in it.")

    def sanitizers(self):
        program = shutil.which("compute-sanitizer")
        if program is None:
            return self.add("Sanitizers", "Not run: there is no compute-sanitizer here.")
        silent = {"memcheck": ["--report-api-errors", "no"]}  # some tests make calls that CUDA refuses
        rows = [(tool, self.run_tests([program, "--tool", tool, *silent.get(tool, []), "--error-exitcode", "9"], self.options.sanitized_tests))
                for tool in SANITIZERS]
        self.add("Sanitizers", table(("tool", self.options.sanitized_tests), rows))

    def run_tests(self, before, sources):
        """One line."""
        command = [*before, str(self.options.build / "bin/wengert_tests"), f"--source-file={sources}", "--no-colors=true"]
        environment = {**os.environ, "WENGERT_TEST_DEVICE": self.options.device}
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment)
        if done.returncode:
            self.failed.append(" ".join([*before, sources]))
            print(done.stdout[-5000:], done.stderr[-5000:], file=sys.stderr)
        lines = [line.strip() for line in done.stdout.splitlines() if line.startswith("on ") or "test cases:" in line or "ERROR SUMMARY" in line or "RACECHECK SUMMARY" in line]
        return f"{'passed' if done.returncode == 0 else f'FAILED, exit code {done.returncode}'}: " + "; ".join(lines).replace("|", ",")

    def steps(self):
        """The report's network; ours and PyTorch's whole step as one CUDA graph take turns."""
        o, rows = self.options, []
        try:
            peer, why = Peer("/", ("frameworks", o.pytorch, "torch_peer.py", ["--mode", "graph"], {}), 1), ""
        except Failure as failure:
            peer, why = None, f"PyTorch ({o.pytorch}): {failure}"
        for batch in o.batches:
            ours, theirs = [], []
            for _ in range(o.rounds):
                ours.append(self.step(batch))
                if peer is not None:
                    try:
                        theirs += peer.ask("step", "mnist_cnn", batch, o.steps)["ms"]
                    except Failure as failure:
                        peer, why = None, f"PyTorch: {failure}"
            rows.append((batch, spread(ours, "ms"), spread(theirs, "ms") if theirs else "", f"{batch / statistics.median(ours) * 1e3:,.0f}"))
        if peer is not None:
            why = f"PyTorch {peer.about['version']}, one CUDA graph a step, f32 without TF32."
            peer.close()
        self.add("Training steps", table(("batch", "Wengert", "PyTorch", "images/s"), rows) + f"\n\nMedian (least to most) of {o.rounds} rounds. {why}")

    def rungs(self):
        """The same step with other kernels for its convolutions."""
        o = self.options

        def row(title, *options):
            return (title, *(spread([self.step(batch, *options) for _ in range(o.rounds)], "ms") for batch in o.batches))

        rows = [row("all fused"), row("nothing fused", "--no-fusion", "all")]
        for kernel in RUNGS:
            try:
                self.wanted("bench", "conv", "--device", o.device, "--kernel", kernel, "--alone", "--shape", "1,1,8,8,1,3,3", "--rounds", 1)
            except Failure as failure:
                rows.append((kernel, f"absent: {failure}", *[""] * (len(o.batches) - 1)))
                continue
            rows.append(row(kernel, "--kernel", f"{kernel},auto"))
        self.add("Kernels of the convolutions", table(("step", *(f"batch {batch}" for batch in o.batches)), rows)
                 + "\n\nWith a kernel named nothing is fused, of the other steps neither.")

    def step(self, batch, *options):
        """Milliseconds."""
        o = self.options
        done = self.wanted("bench", "step", "--device", o.device, "--batch", batch, "--steps", o.steps, *options, "--json")
        return json.loads(done)["ms_per_step"]

    def training(self):
        """From the start of a process to its end, the accuracy on the test set with it."""
        seconds, accuracies = [], []
        with tempfile.TemporaryDirectory() as folder:
            for seed in range(1, self.options.seeds + 1):
                start = time.perf_counter()
                self.wanted("train", "mnist_fast", "--device", self.options.device, "--seed", seed, "--quiet", "--out", f"{folder}/model.safetensors")
                seconds.append(time.perf_counter() - start)
                accuracies.append(json.loads(self.wanted("evaluate", f"{folder}/model.safetensors", "--json"))["accuracy"])
        reached = sum(accuracy >= WANTED_ACCURACY for accuracy in accuracies)
        self.add(f"From the start of a process to {WANTED_ACCURACY:.0%}",
                 f"`wengert train mnist_fast`: {spread(seconds, 's')}; test accuracy {spread([100 * a for a in accuracies], '%')}; "
                 f"{reached} of {len(accuracies)} seeds reach it.")

    def kernels(self):
        with tempfile.TemporaryDirectory() as folder:
            trace = pathlib.Path(folder) / "trace.json"
            self.wanted("train", "--device", self.options.device, "--steps", 20, "--quiet", "--trace", trace, "--out", f"{folder}/model.safetensors")
            kept = self.options.out.with_suffix(".trace.json")
            shutil.copy(trace, kept)
        self.add("Trace", f"20 steps with the device's own times of every kernel, given one by one and not as a graph: {kept.name}, for a trace viewer.")

    def wanted(self, *words):
        done = subprocess.run([self.command, *map(str, words)], capture_output=True, text=True)
        if done.returncode:
            raise Failure((done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1])
        return done.stdout


def main():
    options = options_of(sys.argv[1:])
    report = Report(options)
    sections = [report.machine, report.tests, report.steps, report.rungs, *([report.training] if options.seeds > 0 else []), report.kernels,
                *([] if options.quick else [report.sanitizers])]
    for section in sections:
        try:
            section()
        except Failure as failure:
            report.failed.append(f"{section.__name__}: {failure}")
            report.add(section.__name__, f"FAILED: {failure}")
    print(f"Wrote {options.out}")
    if report.failed:
        sys.exit("Failed: " + "; ".join(report.failed))


if __name__ == "__main__":
    main()
