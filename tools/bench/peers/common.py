"""What the peers share: the data, the networks, the initial weights, and how a peer answers requests.

A peer is a process with a fixed number of threads. It writes one JSON line that says what it is, then answers each line on stdin with one
JSON line on stdout:
    step NETWORK BATCH STEPS       {"ms": [each step], "loss": of the last step}   training goes on from request to request
    predict NETWORK BATCH STEPS    {"ms": [each forward pass, logits read]}
    train NETWORK FOLDER           a whole training anew, as `wengert train --export-start FOLDER` wrote it down: {"losses": [first 10 steps],
                                   "epoch_loss": [...], "epoch_accuracy": [on the test images], "epoch_seconds": [...], "seconds": of all steps}
A fifth word in a process's first request is the number of images to take; without it, all. Seconds are those of training, what it
compiles in its first step and last batch included, evaluation not; an epoch that "steps" in the settings cuts off counts in "seconds" alone. A
loss that is not finite is null.
A request that fails is answered with {"error": "..."}.
"""
import argparse
import gzip
import json
import math
import os
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve()
MNIST = next(folder for folder in (HERE.parents[3] / "models" / "mnist", HERE.parents[1] / "mnist") if folder.exists())  # of the sources, or installed


# ---- networks: lists of layers in the order of the forward pass; the scripts beside compare.py and in tools/scripts declare the same.
def conv(name, inputs, outputs, size, stride=1, padding=0, bias=True):
    return {"kind": "conv", "name": name, "in": inputs, "out": outputs, "size": size, "stride": stride, "padding": padding, "bias": bias}


def linear(name, inputs, outputs, bias=True):
    return {"kind": "linear", "name": name, "in": inputs, "out": outputs, "bias": bias}


def norm(name, channels):
    return {"kind": "norm", "name": name, "channels": channels}


def max_pool(window):
    return {"kind": "max_pool", "window": window}


def average_pool(window):
    return {"kind": "average_pool", "window": window}


RELU, TANH, FLATTEN, GLOBAL_AVERAGE = ({"kind": kind} for kind in ("relu", "tanh", "flatten", "global_average"))


def residual(name, inputs, outputs, stride):
    """relu(conv-norm-relu-conv-norm(x) + x), where shapes change a 1x1 convolution of x (He, Zhang, Ren and Sun 2016)."""
    same = stride == 1 and inputs == outputs
    return {"kind": "residual",
            "main": [conv(name + "1", inputs, outputs, 3, stride, 1, bias=False), norm(name + "1_norm", outputs), RELU,
                     conv(name + "2", outputs, outputs, 3, 1, 1, bias=False), norm(name + "2_norm", outputs)],
            "shortcut": [] if same else [conv(name + "s", inputs, outputs, 1, stride, 0, bias=False), norm(name + "s_norm", outputs)]}


NETWORKS = {
    "mnist_cnn": {"image": (1, 28, 28), "optimiser": ("adam", 1e-3, 0.95, 0.99), "layers": [
        conv("conv1", 1, 8, 5), RELU, conv("conv2", 8, 8, 5), RELU, max_pool(2), FLATTEN,
        linear("fc1", 800, 128, bias=False), RELU, linear("fc2", 128, 10, bias=False)]},
    "lenet5": {"image": (1, 28, 28), "optimiser": ("adam", 1e-3, 0.9, 0.999), "layers": [
        conv("c1", 1, 6, 5, padding=2), TANH, average_pool(2), conv("c3", 6, 16, 5), TANH, average_pool(2), FLATTEN,
        linear("c5", 400, 120), TANH, linear("f6", 120, 84), TANH, linear("output", 84, 10)]},
    "mlp": {"image": (1, 28, 28), "optimiser": ("sgd", 0.1, 0.9), "layers": [
        FLATTEN, linear("hidden", 784, 128), RELU, linear("output", 128, 10)]},
    "resnet32": {"image": (3, 32, 32), "optimiser": ("adam", 1e-3, 0.9, 0.999), "layers": [
        conv("stem", 3, 16, 3, padding=1, bias=False), norm("stem_norm", 16), RELU,
        residual("a", 16, 16, 1), residual("b", 16, 32, 2), residual("c", 32, 64, 2),
        GLOBAL_AVERAGE, FLATTEN, linear("output", 64, 10)]},
}


def flat(layers):
    """The layers with those within residual blocks."""
    for layer in layers:
        if layer["kind"] == "residual":
            yield from flat(layer["main"])
            yield from flat(layer["shortcut"])
        else:
            yield layer


