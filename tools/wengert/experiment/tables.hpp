// The experiments as tables: the same in Markdown, CSV and HTML.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "results.hpp"

namespace wengert::command::experiment {

struct Table {
  std::string name;  // of its CSV file
  std::string title;
  std::vector<std::string> headings;
  std::vector<std::vector<std::string>> rows;
  std::vector<std::string> notes;
};

// Those of an experiment; none where it has no rows.
std::vector<Table> tables_of(const Results& results, const std::string& experiment);

// Whether a column holds numbers, which stand to the right.
bool is_numeric(const Table& table, std::size_t column);

// The table without the columns that say nothing, to be read by people.
Table without_empty_columns(const Table& table);

std::string markdown(const Table& table);
std::string csv(const Table& table);

// Writes dir/EXPERIMENT.md and a dir/TABLE.csv each.
void write_tables(const Results& results, const std::filesystem::path& dir);

}  // namespace wengert::command::experiment
