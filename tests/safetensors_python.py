#!/usr/bin/env python3
"""Exchanges safetensors files between Wengert and the Python package `safetensors`.

    safetensors_python.py exchange TEST_PROGRAM    both ways, through the doctest case of safetensors_test.cpp
    safetensors_python.py trained COMMAND          trains three steps with the command `wengert`, and reads what it saved
    safetensors_python.py model FILE [PARAMETERS]  reads a saved model; PARAMETERS: its expected total number

Exits with 0 on success, 1 on failure and 77, "skipped", where numpy or safetensors is not installed.
"""
import os
import subprocess
import sys
import tempfile

SKIPPED = 77

try:
    import numpy
    from safetensors import safe_open
    from safetensors.numpy import save_file
except ImportError as error:
    print(f"skipped: {error} (pip install numpy safetensors)")
    sys.exit(SKIPPED)


def check(condition, what):
    if not condition:
        sys.exit(f"failed: {what}")


def read(path):
    with safe_open(path, framework="numpy") as file:
        return file.metadata(), {name: file.get_tensor(name) for name in file.keys()}


def same(tensor, dtype, values):
    wanted = numpy.array(values, dtype=dtype)
    return tensor.dtype == wanted.dtype and tensor.shape == wanted.shape and (tensor == wanted).all()


def exchange(program):
    with tempfile.TemporaryDirectory() as folder:
        tensors = {
            "f32": numpy.arange(6, dtype=numpy.float32).reshape(2, 3) / 2,
            "f64": numpy.array([0.1, -1e300]),
            "i32": numpy.array([-7], dtype=numpy.int32),
            "u8": numpy.array([1, 0, 255], dtype=numpy.uint8),
            "none": numpy.zeros((0, 4), dtype=numpy.float32),
        }
        save_file(tensors, os.path.join(folder, "from_python.safetensors"), metadata={"note": "\u00e9\n\"quoted\""})
        save_file({"half": numpy.zeros(2, dtype=numpy.float16)}, os.path.join(folder, "half.safetensors"))
        subprocess.run(
            [program, "--test-case=safetensors: exchange with the Python package"],
            env={**os.environ, "WENGERT_SAFETENSORS_EXCHANGE": folder},
            check=True,
        )
        metadata, back = read(os.path.join(folder, "from_wengert.safetensors"))
    check(metadata == {"format": "wengert", "script": "layers = [\n  { relu = {} },\n]\t\"\\ \u00e9"}, f"metadata {metadata}")
    check(sorted(back) == ["b", "conv1.weight", "mask", "none", "step"], f"names {sorted(back)}")
    check(same(back["mask"], numpy.uint8, [1, 0, 255]), f"mask {back['mask']}")
    check(same(back["conv1.weight"], numpy.float32, [[[[1.5, -2.0]]], [[[0.25, 3.0e38]]]]), "conv1.weight")
    check(same(back["b"], numpy.float64, [[0.1, -1e300]]), f"b {back['b']}")
    check(same(back["step"], numpy.int32, -7), f"step {back['step']}")
    check(back["none"].shape == (0, 4), f"none {back['none'].shape}")
    print("exchanged both ways")


# The report's network: what `wengert train` trains without a script.
PARAMETERS = {"conv1.weight": (8, 1, 5, 5), "conv1.bias": (8,), "conv2.weight": (8, 8, 5, 5), "conv2.bias": (8,),
              "fc1.weight": (128, 800), "fc2.weight": (10, 128)}


def trained(command):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.safetensors")
        subprocess.run([command, "train", "--examples", "70", "--validation", "6", "--batch", "32", "--epochs", "5", "--steps", "3",
                        "--seed", "7", "--kernel", "im2col", "--rate", "0.002", "--quiet", "--out", path], check=True)
        metadata, tensors = read(path)
    wanted = {"step": "3", "epoch": "1", "batch_index": "1",  # of 2 batches
              "batch": "32", "chunk": "4, rule 2", "seed": "7", "kernel": "im2col", "rate": "0.002", "epochs": "5", "examples": "70",
              "validation": "6", "input": "1,28,28", "execution": "planned"}
    for key, value in wanted.items():
        got = metadata.get("wengert." + key)
        check(got == value, f"metadata wengert.{key}: wanted {value!r}, got {got!r}")
    script = metadata.get("wengert.script", "")
    check('conv2d = "conv1"' in script and 'linear = "fc2"' in script, f"metadata wengert.script: {script!r}")
    shapes = {prefix + name: shape for prefix in ("", "optimiser.first.", "optimiser.second.") for name, shape in PARAMETERS.items()}
    check({name: tensor.shape for name, tensor in tensors.items()} == shapes, f"names and shapes {[(n, t.shape) for n, t in tensors.items()]}")
    for name, tensor in tensors.items():
        check(tensor.dtype == numpy.float32 and numpy.isfinite(tensor).all() and tensor.any(), f"{name}: wanted finite f32, not all 0")
    for name in PARAMETERS:
        first, second = tensors["optimiser.first." + name].astype(float), tensors["optimiser.second." + name].astype(float)
        check((second >= 0).all(), f"second moment of {name} below 0")
        # By Cauchy and Schwarz, with the report's betas and 3 steps: (sum of a g)^2 <= sum of a^2 / b times sum of b g^2.
        most = sum((0.05 * 0.95**k) ** 2 / (0.01 * 0.99**k) for k in range(3))
        check((first**2 <= most * second * 1.001 + 1e-30).all(), f"moments of {name} do not belong together")
    print(f"{len(tensors)} tensors and {len(metadata)} keys of metadata read")


def model(path, parameters=None):
    metadata, tensors = read(path)
    check(tensors, "a model without tensors")
    for name, tensor in sorted(tensors.items()):
        print(f"{name}  {tensor.dtype}  {tensor.shape}")
        check(numpy.isfinite(tensor).all(), f"{name} holds numbers that are not finite")
    print("metadata:", ", ".join(sorted(metadata or {})))
    if parameters is not None:
        total = sum(tensor.size for tensor in tensors.values())
        check(total >= int(parameters), f"{total} numbers where {parameters} parameters are stored")


if __name__ == "__main__":
    commands = {"exchange": exchange, "trained": trained, "model": model}
    if len(sys.argv) < 3 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])
