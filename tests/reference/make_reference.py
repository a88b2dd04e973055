#!/usr/bin/env python3
"""Writes reference.json: values and gradients of Wengert's operations, computed by PyTorch in float64.

    python3 make_reference.py [--seed 20240229] [--out reference.json]

Needs PyTorch 1.10 or later (Debian: python3-torch); the tests only read the file. Inputs are not stored: both sides
compute them from one integer formula, value(i, salt) below, whose results are exact in float32 and float64. Every case
gives the salt of each of its inputs; arrays are flattened in row-major order. PyTorch shares the gradient between equal
maxima and Wengert gives it to the first, so the script asserts that no case holds a tie.
"""
import argparse
import itertools
import json
import pathlib
import random

import torch
import torch.nn.functional as F

PRIME = 2003  # 3 does not divide 2002, so cubing permutes the residues: up to 2003 elements of a tensor are all different
FORMULA = ("value(i, salt) = ((i + 1 + 613 * salt)^3 mod 2003 - 1001) / 512, i the row-major index; "
           "scale multiplies it; positive(v) = |v| + 0.5; label(i) = (7 * i + 3) mod classes; "
           "probability(row, class) = (1, 2, 4, 1)[(class + row) mod 4] / 8, 4 classes")


def fill(shape, salt, scale=1.0, positive=False):
    count = 1
    for size in shape:
        count *= size
    values = [(pow(i + 1 + 613 * salt, 3, PRIME) - 1001) / 512 for i in range(count)]
    if positive:
        values = [abs(v) + 0.5 for v in values]
    return (torch.tensor(values, dtype=torch.float64) * scale).reshape(shape)


def leaf(shape, salt, scale=1.0, positive=False):
    return fill(shape, salt, scale, positive).requires_grad_()


def flat(tensor):
    return tensor.detach().reshape(-1).tolist()


def case(kind, attributes, **arrays):
    return {"kind": kind, "attributes": attributes, **{k: flat(v) for k, v in arrays.items()}}


def value_and_gradients(y, cotangent_salt, **inputs):
    """The arrays y and d<name> of every input, for the cotangent dy = value(i, cotangent_salt)."""
    gradients = torch.autograd.grad(y, list(inputs.values()), fill(y.shape, cotangent_salt))
    return {"y": y, **{"d" + name: g for name, g in zip(inputs, gradients)}}


# ---- pairwise cover -------------------------------------------------------------------------------------------------

def pairs(choice):
    return set(itertools.combinations(sorted(choice.items()), 2))


def pairwise_cover(levels, valid, least, rng, tries=60):
    """At least `least` valid choices of one level an attribute that together hold every pair of levels.

    Greedy: of `tries` random candidates, each forced to hold one missing pair, the one that adds most pairs is taken.
    """
    missing = set()
    for (a, a_levels), (b, b_levels) in itertools.combinations(sorted(levels.items()), 2):
        missing |= {((a, u), (b, v)) for u in a_levels for v in b_levels}
    every = set(missing)

    def draw(forced=()):
        for _ in range(100_000):
            choice = {name: rng.choice(options) for name, options in levels.items()} | dict(forced)
            if valid(choice):
                return choice
        raise ValueError(f"no valid choice holds {forced}")

    chosen = []
    while missing or len(chosen) < least:
        targets = rng.choices(sorted(missing), k=tries) if missing else [()]
        best = max((draw(target) for target in targets), key=lambda c: len(pairs(c) & missing))
        missing -= pairs(best)
        chosen.append(best)
    assert every == set().union(*map(pairs, chosen)), "a pair of attribute values is not covered"
    return chosen


def out_size(size, before, after, window, stride, dilation=1):
    return (size + before + after - dilation * (window - 1) - 1) // stride + 1


# ---- cases ----------------------------------------------------------------------------------------------------------

CONV_LEVELS = {
    "batch": [1, 2, 3], "height": [3, 5, 7, 8], "width": [4, 5, 7, 11],
    "groups": ["one", "two", "depthwise"], "group_channels": [1, 2], "group_filters": [1, 2],
    "kernel_height": [1, 2, 3, 5], "kernel_width": [1, 2, 3, 5],
    "stride_height": [1, 2, 3], "stride_width": [1, 2, 3], "dilation_height": [1, 2], "dilation_width": [1, 2],
    "pad_top": [0, 1, 2], "pad_bottom": [0, 1, 2], "pad_left": [0, 1, 2], "pad_right": [0, 1, 2],
}


def conv_valid(c):
    return (out_size(c["height"], c["pad_top"], c["pad_bottom"], c["kernel_height"], 1, c["dilation_height"]) > 0 and
            out_size(c["width"], c["pad_left"], c["pad_right"], c["kernel_width"], 1, c["dilation_width"]) > 0)


