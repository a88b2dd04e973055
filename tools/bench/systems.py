"""The systems that compare.py compares: peers that stay running and answer requests, and the command wengert, started for every answer."""
import json
import os
import pathlib
import selectors
import shlex
import signal
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
CORES = sorted(os.sched_getaffinity(0))

# name: (group, program under the peers' folder, script here, further arguments, environment)
ACTIVE = {"OMP_WAIT_POLICY": "active"}  # a peer is stopped between its rounds, so its waiting threads disturb nobody
PEERS = {
    "oneDNN": ("oneDNN", "onednn/build/onednn_step", None, [], ACTIVE),
    "oneDNN (AVX2)": ("oneDNN", "onednn/build/onednn_step", None, [], {**ACTIVE, "ONEDNN_MAX_CPU_ISA": "AVX2"}),
    "Debian's oneDNN": ("oneDNN", "onednn-debian/build/onednn_step", None, [], ACTIVE),
    "Debian's oneDNN (AVX2)": ("oneDNN", "onednn-debian/build/onednn_step", None, [], {**ACTIVE, "ONEDNN_MAX_CPU_ISA": "AVX2"}),
    "PyTorch": ("frameworks", "torch/bin/python", "torch_peer.py", ["--mode", "eager"], {}),
    "PyTorch (compiled)": ("frameworks", "torch/bin/python", "torch_peer.py", ["--mode", "compile"], {}),
    "Debian's PyTorch": ("frameworks", "torch-debian/bin/python", "torch_peer.py", ["--mode", "eager"], {}),
    "TensorFlow": ("frameworks", "tensorflow/bin/python", "tensorflow_peer.py", [], {}),
    "Keras": ("frameworks", "tensorflow/bin/python", "keras_peer.py", [], {}),
    "JAX": ("frameworks", "jax/bin/python", "jax_peer.py", [], {}),
    "ONNX Runtime": ("ONNX Runtime", "onnxruntime/bin/python", "onnxruntime_peer.py", [], {}),
}
CONVOLUTIONS = {name: (group, program.replace("onednn_step", "onednn_conv"), script, more, environment)
                for name, (group, program, script, more, environment) in PEERS.items() if group == "oneDNN"}


class Failure(Exception):
    """A system that cannot answer; the text says why, in one line."""


def pinned(command, threads):
    """The command on as many cores as it has threads, the first ones; it dies with this process."""
    if threads > len(CORES):
        raise Failure(f"{threads} threads on {len(CORES)} cores")
    return ["setpriv", "--pdeathsig", "KILL", "taskset", "--cpu-list", ",".join(map(str, CORES[:threads])), *command]


class Peer:
    """A peer's process, stopped by SIGSTOP except while it answers."""

    def __init__(self, folder, description, threads):
        self.group, program, script, more, environment = description
        program = pathlib.Path(folder).resolve() / program
        if not program.exists():
            raise Failure("absent")
        self.command = [str(program), *([str(HERE / "peers" / script)] if script else []), *more, "--threads", str(threads)]
        self.environment = environment
        self.process = subprocess.Popen(pinned(self.command, threads), env={**os.environ, **environment}, text=True, bufsize=1,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
        self.about = self.answer(300)
        os.killpg(self.process.pid, signal.SIGSTOP)

    def answer(self, seconds):
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(seconds):
                self.close()
                raise Failure(f"no answer in {seconds} s")
        line = self.process.stdout.readline()
        if not line:
            raise Failure(f"ended with status {self.process.wait()}")
        message = json.loads(line)
        if "error" in message:
            raise Failure(message["error"])
        return message

    def ask(self, *words, seconds=600):
        try:
            os.killpg(self.process.pid, signal.SIGCONT)
            self.process.stdin.write(" ".join(map(str, words)) + "\n")
            self.process.stdin.flush()
            return self.answer(seconds)
        except (BrokenPipeError, ProcessLookupError):
            raise Failure("has ended") from None
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGSTOP)

    def close(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Ours:
    """The command wengert, with further options for each `bench` command; a variant's are written "step: --a --b; conv: --c"."""
    group = "ours"

    def __init__(self, command, variant, threads):
        self.command, self.threads, self.about = [str(pathlib.Path(command).resolve())], threads, {}
        self.options = {}
        for part in filter(None, map(str.strip, variant.split(";"))):
            kind, _, options = part.partition(":")
            self.options[kind.strip()] = shlex.split(options)
        if not pathlib.Path(self.command[0]).exists():
            raise Failure("absent")

    def help(self, *words):
        return subprocess.run([*self.command, *words, "--help"], capture_output=True, text=True).stdout

    def bench(self, kind, *arguments):
        if f"  {kind} " not in self.help("bench"):
            raise Failure(f"has no bench {kind}")
        command = [*self.command, "bench", kind, *map(str, arguments), "--threads", str(self.threads), "--json", *self.options.get(kind, [])]
        done = subprocess.run(pinned(command, self.threads), capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure((done.stderr.strip() or f"status {done.returncode}").splitlines()[-1])
        return json.loads(done.stdout)

    def close(self):
        pass


def started(command, threads, request=None, environment=None):
    """Seconds from a process's start to its end, or to its answer to the request, and its peak memory in MB."""
    with tempfile.TemporaryDirectory() as folder:  # for what the command writes
        start = time.perf_counter()
        process = subprocess.Popen(pinned(command, threads), env={**os.environ, **(environment or {})}, cwd=folder, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if request:
            process.stdin.write(request + "\n")
        process.stdin.close()
        said = process.stdout.read()
        seconds = time.perf_counter() - start
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status  # waited for: Popen is not to do it again
        process.stdout.close()
    if status != 0 or '"error"' in said:
        raise Failure(f"status {status}")
    return seconds, usage.ru_maxrss / 1024
