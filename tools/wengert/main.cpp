// The command `wengert`: reads the command line, runs a subcommand, and turns errors into one line on standard error.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <wengert/engine/error.hpp>

#include "command.hpp"
#include "output.hpp"

namespace {

using namespace wengert;

std::vector<std::string> subcommand_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) names.push_back(sub->get_name());
  return names;
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

// The words of the command line as far as they name subcommands.
struct Place {
  const CLI::App* app;
  std::string path;       // "wengert bench"
  std::string next = {};  // the first word that does not, where a subcommand is wanted
};

Place find_place(const CLI::App& app, const std::vector<std::string>& words) {
  Place place{&app, app.get_name()};
  for (const std::string& word : words) {
    const std::vector<std::string> names = subcommand_names(*place.app);
    if (names.empty()) break;
    if (!word.empty() && word[0] == '-') continue;
    if (std::find(names.begin(), names.end(), word) == names.end()) {
      place.next = word;
      break;
    }
    place.app = place.app->get_subcommand(word);
    place.path += " " + word;
  }
  return place;
}

// One line that says what is wrong with the command line, and what to do.
std::string usage_message(const CLI::ParseError& error, const CLI::App& app, const std::vector<std::string>& words) {
  const Place place = find_place(app, words);
  const std::vector<std::string> names = subcommand_names(*place.app), extras = place.app->remaining();
  std::string message = error.what();
  if (!place.next.empty()) {
    message = fmt::format("unknown command '{}'{}", place.next, suggestion(place.next, names));
  } else if (!extras.empty() && extras[0][0] == '-') {
    const std::string near = nearest_name(extras[0], option_names(*place.app));
    message = fmt::format("unknown option '{}'{}", extras[0], near.empty() ? "" : "; did you mean '" + near + "'?");
  } else if (!extras.empty()) {
    message = fmt::format("unexpected '{}'", extras[0]);
  } else if (!names.empty()) {
    message = fmt::format("wanted one of {}", fmt::join(names, ", "));
  }
  return fmt::format("{}{} '{} --help'", message, message.back() == '?' ? " See" : "; see", place.path);
}

int complain(std::string message) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  std::fputs(("wengert: " + message + '\n').c_str(), stderr);  // which, unlike fmt::print, throws nothing where standard error is gone
  return command::wrong_usage;
}

// A file opened later must not become a closed standard stream. Opened the wrong way round, so that its use is an error all the same.
void hold_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) < 0) static_cast<void>(open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY));
  }
}

// An unset variable of a script, mostly: "" and "--out=".
bool is_empty(const std::string& word) {
  return word.empty() || (word.size() > 3 && word.rfind("--", 0) == 0 && word.find('=') + 1 == word.size());
}

// Help and version texts leave CLI11 as errors with exit code 0.
int run(CLI::App& app, const std::vector<std::string>& words, const int& status) {
  const auto empty = std::find_if(words.begin(), words.end(), is_empty);
  if (empty != words.end()) return complain(fmt::format("wanted no empty arguments, number {} is '{}'", empty - words.begin() + 1, *empty));
  try {
    std::vector<std::string> reversed(words.rbegin(), words.rend());  // as CLI11 takes them
    app.parse(std::move(reversed));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) return complain(usage_message(error, app, words));
    return app.exit(error);
  }
  return status;
}

}  // namespace

int main(int count, char** arguments) {
  hold_standard_streams();
  int status = command::success;
  try {
    CLI::App app("Wengert: a computation-graph automatic differentiation engine. Trains, evaluates, checks and times small networks.",
                 "wengert");
    app.set_version_flag("--version", "wengert " WENGERT_VERSION, "Print the version and exit");
    app.set_help_flag("-h,--help", "Print this help and exit");
    app.require_subcommand(1);
    app.footer(
        "Example:\n"
        "  wengert train --epochs 5 --out mnist.safetensors && wengert evaluate mnist.safetensors\n"
        "Each command has its own --help. Exit status: 0 success, 1 a check failed, 2 wrong usage or input.");
    command::add_train(app, status);
    command::add_evaluate(app, status);
    command::add_predict(app, status);
    command::add_gradcheck(app, status);
    command::add_ops(app, status);
    command::add_summary(app, status);
    command::add_plan(app, status);
    command::add_tune(app, status);
    command::add_bench(app, status);
    command::add_experiment(app, status);
    status = run(app, std::vector<std::string>(arguments + 1, arguments + count), status);
    command::flush_output();
  } catch (const std::bad_alloc&) {
    return complain("out of memory; a smaller batch or network needs less");
  } catch (const std::exception& error) {
    return complain(error.what());
  }
  return status;
}