def conv_cases(rng):
    for choice in pairwise_cover(CONV_LEVELS, conv_valid, 72, rng):
        a = dict(choice)
        # Depthwise: group_channels 1 and 2 stand for 3 and 5 channels, each its own group.
        in_group, filters = a.pop("group_channels"), a.pop("group_filters")
        depthwise = a["groups"] == "depthwise"
        a["groups"] = 2 * in_group + 1 if depthwise else {"one": 1, "two": 2}[a["groups"]]
        in_group = 1 if depthwise else in_group
        a["channels"], a["filters"] = a["groups"] * in_group, a["groups"] * filters
        a |= {"x_salt": 1, "w_salt": 2, "dy_salt": 3}
        x = leaf((a["batch"], a["channels"], a["height"], a["width"]), 1)
        w = leaf((a["filters"], in_group, a["kernel_height"], a["kernel_width"]), 2)
        padded = F.pad(x, (a["pad_left"], a["pad_right"], a["pad_top"], a["pad_bottom"]))
        y = F.conv2d(padded, w, stride=(a["stride_height"], a["stride_width"]),
                     dilation=(a["dilation_height"], a["dilation_width"]), groups=a["groups"])
        yield case("conv2d", a, **value_and_gradients(y, 3, x=x, w=w))


POOL_LEVELS = {
    "batch": [1, 2], "channels": [1, 3], "height": [5, 6, 7], "width": [5, 7, 8],
    "window_height": [2, 3, 4], "window_width": [3, 4, 5], "stride_height": [1, 2, 3], "stride_width": [1, 2, 3],
    "pad_top": [0, 1], "pad_bottom": [0, 1], "pad_left": [0, 1], "pad_right": [0, 1, 2],
}


def pool_valid(c):  # no window may lie in the padding alone
    return (max(c["pad_top"], c["pad_bottom"]) < c["window_height"] and
            max(c["pad_left"], c["pad_right"]) < c["window_width"])


def padded_input(a, x, value):
    return F.pad(x, (a["pad_left"], a["pad_right"], a["pad_top"], a["pad_bottom"]), value=value)


def max_pool_cases(rng):
    for choice in pairwise_cover(POOL_LEVELS, pool_valid, 20, rng):
        a = choice | {"x_salt": 4, "dy_salt": 5}
        x = leaf((a["batch"], a["channels"], a["height"], a["width"]), 4)
        assert x.unique().numel() == x.numel(), "tie"
        y = F.max_pool2d(padded_input(a, x, -float("inf")), (a["window_height"], a["window_width"]),
                         (a["stride_height"], a["stride_width"]))
        yield case("max_pool2d", a, **value_and_gradients(y, 5, x=x))


def average_pool_cases(rng):
    for n in range(8):
        while not pool_valid(a := {name: rng.choice(options) for name, options in POOL_LEVELS.items()}):
            pass
        a |= {"count_padding": n % 2 == 1, "x_salt": 6, "dy_salt": 7}
        if n < 2:  # symmetric, so that PyTorch's own padding can be compared with ours
            a |= {"window_height": 3, "window_width": 2, "pad_top": 1, "pad_bottom": 1, "pad_left": 1, "pad_right": 1}
        x = leaf((a["batch"], a["channels"], a["height"], a["width"]), 6)
        window, stride = (a["window_height"], a["window_width"]), (a["stride_height"], a["stride_width"])
        mean = F.avg_pool2d(padded_input(a, x, 0.0), window, stride)
        inside = F.avg_pool2d(padded_input(a, torch.ones_like(x), 0.0), window, stride)
        y = mean if a["count_padding"] else mean / inside
        if n < 2:
            assert torch.allclose(y, F.avg_pool2d(x, window, stride, 1, count_include_pad=a["count_padding"]), 1e-14)
        yield case("average_pool2d", a, **value_and_gradients(y, 7, x=x))


def cross_entropy_cases():
    for rows, classes, scale in [(1, 2, 1.0), (5, 10, 1.0), (7, 3, 4.0), (4, 11, 4096.0), (13, 5, 0.5)]:
        a = {"rows": rows, "classes": classes, "scale": scale, "labels": "classes", "x_salt": 8, "dy_salt": 9}
        x = leaf((rows, classes), 8, scale)
        labels = torch.tensor([(7 * i + 3) % classes for i in range(rows)])
        y = F.cross_entropy(x, labels, reduction="none")
        yield case("softmax_cross_entropy", a, **value_and_gradients(y, 9, x=x))
    a = {"rows": 6, "classes": 4, "scale": 2.0, "labels": "probabilities", "x_salt": 8, "dy_salt": 9}
    x = leaf((6, 4), 8, 2.0)
    target = torch.tensor([[(1, 2, 4, 1)[(c + r) % 4] / 8 for c in range(4)] for r in range(6)], dtype=torch.float64)
    yield case("softmax_cross_entropy", a, **value_and_gradients(F.cross_entropy(x, target, reduction="none"), 9, x=x))


