// Where experiments keep their results: a folder with results.jsonl, to which every finished measurement adds a line at once.
#pragma once

#include <filesystem>
#include <string>

#include "results.hpp"

namespace wengert::command::experiment {

class Store {
 public:
  // Opens or begins a folder; with `force` results of another version, machine or size are set aside as results.old.jsonl or, where
  // that is taken, results.old.2.jsonl ... A last line that was
  // cut short is dropped. Throws Error: a folder that cannot be written, results that do not fit this header, without `force`, and a folder that another
  // process has open.
  Store(const std::filesystem::path& folder, const Json& header, bool force);

  // In place of an earlier row of its key. Synced when it returns. Throws Error where the line cannot be written (a full disk); those before it stay whole.
  void add(const Json& row);
  const Results& results() const { return results_; }

 private:
  struct Descriptor {
    int number = -1;
    Descriptor() = default;
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor();
  };
  void lock();
  void write_line(const Json& line);

  std::filesystem::path path_;
  Results results_;
  Descriptor file_, lock_;
  long length_ = 0;  // of the whole lines
};

}  // namespace wengert::command::experiment
