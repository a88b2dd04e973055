"""`wengert bench`: every measurement, its JSON, and what it refuses."""
import json
import tempfile
from pathlib import Path

from command_line import check, finish, refused, wengert, write_set


def bench(*arguments):
    return json.loads(wengert("bench", *arguments, "--json").stdout)


def is_share(part):
    return 0 < part < 4  # the machine may change its speed between a time and the peak


overhead = bench("overhead")
check(overhead["ns_per_op"] > 0 and overhead["tapes"] > 0, f"bench overhead: {overhead}")
check(" ns an op" in wengert("bench", "overhead").stdout, "bench overhead prints no time")

small = ["--shape", "4,2,12,12,4,3,3", "--rounds", 2]
for direction, op in (("forward", "conv2d"), ("data", "conv2d_data"), ("weight", "conv2d_weight")):
    out = bench("conv", "--kernel", "im2col", *small, "--direction", direction, "--stride", "2,1", "--padding", "1,2,0,1", "--threads", 2)
    kernels = {row["kernel"]: row for row in out["results"]}
    check(out["op"] == op and set(kernels) == {"naive", "im2col"} and kernels["im2col"]["threads"] == 2, f"bench conv --direction {direction}: {out}")
    check(all(row["ms"] > 0 and row["gflops"] > 0 and is_share(row["share_of_peak"]) and row["ratio_to_naive"] > 0 for row in out["results"]), f"bench conv --direction {direction}: {out}")
valid, same, strided = (bench("conv", "--kernel", "im2col", *small, *more)["flops"] for more in ([], ["--padding", "same"], ["--stride", 2]))
check(strided < valid < same, f"bench conv counts {strided} FLOPs at stride 2, {valid} of valid, {same} of same padding")
done = wengert("bench", "conv", "--alone", *small, "--stride", 2)
check("GFLOP/s" in done.stdout and "% of peak" in done.stdout and "im2col" in done.stdout, f"bench conv: {done.stdout}")
check("kernel winograd refuses" in done.stderr and "winograd" not in done.stdout, f"a kernel that refuses: {done}")
refused("bench", "conv", "--shape", "1,1,a,8,1,3,3", says="--shape: wanted a whole number of at least 0, got 'a'")
refused("bench", "conv", *small, "--padding", "wide", says="wanted --padding valid, same, full")
refused("bench", "conv", *small, "--kernel", "im2cal", says="did you mean 'im2col'")
refused("bench", "conv", *small, "--direction", "back", says="--direction")

add = bench("op", "add", "--case", 0, "--rounds", 2, "--threads", 2)
check(add["op"] == "add" and add["threads"] == 2 and add["results"] and all(row["case"] == 0 and row["us"] > 0 for row in add["results"]), f"bench op: {add}")
check(all(row["share_of_copy"] > 0 and row["area"] == "L1" for row in add["results"]), f"bench op of an op without FLOPs: {add}")
naive = bench("op", "matmul", "--kernel", "naive", "--dtype", "f64", "--rounds", 1)
check(naive["dtype"] == "f64" and {row["kernel"] for row in naive["results"]} == {"naive"}, f"bench op --kernel --dtype: {naive}")
check(all(row["share_of_peak"] >= 0 for row in naive["results"]), f"bench op of an op with FLOPs: {naive}")
done = wengert("bench", "op", "add", "--case", 0, "--rounds", 1)
check("median" in done.stdout and "% of L1 copy" in done.stdout, f"bench op: {done.stdout}")
check("share_of_copy" not in bench("op", "reshape", "--case", 0, "--rounds", 1)["results"][0], "bench op: a reshape moves nothing")
refused("bench", "op", "ad", says="did you mean 'add'")
refused("bench", "op", "add", "--case", 9999, says="no case 9999")

step = bench("step", "--batch", 8, "--steps", 3)
check({"ms_per_step", "batch", "threads"} <= step.keys() and is_share(step["share_of_peak"]), f"bench step: {step}")
predict = bench("predict", "mlp", "--batch", 8, "--steps", 3, "--threads", 2, "--kernel", "im2col,auto")
check(predict["ms"] > 0 and is_share(predict["share_of_peak"]) and predict["batch"] == 8 and predict["threads"] == 2, f"bench predict: {predict}")
for command in ("step", "predict"):
    done = wengert("bench", command, "mlp", "--steps", 3)
    check("images/s" in done.stdout and "% of peak" in done.stdout, f"bench {command}: {done.stdout}")
for direction in ("forward", "data", "weight"):  # several chunks, the last one short; each is compared with the eager result within
    for kernel in ("auto", "naive", "direct"):
        rows = bench("conv", "--planned", "--kernel", kernel, "--shape", "10,9,12,12,10,5,5", "--direction", direction, "--rounds", 1, "--threads", 2)["results"]
        check(len(rows) == 1 and rows[0]["ms"] > 0 and rows[0]["tiles"] is not None, f"bench conv --planned {direction} {kernel}: {rows}")
bench("conv", "--planned", "--shape", "5,4,9,9,4,3,3", "--groups", 4, "--dtype", "f64", "--direction", "weight", "--rounds", 1)
refused("bench", "conv", "--planned", "--kernel", "winograd", "--stride", 2, "--shape", "4,8,12,12,8,3,3", says="no kernel takes it")
planned = bench("conv", "--planned", "--kernel", "direct", "--shape", "4,8,12,12,8,3,3", "--rounds", 2)["results"]
check(len(planned) == 1 and is_share(planned[0]["share_of_peak"]), f"bench conv --planned: {planned}")

peak = bench("peak")
check(all(target["gflops"] > 0 for target in peak["multiply_add"]) and peak["multiply_add"], f"bench peak: {peak}")
check([copy["area"] for copy in peak["copy"]] == ["L1", "L2", "memory"], f"bench peak: {peak}")
check(all(copy["gigabytes_per_second"] > 0 for copy in peak["copy"]), f"bench peak: {peak}")
check("GFLOP/s" in wengert("bench", "peak").stdout, "bench peak prints no GFLOP/s")

with tempfile.TemporaryDirectory() as name:
    large, fitting = write_set(Path(name) / "large", 20, 64, 64), write_set(Path(name) / "fitting", 20, 28, 28)
    check(bench("predict", "mlp", "--data", fitting, "--batch", 30, "--steps", 2)["ms"] > 0, "bench predict --data")
    refused("bench", "predict", "mlp", "--data", large, "--steps", 1, says="wanted images (1,28,28), the set ")
    refused("bench", "step", "mlp", "--data", large, "--steps", 1, says="wanted images (1,28,28), the set ")

    script = Path(name) / "of_no_set.toml"
    script.write_text('name = "of_no_set"\ninput = [1, 30, 26]\nlayers = [{ conv2d = "c", filters = 2, size = 5 }, { flatten = {} }, { linear = "l", units = 4 }]')
    for command, key in (("step", "ms_per_step"), ("predict", "ms")):
        done = wengert("bench", command, script, "--batch", 6, "--steps", 2, "--json")
        check(json.loads(done.stdout)[key] > 0 and "no images (1,30,26) at hand" in done.stderr, f"bench {command} without a data set: {done}")

finish()
