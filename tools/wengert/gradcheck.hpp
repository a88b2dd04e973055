// What `wengert gradcheck` does, without the command line: tests give it a catalogue of their own.
#pragma once

#include <string>
#include <vector>

#include <wengert/engine/gradcheck.hpp>

namespace wengert::command {

struct GradcheckRequest {
  std::string subject = {};  // an op, SCRIPT.toml or MODEL.safetensors; empty: the report's network
  bool all = false;          // every op of the catalogue instead
  GradcheckOptions options = {};
};

struct GradcheckResult {
  std::string subject;
  GradcheckReport report;
};

// One result a subject. The ops, also those of a network, are the catalogue's. Throws Error for an unknown op, case or file.
std::vector<GradcheckResult> gradcheck(const GradcheckRequest& request, const Catalogue& catalogue);

// What the command prints, without a newline at the end; with `as_json` one JSON value.
std::string gradcheck_text(const std::vector<GradcheckResult>& results, const GradcheckOptions& options, bool as_json);

// Its exit status: check_failed where a verdict is fail, else success.
int gradcheck_status(const std::vector<GradcheckResult>& results);

}  // namespace wengert::command
