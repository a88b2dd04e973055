#include <wengert/models/tuning_file.hpp>

#include <unistd.h>

#include <array>
#include <fstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <wengert/backends/direct/target.hpp>
#include <wengert/engine/device.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/engine/op.hpp>
#include <wengert/models/files/atomic_file.hpp>

namespace wengert {

namespace {

using Json = nlohmann::ordered_json;

constexpr int format_version = 1;
constexpr std::array layouts = {Layout::nchw, Layout::nhwc8, Layout::winners};

// What /proc/cpuinfo says of the first processor: its name, which on virtual machines says little, and the numbers behind it.
std::string processor_name() {
  std::ifstream lines("/proc/cpuinfo");
  std::string text, numbers;
  for (std::string line; std::getline(lines, line) && !line.empty();) {
    const auto value = [&] { return line.substr(std::min(line.size(), line.find(':') + 2)); };
    if (line.rfind("model name", 0) == 0) text = value();
    for (const char* key : {"cpu family", "model\t", "stepping", "CPU implementer", "CPU part"}) {  // the latter two on Arm
      if (line.rfind(key, 0) == 0) numbers += (numbers.empty() ? "" : ".") + value();
    }
  }
  if (text.empty() && numbers.empty()) return "unknown";
  return fmt::format("{} ({}), {} cores", text.empty() ? "processor" : text, numbers, sysconf(_SC_NPROCESSORS_CONF));
}

Json to_json(const TuningCandidate& candidate) {
  Json json = {{"kernel", candidate.kernel}, {"layout", name(candidate.layout)}};
  if (!candidate.refusal.empty()) json["refused"] = candidate.refusal;
  if (candidate.seconds > 0) {
    json["us"] = candidate.seconds * 1e6;
    json["error"] = candidate.error;
  }
  return json;
}

Json to_json(const TuningEntry& entry) {
  Json json = {{"op", entry.key}, {"step", entry.step}, {"usual", entry.usual}, {"winner", entry.winner}, {"reason", entry.reason}};
  if (entry.layout) json["layout"] = name(*entry.layout);
  json["candidates"] = Json::array();
  for (const TuningCandidate& candidate : entry.candidates) json["candidates"].push_back(to_json(candidate));
  return json;
}

Layout layout_named(const std::string& text) {
  for (const Layout layout : layouts) {
    if (text == name(layout)) return layout;
  }
  fail("wanted a layout, found '" + text + "'");
}

// In what the file's machine differs from this one, or empty.
std::string difference(const Json& machine, Device device) {
  const TuningMachine here = TuningMachine::here(device);
  const auto differs = [&](const char* key, const char* what, const std::string& ours) {
    const auto theirs = machine.at(key).get<std::string>();
    return theirs == ours ? std::string() : fmt::format("it was measured {} '{}', this is '{}'", what, theirs, ours);
  };
  for (const std::string& reason : {differs("processor", "on", here.processor), differs("target", "with", here.target),
                                    differs("version", "by version", here.version)}) {
    if (!reason.empty()) return reason;
  }
  return {};
}

plan::Tuning winners_of(const Json& json) {
  plan::Tuning tuning;
  tuning.machine = json.at("machine").at("processor").get<std::string>();
  tuning.script = json.at("script").get<std::string>();
  tuning.threads = json.at("machine").at("threads").get<int>();
  for (const Json& op : json.at("ops")) {
    const auto key = op.at("op").get<std::string>();
    tuning.winner[key] = KernelChoice::parse(op.at("winner").get<std::string>()).backend;  // an unknown one is an error
    if (op.contains("layout")) tuning.layout[key] = layout_named(op.at("layout").get<std::string>());
  }
  return tuning;
}

}  // namespace

TuningMachine TuningMachine::here(Device device) {
  if (device != Device{}) return {device_runtime(device)->describe(), name(device.kind), WENGERT_VERSION};
  return {processor_name(), direct::target(), WENGERT_VERSION};
}

plan::Tuning tuning_of(const TuningReport& report) {
  plan::Tuning tuning;
  tuning.machine = report.machine.processor;
  tuning.script = report.script;
  tuning.threads = report.threads;
  for (const TuningEntry& entry : report.entries) {
    tuning.winner[entry.key] = entry.winner;
    if (entry.layout) tuning.layout[entry.key] = *entry.layout;
  }
  return tuning;
}

void write_tuning(const std::filesystem::path& path, const TuningReport& report) {
  const TuningMachine& machine = report.machine;
  Json json = {
      {tuning_format_key, format_version},
      {"machine",
       {{"processor", machine.processor}, {"target", machine.target}, {"version", machine.version}, {"threads", report.threads}}},
      {"script", report.script},
      {"batch", report.batch},
      {"chunk", report.chunk},
      {"bound", report.bound},
      {"step", {{"ms_before", report.seconds_before * 1e3}, {"ms_after", report.seconds_after * 1e3}, {"verdict", report.verdict}}},
      {"ops", Json::array()}};
  for (const TuningEntry& entry : report.entries) json["ops"].push_back(to_json(entry));
  write_file_atomically(path, json.dump(1) + "\n");
}

TuningFile read_tuning(const std::filesystem::path& path, Device device) {
  const std::string who = "[tuning '" + path.string() + "'] ";
  std::ifstream file(path);
  if (!file || std::filesystem::is_directory(path)) fail(who + "wanted a file that can be read");
  try {
    const Json json = Json::parse(file);
    if (!json.is_object() || !json.contains(tuning_format_key))
      return {std::nullopt, who + "wanted a file that `wengert tune` wrote, found other JSON"};
    if (const Json& version = json.at(tuning_format_key); version != format_version) {
      return {std::nullopt, who + fmt::format("wanted format {}, found {}", format_version, version.dump())};
    }
    if (const std::string reason = difference(json.at("machine"), device); !reason.empty()) return {std::nullopt, who + reason};
    return {winners_of(json), {}};
  } catch (const std::exception& error) {  // of JSON, or of ours
    std::string reason = error.what();
    reason = reason.substr(0, reason.find('\n'));
    return {std::nullopt, who + "it is broken: " + reason};
  }
}

}  // namespace wengert
