"""JAX: one jitted step, channels last, parameters and moments donated. A step's loss is awaited one step later, so that Python's part of
a step runs beside the computation. XLA takes as many threads as the process may run on."""
import common

options = common.arguments()
common.best_environment(JAX_PLATFORMS="cpu", **({"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"} if options.threads == 1 else {}))

import functools  # noqa: E402

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
from jax import lax  # noqa: E402


def convolved(x, w, b):
    return jax.nn.relu(lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")) + b)


def loss_of(p, x, y):
    x = convolved(x, p["conv1.weight"], p["conv1.bias"])
    x = convolved(x, p["conv2.weight"], p["conv2.bias"])
    x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID").reshape(len(x), -1)
    logits = jax.nn.relu(x @ p["fc1.weight"]) @ p["fc2.weight"]
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1))


@functools.partial(jax.jit, donate_argnums=(0, 1, 2, 3))
def step_of(p, m, v, t, x, y):
    _, rate, beta1, beta2 = common.NETWORKS["mnist_cnn"]["optimiser"]
    loss, g = jax.value_and_grad(loss_of)(p, x, y)
    t = t + 1
    m = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, m, g)
    v = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, v, g)
    p = jax.tree.map(lambda p, m, v: p - rate * (m / (1 - beta1**t)) / (jnp.sqrt(v / (1 - beta2**t)) + 1e-8), p, m, v)
    return p, m, v, t, loss


def make_step(network, batch, data):
    if network != "mnist_cnn":
        raise ValueError(f"wanted mnist_cnn, got {network}")
    p = jax.tree.map(jnp.array, common.channels_last(common.initial_weights(network)))
    state = [p, jax.tree.map(jnp.zeros_like, p), jax.tree.map(jnp.zeros_like, p), jnp.float32(0)]
    batches = [(jnp.array(x.transpose(0, 2, 3, 1)), jnp.array(y, jnp.int32)) for x, y in data.batches(batch)]
    step, loss = 0, jnp.float32(0)

    def run():
        nonlocal state, step, loss
        before = loss
        *state, loss = step_of(*state, *batches[step % len(batches)])
        step += 1
        before.block_until_ready()
        return loss

    return run


common.serve({"peer": "JAX", "version": jax.__version__, "mode": "jit, NHWC, donated", "threads": options.threads,
              "networks": ["mnist_cnn"]}, {"step": make_step})
