// The one table: catalogue x samples x kernels x dtypes, without code for any single op. Every check takes a catalogue, so that an
// application runs it on its own ops, and returns one text for each failure: "[op/kernel/dtype/case] what; seed 1".
// The environment variable WENGERT_CASE=op/kernel/dtype/case selects cases; a part that is absent or * stands for all.
#pragma once

#include <string>
#include <vector>

#include <wengert/engine/catalogue.hpp>

namespace wengert::test {

struct TableResult {
  Index cases = 0;  // that took part
  std::vector<std::string> failures = {};
};

using TableCheck = TableResult (*)(const Catalogue&);

TableResult check_values(const Catalogue& catalogue);     // each kernel against naive f64; multilinear ops also exactly, on integers
TableResult check_gradients(const Catalogue& catalogue);  // through each kernel, against naive f64
TableResult check_slopes(const Catalogue& catalogue);     // the gradient check on every op, first order
TableResult check_second_order(const Catalogue& catalogue);
TableResult check_adjoint(const Catalogue& catalogue);     // <u, A x> == <A' u, x> for each input of multilinear ops
TableResult check_batch_rule(const Catalogue& catalogue);  // a batch in two parts: outputs concatenate or add up
TableResult check_executor(const Catalogue& catalogue);    // chunked as whole; parallel bitwise as serial
TableResult check_non_finite(const Catalogue& catalogue);  // NaN and infinities come through where naive lets them
TableResult check_refusals(const Catalogue& catalogue);    // reasons, their errors, falling back; every kernel is reached
TableResult check_sentinels(const Catalogue& catalogue);   // memory around outputs and the inputs stay as they were
TableResult check_empty_batch(const Catalogue& catalogue);

struct NamedCheck {
  const char* name;
  TableCheck check;
};
std::vector<NamedCheck> all_checks();

}  // namespace wengert::test
