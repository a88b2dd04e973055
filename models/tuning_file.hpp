// The tuning file: what `wengert tune` measured on a machine, as readable JSON.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <wengert/engine/plan/tuning.hpp>
#include <wengert/engine/types.hpp>

namespace wengert {

constexpr const char* tuning_format_key = "wengert_tuning";  // the first key of every such file

// What a tuning depends on.
struct TuningMachine {
  std::string processor = {}, target = {}, version = {};  // CPU or GPU model, vector instructions in use (of a GPU "cuda"), of Wengert
  static TuningMachine here(Device device = {});          // an open one
};

// One kernel in one layout of its first output, for one op on one set of sizes.
struct TuningCandidate {
  std::string kernel = {};
  Layout layout = Layout::nchw;
  double seconds = 0;        // of one call, with the reorders that it needs where it stands
  double error = 0;          // largest difference from naive, as a part of naive's largest value
  std::string refusal = {};  // why it was not timed or not admitted
};

struct TuningEntry {
  std::string key = {}, step = {};  // plan::tuning_key(); "[conv2d 'conv1' ...]"
  std::vector<TuningCandidate> candidates = {};
  std::string usual = {};  // the kernel that a plan takes without a tuning, and its layout
  Layout usual_layout = Layout::nchw;
  std::string winner = {}, reason = {};
  std::optional<Layout> layout = {};  // of the winner, where it is another than without a tuning
  bool changes() const { return winner != usual || layout; }
};

struct TuningReport {
  TuningMachine machine = {};
  std::string script = {};
  Index batch = 0, chunk = 0;
  int threads = 0;
  double bound = 0;                              // of TuningCandidate::error
  double seconds_before = 0, seconds_after = 0;  // of a whole step, chosen without and with the winners
  std::string verdict = {};                      // what came of that comparison
  std::vector<TuningEntry> entries = {};
};

plan::Tuning tuning_of(const TuningReport& report);
// Written aside and renamed.
void write_tuning(const std::filesystem::path& path, const TuningReport& report);

// What a file holds, or in one line why it is not for this device and version, or not a tuning file. Throws Error where there is none.
struct TuningFile {
  std::optional<plan::Tuning> tuning = {};
  std::string refusal = {};
};
TuningFile read_tuning(const std::filesystem::path& path, Device device = {});

}  // namespace wengert
