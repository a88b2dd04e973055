#include "html.hpp"

#include <cmath>
#include <cstdint>
#include <set>

#include <fmt/format.h>

#include <wengert/models/files/atomic_file.hpp>

#include "../file_content.hpp"
#include "../json.hpp"
#include "analysis.hpp"
#include "figures.hpp"
#include "tables.hpp"

namespace wengert::command::experiment {

namespace {

struct Section {
  const char *experiment, *title, *explanation;
};

constexpr Section sections[] = {
    {"speed", "Speed of the implementations",
     "One training step (forward, backward, Adam) of the report's network on MNIST, by each way of computing the convolutions. "
     "The report's machine was another one, so what compares is the ratio to the naive loops. Direct is this project's own "
     "vector kernel, plan the frozen step that training runs; Keras, PyTorch and oneDNN do the same step on the same machine "
     "in the same rounds."},
    {"accuracy", "Accuracy of the implementations",
     "The same training with each implementation and several seeds. All compute the same gradients, so their accuracies "
     "should differ by no more than seeds do."},
    {"batch", "Batch size",
     "Training for the same number of epochs with other batches: larger ones make fewer steps, each on more images."},
    {"rate", "Learning rate",
     "Training for the same number of epochs at a constant rate: too small a one does not arrive, too large a one does not learn."},
    {"examples", "Training examples",
     "Training on the first part of the training set only, but for at least 1000 steps: of few examples that is many epochs, "
     "which the table counts."},
    {"curves", "Training curves", "Loss and test accuracy after each epoch. Peers train the same network with the same settings."},
    {"recall", "Recall and errors",
     "Which part of each class's test digits is recognised, what is taken for what, and the digits with which the network is most wrong."},
    {"shift", "Shifted digits",
     "The report's opening argument: a convolutional network sees a digit anywhere, a network of fully connected layers knows it by "
     "its place. Both have about as many parameters, and neither has seen shifted digits in training."},
    {"ladder", "The kernels under the roof",
     "On one core a kernel can be no faster than its arithmetic (flat) and no faster than memory brings its operands (sloped). "
     "Operations are those of the definition of a convolution: a kernel that needs fewer, as Winograd's does, may exceed the roof."},
    {"scaling", "Threads", "A training step of batch 64 on more threads, beside Amdahl's law with its one unknown, the serial part."},
};

constexpr const char* style = R"(
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: #1d2126; font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main, header { max-width: 1176px; margin: 0 auto; padding: 0 16px; }
header { padding-top: 28px; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .4rem; }
h2 { font-size: 1.3rem; line-height: 1.3; margin: 3rem 0 .4rem; padding-top: .8rem; border-top: 1px solid #dfe3e8; }
p, .facts { max-width: 46rem; }
nav { margin: 1.2rem 0; display: flex; flex-wrap: wrap; gap: .4rem; }
nav a { padding: .3rem .7rem; border: 1px solid #cfd6de; border-radius: 1rem; color: #00558a; text-decoration: none; font-size: .92rem; }
nav a:hover, nav a:focus { background: #eef5fa; }
.facts { display: grid; grid-template-columns: auto 1fr; gap: .15rem 1rem; margin: 0; font-size: .95rem; }
.facts dt { color: #5a6570; } .facts dd { margin: 0; overflow-wrap: anywhere; }
.figures { display: flex; flex-wrap: wrap; gap: 1rem 1.5rem; align-items: flex-start; }
figure { margin: 0; min-width: 0; }
figure .box { margin: .5rem 0; }
figure img { display: block; width: 100%; height: auto; }
figcaption, .note, caption { color: #5a6570; font-size: .88rem; }
.box { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .3rem; }
th, td { padding: .25rem .7rem; text-align: left; border-bottom: 1px solid #e6e9ed; }
td, th { white-space: nowrap; }
td:first-child, th:first-child { position: sticky; left: 0; }
td:first-child { background: #fff; }
th { border-bottom: 2px solid #aeb8c2; vertical-align: bottom; background: #f6f8fa; }
.number { text-align: right; }
tbody tr:hover { background: #f6f9fc; }
footer { max-width: 1176px; margin: 3rem auto 2rem; padding: 0 16px; color: #5a6570; font-size: .85rem; }
@media print { nav { display: none; } h2 { break-after: avoid; } figure, tr { break-inside: avoid; } }
)";

std::string base64(const std::string& bytes) {
  constexpr const char* digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string result;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t three = 0;
    for (std::size_t j = 0; j < 3; ++j) three = three << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    for (std::size_t j = 0; j < 4; ++j) result += i + j > bytes.size() ? '=' : digits[three >> (18 - 6 * j) & 63U];
  }
  return result;
}

std::string html(const Table& all) {
  const Table table = without_empty_columns(all);
  std::string head, body;
  const auto add_cells = [&table](std::string& to, const char* tag, const std::vector<std::string>& cells) {
    to += "<tr>";
    for (std::size_t c = 0; c < cells.size(); ++c)
      to += fmt::format("<{0}{1}>{2}</{0}>", tag, is_numeric(table, c) ? " class=\"number\"" : "", escaped(cells[c]));
    to += "</tr>\n";
  };
  add_cells(head, "th", table.headings);
  for (const auto& row : table.rows) add_cells(body, "td", row);
  std::string result =
      fmt::format("<div class=\"box\" tabindex=\"0\"><table><caption>{}</caption>\n<thead>{}</thead>\n<tbody>{}</tbody></table></div>\n",
                  escaped(table.title), head, body);
  for (const std::string& note : table.notes) result += fmt::format("<p class=\"note\">{}</p>\n", escaped(note));
  return result;
}

std::string html(const Figure& figure, const std::filesystem::path& dir) {
  const std::string picture = file_content(dir / figures_folder / (figure.sketch.name() + ".svg"));
  if (picture.empty()) return "";
  // Two stand side by side where there is room. A phone shows the usual ones whole, and scrolls wider ones.
  const int width = figure.sketch.width();
  return fmt::format(
      R"(<figure style="flex:1 1 {0}px;max-width:{1}px"><div class="box" tabindex="0"><img style="min-width:{2}px" alt="{3}" )"
      R"(src="data:image/svg+xml;base64,{4}"></div><figcaption>{3}</figcaption></figure>)"
      "\n",
      width * 4 / 5, width * 6 / 5, width > 600 ? width * 7 / 10 : 0, escaped(figure.caption), base64(picture));
}

std::string facts(const Results& results) {
  std::string result;
  const auto add = [&result](const std::string& name, const std::string& value) {
    result += fmt::format("<dt>{}</dt><dd>{}</dd>\n", escaped(name), escaped(value));
  };
  for (const auto& field : results.header.items()) {
    if (field.key() == format_key) continue;
    if (field.key() == "quick" && field.value().is_boolean()) {
      if (field.value().get<bool>()) add("quick", "yes: fewer steps, seeds and epochs than a full run");
      continue;
    }
    add(field.key() == "version" ? "Wengert" : field.key(),
        field.value().is_string() ? field.value().get<std::string>() : json_text(field.value(), -1));
  }
  double seconds = 0;
  std::set<std::string> builds;
  for (const Json& row : results.rows) {
    if (const double lasted = number(row, "lasted"); lasted > 0) seconds += lasted;
    if (const std::string build = text(row, "build"); !build.empty()) builds.insert(build);
  }
  constexpr double minute = 60;
  if (seconds > 0) add("measured in", fmt::format("{:.0f} minutes", std::ceil(seconds / minute)));
  if (builds.size() > 1) add("builds", fmt::format("{} of this version, {}", builds.size(), fmt::join(builds, ", ")));
  return result;
}

}  // namespace

std::string escaped(const std::string& text) {
  std::string result;
  for (const char letter : text) {
    switch (letter) {
      case '&': result += "&amp;"; break;
      case '<': result += "&lt;"; break;
      case '>': result += "&gt;"; break;
      case '"': result += "&quot;"; break;
      case '\'': result += "&#39;"; break;
      default: result += letter;
    }
  }
  return result;
}

void write_html(const Results& results, const std::filesystem::path& dir) {
  const std::vector<Figure> figures = figures_of(results);
  std::string links, parts;
  bool pictured = figures.empty();
  for (const Section& section : sections) {
    std::string pictures, tables;
    for (const Figure& figure : figures) {
      if (figure.experiment == section.experiment) pictures += html(figure, dir);
    }
    for (const Table& table : tables_of(results, section.experiment)) tables += html(table);
    if (pictures.empty() && tables.empty()) continue;
    pictured = pictured || !pictures.empty();
    links += fmt::format("<a href=\"#{}\">{}</a>\n", section.experiment, section.title);
    parts += fmt::format("<section id=\"{}\">\n<h2>{}</h2>\n<p>{}</p>\n", section.experiment, section.title, section.explanation);
    if (!pictures.empty()) parts += "<div class=\"figures\">\n" + pictures + "</div>\n";
    parts += tables + "</section>\n";
  }
  std::string absent;
  for (const std::string& line : absences(results)) absent += (absent.empty() ? "" : "; ") + line;
  std::string about = facts(results);
  if (const std::vector<std::string> peers = peer_versions(results); !peers.empty())
    about += fmt::format("<dt>peers</dt><dd>{}</dd>\n", escaped(fmt::format("{}", fmt::join(peers, ", "))));
  if (!absent.empty()) about += fmt::format("<dt>absent</dt><dd>{}</dd>\n", escaped(absent));
  if (!pictured) about += "<dt>figures</dt><dd>none: they are drawn where gnuplot is installed (Debian's package gnuplot-nox)</dd>\n";
  if (parts.empty()) parts = "<p>Nothing has been measured yet.</p>\n";
  const std::string page = fmt::format(R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Wengert: the experiments of the report</title>
<style>{}</style>
</head>
<body>
<header>
<h1>The experiments of the report, measured again</h1>
<p>A course report trains a small convolutional network on MNIST, with every gradient derived by hand and the convolution written in seven
ways. Here are its measurements and some more, on one machine, beside the report's own figures.</p>
<dl class="facts">
{}</dl>
<nav>
{}</nav>
</header>
<main>
{}</main>
<footer>Written by <code>wengert experiment</code>. The tables lie beside this page as Markdown and CSV, the figures as SVG and PNG with their
data and gnuplot scripts.</footer>
</body>
</html>
)",
                                       style, about, links, parts);
  write_file_atomically(dir / "report.html", page);
}

}  // namespace wengert::command::experiment
