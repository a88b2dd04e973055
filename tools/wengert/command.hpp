// What the subcommands share: each adds itself to the command line and sets the exit status when it runs.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace wengert::command {

constexpr int success = 0, check_failed = 1, wrong_usage = 2, was_interrupted = 130;

// Each takes the top-level app; the callback that it installs stores the exit status in `status`.
void add_train(CLI::App& app, int& status);
void add_evaluate(CLI::App& app, int& status);
void add_predict(CLI::App& app, int& status);
void add_gradcheck(CLI::App& app, int& status);
void add_ops(CLI::App& app, int& status);
void add_summary(CLI::App& app, int& status);
void add_plan(CLI::App& app, int& status);
void add_tune(CLI::App& app, int& status);
void add_bench(CLI::App& app, int& status);
void add_experiment(CLI::App& app, int& status);

}  // namespace wengert::command
