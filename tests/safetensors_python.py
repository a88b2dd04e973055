#!/usr/bin/env python3
"""Exchanges safetensors files between Wengert and the Python package `safetensors`.

    safetensors_python.py exchange TEST_PROGRAM    both ways, through the doctest case of safetensors_test.cpp
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
    commands = {"exchange": exchange, "model": model}
    if len(sys.argv) < 3 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])
