// wengert plan: what a training step or an inference will do, step by step, before anything runs.
#include <algorithm>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <wengert/engine/plan/report.hpp>

#include "command.hpp"
#include "json.hpp"
#include "options.hpp"
#include "output.hpp"
#include "planned.hpp"

namespace wengert::command {

namespace {

using Json = nlohmann::ordered_json;
using plan::Extent;
using plan::Graph;
using plan::StepRow;
using plan::ValueRow;

struct Arguments : PlanRequest {
  bool as_json = false, as_dot = false, wide = false;
};

constexpr std::size_t page = 120;  // columns

// "(N,8,24,24)" for values of the batch; i32 is said, f32 is not.
std::string shape_text(const ValueRow& value) {
  std::string text = value.spec.shape.text();
  if (value.batched) text = "(N" + text.substr(std::min(text.find(','), text.size() - 1));
  if (value.spec.dtype != DType::f32) text = std::string(name(value.spec.dtype)) + text;
  if (value.layout != Layout::nchw) text += std::string(" ") + name(value.layout);
  return text;
}

std::string list_text(const std::vector<ValueRow>& values, bool names) {
  std::string text;
  for (const ValueRow& value : values) {
    text += text.empty() ? "" : ", ";
    if (names && !value.name.empty()) text += value.name + " ";
    text += shape_text(value);
  }
  return text;
}

std::string bytes_text(Index bytes) {
  constexpr double kilo = 1e3;
  const auto number = static_cast<double>(bytes);
  if (number < kilo) return fmt::format("{} B", bytes);
  if (number < kilo * kilo) return fmt::format("{:.1f} kB", number / kilo);
  return fmt::format("{:.1f} MB", number / kilo / kilo);
}

std::string flops_text(double flops) { return flops == 0 ? "" : fmt::format("{:.2f} M", flops / 1e6); }

std::string counted(Index count, const char* what) { return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s"); }

std::string title_of(const StepRow& row) { return row.name.empty() ? row.op : row.op + " '" + row.name + "'"; }

// Lines of at most `columns` characters, broken at spaces, each with the indentation.
std::string wrapped(const std::string& text, std::size_t indentation, std::size_t columns) {
  std::string result, line(indentation, ' ');
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    if (line.size() > indentation && line.size() + 1 + end - at > columns) {
      result += line + "\n";
      line.assign(indentation, ' ');
    }
    if (line.size() > indentation) line += ' ';
    line += text.substr(at, end - at);
    at = end + 1;
  }
  return result + line;
}

class Printer {
 public:
  Printer(const Planned& planned, const Arguments& arguments)
      : planned_(planned),
        graph_(planned.plan().graph()),
        rows_(plan::rows(planned.plan())),
        arguments_(arguments),
        columns_(arguments.wide ? std::string::npos : page) {}

  void print() const {
    heading();
    steps();
    kept();
    notes();
    memory();
  }

 private:
  void line(const std::string& text, std::size_t indentation = 0) const { print_line(wrapped(text, indentation, columns_)); }

  void heading() const {
    const char* const what = arguments_.inference ? "inference" : "training step";
    line(fmt::format("{}: {} of batch N = {} in {} of {} images; {}, {}; planned in {:.1f} ms", planned_.script().name, what,
                     planned_.batch(), counted(graph_.chunks(), "chunk"), graph_.chunk, counted(planned_.plan().barriers(), "barrier"),
                     counted(planned_.workers(), "thread"), planned_.milliseconds()));
    line(fmt::format(
        "{:.1f} M FLOPs (of convolutions and products, a multiply and an add counted as two, dense also where a list of winners is read)",
        planned_.flops() / 1e6));
  }

  void steps() const {
    Table table({"step", "result", "kernel", "FLOPs", "moved"}, {3, 4});
    for (const StepRow& row : rows_) {
      table.add({fmt::format("  {} {}", row.id, title_of(row)), result_text(row), row.alias ? "nothing to do" : row.kernel,
                 flops_text(row.flops), row.alias ? "" : bytes_text(row.bytes)});
    }
    const std::string text = table.text();
    std::size_t at = text.find('\n');
    print_line("\n" + text.substr(0, at));
    int level = -1;
    Extent extent = Extent::whole;
    for (const StepRow& row : rows_) {
      if (row.level != level || (row.extent == Extent::whole) != (extent == Extent::whole)) level_line(row, row.level != level);
      level = row.level;
      extent = row.extent;
      const std::size_t end = std::min(text.find('\n', at + 1), text.size());
      print_line(text.substr(at + 1, end - at - 1));
      at = end;
      details(row);
    }
  }

