"""Keras 3 on TensorFlow, as its user writes it: Sequential, compile, train_on_batch; channels last, without XLA (with it twice as slow)."""
import common

common.best_environment(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
options = common.arguments()

import keras  # noqa: E402  after the environment
import tensorflow as tf  # noqa: E402
from keras import layers, ops  # noqa: E402

tf.config.threading.set_intra_op_parallelism_threads(options.threads)
tf.config.threading.set_inter_op_parallelism_threads(1)


class Adam(keras.optimizers.Adam):
    """Kingma and Ba's algorithm 1. Keras adds epsilon to a root that is not corrected yet, so it has to be as much smaller as that root."""

    def update_step(self, gradient, variable, learning_rate):
        epsilon = self.epsilon
        power = ops.power(ops.cast(self.beta_2, variable.dtype), ops.cast(self.iterations + 1, variable.dtype))
        self.epsilon = epsilon * ops.sqrt(1 - power)
        super().update_step(gradient, variable, learning_rate)
        self.epsilon = epsilon


class Rates(keras.optimizers.schedules.LearningRateSchedule):
    """One rate a step."""

    def __init__(self, rates):
        self.rates = rates

    def __call__(self, step):
        return ops.take(ops.convert_to_tensor(self.rates, "float32"), ops.cast(step, "int32"))


def model_of(network, weights, rate, beta1, beta2, epsilon=1e-8):
    if network != "mnist_cnn":
        raise ValueError(f"wanted mnist_cnn, got {network}")
    model = keras.Sequential([
        keras.Input((28, 28, 1)),
        layers.Conv2D(8, 5, activation="relu"),
        layers.Conv2D(8, 5, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(128, activation="relu", use_bias=False),
        layers.Dense(10, use_bias=False),
    ])
    weights = common.channels_last(weights)
    model.set_weights([weights[name] for name, _, _ in common.parameters(common.NETWORKS[network]["layers"])])
    model.compile(Adam(rate, beta1, beta2, epsilon), keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    return model


def make_step(network, batch, data):
    _, *adam = common.NETWORKS[network]["optimiser"]
    model = model_of(network, common.initial_weights(network), *adam)
    batches = [(tf.constant(x.transpose(0, 2, 3, 1)), tf.constant(y, tf.int32)) for x, y in data.batches(batch)]
    step = 0

    def run():
        nonlocal step
        step += 1
        return model.train_on_batch(*batches[(step - 1) % len(batches)])

    return run


def make_train(network, weights, settings):
    model = model_of(network, weights, Rates(settings["rates"]), settings["beta1"], settings["beta2"], settings["epsilon"])

    def step(x, y):
        return model.train_on_batch(x.transpose(0, 2, 3, 1), y)

    def predict(x):
        return model.predict_on_batch(x.transpose(0, 2, 3, 1))

    def fit(x, y):
        return model.fit(x.transpose(0, 2, 3, 1), y, batch_size=settings["batch"], epochs=1, shuffle=False, verbose=0).history["loss"][0]

    return step, predict, fit


common.serve({"peer": "Keras", "version": f"{keras.__version__} on TensorFlow {tf.__version__}", "mode": "train_on_batch", "threads": options.threads,
              "networks": ["mnist_cnn"]}, {"step": make_step, "train": make_train})
