// A peer: another system's process, which answers a line of request with a line of JSON (tools/bench/peers/common.py).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "results.hpp"

namespace wengert::command::experiment {

// The systems that experiments compare with, as the user names them: keras, pytorch, onednn.
std::vector<std::string> peer_names();
bool peer_is_present(const std::string& name, const std::filesystem::path& folder);
constexpr const char* steps_only = "onednn";      // the one that does not train
std::string peer_title(const std::string& name);  // as tables show it: Keras

class Peer {
 public:
  // `name` of peer_names(), in the folder that setup-peers.sh made. Throws Error with the reason, in one line, where it is absent or fails.
  Peer(const std::string& name, const std::filesystem::path& folder, int threads);

  // Stopped between answers, so that its waiting threads disturb nobody; it ends with this process. Throws Error: an answer that says so, none in time, an end.
  Json ask(const std::string& request, double seconds = 3600);
  std::string version() const { return text(about_, "version"); }

 private:
  struct Child {
    int process = -1, to = -1, from = -1, said = -1;  // `said`: its standard error
    Child() = default;
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child();
    void signal(int number) const;  // to it and what it has started
    std::string end();              // waits for it: " with exit code 1: ImportError ..."
  };
  Json answer(double seconds);

  Child child_;
  std::string unread_;
  Json about_;
};

}  // namespace wengert::command::experiment
