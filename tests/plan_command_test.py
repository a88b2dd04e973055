"""`wengert plan`, `wengert tune`, and `wengert train --trace`: what a plan will do, what it did, and what it is told to do."""
import json
import os
import tempfile
from pathlib import Path

from command_line import check, finish, refused, wengert

SCRIPTS = Path(os.environ["WENGERT_SOURCE"]) / "tools" / "scripts"
SMALL = """
name = "small"
input = [1, 28, 28]
layers = [
  { conv2d = "first", filters = 4, size = 5, stride = 2 }, { relu = {} }, { max_pool2d = {}, window = 2 }, { flatten = {} },
  { linear = "last", units = 10 },
]
[train]
batch = 16
"""


def plan(script, *arguments):
    return json.loads(wengert("plan", script, *arguments, "--json").stdout)


def check_trace(path, steps):
    """A row a worker and one of the loop; spans of a row follow one another, and the workers' lie within the loop's steps."""
    trace = json.loads(path.read_text())["traceEvents"]
    rows = {event["tid"]: event["args"]["name"] for event in trace if event["name"] == "thread_name"}
    spans = [event for event in trace if event["ph"] == "X"]
    loop = [span for span in spans if rows[span["tid"]] == "training loop" and span["name"].startswith("step ")]
    work = [span for span in spans if rows[span["tid"]].startswith("worker ")]
    check([span["name"] for span in loop] == [f"step {number + 1}" for number in range(steps)], f"wanted {steps} steps, got {[span['name'] for span in loop]}")
    check(len(work) >= 5 * steps, f"{len(work)} spans of workers")
    check(any("chunk" in span.get("args", {}) for span in work) and any(span["name"].startswith("sum of ") for span in work), "no chunks, or no sums")
    slack = 0.01  # of a microsecond: times are rounded
    for row in rows:
        ends = 0.0
        for span in sorted((span for span in spans if span["tid"] == row), key=lambda span: (span["ts"], span["dur"])):
            check(span["ts"] >= ends - slack, f"{rows[row]}: {span} begins before {ends}")
            ends = span["ts"] + span["dur"]
    for span in work:
        check(any(step["ts"] - slack <= span["ts"] and span["ts"] + span["dur"] <= step["ts"] + step["dur"] + slack for step in loop), f"{span} is in no step")


