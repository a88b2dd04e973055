#include "output.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>

namespace wengert::command {

namespace {

[[noreturn]] void fail_output() { fail(fmt::format("[standard output] cannot be written: {}", std::strerror(errno))); }

}  // namespace

void print_line(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fputc('\n', stdout) == EOF) fail_output();
}

void warn(const std::string& text) { note("warning: " + text); }

void note(const std::string& text) { std::fputs(("wengert: " + text + '\n').c_str(), stderr); }

std::string dot_quoted(const std::string& text) {
  std::string result = "\"";
  for (const char letter : text) {
    if (letter == '"' || letter == '\\') result += '\\';
    if (letter == '\n') result += "\\n";
    else result += letter;
  }
  return result + "\"";
}

void flush_output() {
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) fail_output();
}

Table::Table(std::vector<std::string> headings, std::vector<std::size_t> right) : right_(std::move(right)) {
  rows_.push_back(std::move(headings));
}

void Table::add(std::vector<std::string> cells) {
  assert(cells.size() == rows_.front().size());
  rows_.push_back(std::move(cells));
}

std::string Table::text() const {
  const std::size_t columns = rows_.front().size();
  std::vector<std::size_t> widths(columns, 0);
  for (const auto& row : rows_) {
    for (std::size_t c = 0; c < columns; ++c) widths[c] = std::max(widths[c], row[c].size());
  }
  std::string result;
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t c = 0; c < columns; ++c) {
      const bool to_the_right = std::find(right_.begin(), right_.end(), c) != right_.end();
      line += to_the_right ? fmt::format("{:>{}}", row[c], widths[c]) : fmt::format("{:<{}}", row[c], widths[c]);
      if (c + 1 < columns) line += "  ";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    result += (result.empty() ? "" : "\n") + line;
  }
  return result;
}

}  // namespace wengert::command