  // All results where there is room.
  std::string result_text(const StepRow& row) const {
    constexpr std::size_t room = 26;
    const std::string all = list_text(row.outputs, false);
    return arguments_.wide || all.size() <= room || row.outputs.size() == 1 ? all : shape_text(row.outputs.front()) + ", ..";
  }

  void level_line(const StepRow& row, bool first) const {
    const char* const what = row.extent == Extent::whole ? "on the whole batch" : "for each chunk";
    print_line(first ? fmt::format("level {}, {}:", row.level, what) : fmt::format("level {}, beside them, {}:", row.level, what));
  }

  void details(const StepRow& row) const {
    constexpr std::size_t indentation = 6;
    std::string text = row.inputs.empty() ? "" : "reads " + list_text(row.inputs, true) + ".";
    const auto say = [&](const std::string& more) {
      if (!more.empty()) text += (text.empty() ? "" : " ") + more + ".";
    };
    if (row.extent == Extent::partial) say("Partial sums, one a chunk, added behind the barrier");
    if (!row.fusion.empty()) say("Fused: " + row.fusion);
    say(row.attributes);
    if (!row.why.empty()) say("Kernel: " + row.why);
    say(row.detail);
    say(row.site);
    line(text, indentation);
  }

  void kept() const {
    if (arguments_.inference) return;
    print_line("\nkept for the backward pass:");
    for (const StepRow& row : rows_) {
      for (const ValueRow& value : row.outputs) {
        if (value.kept_for.empty()) continue;
        line(fmt::format("{} {}, {}, {}: for {}", title_of(row), shape_text(value), bytes_text(value.bytes), place_text(value),
                         value.kept_for),
             2);
      }
    }
  }

  static std::string place_text(const ValueRow& value) {
    return value.storage == plan::Storage::scratch ? "scratch, one chunk" : std::string(name(value.storage));
  }

  void notes() const {
    print_line("\nwhat the passes did, and where a rule nearly fitted:");
    for (const plan::Note& note : graph_.notes) line(note.pass + ": " + note.text, 2);
  }

  void memory() const {
    const plan::Arenas& arenas = planned_.plan().arenas();
    line(
        fmt::format("memory: {} for the batch, {} for partial sums, and a worker {} of scratch and {} of workspace: {} in all, parameters "
                    "and inputs aside",
                    bytes_text(arenas.batch), bytes_text(arenas.partials), bytes_text(arenas.scratch), bytes_text(arenas.workspace),
                    bytes_text(planned_.plan().bytes())));
    if (arenas.peak_step < 0) return;
    line(fmt::format("peak: {} live at step {} {}", bytes_text(arenas.peak), arenas.peak_step, graph_.step(arenas.peak_step).text()));
  }

