// Tuning: which kernel was fastest for an op of given sizes on this machine, as `wengert tune` measured it.
#pragma once

#include <map>
#include <string>

#include <wengert/engine/view.hpp>

namespace wengert::plan {

// Keys are those of tuning_key() in passes.hpp; values name a kernel's backend. Where a plan knows none of its steps here, it chooses as
// without a tuning.
struct Tuning {
  std::string machine = {};  // the processor it was measured on
  std::string script = {};   // the name of the model script whose plans it was measured in
  int threads = 0;           // that ran them
  std::map<std::string, std::string> winner = {};
  std::map<std::string, Layout> layout = {};  // of output 0, where it was measured to be better another one than the readers would take

  // The backend measured fastest, or null where nothing is known.
  const std::string* find(const std::string& key) const {
    const auto found = winner.find(key);
    return found == winner.end() ? nullptr : &found->second;
  }
  const Layout* find_layout(const std::string& key) const {
    const auto found = layout.find(key);
    return found == layout.end() ? nullptr : &found->second;
  }
};

}  // namespace wengert::plan
