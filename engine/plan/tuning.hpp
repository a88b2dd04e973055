// Tuning: which kernel was fastest for an op of given sizes on this machine, as `wengert tune` measured it.
#pragma once

#include <map>
#include <string>

namespace wengert::plan {

// Keys are texts such as "conv2d 8x24x24 * 8x5x5 -> 8x20x20 | chunk 8 | threads 2"; values name a kernel's backend.
struct Tuning {
  std::string machine = {};                       // the processor it was measured on
  std::map<std::string, std::string> winner = {};

  // The backend measured fastest, or null where nothing is known.
  const std::string* find(const std::string& key) const {
    const auto found = winner.find(key);
    return found == winner.end() ? nullptr : &found->second;
  }
};

}  // namespace wengert::plan
