// The checks that call ops on tapes, as users do.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <wengert/backends/tbb/executor.hpp>
#include <wengert/engine/context.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/engine/gradcheck.hpp>
#include <wengert/engine/gradients.hpp>

#include "table.hpp"
#include "table_case.hpp"

namespace wengert::test {

namespace {

// An op called on a tape, as users call it.
struct Recorded {
  std::vector<Var> inputs, outputs;
  Device device = {};

  Recorded(const Catalogue& catalogue, const Case& at, const std::vector<Tensor>& host_values, bool as_batch = true,
           const Kernel* kernel = nullptr) {
    Tape tape(catalogue);
    device = {(kernel != nullptr ? *kernel : at.kernel).device, 0};
    const std::vector<Tensor> values = moved(host_values, device);
    for (std::size_t i = 0; i < values.size(); ++i) {
      inputs.push_back(as_batch && at.sample.inputs[i].batched ? tape.batch(values[i]) : tape.variable(values[i]));
    }
    CallOptions options;
    options.tape = &tape;
    outputs = apply(at.op, at.sample.attributes, inputs, options);
  }

  std::vector<Tensor> values() const { return values_of(outputs); }

  static std::vector<Tensor> values_of(const std::vector<Var>& vars) {
    std::vector<Tensor> result;
    for (const Var& var : vars) result.push_back(var.value().to({}));
    return result;
  }

  // Of the floating inputs, for random cotangents that depend on the output's shape alone.
  std::vector<Tensor> gradients(bool integers = false) const {
    std::vector<Var> ys, wrt, cotangents;
    for (const Var& output : outputs) {
      if (!is_float(output.dtype())) continue;
      ys.push_back(output);
      const Tensor cotangent = random_like(output.spec(), fmt::format("cotangent {}", ys.size()), integers).to(device);
      Tape tape = output.tape();
      cotangents.push_back(output.batched() ? tape.batch(cotangent) : tape.constant(cotangent));
    }
    for (const Var& input : inputs) {
      if (is_float(input.dtype())) wrt.push_back(input);
    }
    if (ys.empty()) return {};
    GradientOptions options;
    options.cotangents = cotangents;
    options.zero_unused = true;
    return values_of(wengert::gradients(ys, wrt, options));
  }
};

// The case's kernel for every op that has one of that backend, the others as they come.
std::string choice_of(const Case& at) { return at.kernel.backend + ",auto"; }

bool all_same_bits(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), same_bits);
}

TableResult run_gradcheck(const Catalogue& catalogue, int order) {
  Failures failures;
  for (const std::string& name : catalogue.names()) {
    if (!selected(name)) continue;
    GradcheckOptions options;
    options.seed = table_seed;
    options.order = order;
    options.only_case = selected_number();
    options.directions = 2;
    options.entries = 3;
    try {
      const GradcheckReport report = check_op(catalogue, name, options);
      failures.count();
      for (const GradcheckFinding& finding : report.findings) failures.add(finding.text());
    } catch (const std::exception& error) {
      failures.add(fmt::format("[{}] threw: {}", name, error.what()));
    }
  }
  return failures.take();
}

}  // namespace

TableResult check_gradients(const Catalogue& catalogue) {
  return for_each_case(catalogue,
                       [&](const Case& at, Failures& failures) {
                         if (at.constant()) return;
                         std::vector<Tensor> wanted, got;
                         {
                           const KernelScope scope("naive");
                           wanted = Recorded(catalogue, at, cast_all(at.inputs, DType::f64), true, &at.op.kernels.front()).gradients();
                         }
                         {
                           const KernelScope scope(choice_of(at));
                           got = Recorded(catalogue, at, at.inputs).gradients();
                         }
                         failures.add(at, differ(got, wanted, rounding_factor(at, 16)));
                       })
      .take();
}

TableResult check_slopes(const Catalogue& catalogue) { return run_gradcheck(catalogue, 1); }
TableResult check_second_order(const Catalogue& catalogue) { return run_gradcheck(catalogue, 2); }

TableResult check_adjoint(const Catalogue& catalogue) {
  return for_each_case(
             catalogue,
             [&](const Case& at, Failures& failures) {
               if (!at.multilinear()) return;
               const KernelScope scope(choice_of(at));
               const Recorded call(catalogue, at, at.inputs);
               const std::vector<Tensor> outputs = call.values(), gradients = call.gradients(true);
               std::size_t next = 0;
               for (std::size_t i = 0; i < at.inputs.size(); ++i) {
                 if (!is_float(at.inputs[i].dtype())) continue;
                 const Tensor& gradient = gradients[next++];
                 std::vector<Tensor> without = at.inputs;
                 without[i] = Tensor::zeros(at.inputs[i].shape(), at.inputs[i].dtype());
                 const std::vector<Tensor> rest = Recorded(catalogue, at, without).values();
                 double forward = 0, backward = 0, size = 0;
                 for (std::size_t o = 0; o < outputs.size(); ++o) {
                   const Tensor cotangent = random_like(outputs[o].spec(), fmt::format("cotangent {}", o + 1), true);
                   for (Index e = 0; e < outputs[o].elements(); ++e) {
                     forward += cotangent.at(e) * (outputs[o].at(e) - rest[o].at(e));
                     size += std::abs(cotangent.at(e)) * (std::abs(outputs[o].at(e)) + std::abs(rest[o].at(e)));
                   }
                 }
                 for (Index e = 0; e < gradient.elements(); ++e) backward += gradient.at(e) * at.inputs[i].at(e);
                 const double bound = all_integers(outputs) && all_integers(gradients) ? 0.0 : rounding_factor(at, 4) * size;
                 if (!(std::abs(forward - backward) <= bound)) {
                   failures.add(at,
                                fmt::format("input {}: <u, A x> = {:.9g}, <A' u, x> = {:.9g}, bound {:.2g}", i, forward, backward, bound));
                 }
               }
             },
             true)
      .take();
}

