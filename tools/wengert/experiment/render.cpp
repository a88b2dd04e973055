#include "render.hpp"

#include <span>
#include <sstream>

#include <fmt/format.h>

#include <wengert/models/files/input_file.hpp>

#include "figures.hpp"
#include "html.hpp"
#include "tables.hpp"

namespace wengert::command::experiment {

Results read_results(const std::filesystem::path& path, long* whole_bytes) {
  InputFile file(path, "experiment");
  std::string content(static_cast<std::size_t>(file.bytes()), '\0');
  content.resize(file.read(std::as_writable_bytes(std::span(content.data(), content.size()))));
  std::istringstream in(content);
  Results results;
  std::string line;
  long whole = 0;
  for (int place = 1; std::getline(in, line); ++place) {
    Json row = Json::parse(line, nullptr, false);
    const bool cut_off = place > 1 && in.eof();  // without its newline
    if (cut_off) break;
    if (!row.is_object() || (place == 1 && !row.contains(format_key))) {
      file.refuse("results of wengert experiment, JSON in every line", fmt::format("something else in line {}", place));
    }
    whole += static_cast<long>(line.size()) + 1;
    if (place == 1) results.header = std::move(row);
    else results.add(std::move(row));
  }
  if (results.header.is_null()) file.refuse("results of wengert experiment", "an empty file");
  if (whole_bytes != nullptr) *whole_bytes = whole;
  return results;
}

void render(const Results& results, const std::filesystem::path& dir) {
  write_tables(results, dir);
  write_figures(results, dir);
  write_html(results, dir);
}

}  // namespace wengert::command::experiment