def softmax_cases():
    for kind, function in [("softmax", F.softmax), ("log_softmax", F.log_softmax)]:
        for rows, classes, scale in [(3, 7, 1.0), (2, 10, 8.0), (5, 3, 4096.0)]:
            x = leaf((rows, classes), 10, scale)
            a = {"rows": rows, "classes": classes, "scale": scale, "x_salt": 10, "dy_salt": 11}
            yield case(kind, a, **value_and_gradients(function(x, 1), 11, x=x))


def batch_norm_cases():
    for batch, channels, height, width, epsilon in [(4, 3, 1, 1, 1e-5), (2, 3, 5, 4, 1e-5), (3, 2, 7, 3, 1e-3)]:
        a = {"batch": batch, "channels": channels, "height": height, "width": width, "epsilon": epsilon,
             "x_salt": 12, "gamma_salt": 13, "beta_salt": 14, "dy_salt": 15}
        x, gamma, beta = leaf((batch, channels, height, width), 12), leaf((channels,), 13), leaf((channels,), 14)
        y = F.batch_norm(x, None, None, gamma, beta, training=True, eps=epsilon)
        yield case("batch_norm", a, mean=x.mean((0, 2, 3)), variance=x.var((0, 2, 3), unbiased=False),
                   **value_and_gradients(y, 15, x=x, gamma=gamma, beta=beta))


BINARY = {"add": torch.add, "subtract": torch.sub, "multiply": torch.mul, "divide": torch.div, "maximum": torch.maximum}


def binary_cases():
    shapes = [((2, 3, 4), (2, 3, 4)), ((2, 3, 4), (4,)), ((5, 1, 3), (1, 7, 1)), ((3, 1), (2, 1, 5)), ((), (2, 3))]
    for (name, function), (a_shape, b_shape) in itertools.product(BINARY.items(), shapes):
        positive = name == "divide"  # a divisor must not be near zero
        a, b = leaf(a_shape, 16), leaf(b_shape, 17, positive=positive)
        assert not (a == b).any(), "tie"
        attributes = {"op": name, "a_shape": a_shape, "b_shape": b_shape, "a_salt": 16, "b_salt": 17,
                      "b_positive": positive, "dy_salt": 18}
        yield case("binary", attributes, **value_and_gradients(function(a, b), 18, a=a, b=b))


UNARY = {"negate": torch.neg, "exp": torch.exp, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu": torch.relu,
         "log": torch.log, "sqrt": torch.sqrt}


def unary_cases():
    shape = (3, 7)
    for name, function in UNARY.items():
        positive = name in ("log", "sqrt")
        x = leaf(shape, 19, positive=positive)
        assert (x != 0).all(), "kink"
        a = {"op": name, "shape": shape, "x_positive": positive, "x_salt": 19, "dy_salt": 20}
        yield case("unary", a, **value_and_gradients(function(x), 20, x=x))
    for exponent, positive in [(2.0, False), (3.0, False), (-1.5, True), (0.25, True)]:
        x = leaf(shape, 19, positive=positive)
        a = {"op": "power", "exponent": exponent, "shape": shape, "x_positive": positive, "x_salt": 19, "dy_salt": 20}
        yield case("unary", a, **value_and_gradients(x ** exponent, 20, x=x))


def reduce_cases():
    functions = {"sum": torch.sum, "mean": torch.mean, "max": torch.amax}
    for (name, function), (axes, keep) in itertools.product(
            functions.items(), [((1,), False), ((0, 2), True), ((0, 1, 2, 3), False)]):
        shape = (2, 3, 5, 4)
        x = leaf(shape, 21)
        a = {"op": name, "shape": shape, "axes": axes, "keep": keep, "x_salt": 21, "dy_salt": 22}
        yield case("reduce", a, **value_and_gradients(function(x, axes, keepdim=keep), 22, x=x))


def matmul_cases():
    for n, (ta, tb) in enumerate(itertools.product([False, True], repeat=2)):
        for batch in [[], [3]]:
            m, k, p = [(5, 7, 3), (1, 11, 4), (6, 2, 5), (3, 13, 1)][n]
            a_shape, b_shape = batch + ([k, m] if ta else [m, k]), batch + ([p, k] if tb else [k, p])
            a, b = leaf(a_shape, 23), leaf(b_shape, 24)
            y = (a.transpose(-1, -2) if ta else a) @ (b.transpose(-1, -2) if tb else b)
            attributes = {"a_shape": a_shape, "b_shape": b_shape, "transpose_a": ta, "transpose_b": tb,
                          "a_salt": 23, "b_salt": 24, "dy_salt": 25}
            yield case("matmul", attributes, **value_and_gradients(y, 25, a=a, b=b))


