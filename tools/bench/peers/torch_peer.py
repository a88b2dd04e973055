"""PyTorch. Eager: channels_last or contiguous, whichever is faster here, and the fused Adam; compile: torch.compile of network and loss; graph: on
a GPU, the whole step with its update as one CUDA graph, f32 without TF32 as Wengert, nobody waiting between the steps of a request.
Large blocks stay with malloc instead of going back to the kernel, and OpenMP's threads wait actively: together a third of the time."""
import common

common.best_environment(MALLOC_MMAP_THRESHOLD_="1073741824", MALLOC_TRIM_THRESHOLD_="1073741824", MALLOC_TOP_PAD_="67108864",
                        OMP_WAIT_POLICY="active")
options = common.arguments(mode=["eager", "compile", "graph"], layout=["faster", "channels_last", "contiguous"])

import time  # noqa: E402

import torch  # noqa: E402  after the environment
from torch import nn  # noqa: E402

torch.set_num_threads(options.threads)
torch.set_num_interop_threads(1)
ON_GPU = options.mode == "graph"
DEVICE = torch.device("cuda" if ON_GPU else "cpu")
if ON_GPU:
    if not torch.cuda.is_available():
        raise SystemExit("PyTorch finds no GPU")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
LAYOUTS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
if options.layout != "faster":
    LAYOUTS = {options.layout: LAYOUTS[options.layout]}


class Residual(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.main, self.shortcut = sequence(layer["main"]), sequence(layer["shortcut"])

    def forward(self, x):
        return torch.relu(self.main(x) + self.shortcut(x))


def module(layer):
    kind = layer["kind"]
    if kind == "conv":
        return nn.Conv2d(layer["in"], layer["out"], layer["size"], layer["stride"], layer["padding"], bias=layer["bias"])
    if kind == "linear":
        return nn.Linear(layer["in"], layer["out"], bias=layer["bias"])
    if kind == "norm":
        return nn.BatchNorm2d(layer["channels"])
    if kind in ("max_pool", "average_pool"):
        return (nn.MaxPool2d if kind == "max_pool" else nn.AvgPool2d)(layer["window"])
    return {"relu": nn.ReLU, "tanh": nn.Tanh, "flatten": nn.Flatten,
            "global_average": lambda: nn.AdaptiveAvgPool2d(1), "residual": lambda: Residual(layer)}[kind]()


def sequence(layers):
    return nn.Sequential(*map(module, layers))


def network_of(name, wanted, layout):
    network = sequence(common.NETWORKS[name]["layers"])
    weighted = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    with torch.no_grad():
        layers = [layer for layer in common.flat(common.NETWORKS[name]["layers"]) if layer["kind"] in ("conv", "linear")]
        for layer, into in zip(layers, weighted):
            into.weight.copy_(torch.from_numpy(wanted[layer["name"] + ".weight"]))
            if layer["bias"]:
                into.bias.copy_(torch.from_numpy(wanted[layer["name"] + ".bias"]))
    return network.to(device=DEVICE, memory_format=LAYOUTS[layout])


def optimiser_of(description, trained, epsilon=1e-8):
    kind, rate, *rest = description
    if kind == "sgd":
        make, settings = torch.optim.SGD, {"lr": rate, "momentum": rest[0]}
    else:
        make, settings = torch.optim.Adam, {"lr": rate, "betas": tuple(rest), "eps": epsilon}
    if ON_GPU and kind == "adam":
        settings["capturable"] = True
    try:
        return make(trained, fused=True, **settings), "fused"
    except (TypeError, RuntimeError):  # old versions have fused updates for GPUs only
        return make(trained, foreach=True, **settings), "foreach"


def laid_out(images, layout):
    batch = torch.from_numpy(images)
    return torch.empty(batch.shape, memory_format=LAYOUTS[layout], device=DEVICE).copy_(batch)


def stepping(network, optimiser):
    def loss_of(x, y):
        return nn.functional.cross_entropy(network(x), y)

    if options.mode == "compile":
        loss_of = torch.compile(loss_of)

    def step(x, y):
        optimiser.zero_grad(set_to_none=True)
        loss = loss_of(x, y)
        loss.backward()
        optimiser.step()
        return loss.detach()

    return step


def training(name, batch, data, layout):
    network = network_of(name, common.initial_weights(name), layout)
    optimiser, update = optimiser_of(common.NETWORKS[name]["optimiser"], list(network.parameters()))
    batches = [(laid_out(x, layout), torch.from_numpy(y).to(DEVICE)) for x, y in data.batches(batch)]
    step_on, step = stepping(network, optimiser), 0
    if ON_GPU:
        step_on = captured(step_on, *batches[0])

    def run():
        nonlocal step
        step += 1
        return step_on(*batches[(step - 1) % len(batches)])

    def many(steps):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(steps):
            loss = run()
        torch.cuda.synchronize()
        return [1e3 * (time.perf_counter() - start) / steps], loss

    run.settings = f"{options.mode}, {layout}, {update} update"
    if ON_GPU:
        run.many = many
    return run


def captured(step_on, x, y):
    """The step as a CUDA graph on images and labels of its own (PyTorch's notes on CUDA semantics, whole-network capture)."""
    images, labels = x.clone(memory_format=torch.preserve_format), y.clone()
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step_on(images, labels)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step_on(images, labels)

    def replay(x, y):
        images.copy_(x)
        labels.copy_(y)
        graph.replay()
        return loss

    return replay


def predicting(name, batch, data, layout, how):
    network = network_of(name, common.initial_weights(name), layout).eval()
    batches = [laid_out(x, layout) for x, _ in data.batches(batch)[:64]]
    with torch.no_grad():
        if how == "frozen":
            network = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(network, batches[0])))
        elif how == "compiled":
            network = torch.compile(network)
    step = 0

    def run():
        nonlocal step
        step += 1
        with torch.inference_mode():
            network(batches[step % len(batches)]).numpy()

    run.settings = f"{how}, {layout}"
    return run


def best(make, variants):
    """A fresh run of the fastest variant; one that this version cannot build is left out."""
    if len(variants) == 1:
        return make(*variants[0])
    candidates = {}
    for variant in variants:
        try:
            candidates[variant] = make(*variant)
            candidates[variant]()
        except Exception as error:
            candidates.pop(variant, None)
            print(f"{variant}: {error}".splitlines()[0])
    return make(*common.fastest(candidates))


def make_step(name, batch, data):
    return best(lambda layout: training(name, batch, data, layout), [(layout,) for layout in LAYOUTS])


def make_predict(name, batch, data):
    hows = ["compiled"] if options.mode == "compile" else ["plain", "frozen"]
    return best(lambda layout, how: predicting(name, batch, data, layout, how), [(layout, how) for layout in LAYOUTS for how in hows])


def make_train(name, weights, settings):
    layout = next(iter(LAYOUTS))  # channels_last is the faster one for the report's network
    network = network_of(name, weights, layout)
    optimiser, _ = optimiser_of(("adam", 0.0, settings["beta1"], settings["beta2"]), list(network.parameters()), settings["epsilon"])
    step_on, rates = stepping(network, optimiser), iter(settings["rates"])

    def step(x, y):
        optimiser.param_groups[0]["lr"] = next(rates)
        return step_on(laid_out(x, layout), torch.from_numpy(y))

    def predict(x):
        with torch.no_grad():
            return network(laid_out(x, layout)).numpy()

    return step, predict, None


common.serve({"peer": "PyTorch", "version": torch.__version__, "mode": options.mode, "threads": torch.get_num_threads(),
              "networks": list(common.NETWORKS)}, {"step": make_step, "predict": make_predict, "train": make_train})
