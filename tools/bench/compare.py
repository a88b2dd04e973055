#!/usr/bin/env python3
"""Times Wengert and its peers on the same work in interleaved rounds, and prints Markdown tables; --out keeps every round as JSON.

  tools/bench/setup-peers.sh                                          # what is absent is named and skipped
  tools/bench/compare.py --out build/compare.json
  tools/bench/compare.py --sections step --threads 1 --rounds 25 --ours "AVX2=step: --target AVX2" --yardstick "prototype=./winograd DATA"

Sections: step (the report's network), networks (LeNet-5, an MLP, a small ResNet on 3x32x32), predict (one image, and 256), conv (the
sweep of geometries.py), process (from the start of a process to the end of its first step, and its peak memory).
A yardstick is a command that prints lines {"threads": T, "batch": B, "ms_per_step": MS} for the report's network; it runs before and after
each number of threads.
"""
import argparse
import json
import math
import os
import pathlib
import platform
import signal
import statistics
import subprocess
import sys
import time

from geometries import DIRECTIONS, GEOMETRIES
from systems import CONVOLUTIONS, CORES, HERE, PEERS, Failure, Ours, Peer, started

sys.path.insert(0, str(HERE / "peers"))
from common import write_colour_set  # noqa: E402  shared with the peers

ROOT = HERE.parents[1]
SCRIPTS = {"mnist_cnn": "mnist_cnn", "lenet5": "lenet5", "mlp": "mlp", "resnet32": str(HERE / "resnet32.toml")}
FIRST_STEPS = 20  # after which the peers' losses must agree


def options_of(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)

    def numbers(text):
        return [int(word) for word in text.split(",")]

    parser.add_argument("--sections", default="step,networks,predict,conv,process", type=lambda text: text.split(","))
    parser.add_argument("--wengert", default=str(ROOT / "build/bin/wengert"), help="the command")
    parser.add_argument("--ours", action="append", default=[], metavar="NAME=KIND: OPTIONS; ...", help="a variant of ours: further options of bench KIND")
    parser.add_argument("--peers", default=str(ROOT / "build/peers"), help="folder that setup-peers.sh made")
    parser.add_argument("--only", default="", help="the peers to take, comma-separated parts of names (all)", type=lambda text: [word for word in text.split(",") if word])
    parser.add_argument("--yardstick", action="append", default=[], metavar="NAME=COMMAND")
    parser.add_argument("--threads", default=[t for t in (1, 2) if t <= len(CORES)], type=numbers)
    parser.add_argument("--batches", default=[32, 64, 256], type=numbers)
    parser.add_argument("--rounds", default=15, type=int)
    parser.add_argument("--steps", default=10, type=int, help="steps a round")
    parser.add_argument("--warm-up", default=300, type=int, help="steps before the first round")
    parser.add_argument("--geometries", default="", help="only those whose name has this in it")
    parser.add_argument("--out", help="JSON file")
    return parser.parse_args(arguments)


def note(text):
    print(text, file=sys.stderr, flush=True)