  const Planned& planned_;
  const Graph& graph_;
  std::vector<StepRow> rows_;
  const Arguments& arguments_;
  std::size_t columns_;
};

Json to_json(const std::vector<ValueRow>& values) {
  Json list = Json::array();
  for (const ValueRow& value : values) {
    Json json = {
        {"id", value.id},           {"name", value.name},           {"shape", Json::array()},         {"dtype", name(value.spec.dtype)},
        {"batched", value.batched}, {"layout", name(value.layout)}, {"storage", name(value.storage)}, {"bytes", value.bytes}};
    for (const Index size : value.spec.shape) json["shape"].push_back(size);
    if (!value.kept_for.empty()) json["kept_for"] = value.kept_for;
    list.push_back(std::move(json));
  }
  return list;
}

Json to_json(const StepRow& row) {
  return {{"id", row.id},
          {"level", row.level},
          {"extent", name(row.extent)},
          {"op", row.op},
          {"name", row.name},
          {"declared", row.site},
          {"attributes", row.attributes},
          {"fusion", row.fusion},
          {"backward", row.backward},
          {"runs", !row.alias},
          {"kernel", row.kernel},
          {"why", row.why},
          {"detail", row.detail},
          {"flops", row.flops},
          {"bytes", row.bytes},
          {"inputs", to_json(row.inputs)},
          {"outputs", to_json(row.outputs)}};
}

void print_json(const Planned& planned, const Arguments& arguments) {
  const Plan& plan = planned.plan();
  const Graph& graph = plan.graph();
  const plan::Arenas& arenas = plan.arenas();
  Json json = {{"name", planned.script().name}, {"inference", arguments.inference}, {"batch", planned.batch()},
               {"chunk", graph.chunk},          {"chunks", graph.chunks()},         {"threads", planned.workers()},
               {"barriers", plan.barriers()},   {"plan_ms", planned.milliseconds()}};
  json["memory"] = {{"batch", arenas.batch}, {"partials", arenas.partials}, {"scratch", arenas.scratch}, {"workspace", arenas.workspace}};
  json["memory"]["total"] = plan.bytes();
  json["peak"] = {{"bytes", arenas.peak}, {"step", arenas.peak_step}};
  if (arenas.peak_step >= 0) json["peak"]["text"] = graph.step(arenas.peak_step).text();
  json["steps"] = Json::array();
  for (const StepRow& row : plan::rows(plan)) json["steps"].push_back(to_json(row));
  json["notes"] = Json::array();
  for (const plan::Note& note : graph.notes) json["notes"].push_back({{"pass", note.pass}, {"text", note.text}});
  print_line(json_text(json));
}

void print_dot(const Planned& planned) {
  const Graph& graph = planned.plan().graph();
  print_line("digraph " + dot_quoted(planned.script().name) + " {\n  node [shape=box, style=rounded];");
  const auto rows = plan::rows(planned.plan());
  int level = -1;
  for (const StepRow& row : rows) {
    if (row.level != level)
      print_line(fmt::format("{}  subgraph cluster{} {{\n    label=\"level {}\";", level < 0 ? "" : "  }\n", row.level, row.level));
    level = row.level;
    const std::string kernel = row.alias ? "" : row.kernel + ", " + name(row.extent);
    print_line(fmt::format("    s{} [label={}{}];", row.id,
                           dot_quoted(title_of(row) + "\n" + list_text(row.outputs, false) + "\n" + kernel),
                           row.backward ? ", style=\"rounded,filled\", fillcolor=lightyellow" : ""));
  }
  if (level >= 0) print_line("  }");
  for (std::size_t v = 0; v < graph.values.size(); ++v) {
    const plan::Value& value = graph.values[v];
    const auto id = static_cast<plan::ValueId>(v);
    const auto readers = graph.readers(id);
    if (value.maker < 0 && !readers.empty()) {
      const char* const style = value.parameter || value.layout == Layout::packed ? ", style=filled, fillcolor=lightgrey" : ", style=bold";
      print_line(fmt::format("  v{} [label={}{}];", v, dot_quoted(value.name + "\n" + value.spec.shape.text()), style));
    }
    for (const plan::StepId reader : readers) {
      const std::string from = value.maker < 0 ? fmt::format("v{}", v) : fmt::format("s{}", value.maker);
      print_line(
          fmt::format("  {} -> s{}{};", from, reader, value.layout == Layout::nchw ? "" : fmt::format(" [label={}]", name(value.layout))));
    }
  }
  print_line("}");
}

}  // namespace

void add_plan(CLI::App& app, int& status) {
  auto a = std::make_shared<Arguments>();
  CLI::App* sub = app.add_subcommand("plan", "Show what a training step will do: steps, kernels and why, layouts, fusions, memory");
  sub->add_option("script", a->script, "The model script, a TOML file; a name finds one of the installed scripts")
      ->required()
      ->type_name("SCRIPT.toml");
  sub->add_option("--batch", a->batch, "Images a step, default the script's")->check(whole_number(1));
  sub->add_option("--threads", a->threads, "0 means all, the default")->check(whole_number(0, most_threads));
  sub->add_option("--kernel", a->kernel, kernel_help());
  add_no_fusion(*sub, a->no_fusions);
  add_device(*sub, a->device);
  sub->add_option("--tuning", a->tuning, "File of `wengert tune` to choose kernels by");
  sub->add_flag("--inference", a->inference, "The network alone, instead of a training step");
  CLI::Option* dot = sub->add_flag("--dot", a->as_dot, "Print the graph of steps in the DOT language of Graphviz");
  sub->add_flag("--json", a->as_json, "Print JSON")->excludes(dot);
  sub->add_flag("--wide", a->wide, "Break no lines at 120 columns");
  sub->footer("Example:\n  wengert plan mnist_cnn.toml --batch 64 --threads 2");
  sub->callback([a, &status] {
    const Planned planned(*a);
    if (a->as_json) print_json(planned, *a);
    else if (a->as_dot) print_dot(planned);
    else Printer(planned, *a).print();
    status = success;
  });
}

}  // namespace wengert::command
