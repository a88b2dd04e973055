#include "outputs.hpp"

#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>
#include <wengert/models/files/atomic_file.hpp>
#include <wengert/models/saved.hpp>
#include <wengert/models/trace.hpp>
#include <wengert/models/tuning_file.hpp>

#include "history.hpp"

namespace wengert::command {

namespace {

namespace fs = std::filesystem;

std::string beginning_of(const std::string& path) {
  constexpr std::size_t enough = 64;
  std::string text(enough, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

bool is_of_kind(OutputFile::Kind kind, const std::string& path) {
  switch (kind) {
    case OutputFile::Kind::model: return is_saved_model(path);
    case OutputFile::Kind::history: return is_history(path);
    case OutputFile::Kind::trace: return beginning_of(path).rfind(trace_beginning, 0) == 0;
    case OutputFile::Kind::tuning: break;
  }
  const std::string text = beginning_of(path);
  return !text.empty() && text[0] == '{' && text.find(fmt::format("\"{}\"", tuning_format_key)) != std::string::npos;
}

const char* name(OutputFile::Kind kind) {
  constexpr const char* names[] = {"a saved model", "a history", "a trace", "a tuning file"};
  return names[static_cast<std::size_t>(kind)];
}

bool is_same_file(const std::string& a, const std::string& b) {
  std::error_code ignored;
  return fs::weakly_canonical(a, ignored) == fs::weakly_canonical(b, ignored);
}

}  // namespace

void want_outputs(const char* who, const std::vector<OutputFile>& files) {
  for (std::size_t i = 0; i < files.size(); ++i) {
    const OutputFile& file = files[i];
    if (file.path.empty()) continue;
    for (std::size_t j = 0; j < i; ++j) {
      if (files[j].path.empty() || !is_same_file(files[j].path, file.path)) continue;
      fail(fmt::format("[{}] wanted different files for {} and {}, got '{}' for both", who, files[j].option, file.option, file.path));
    }
    { const AtomicFile writable(file.path); }  // refused now, not at the end of the work
    std::error_code none;
    const std::uintmax_t bytes = fs::file_size(file.path, none);
    if (none || bytes == 0 || is_of_kind(file.kind, file.path)) continue;
    fail(fmt::format("[{}] wanted {} to be a new file or {}, '{}' is another file", who, file.option, name(file.kind), file.path));
  }
}

}  // namespace wengert::command