class Comparison:
    """All measured cells: {section: {cell: {system: {"rounds": [ms], ...}}}}, and why others are missing."""

    def __init__(self, options, facts):
        self.facts = facts
        self.options, self.cells, self.groups, self.missing, self.about = options, {}, {}, {}, {}
        self.variants = dict([("wengert", ""), *(text.split("=", 1) for text in options.ours)])

    def add(self, section, cell, name, rounds, **more):
        self.cells.setdefault(section, {}).setdefault(cell, {}).setdefault(name, {"rounds": []})
        entry = self.cells[section][cell][name]
        entry["rounds"] += rounds
        entry.update(more)

    def miss(self, name, where, why):
        if why not in self.missing.setdefault(name, {}).setdefault(where, []):
            self.missing[name][where].append(why)
            note(f"{name}: {where}: {why}")

    def systems(self, threads, descriptions):
        """Every system that starts."""
        running = {}
        for name, variant in self.variants.items():
            try:
                running[name] = Ours(self.options.wengert, variant, threads)
            except Failure as failure:
                self.miss(name, "start", str(failure))
        for name, description in descriptions.items():
            if self.options.only and not any(word.lower() in name.lower() for word in self.options.only):
                continue
            try:
                running[name] = Peer(self.options.peers, description, threads)
                self.about[name] = {**running[name].about, "environment": running[name].environment, "command": running[name].command}
            except Failure as failure:
                self.miss(name, "start", str(failure))
        self.groups.update({name: system.group for name, system in running.items()})
        return running

    def interleaved(self, section, cell, systems, ask, prepare=None):
        """Rounds in turn, each begun by another system; a system that fails leaves this cell."""
        note(f"{section}: {cell}")
        names = list(systems)
        for number in range(-1, self.options.rounds):
            for name in names[max(number, 0) % max(len(names), 1):] + names[:max(number, 0) % max(len(names), 1)]:
                try:
                    if number >= 0:
                        median, more = ask(systems[name])
                        self.add(section, cell, name, [median], **more)
                    elif prepare:
                        self.cells.setdefault(section, {}).setdefault(cell, {})
                        first = prepare(systems[name])
                        if first is not None:
                            self.about[name].setdefault("first_loss", {})[cell] = first
                except Failure as failure:
                    self.miss(name, f"{section} {cell}", str(failure))
                    names = [other for other in names if other != name]
        self.save()

    def save(self):
        """What is measured so far, so that a long comparison may be cut short."""
        if self.options.out:
            text = json.dumps({**self.facts, "cells": self.cells, "systems": self.about, "missing": self.missing}, indent=1)
            pathlib.Path(self.options.out).write_text(text)

    # ---- sections
    def training(self, section, networks, batches):
        o = self.options
        colour = ROOT / "build" / "colour"
        if "resnet32" in networks:
            write_colour_set(colour)
        for threads in o.threads:
            systems = self.systems(threads, PEERS)
            if section == "step":
                self.yardsticks()
            for network in networks:
                able = {name: s for name, s in systems.items() if isinstance(s, Ours) or (network in s.about["networks"] and s.group != "ONNX Runtime")}
                for batch in batches:

                    def prepare(system):
                        if isinstance(system, Ours):
                            return None
                        first = system.ask("step", network, batch, FIRST_STEPS)["loss"]
                        if o.warm_up > FIRST_STEPS:
                            system.ask("step", network, batch, o.warm_up - FIRST_STEPS)
                        return first

                    def ask(system):
                        if isinstance(system, Ours):
                            data = ["--data", colour] if network == "resnet32" else []
                            warm_up = ["--warm-up", o.warm_up] if "--warm-up" in system.help("bench", "step") else []
                            answer = system.bench("step", SCRIPTS[network], "--batch", batch, "--steps", o.steps, *warm_up, *data)
                            return answer["ms_per_step"], {}
                        answer = system.ask("step", network, batch, o.steps)
                        return statistics.median(answer["ms"]), {"settings": answer.get("settings", "")}

                    self.interleaved(section, f"{network}, {threads}T, batch {batch}", able, ask, prepare)
            if section == "step":
                self.yardsticks()
            for system in systems.values():
                system.close()

    def yardsticks(self):
        for text in self.options.yardstick:
            name, command = text.split("=", 1)
            done = subprocess.run(command, shell=True, capture_output=True, text=True)
            found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
            if not found:
                self.miss(name, "start", f"status {done.returncode}, no lines of JSON")
            self.groups[name] = "yardsticks"
            for row in found:
                if row["threads"] in self.options.threads and row["batch"] in self.options.batches:
                    self.add("step", f"mnist_cnn, {row['threads']}T, batch {row['batch']}", name, [row["ms_per_step"]])

    def predict(self):
        o = self.options
        for threads in o.threads:
            systems = self.systems(threads, {name: d for name, d in PEERS.items() if d[1].startswith(("torch", "onnx"))})
            for network in ("mnist_cnn", "resnet32"):
                for batch, steps in ((1, 200), (256, o.steps)):

                    def ask(system):
                        if isinstance(system, Ours):
                            return system.bench("predict", SCRIPTS[network], "--batch", batch, "--steps", steps)["ms"], {}
                        answer = system.ask("predict", network, batch, steps)
                        return statistics.median(answer["ms"]), {"settings": answer.get("settings", "")}

                    self.interleaved("predict", f"{network}, {threads}T, batch {batch}", systems, ask, lambda system: None if ask(system) else None)
            for system in systems.values():
                system.close()

    def conv(self):
        o = self.options
        for threads in o.threads:
            systems = self.systems(threads, CONVOLUTIONS)
            for geometry, shape in GEOMETRIES.items():
                if o.geometries not in geometry:
                    continue
                for direction in DIRECTIONS:

                    def ask(system):
                        if isinstance(system, Ours):
                            *sizes, stride, padding, groups = shape.split(",")
                            answer = system.bench("conv", "--planned", "--kernel", "auto", "--shape", ",".join(sizes), "--stride", stride, "--padding", padding,
                                                  "--groups", groups, "--direction", direction, "--rounds", o.steps)
                            ours = answer["results"][0]
                            return ours["ms"], {"settings": f"{ours['kernel']}: {ours['tiles']}"}
                        answer = system.ask("conv", shape, direction, o.steps)
                        return statistics.median(answer["ms"]), {"settings": answer["kernel"]}

                    self.interleaved("conv", f"{geometry}, {direction}, {threads}T", systems, ask)
            for system in systems.values():
                system.close()

    def process(self):
        o = self.options
        threads = max(o.threads)
        for number in range(min(o.rounds, 5)):
            for name in self.variants:
                try:
                    seconds, memory = started([*Ours(o.wengert, "", threads).command, "train", "--steps", "1"], threads)
                    self.add("process", "wengert train --steps 1", name, [1e3 * seconds], memory_mb=memory)
                    self.groups[name] = "ours"
                except Failure as failure:
                    self.miss(name, "process", str(failure))
            for name, (group, program, script, more, environment) in PEERS.items():
                program = pathlib.Path(o.peers).resolve() / program
                if group != "frameworks" or not program.exists() or (o.only and not any(word.lower() in name.lower() for word in o.only)):
                    continue
                one = ["--layout", "channels_last"] if script == "torch_peer.py" else []  # without trying which is faster
                try:
                    seconds, memory = started([str(program), str(HERE / "peers" / script), *more, *one, "--threads", str(threads)], threads, "step mnist_cnn 64 1 640",
                                              environment)
                    self.add("process", "first step of batch 64", name, [1e3 * seconds], memory_mb=memory)
                    self.groups[name] = group
                except Failure as failure:
                    self.miss(name, "process", str(failure))

    # ---- results
    def median(self, section, cell, name):
        entry = self.cells[section][cell].get(name)
        return statistics.median(entry["rounds"]) if entry and entry["rounds"] else None

    def table(self, section):
        cells = self.cells.get(section, {})
        names = [name for name in [*self.variants, *dict.fromkeys(name for cell in cells.values() for name in cell)]]
        names = [name for name in dict.fromkeys(names) if name in self.variants or any(name in cell for cell in cells.values())]
        lines = ["| ms | " + " | ".join(cells) + " |", "|---" * (len(cells) + 1) + "|"]
        if section == "conv":  # many cells: one row a geometry
            lines = ["| ms | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
            lines += [f"| {cell} | " + " | ".join(self.shown(section, cell, name) for name in names) + " |" for cell in cells]
        else:
            lines += [f"| {name} | " + " | ".join(self.shown(section, cell, name) for cell in cells) + " |" for name in names]
        return lines

    def shown(self, section, cell, name):
        """Median, and the quartiles of the rounds."""
        middle = self.median(section, cell, name)
        if middle is None:
            return "-"
        rounds = self.cells[section][cell][name]["rounds"]
        low, _, high = statistics.quantiles(rounds, n=4, method="inclusive") if len(rounds) > 1 else (middle, middle, middle)
        memory = self.cells[section][cell][name].get("memory_mb")
        return f"{middle:.4g} ({low:.4g} to {high:.4g})" + (f", {memory:.0f} MB" if memory else "")

    def ratios(self, section):
        """The fastest of each group of systems, cell by cell, over each variant of ours: geometric mean, least, and where."""
        lines = []
        for ours in self.variants:
            for group in dict.fromkeys(self.groups.get(name) for name in self.groups):
                if group in (None, "ours"):
                    continue
                found = {}
                for cell in self.cells.get(section, {}):
                    mine = self.median(section, cell, ours)
                    theirs = [self.median(section, cell, name) for name, of in self.groups.items() if of == group]
                    theirs = [value for value in theirs if value is not None]
                    if mine and theirs:
                        found[cell] = min(theirs) / mine
                if found:
                    mean = math.exp(statistics.fmean(map(math.log, found.values())))
                    least = min(found, key=found.get)
                    lines.append(f"- {ours} is {mean:.2f} times as fast as the fastest of {group} (geometric mean of {len(found)} cells; least {found[least]:.2f} in {least})")
        return lines

    def disagreements(self):
        """Peers whose loss after the first steps is not the others': they would not have done the same work."""
        lines = []
        for cell in self.cells.get("step", {}):
            losses = {name: about["first_loss"][cell] for name, about in self.about.items() if cell in about.get("first_loss", {})}
            if losses:
                middle = statistics.median(losses.values())
                lines += [f"- **{name}, {cell}: loss {loss:.5f} after {FIRST_STEPS} steps, the others' {middle:.5f}**" for name, loss in losses.items()
                          if not abs(loss - middle) < 0.01 * middle]
        return lines


def machine():
    lscpu = dict(line.split(":", 1) for line in subprocess.run(["lscpu"], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}).stdout.splitlines() if ":" in line)
    flags = lscpu.get("Flags", "").split()
    return {"processor": lscpu.get("Model name", platform.machine()).strip(), "cores": len(CORES), "L2": lscpu.get("L2 cache", lscpu.get("L2", "")).strip(),
            "vectors": [flag for flag in ("avx2", "avx512f") if flag in flags], "system": platform.platform()}


