// wengert experiment: the report's experiments and some more, measured anew, next to the report's own figures and to other systems.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <ctime>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <wengert/backends/tbb/executor.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/models/tuning_file.hpp>

#include "command.hpp"
#include "experiment/experiment.hpp"
#include "experiment/peer.hpp"
#include "experiment/render.hpp"
#include "experiment/store.hpp"
#include "options.hpp"
#include "output.hpp"

namespace wengert::command {

namespace {

using namespace experiment;

std::atomic<bool> interrupted{false};

struct Arguments {
  std::string name, out = "experiments", peers_folder;
  std::vector<int> threads = {};
  std::vector<std::string> peers = {};
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

constexpr const char* no_peers = "none";

std::vector<std::string> chosen_peers(const std::vector<std::string>& wanted) {
  std::vector<std::string> known = peer_names();
  if (wanted.empty()) return known;
  if (wanted == std::vector<std::string>{no_peers}) return {};
  for (const std::string& peer : wanted) {
    if (std::find(known.begin(), known.end(), peer) != known.end()) continue;
    known.emplace_back(no_peers);
    fail("[experiment] unknown peer '" + peer + "'" + suggestion(peer, known));
  }
  return wanted;
}

std::string minutes(double seconds) {
  const auto whole = static_cast<long>(seconds + 0.5);
  return whole < 60 ? fmt::format("{} s", whole) : fmt::format("{} min {:02} s", whole / 60, whole % 60);
}

int draw(const Results& results, const std::filesystem::path& folder) {
  render(results, folder);
  note(fmt::format("wrote tables, figures and {}", (folder / "report.html").string()));
  return success;
}

int run(const Arguments& a) {
  const std::filesystem::path folder = a.out;
  if (a.name == "report") return draw(read_results(folder / results_name), folder);
  const std::vector<std::string> names = chosen(a.name);
  const std::vector<std::string> peers = chosen_peers(a.peers);
  Store store(folder, header_of(a), a.force);
  const Dataset train = mnist::train(), test = mnist::test();
  ExperimentSettings settings{a.quick, a.seed, a.threads, peers, a.peers_folder, &train, &test};
  if (settings.threads.empty()) settings.threads = {1, 0};
  for (int& threads : settings.threads) threads = tbb_executor(threads)->workers();
  settings.threads.erase(std::unique(settings.threads.begin(), settings.threads.end()), settings.threads.end());
  if (a.peers_folder.empty()) settings.peers_folder = share_folder().parent_path().parent_path() / "peers";

  for (const Json& row : store.results().rows)  // what is measured again, for a further peer, keeps the earlier ones
    for (const std::string& name : row.value("peers", std::vector<std::string>{}))
      if (std::find(settings.peers.begin(), settings.peers.end(), name) == settings.peers.end()) settings.peers.push_back(name);

  std::vector<Measurement> left;
  for (const std::string& name : names)
    for (Measurement& one : measurements_of(name, settings))
      if (std::none_of(store.results().rows.begin(), store.results().rows.end(), [&](const Json& row) { return answers(row, one); }))
        left.push_back(std::move(one));
  double seconds = 0;
  for (const Measurement& one : left) seconds += one.seconds;
  note(fmt::format("{} measurements to make, about {}", left.size(), minutes(seconds)));
  const auto start = std::chrono::steady_clock::now();
  double behind = 0;  // of the estimated seconds
  std::signal(SIGINT, [](int) { interrupted = true; });
  std::signal(SIGPIPE, SIG_IGN);
  for (std::size_t i = 0; i < left.size() && !interrupted; ++i) {
    const Measurement& one = left[i];
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    constexpr double trusted = 60;  // as many estimated seconds: then the estimate is worth no more than how it has fared so far
    const double slower = (taken.count() + trusted) / (behind + trusted);
    note(fmt::format("[{}/{}] {}, about {} left", i + 1, left.size(), one.label, minutes(seconds * slower)));
    Json row = {{"experiment", one.experiment}, {"key", one.key}};
    if (!one.peers.empty()) row["peers"] = one.peers;
    const Json known = one.known ? one.known(store.results()) : Json();
    row.update(known.is_null() ? one.run() : known);
    store.add(row);
    seconds -= one.seconds, behind += one.seconds;
  }
  if (interrupted) note("interrupted; the same command goes on where it stopped");
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
  sub->add_option("--threads", a->threads, "Numbers of threads for speed and scaling, default 1 and all (0)")
      ->delimiter(',')
      ->check(whole_number(0, most_threads));
  sub->add_option("--peers", a->peers, fmt::format("Systems to compare with, default {}; or {}", fmt::join(peer_names(), ","), no_peers))
      ->delimiter(',');
  sub->add_option("--peers-folder", a->peers_folder, "Where tools/bench/setup-peers.sh put them");
  sub->add_flag("--force", a->force, "Begin anew where the folder holds results of another version or machine; those are set aside");
  sub->footer("Example:\n  wengert experiment speed --peers keras,pytorch --out build/experiments");
  sub->callback([a, &status] { status = run(*a); });
}

}  // namespace wengert::command
