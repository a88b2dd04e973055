// What the subcommands print with: lines and tables on standard output, whose loss is an error.
#pragma once

#include <string>
#include <vector>

namespace wengert::command {

// Writes the text and a newline to standard output. Throws Error where that fails (a full disk, a closed pipe).
void print_line(const std::string& text);

// A line on standard error, a warning or what is good to know; nothing is said where that fails.
void warn(const std::string& text);
void note(const std::string& text);

// A text between double quotes in Graphviz' DOT; a newline breaks the line.
std::string dot_quoted(const std::string& text);

// Writes what is still buffered. Throws Error where that, or any writing before, has failed.
void flush_output();

// Rows under headings, columns as wide as their widest cell; cells of the columns in `right` (counted from 0) stand to the right.
class Table {
 public:
  explicit Table(std::vector<std::string> headings, std::vector<std::size_t> right = {});
  void add(std::vector<std::string> cells);  // as many as there are headings
  std::string text() const;                  // without a newline at the end

 private:
  std::vector<std::vector<std::string>> rows_;
  std::vector<std::size_t> right_;
};

}  // namespace wengert::command