def main(arguments):
    options = options_of(arguments)
    facts = {"machine": machine(), "load_before": os.getloadavg()[0], "started": time.strftime("%Y-%m-%d %H:%M"), "command": sys.argv}
    comparison = Comparison(options, facts)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("[compare] stopped before its end"))
    if pathlib.Path(options.wengert).exists():
        facts["wengert"] = subprocess.run([options.wengert, "--version"], capture_output=True, text=True).stdout.strip()
    sections = {"step": lambda: comparison.training("step", ["mnist_cnn"], options.batches),
                "networks": lambda: comparison.training("networks", ["lenet5", "mlp", "resnet32"], [64]),
                "predict": comparison.predict, "conv": comparison.conv, "process": comparison.process}
    unknown = [name for name in options.sections if name not in sections]
    if unknown:
        sys.exit(f"[compare] wanted sections of {', '.join(sections)}; got {', '.join(unknown)}")
    try:
        for section in options.sections:
            sections[section]()
    except (KeyboardInterrupt, SystemExit) as stop:  # what was measured until then is printed all the same
        note(str(stop) or "[compare] stopped before its end")
    facts["load_after"] = os.getloadavg()[0]

    cpu = facts["machine"]
    print(f"{cpu['processor']}, {cpu['cores']} cores, {', '.join(cpu['vectors'])}; load {facts['load_before']:.1f} before, {facts['load_after']:.1f} after.")
    print("Milliseconds, medians of interleaved rounds (quartiles).")
    for section in options.sections:
        print("\n" + "\n".join([f"### {section}", "", *comparison.table(section), "", *comparison.ratios(section)]))
    print("\n" + "\n".join(comparison.disagreements()))
    print("Versions: " + "; ".join([facts.get("wengert", "wengert absent"), *(f"{name} {about['version']} ({about['mode']})" for name, about in comparison.about.items())]))
    absent = [name for name, where in comparison.missing.items() if "absent" in where.get("start", [])]
    if absent:
        print("Absent, and skipped: " + ", ".join(absent))
    for name, where in comparison.missing.items():
        for place, reasons in where.items():
            if reasons != ["absent"]:
                print(f"- {name}, {place}: {'; '.join(reasons)}")
    comparison.save()


if __name__ == "__main__":
    main(sys.argv[1:])
