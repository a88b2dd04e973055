"""Ours, Keras and PyTorch have the same losses from the same weights, order of images and rates. A peer that is absent is skipped by name.

The peers lie where tools/bench/setup-peers.sh puts them, or in the folder that the variable WENGERT_PEERS names.
"""
import json
import os
import pathlib
import sys
import tempfile

from command_line import check, failures, finish, wengert

SOURCE = pathlib.Path(os.environ["WENGERT_SOURCE"])
sys.path[:0] = [str(SOURCE / "tools" / "bench"), str(SOURCE / "tools" / "bench" / "peers")]
from common import read_safetensors  # noqa: E402
from systems import PEERS, Failure, Peer  # noqa: E402

FOLDER = os.environ.get("WENGERT_PEERS") or SOURCE / "build" / "peers"
NAMES = ["Keras", "PyTorch", "Debian's PyTorch"]
IMAGES, STEPS, SKIPPED = 300, 10, 77
TRAINING = ["--examples", IMAGES + 100, "--validation", 100, "--batch", 64, "--epochs", 3]  # 5 batches an epoch, the last one short


def first_losses(out):
    """Ours, step by step: a saved training carries the sum of losses of the epoch that it is in, and an ended epoch tells its mean."""
    losses, seen, total = [], 0, 0.0
    for number in range(STEPS):
        done = wengert("train", *(["--resume", out] if number else TRAINING), "--steps", 1, "--json", "--out", out)
        saved, _ = read_safetensors(out)
        now = int(saved["wengert.epoch_seen"]), float(saved["wengert.epoch_loss"])
        ended = [(IMAGES, epoch["loss"] * IMAGES) for epoch in json.loads(done.stdout)["epochs"]]
        then = ended[0] if ended else now
        losses.append((then[1] - total) / (then[0] - seen))
        seen, total = now
    return losses


def furthest(theirs, ours):
    """The largest relative difference."""
    return max(abs(a - b) / b for a, b in zip(theirs, ours, strict=True))


peers, absent = {}, []
for name in NAMES:
    try:
        peers[name] = Peer(FOLDER, PEERS[name], 1)
    except Failure as failure:
        absent.append(name)
        check(str(failure) == "absent", f"{name}: {failure}")
print(f"skipped, absent: {', '.join(absent) or 'none'}", flush=True)

if peers:
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        start, out = folder / "a start", folder / "ours.safetensors"
        wengert("train", *TRAINING, "--export-start", start)
        losses = first_losses(folder / "steps.safetensors")
        epochs = json.loads(wengert("train", *TRAINING, "--json", "--out", out).stdout)["epochs"]
        right = json.loads(wengert("evaluate", out, "--json").stdout)["accuracy"]
        for name, peer in peers.items():
            try:
                answer = peer.ask("train", "mnist_cnn", start)
            except Failure as failure:
                check(False, f"{name}: {failure}")
                continue
            finally:
                peer.close()
            step, epoch = furthest(answer["losses"], losses), furthest(answer["epoch_loss"], [epoch["loss"] for epoch in epochs])
            about = f"{name} {peer.about['version']}: losses differ by {step:.1e}, of epochs by {epoch:.1e}; accuracy {answer['epoch_accuracy'][-1]}, ours {right}"
            print(about)
            check(step < 1e-4 and epoch < 1e-3 and abs(answer["epoch_accuracy"][-1] - right) < 5e-3, about)
            check(len(answer["epoch_seconds"]) == 3 and abs(sum(answer["epoch_seconds"]) - answer["seconds"]) < 1e-6, f"{name}: {answer}")
elif not failures:
    sys.exit(SKIPPED)

finish()
