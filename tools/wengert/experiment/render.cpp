#include "render.hpp"

#include "figures.hpp"
#include "html.hpp"
#include "tables.hpp"

namespace wengert::command::experiment {

std::string render(const Results& results, const std::filesystem::path& dir) {
  write_tables(results, dir);
  const bool drawn = !write_figures(results, dir).empty();
  write_html(results, dir);
  return drawn ? "tables, figures and page" : "tables and page";
}

}  // namespace wengert::command::experiment