def parameters(layers):
    """Name, shape and fan-in of every weight and bias, in order; convolutions (F,C,KH,KW), linear layers (out,in); fan-in 0: zeros."""
    for layer in flat(layers):
        if layer["kind"] in ("conv", "linear"):
            window = (layer["size"], layer["size"]) if layer["kind"] == "conv" else ()
            yield layer["name"] + ".weight", (layer["out"], layer["in"], *window), layer["in"] * math.prod(window)
            if layer["bias"]:
                yield layer["name"] + ".bias", (layer["out"],), 0


def initial_weights(network):
    """{name: f32 array}, He-uniform from splitmix64 of the position among all the weights; onednn_step.cpp makes the same numbers."""
    import numpy
    weights, first = {}, 0
    for name, shape, fan_in in parameters(NETWORKS[network]["layers"]):
        count = math.prod(shape)
        with numpy.errstate(over="ignore"):
            z = numpy.arange(first + 1, first + count + 1, dtype=numpy.uint64) * numpy.uint64(0x9E3779B97F4A7C15)
            z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        unit = (z ^ (z >> numpy.uint64(31))) >> numpy.uint64(40)  # 24 bits
        bound = math.sqrt(6 / fan_in) if fan_in else 0.0
        weights[name] = ((unit.astype(numpy.float64) / 2**23 - 1) * bound).astype(numpy.float32).reshape(shape)
        first += count
    return weights


def channels_last(weights):
    """The weights of mnist_cnn for images (N,H,W,C): convolutions (KH,KW,C,F), linear layers (in,out)."""
    return {**weights, **{name: weights[name].transpose(2, 3, 1, 0) for name in ("conv1.weight", "conv2.weight")},
            "fc1.weight": weights["fc1.weight"].reshape(128, 8, 10, 10).transpose(2, 3, 1, 0).reshape(800, 128),
            "fc2.weight": weights["fc2.weight"].T}


def read_safetensors(path):
    """The metadata, and {name: (shape, bytes of f32)}."""
    content = path.read_bytes()
    first = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:first])
    metadata = header.pop("__metadata__", {})
    return metadata, {name: (about["shape"], content[first + about["data_offsets"][0]:first + about["data_offsets"][1]])
                      for name, about in header.items()}


