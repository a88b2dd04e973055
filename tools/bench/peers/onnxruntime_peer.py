"""ONNX Runtime, which runs networks and does not train them: all graph optimisations, one session a batch size."""
import common

options = common.arguments()

import onnx  # noqa: E402
import onnxruntime  # noqa: E402
from onnx import helper, numpy_helper  # noqa: E402


class Graph:
    """Nodes and constants of the ONNX model of one of common.NETWORKS."""

    def __init__(self, network):
        import numpy
        self.numpy, self.weights, self.nodes, self.constants = numpy, common.initial_weights(network), [], []
        self.last = self.run(common.NETWORKS[network]["layers"], "x")

    def constant(self, name, value):
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def node(self, op, inputs, **attributes):
        out = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [out], **attributes))
        return out

    def trained(self, layer):
        names = [layer["name"] + suffix for suffix in (".weight", ".bias") if layer["name"] + suffix in self.weights]
        return [self.constant(name, self.weights[name]) for name in names]

    def run(self, layers, x):
        for layer in layers:
            x = self.layer(layer, x)
        return x

    def layer(self, layer, x):
        kind = layer["kind"]
        if kind == "conv":
            size, padding, stride = layer["size"], layer["padding"], layer["stride"]
            return self.node("Conv", [x, *self.trained(layer)], kernel_shape=[size, size], pads=[padding] * 4, strides=[stride, stride])
        if kind == "linear":
            return self.node("Gemm", [x, *self.trained(layer)], transB=1)
        if kind == "norm":  # as at the start of training: scale 1, shift 0, mean 0, variance 1
            sides = [self.constant(f"{layer['name']}.{part}", self.numpy.full(layer["channels"], value, self.numpy.float32))
                     for part, value in (("scale", 1), ("shift", 0), ("mean", 0), ("variance", 1))]
            return self.node("BatchNormalization", [x, *sides])
        if kind in ("max_pool", "average_pool"):
            window = [layer["window"]] * 2
            return self.node("MaxPool" if kind == "max_pool" else "AveragePool", [x], kernel_shape=window, strides=window)
        if kind == "residual":
            return self.node("Relu", [self.node("Add", [self.run(layer["main"], x), self.run(layer["shortcut"], x)])])
        return self.node({"relu": "Relu", "tanh": "Tanh", "flatten": "Flatten", "global_average": "GlobalAveragePool"}[kind], [x])


def session_of(network, batch):
    graph = Graph(network)
    image = common.NETWORKS[network]["image"]
    model = helper.make_model(
        helper.make_graph(graph.nodes, network, [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [batch, *image])],
                          [helper.make_tensor_value_info(graph.last, onnx.TensorProto.FLOAT, [batch, 10])], graph.constants),
        opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.inter_op_num_threads = options.threads, 1
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])


def make_predict(network, batch, data):
    session = session_of(network, batch)
    batches = [x for x, _ in data.batches(batch)[:64]]
    step = 0

    def run():
        nonlocal step
        step += 1
        session.run(None, {"x": batches[step % len(batches)]})

    return run


common.serve({"peer": "ONNX Runtime", "version": onnxruntime.__version__, "mode": "all optimisations", "threads": options.threads,
              "networks": list(common.NETWORKS)}, {"predict": make_predict})