def hessian_cases():
    """Loss, gradients and Hessian-vector products of tanh(conv) -> tanh(conv) -> average pool 2 -> linear -> cross-entropy.

    The vector is value(i, salt of the parameter + 10); the loss is the mean over the batch.
    """
    for size, stride, dilation, pad in [((7, 7), 1, 1, 0), ((11, 9), 2, 2, 1)]:
        classes, batch = 3, 2
        x, w1 = leaf((batch, 1, *size), 31), leaf((2, 1, 3, 3), 32, 0.25)
        w2 = leaf((2, 2, 2, 2), 33, 0.25)
        h = torch.tanh(F.conv2d(x, w1, stride=stride, padding=pad))
        h = F.avg_pool2d(torch.tanh(F.conv2d(h, w2, dilation=dilation)), 2).flatten(1)
        w3 = leaf((classes, h.shape[1]), 34, 0.25)
        labels = torch.tensor([(7 * i + 3) % classes for i in range(batch)])
        loss = F.cross_entropy(h @ w3.T, labels)
        inputs = {"x": x, "w1": w1, "w2": w2, "w3": w3}
        vectors = [fill(v.shape, 41 + n) for n, v in enumerate(inputs.values())]
        gradients = torch.autograd.grad(loss, list(inputs.values()), create_graph=True)
        products = torch.autograd.grad(sum((g * v).sum() for g, v in zip(gradients, vectors)), list(inputs.values()))
        a = {"batch": batch, "height": size[0], "width": size[1], "features": h.shape[1], "classes": classes,
             "stride1": stride, "pad1": pad, "dilation2": dilation, "x_salt": 31, "w1_salt": 32, "w2_salt": 33,
             "w3_salt": 34, "w_scale": 0.25, "vector_salt": 41}
        yield case("hessian", a, y=loss, **{"d" + n: g for n, g in zip(inputs, gradients)},
                   **{"h" + n: g for n, g in zip(inputs, products)})


def high_order_cases():
    """The first four derivatives of sum(x * tanh(x)), entry by entry."""
    x = leaf((5,), 35)
    orders, y = {}, (x * torch.tanh(x)).sum()
    value = y
    for order in range(1, 5):
        value, = torch.autograd.grad(value.sum(), x, create_graph=True)
        orders["d%d" % order] = value
    yield case("high_order", {"shape": [5], "x_salt": 35}, y=y, **orders)


def optimiser_cases():
    """Parameters after each step, for the fixed gradients value(i, 51 + step), step from 0."""
    def trajectory(make):
        p = leaf((7,), 50)
        optimiser, steps = make([p]), []
        for step in range(10):
            p.grad = fill((7,), 51 + step)
            optimiser.step()
            steps.append(p.detach().clone())
        return torch.stack(steps)

    salts = {"elements": 7, "steps": 10, "p_salt": 50, "gradient_salt": 51}
    yield case("adam", {"rate": 0.01, "beta1": 0.95, "beta2": 0.99, "epsilon": 1e-8, **salts},
               p=trajectory(lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.95, 0.99), eps=1e-8)))
    yield case("sgd", {"rate": 0.0625, "momentum": 0.9, "weight_decay": 0.01, **salts},
               p=trajectory(lambda p: torch.optim.SGD(p, lr=0.0625, momentum=0.9, weight_decay=0.01)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=20240229)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).with_name("reference.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = random.Random(options.seed)
    cases = [c for group in (
        conv_cases(rng), max_pool_cases(rng), average_pool_cases(rng), cross_entropy_cases(), softmax_cases(),
        batch_norm_cases(), binary_cases(), unary_cases(), reduce_cases(), matmul_cases(), hessian_cases(),
        high_order_cases(), optimiser_cases()) for c in group]
    header = {"seed": options.seed, "torch": torch.__version__, "formula": FORMULA}
    with options.out.open("w") as out:  # one case a line, so that a changed case is one changed line
        out.write(json.dumps(header)[:-1] + ', "cases": [\n')
        out.write(",\n".join(json.dumps(c, separators=(",", ":")) for c in cases))
        out.write("\n]}\n")
    counts = {kind: sum(c["kind"] == kind for c in cases) for kind in dict.fromkeys(c["kind"] for c in cases)}
    print(options.out, options.out.stat().st_size, "bytes:", counts)


if __name__ == "__main__":
    main()
