"""What the tests of the command share: running `wengert`, and collecting what is wrong."""
import os
import subprocess
import sys

COMMAND = os.environ["WENGERT_COMMAND"]
failures = []


def check(condition, text):
    if not condition:
        failures.append(text)


def shown(arguments):
    return "wengert " + " ".join(map(str, arguments))


def wengert(*arguments, status=0, **how):
    done = subprocess.run([COMMAND, *map(str, arguments)], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600, **how)
    check(done.returncode == status, f"{shown(arguments)}: status {done.returncode}, wanted {status}\n{done.stdout[-500:]}{done.stderr[-800:]}")
    return done


def check_error(arguments, error, says):
    """One line that says it."""
    check(len(error.strip().splitlines()) == 1 and says in error, f"{shown(arguments)}: wanted one line with {says!r}, got {error!r}")


def refused(*arguments, says):
    done = wengert(*arguments, status=2)
    check_error(arguments, done.stderr, says)
    check(done.stdout == "", f"{shown(arguments)}: wrote to standard output: {done.stdout!r}")


def finish():
    for failure in failures:
        print("FAILED:", failure)
    print(f"{len(failures)} failed")
    sys.exit(1 if failures else 0)
