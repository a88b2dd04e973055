// wengert experiment: the report's experiments and some more, measured anew, next to the report's own figures and to other systems.
#include <algorithm>
#include <chrono>
#include <ctime>

#include <dlfcn.h>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <wengert/backends/tbb/executor.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/engine/random.hpp>
#include <wengert/models/tuning_file.hpp>

#include "command.hpp"
#include "experiment/experiment.hpp"
#include "experiment/peer.hpp"
#include "experiment/render.hpp"
#include "experiment/store.hpp"
#include "file_content.hpp"
#include "interruption.hpp"
#include "options.hpp"
#include "output.hpp"

namespace wengert::command {

namespace {

using namespace experiment;

struct Arguments {
  std::string name, out = "experiments", peers_folder, threads, peers;  // lists with commas
  std::uint64_t seed = 1;
  bool quick = false, force = false;
};

Json header_of(const Arguments& a) {
  const TuningMachine machine = TuningMachine::here();
  char text[32] = {};
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", localtime_r(&now, &local));
  return {{format_key, 1},
          {"version", machine.version},
          {"processor", machine.processor},
          {"target", machine.target},
          {"cores", tbb_executor(0)->workers()},
          {"quick", a.quick},
          {"started", text}};
}

// "all" or one of the names.
std::vector<std::string> chosen(const std::string& name) {
  const std::vector<std::string> known(std::begin(experiments), std::end(experiments));
  if (name == "all") return known;
  if (std::find(known.begin(), known.end(), name) != known.end()) return {name};
  std::vector<std::string> words = known;
  words.insert(words.end(), {"all", "report"});
  fail("[experiment] unknown experiment '" + name + "'" + suggestion(name, words));
}

// The parts between commas, each once.
std::vector<std::string> parts_of(const std::string& list, const char* option) {
  std::vector<std::string> parts;
  for (const std::string& part : CLI::detail::split(list, ',')) {
    if (part.empty()) fail(fmt::format("[experiment] wanted {} with names or numbers between commas, got '{}'", option, list));
    if (std::find(parts.begin(), parts.end(), part) == parts.end()) parts.push_back(part);
  }
  return parts;
}

constexpr const char* no_peers = "none";

std::vector<std::string> chosen_peers(const std::string& list) {
  const std::vector<std::string> known = peer_names();
  if (list.empty()) return known;
  const std::vector<std::string> wanted = parts_of(list, "--peers");
  if (wanted == std::vector<std::string>{no_peers}) return {};
  for (const std::string& peer : wanted) {
    if (std::find(known.begin(), known.end(), peer) != known.end()) continue;
    if (peer == no_peers) fail("[experiment] wanted --peers none alone, got '" + list + "'");
    std::vector<std::string> words = known;
    words.emplace_back(no_peers);
    fail("[experiment] unknown peer '" + peer + "'" + suggestion(peer, words));
  }
  return wanted;
}

// With 1, to which ratios go, in rising order. 0 is all.
std::vector<int> with_one(std::vector<int> threads) {
  threads.push_back(1);
  for (int& count : threads) count = tbb_executor(count)->workers();
  std::sort(threads.begin(), threads.end());
  threads.erase(std::unique(threads.begin(), threads.end()), threads.end());
  return threads;
}

std::vector<int> chosen_threads(const std::string& list) {
  std::vector<int> threads;
  if (list.empty()) return threads;
  for (const std::string& part : parts_of(list, "--threads")) {
    int count = -1;
    if (!CLI::detail::lexical_cast(part, count) || count < 0 || count > most_threads)
      fail(fmt::format("[experiment] wanted --threads with whole numbers from 0 (all) to {}, got '{}'", most_threads, part));
    threads.push_back(count);
  }
  return threads;
}

// 1, 2, 4, ... and all.
std::vector<int> powers_of_two() {
  std::vector<int> threads = {0};
  const int all = tbb_executor(0)->workers();
  for (int count = 1; count < all; count *= 2) threads.push_back(count);
  return threads;
}

// Tells apart programs of one version: of the command's and the library's bytes.
std::string build_id() {
  Dl_info library{};
  dladdr(reinterpret_cast<void*>(&share_folder), &library);
  const std::string bytes = file_content("/proc/self/exe") + file_content(library.dli_fname == nullptr ? "" : library.dli_fname);
  return fmt::format("{:08x}", hash_name(bytes) >> 32);
}

std::string minutes(double seconds) {
  const auto whole = static_cast<long>(seconds + 0.5);
  return whole < 60 ? fmt::format("{} s", whole) : fmt::format("{} min {:02} s", whole / 60, whole % 60);
}

int draw(const Results& results, const std::filesystem::path& folder) {
  const std::string written = render(results, folder);
  note(fmt::format("wrote {}: {}", written, (folder / "report.html").string()));
  return interrupted() ? was_interrupted : success;
}

int run(const Arguments& a) {
  const std::filesystem::path folder = a.out;
  if (a.name == "report") return draw(read_results(folder / results_name), folder);
  const std::vector<std::string> names = chosen(a.name);
  const std::vector<std::string> peers = chosen_peers(a.peers);
  const std::vector<int> threads = chosen_threads(a.threads);
  Store store(folder, header_of(a), a.force);
  const Dataset train = mnist::train(), test = mnist::test();
  ExperimentSettings settings;
  settings.quick = a.quick, settings.seed = a.seed, settings.train = &train, settings.test = &test;
  const std::vector<int> usual = threads.empty() ? std::vector<int>{0} : threads;
  settings.threads = with_one(usual);
  settings.scaling_threads = with_one(threads.empty() && !a.quick ? powers_of_two() : usual);
  settings.peers = peers;
  settings.peers_folder =
      a.peers_folder.empty() ? share_folder().parent_path().parent_path() / "peers" : std::filesystem::path(a.peers_folder);
  for (const Json* row : store.results().of("speed"))
    for (const std::string& name : texts(*row, "peers"))
      if (const auto known = peer_names(); std::find(known.begin(), known.end(), name) != known.end())
        settings.earlier_peers.push_back(name);

  std::vector<Measurement> left;
  for (const std::string& name : names)
    for (Measurement& one : measurements_of(name, settings))
      if (std::none_of(store.results().rows.begin(), store.results().rows.end(), [&](const Json& row) { return answers(row, one); }))
        left.push_back(std::move(one));
  double seconds = 0;
  for (const Measurement& one : left) seconds += one.seconds;
  note(fmt::format("{} measurements to make, about {}", left.size(), minutes(seconds)));
  const std::string build = build_id();
  double behind = 0, taken = 0;  // estimated seconds of what is made, and what it took
  catch_signals("\nwengert: ending after this measurement; once more drops it\n");
  for (std::size_t i = 0; i < left.size() && !interrupted(); ++i) {
    const Measurement& one = left[i];
    const auto start = std::chrono::steady_clock::now();
    constexpr double trusted = 60;  // as many estimated seconds: then the estimate is worth no more than how it has fared so far
    const double slower = (taken + trusted) / (behind + trusted);
    note(fmt::format("[{}/{}] {}, about {} left", i + 1, left.size(), one.label, minutes(seconds * slower)));
    Json row = {{"experiment", one.experiment}, {"key", one.key}};
    const Json known = one.known ? one.known(store.results()) : Json();
    row.update(known.is_null() ? one.run() : known);
    const double lasted = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    row["lasted"] = lasted, row["build"] = build;
    store.add(row);
    seconds -= one.seconds, behind += one.seconds, taken += lasted;
  }
  if (interrupted()) note("interrupted; the same command goes on where it stopped");
  return draw(store.results(), folder);
}

}  // namespace

void add_experiment(CLI::App& app, int& status) {
  auto a = std::make_shared<Arguments>();
  CLI::App* sub = app.add_subcommand("experiment", "Measure the report's experiments anew: tables, figures and a report");
  sub->add_option("name", a->name, fmt::format("One of {}, all, or report, which only draws what is there", fmt::join(experiments, ", ")))
      ->required();
  sub->add_option("--out", a->out,
                  "Folder for results, tables, figures and report.html, default 'experiments'; a second run goes on there");
  sub->add_flag("--quick", a->quick, "Small sizes, to see that everything works");
  sub->add_option("--seed", a->seed, "Of the first training of each kind, default 1")->check(seed_number());
  sub->add_option("--threads", a->threads,
                  "Numbers of threads for speed and scaling, as 1,4,0; 0 is all; default 1 and all, for scaling 1, 2, 4 .. all")
      ->type_name("LIST");
  sub->add_option("--peers", a->peers, fmt::format("Systems to compare with, default {}; or {}", fmt::join(peer_names(), ","), no_peers))
      ->type_name("LIST");
  sub->add_option("--peers-folder", a->peers_folder, "Where tools/bench/setup-peers.sh put them");
  sub->add_flag("--force", a->force, "Begin anew where the folder holds results of another version or machine; those are set aside");
  sub->footer("Example:\n  wengert experiment speed --peers keras,pytorch --out build/experiments");
  sub->callback([a, &status] { status = run(*a); });
}

}  // namespace wengert::command
