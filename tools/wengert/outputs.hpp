// Files that a command will write, looked at before it works: a slip on the command line must not cost the user a file.
#pragma once

#include <string>
#include <vector>

namespace wengert::command {

struct OutputFile {
  enum class Kind { model, history, trace, tuning };
  const char* option;  // that names it
  std::string path;    // empty: none is asked for
  Kind kind;
};

// Throws Error where one cannot be written, where it holds something else than its kind (a new or empty file is fine), and where two options
// name the same file. `who` begins the message: "train".
void want_outputs(const char* who, const std::vector<OutputFile>& files);

}  // namespace wengert::command