with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    small, model = folder / "small.toml", folder / "small.safetensors"
    small.write_text(SMALL)

    # Every script has a plan that fits the page, as a table, JSON and a graph.
    for script in sorted(SCRIPTS.glob("*.toml")):
        text = wengert("plan", script, "--batch", 8).stdout
        long = [line for line in text.splitlines() if len(line) > 120]
        check(not long, f"{script.name}: lines of more than 120 columns: {long}")
        for wanted in ("level 0", "kept for the backward pass", "peak:", "planned in", script.name + ":"):
            check(wanted in text, f"{script.name}: wengert plan does not say {wanted!r}")
        check(wengert("plan", script, "--batch", 8, "--dot").stdout.count(" -> ") > 10, f"{script.name}: --dot draws no graph")
    out = plan("mnist_cnn", "--batch", 64, "--threads", 1)
    steps = {step["id"]: step for step in out["steps"]}
    check(out["batch"] == 64 and out["chunk"] * out["chunks"] >= 64 and out["threads"] == 1 and out["plan_ms"] > 0, f"plan: {out}")
    check(out["peak"]["step"] in steps and out["peak"]["bytes"] > 0 and out["memory"]["total"] > 0, f"peak: {out['peak']}")
    check(all(step["kernel"] and step["why"] for step in steps.values() if step["runs"] and step["op"] != "assign"), "a step without a kernel or a reason")
    check(any(step["fusion"] for step in steps.values()) and any(note["pass"] == "fuse" for note in out["notes"]), "nothing is fused")
    kept = {step["name"] for step in steps.values() for output in step["outputs"] if "kept_for" in output}
    check("conv1" in kept, f"kept: {kept}")
    naive = [step for step in plan("mnist_cnn", "--kernel", "naive")["steps"] if step["op"].startswith("conv2d")]
    check(naive and all(step["kernel"] == "naive" for step in naive), "--kernel naive is not")

    # Fusions switched off: one, several, all.
    def fused(*arguments):
        made = plan("mnist_cnn", *arguments)
        off = {note["text"].removesuffix(" is switched off") for note in made["notes"] if note["text"].endswith(" is switched off")}
        return {step["fusion"] for step in made["steps"]} - {""}, off

    everything, off = fused()
    check(not off and len(everything) > 3, f"fused: {everything}, off: {off}")
    check(fused("--no-fusion", "winners")[1] == {"winners"}, "--no-fusion winners is not told, or not alone")
    left, off = fused("--no-fusion", "winners", "--no-fusion", "conv2d_weight + bias", "--inference")
    check(off == {"winners", "conv2d_weight + bias"} and left, f"two fusions off: {off}, left: {left}")
    left, off = fused("--no-fusion", "all")
    check(not left and {"winners", "conv2d_weight + bias", "elementwise chain"} < off, f"all fusions off: {off}, left: {left}")
    check("winners is switched off" in wengert("plan", "--no-fusion", "winners", "mnist_cnn").stdout, "plan does not say what is switched off")

    def losses(*arguments):
        return [epoch["loss"] for epoch in json.loads(wengert("train", small, "--examples", 200, "--epochs", 2, "--json", "--out", model, *arguments).stdout)["epochs"]]

    for with_all, without in zip(losses(), losses("--no-fusion", "all")):
        check(abs(with_all - without) <= 1e-4 * with_all, f"a loss of {with_all}, without fusions of {without}")
    refused("train", "--resume", model, "--epochs", 3, "--quiet", "--out", model, "--no-fusion", "winners", says="wanted no-fusion 'all'")
    wengert("train", "--resume", model, "--epochs", 3, "--quiet", "--out", model)  # leaves out what was left out
    refused("bench", "step", small, "--kernel", "winograd", "--steps", 1, says="'winograd,auto' would take another")
    refused("train", small, "--eager", "--no-fusion", "all", "--out", model, says="wanted a plan to leave fusions out of")
    for command in (["plan"], ["train"], ["bench", "step"], ["bench", "predict"]):
        refused(*command, small, "--no-fusion", "winers", says="wanted the name of a fusion, got 'winers'; did you mean 'winners'?")
    for command in ("step", "predict"):
        wengert("bench", command, small, "--steps", 2, "--no-fusion", "winners", "--no-fusion", "elementwise chain", "--json")

    inference = plan("mnist_cnn", "--inference")
    check(not any(step["backward"] for step in inference["steps"]) and len(inference["steps"]) < len(steps), "--inference plans a backward pass")
    wide = wengert("plan", "mnist_cnn", "--wide").stdout
    check(max(map(len, wide.splitlines())) > 120, "--wide breaks lines")
    refused("plan", "mnist_cn", says="mnist_cnn")
    refused("plan", "mnist_cnn", "--batch", 0, says="--batch")

    # A trace of the run, short and full.
    training = ["train", small, "--out", model]
    done = wengert(*training, "--examples", 40, "--epochs", 2, "--threads", 2, "--trace", folder / "trace.json")  # a short batch in each epoch
    check("a trace of the first 6 of 6 steps" in done.stdout, f"train --trace: {done.stdout}")
    check_trace(folder / "trace.json", 6)
    done = wengert(*training, "--steps", 210, "--serial", "--trace", folder / "trace.json")
    check("a trace of the first 200 of 210 steps" in done.stdout, f"train --trace: {done.stdout}")
    check_trace(folder / "trace.json", 200)
    refused(*training, "--eager", "--trace", folder / "trace.json", says="--trace")
    refused(*training, "--trace", folder / "no" / "trace.json", says="no/trace.json")

    # Tuning, and files that do not fit.
    tuning = folder / "tuning.json"
    done = wengert("tune", small, "--threads", 1, "--rounds", 3, "--out", tuning)
    check("first" in done.stdout and str(tuning) in done.stdout, f"tune: {done.stdout}")
    measured = json.loads(tuning.read_text())
    ops = {op["op"]: op for op in measured["ops"]}
    check(measured["batch"] == 16 and measured["machine"]["processor"] and len(ops) == len(measured["ops"]) > 5, f"tuning: {measured}")
    for op in ops.values():
        winners = [one for one in op["candidates"] if one["kernel"] == op["winner"] and "refused" not in one]
        check(winners and all(one["us"] > 0 and one["error"] <= measured["bound"] for one in winners), f"tuning: {op}")
        check(all("us" in one or one["refused"] for one in op["candidates"]), f"neither a time nor a reason: {op}")
    check(any(len([one for one in op["candidates"] if "refused" not in one]) > 2 for op in ops.values()), "no op has three kernels to choose from")

    known = [step for step in plan(small, "--tuning", tuning)["steps"] if step["why"].startswith("fastest in the tuning file")]
    check(known, "the plan takes nothing from its tuning file")
    check("measured with threads 1, this run has 2" in wengert("plan", small, "--threads", 2, "--tuning", tuning).stderr, "tuning of another thread count")
    changed = json.loads(tuning.read_text())
    for op in changed["ops"]:
        if op["op"].startswith("matmul "):
            op["winner"] = "naive"
    (folder / "changed.json").write_text(json.dumps(changed))
    taken = {step["kernel"] for step in plan(small, "--tuning", folder / "changed.json")["steps"] if step["op"] == "matmul"}
    check(taken == {"naive"}, f"the plan does not take the winners of its tuning file: {taken}")
    wengert(*training, "--examples", 200, "--epochs", 1, "--quiet", "--tuning", folder / "changed.json")
    refused("train", "--resume", model, "--epochs", 2, "--quiet", "--out", model, says="wanted tuning")
    check("accuracy" in wengert("evaluate", model, "--tuning", tuning).stdout, "evaluate --tuning says no accuracy")
    wengert("bench", "step", small, "--steps", 3, "--tuning", tuning, "--json")

    def refused_tuning(content, says):
        path = folder / "unfit.json"
        path.write_text(content)
        done = wengert("plan", small, "--tuning", path, "--json")
        check(len(done.stderr.splitlines()) == 1 and says in done.stderr and "without it" in done.stderr, f"{says}: {done.stderr!r}")
        check(not any("tuning" in step["why"] for step in json.loads(done.stdout)["steps"]), f"{says}: the plan takes the file all the same")

    for key, says in (("processor", "measured on 'other'"), ("target", "measured with 'other'"), ("version", "by version 'other'")):
        other = json.loads(tuning.read_text())
        other["machine"][key] = "other"
        refused_tuning(json.dumps(other), says)
    refused_tuning(tuning.read_text()[:300], "broken")
    refused_tuning("{}", "found other JSON")
    refused_tuning(json.dumps({**measured, "wengert_tuning": 99}), "found 99")
    refused_tuning(json.dumps({**measured, "ops": [{"op": 3}]}), "broken")
    for change, says in (({"layout": "nhwc9"}, "wanted a layout, found 'nhwc9'"), ({"winner": "im2cal"}, "did you mean 'im2col'")):
        refused_tuning(json.dumps({**measured, "ops": [{**measured["ops"][0], **change}, *measured["ops"][1:]]}), says)
    refused("plan", small, "--tuning", folder / "absent.json", says="absent.json")
    refused("tune", small, "--out", folder / "no" / "tuning.json", says="no/tuning.json")

finish()
