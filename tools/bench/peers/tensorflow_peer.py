"""TensorFlow: one tf.function without XLA (with it twice as slow), channels last, gradients from the tape, the fused ApplyAdam op.
keras_peer.py has Keras on top of it."""
import common

common.best_environment(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
options = common.arguments()

import tensorflow as tf  # noqa: E402

tf.config.threading.set_intra_op_parallelism_threads(options.threads)
tf.config.threading.set_inter_op_parallelism_threads(1)


def loss_of(p, x, y):
    x = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, p["conv1.weight"], 1, "VALID"), p["conv1.bias"]))
    x = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, p["conv2.weight"], 1, "VALID"), p["conv2.bias"]))
    x = tf.reshape(tf.nn.max_pool2d(x, 2, 2, "VALID"), (-1, 800))
    logits = tf.nn.relu(x @ p["fc1.weight"]) @ p["fc2.weight"]
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))


def make_step(network, batch, data):
    if network != "mnist_cnn":
        raise ValueError(f"wanted mnist_cnn, got {network}")
    _, rate, beta1, beta2 = common.NETWORKS[network]["optimiser"]
    w = common.channels_last(common.initial_weights(network))
    p, m, v = ({name: tf.Variable(value * scale) for name, value in w.items()} for scale in (1, 0, 0))
    power1, power2 = tf.Variable(beta1), tf.Variable(beta2)
    batches = [(tf.constant(x.transpose(0, 2, 3, 1)), tf.constant(y, tf.int32)) for x, y in data.batches(batch)]

    @tf.function(jit_compile=False, reduce_retracing=True)
    def step_of(x, y):
        with tf.GradientTape() as tape:
            loss = loss_of(p, x, y)
        epsilon = 1e-8 * tf.sqrt(1 - power2)  # the op adds it to a root that is not corrected yet, Kingma and Ba to the corrected one
        for name, g in tape.gradient(loss, p).items():
            tf.raw_ops.ResourceApplyAdam(var=p[name].handle, m=m[name].handle, v=v[name].handle, beta1_power=power1, beta2_power=power2,
                                         lr=rate, beta1=beta1, beta2=beta2, epsilon=epsilon, grad=g)
        power1.assign(power1 * beta1)
        power2.assign(power2 * beta2)
        return loss

    step = 0

    def run():
        nonlocal step
        loss = step_of(*batches[step % len(batches)])
        step += 1
        return loss

    return run


common.serve({"peer": "TensorFlow", "version": tf.__version__, "mode": "tf.function", "threads": options.threads,
              "networks": ["mnist_cnn"]}, {"step": make_step})