TableResult check_executor(const Catalogue& catalogue) {
  std::vector<std::shared_ptr<Executor>> executors;  // beside one thread
  for (const int threads : {2, 3, 4, 8}) executors.push_back(tbb_executor(threads));
  return for_each_case(catalogue,
                       [&](const Case& at, Failures& failures) {
                         if (at.batch() <= chunk_size(at.batch()) || !contradiction(at).empty()) return;
                         const KernelScope scope(choice_of(at));
                         const Recorded whole(catalogue, at, at.inputs, false), chunked(catalogue, at, at.inputs);
                         failures.add(at, differ(chunked.values(), whole.values(), rounding_factor(at, 4)));
                         const std::vector<Tensor> gradients = at.constant() ? std::vector<Tensor>() : chunked.gradients();
                         if (!at.constant()) {
                           if (const auto what = differ(gradients, whole.gradients(), rounding_factor(at, 16)))
                             failures.add(at, "gradients: " + *what);
                         }
                         for (const std::shared_ptr<Executor>& executor : executors) {
                           const ExecutorScope executor_scope(executor);
                           const Recorded threaded(catalogue, at, at.inputs);
                           if (!all_same_bits(threaded.values(), chunked.values()))
                             failures.add(at, fmt::format("{} threads give other bits than one", executor->workers()));
                           if (!at.constant() && !all_same_bits(threaded.gradients(), gradients))
                             failures.add(at, fmt::format("{} threads give gradients of other bits than one", executor->workers()));
                         }
                       })
      .take();
}

TableResult check_refusals(const Catalogue& catalogue) {
  Failures failures;
  for (const std::string& op_name : catalogue.names()) {
    const Op& op = catalogue.at(op_name);
    const std::vector<Sample> samples = op.samples();
    for (const Kernel& kernel : op.kernels) {
      if (!selected(op_name, kernel.backend) || kernel.backend == "cuda-cudnn") continue;  // it is not everywhere
      failures.count();
      std::vector<DType> reached;
      for (Index number = 0; number < static_cast<Index>(samples.size()); ++number) {
        for (const DType dtype : {DType::f32, DType::f64}) {
          const Case at{op,     samples[static_cast<std::size_t>(number)],
                        number, kernel,
                        dtype,  sample_tensors(op, samples, number, {table_seed, dtype})};
          const std::vector<Spec> specs = at.specs();
          const DType deciding = deciding_dtype(specs, op.shapes({at.sample.attributes, specs}));
          const std::string reason = refusal_of(kernel, at.sample.attributes, specs, deciding);
          if (reason.empty()) {
            reached.push_back(deciding);
            continue;
          }
          if (op.alias) continue;                                                 // no kernel of it runs in eager mode
          if (kernel.device != Device::Kind::cpu && at.inputs.empty()) continue;  // without inputs an eager call is the host's
          std::string message = "no error";
          try {
            const KernelScope scope(kernel.backend);
            Recorded(catalogue, at, at.inputs);
          } catch (const Error& error) {
            message = error.what();
          }
          const bool takes_dtype =
              kernel.dtypes.empty() || std::find(kernel.dtypes.begin(), kernel.dtypes.end(), deciding) != kernel.dtypes.end();
          const std::string wanted =
              takes_dtype && kernel.refuse ? kernel.refuse({at.sample.attributes, specs, {}, at.device()}) : std::string(name(deciding));
          if (message.find(wanted) == std::string::npos) {
            failures.add(at, "refuses because " + reason + ", but the error is: " + message);
          }
          if (kernel.device != Device::Kind::cpu) continue;  // there may be no other one there
          try {
            const KernelScope scope(kernel.backend + ",auto");
            Recorded(catalogue, at, at.inputs);
          } catch (const std::exception& error) {
            failures.add(at, std::string("finds no other kernel: ") + error.what());
          }
        }
      }
      for (const DType dtype : kernel.dtypes) {
        const bool can = dtype == DType::f32 || dtype == DType::f64;
        if (can && std::find(reached.begin(), reached.end(), dtype) == reached.end()) {
          failures.add(fmt::format("[{}/{}/{}] no sample reaches this kernel", op_name, kernel.backend, name(dtype)));
        }
      }
      if (reached.empty()) failures.add(fmt::format("[{}/{}] no sample reaches this kernel", op_name, kernel.backend));
    }
  }
  return failures.take();
}

}  // namespace wengert::test
