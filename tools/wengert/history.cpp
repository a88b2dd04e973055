#include "history.hpp"

#include <fstream>
#include <span>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <wengert/engine/error.hpp>
#include <wengert/models/files/atomic_file.hpp>
#include <wengert/models/files/input_file.hpp>

namespace wengert::command {

namespace {

// The step of a history's line, or -1.
Index step_of(const std::string& line) {
  const nlohmann::json epoch = nlohmann::json::parse(line, nullptr, false);
  const auto step = epoch.is_object() ? epoch.find("step") : epoch.end();
  return step == epoch.end() || !step->is_number_integer() ? -1 : step->get<Index>();
}

std::string read_lines(const std::filesystem::path& path, Index last_step) {
  InputFile file(path, "history");
  std::string text(static_cast<std::size_t>(file.bytes()), '\0');
  text.resize(file.read(std::as_writable_bytes(std::span(text.data(), text.size()))));
  std::istringstream in(text);
  std::string kept, line;
  for (Index number = 1; std::getline(in, line); ++number) {
    const Index step = step_of(line);
    if (step < 0) file.refuse("a history, JSON with a step in every line", fmt::format("something else in line {}", number));
    if (step <= last_step) kept += line + '\n';
  }
  return kept;
}

}  // namespace

bool is_history(const std::filesystem::path& path) {
  constexpr std::size_t longest = 1 << 12;
  std::string text(longest, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return step_of(text.substr(0, text.find('\n'))) >= 0;
}

HistoryFile::HistoryFile(std::filesystem::path path, Index step) : path_(std::move(path)) {
  { const AtomicFile writable(path_); }
  if (std::filesystem::exists(path_)) lines_ = read_lines(path_, step);
}

void HistoryFile::add(const std::string& line) {
  lines_ += line + '\n';
  failure_.clear();
  try {
    write_file_atomically(path_, lines_);
  } catch (const Error& error) {
    failure_ = error.what();
  }
}

void HistoryFile::finish() const {
  if (!failure_.empty()) fail(failure_);
}

}  // namespace wengert::command
