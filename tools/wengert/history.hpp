// The file of a training's history: one line of JSON an epoch.
#pragma once

#include <filesystem>
#include <string>

#include <wengert/engine/types.hpp>

namespace wengert::command {

// Whether a file looks like a history: its first line is JSON with a step.
bool is_history(const std::filesystem::path& path);

// After every epoch the file is written anew, aside, and renamed: it is whole at any moment. A previous history stays until the
// first epoch has ended.
class HistoryFile {
 public:
  // `step`: where the training goes on from. The file's lines up to there are continued; later ones come from a training that was
  // given up, and from step 0 none is continued. Throws Error where the path
  // cannot be written, or holds something else than a history.
  HistoryFile(std::filesystem::path path, Index step);

  // One epoch, as JSON with its "step". A failure is no reason to lose the training: it waits for finish(), and the next
  // epoch's writing may succeed.
  void add(const std::string& line);

  // Throws Error where the last epoch could not be written.
  void finish() const;

 private:
  std::filesystem::path path_;
  std::string lines_;
  std::string failure_;
};

}  // namespace wengert::command