# ---- data
def read_mnist(split="train"):
    """The images of a split, "train" or "t10k", 784 bytes each, and labels."""
    images = gzip.decompress((MNIST / f"{split}-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((MNIST / f"{split}-labels-idx1-ubyte.gz").read_bytes())[8:]
    return images, labels


COLOUR_COUNT = 6400


def colour_images(images):
    """3x32x32 images of the first MNIST images: with a border; upside down; inverted. Real strokes in the size of CIFAR-10."""
    edge, inverse = bytes(2), bytes(255 - value for value in range(256))
    out = []
    for first in range(0, COLOUR_COUNT * 784, 784):
        rows = [edge + images[at:at + 28] + edge for at in range(first, first + 784, 28)]
        plane = b"".join([bytes(64), *rows, bytes(64)])
        out += [plane, b"".join([bytes(64), *rows[::-1], bytes(64)]), plane.translate(inverse)]
    return b"".join(out)


def write_colour_set(folder):
    """The same 3x32x32 images as files of IDX form."""
    folder = pathlib.Path(folder)
    if (folder / "train-labels-idx1-ubyte").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    images, labels = read_mnist()
    sizes = b"".join(size.to_bytes(4, "big") for size in (COLOUR_COUNT, 3, 32, 32))
    (folder / "train-images-idx4-ubyte").write_bytes(b"\0\0\x08\x04" + sizes + colour_images(images))
    (folder / "train-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01" + sizes[:4] + labels[:COLOUR_COUNT])


class Data:
    """f32 images (N,C,H,W) in [0,1] and int64 labels of a network, cut into batches that repeat after the last whole one."""

    def __init__(self, network, count=None, split="train"):
        import numpy
        image = NETWORKS[network]["image"]
        images, labels = read_mnist(split)
        if image[0] == 3:
            images, labels = colour_images(images), labels[:COLOUR_COUNT]
        if count:
            images, labels = images[:int(count) * len(images) // len(labels)], labels[:int(count)]
        self.images = numpy.frombuffer(images, numpy.uint8).reshape(-1, *image).astype(numpy.float32) / 255
        self.labels = numpy.frombuffer(labels, numpy.uint8).astype(numpy.int64)

    def batch(self, step, size):
        first = step % (len(self.labels) // size) * size
        return self.images[first:first + size], self.labels[first:first + size]

    def batches(self, size):
        return [self.batch(step, size) for step in range(len(self.labels) // size)]


# ---- a peer's process
def best_environment(**wanted):
    """Starts this program again with these variables, which libraries read when they are loaded."""
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **wanted})


def arguments(**choices):
    """The options; of each further one's choices the first is the default."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, required=True)
    for name, words in choices.items():
        parser.add_argument("--" + name, choices=words, default=words[0])
    return parser.parse_args()


def timed(run, steps):
    """Milliseconds of each run(k), and the last one's value."""
    times, value = [], None
    for _ in range(steps):
        start = time.perf_counter()
        value = run()
        times.append(1e3 * (time.perf_counter() - start))
    return times, value


def fastest(candidates, seconds=0.4):
    """The name of the candidate {name: run} with the smallest median, after warming up."""
    medians = {}
    for name, run in candidates.items():
        timed(run, 5)
        times, start = [], time.perf_counter()
        while time.perf_counter() - start < seconds:
            times += timed(run, 1)[0]
        medians[name] = sorted(times)[len(times) // 2]
    return min(medians, key=medians.get)


def accuracy(predict, data, size=1000):
    """The fraction of images whose largest logit is their label's."""
    right = 0
    for first in range(0, len(data.labels), size):
        right += int((predict(data.images[first:first + size]).argmax(axis=1) == data.labels[first:first + size]).sum())
    return right / len(data.labels)


def trained(make, network, folder):
    """The answer to a request `train`. make(network, weights, settings) gives step(images, labels) -> loss, whose k-th call learns at the k-th
    of settings["rates"], predict(images) -> logits, and fit(images, labels) -> mean loss, as many steps on successive batches; or None."""
    import numpy
    folder = pathlib.Path(folder)
    settings = json.loads((folder / "settings.json").read_text())
    batch, examples = settings["batch"], settings["examples"]
    orders = numpy.fromfile(folder / "order.i32", "<i4").reshape(-1, examples)
    _, stored = read_safetensors(folder / "initial.safetensors")
    weights = {name: numpy.frombuffer(values, "<f4").reshape(shape).copy() for name, (shape, values) in stored.items()}
    step, predict, fit = make(network, weights, settings)
    data, test = Data(network), Data(network, split="t10k")

    batches, steps = math.ceil(examples / batch), len(settings["rates"][:settings["steps"]])
    answer = {"losses": [], "epoch_loss": [], "epoch_accuracy": [], "epoch_seconds": []}
    told = 10  # first steps whose losses are told
    for first in range(0, steps, batches):
        order, last = orders[first // batches], min(batches, steps - first)
        at, loss, start = 0, 0.0, time.perf_counter()
        while at < last:
            end = at + 1 if fit is None or first + at < told else last
            positions = order[at * batch:end * batch]
            mean = float((step if end == at + 1 else fit)(data.images[positions], data.labels[positions]))
            if first + at < told:
                answer["losses"].append(mean)
            loss, at = loss + mean * len(positions), end
        if last < batches:
            break
        answer["epoch_seconds"].append(time.perf_counter() - start)
        answer["epoch_loss"].append(loss / examples)
        answer["epoch_accuracy"].append(accuracy(predict, test))
    for key, values in (("losses", answer["losses"]), ("epoch_loss", answer["epoch_loss"])):
        answer[key] = [value if math.isfinite(value) else None for value in values]
    return {**answer, "seconds": sum(answer["epoch_seconds"])}


def serve(about, makers):
    """makers: {"step": make(network, batch, data), "predict": ..., "train": as trained() has it}; the others' make gives run() -> the loss of one
    step, or None for predict."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is not an answer
    data, runs = {}, {}

    def reply(message):
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    def answer(kind, network, *words):
        if kind not in makers:
            raise ValueError(f"wanted one of {', '.join(makers)}, got {kind}")
        return trained(makers[kind], network, *words) if kind == "train" else timings(kind, network, *words)

    def timings(kind, network, batch, steps, count=None):
        if network not in data:
            data[network] = Data(network, count)
        key = kind, network, int(batch)
        if key not in runs:
            runs[key] = makers[kind](network, int(batch), data[network])
        times, loss = runs[key].many(int(steps)) if hasattr(runs[key], "many") else timed(runs[key], int(steps))
        message = {"ms": times}
        if kind == "step":
            message["loss"] = float(loss)
        if hasattr(runs[key], "settings"):
            message["settings"] = runs[key].settings
        return message

    reply(about)
    for line in sys.stdin:
        try:
            reply(answer(*line.strip().split(maxsplit=2 if line.startswith("train ") else -1)))  # a folder may have spaces
        except Exception as error:  # the comparison goes on without this cell
            reply({"error": f"{type(error).__name__}: {error}".splitlines()[0]})
