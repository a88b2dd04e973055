// How a network is trained: the optimiser, its rate over time, and the sizes of a run.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include <wengert/engine/types.hpp>

namespace wengert {

constexpr Index largest_count = Index{1} << 31;  // of batch, epochs, steps and the like, so that products of two do not overflow

// Kingma and Ba 2015, algorithm 1; weight decay decoupled (Loshchilov and Hutter 2019).
struct Adam {
  double rate = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;
  // The betas of the report.
  static Adam report() {
    Adam adam;
    adam.beta1 = 0.95;
    adam.beta2 = 0.99;
    return adam;
  }
};

struct Sgd {
  double rate = 1e-2;
  double momentum = 0.9;
  double weight_decay = 0.0;
};

using Optimiser = std::variant<Adam, Sgd>;
double rate_of(const Optimiser& optimiser);
void set_rate(Optimiser& optimiser, double rate);
// Throws Error for numbers that no training can use: rates and decays below 0 or not finite, betas and momentum outside [0,1), an epsilon of 0.
void check(const Optimiser& optimiser);

// A factor on the optimiser's rate, a function of the step alone and of the whole planned run.
struct Schedule {
  enum class Kind : std::uint8_t {
    constant,
    step,      // times `factor` after every `every` epochs
    cosine,    // half a cosine from 1 to 0 over the run (Loshchilov and Hutter 2017)
    one_cycle  // up from 1/25 over the first 30%, then down to 0, both as cosines (Smith and Topin 2018)
  };
  Kind kind = Kind::constant;
  double factor = 0.1;
  Index every = 1;    // epochs
  Index warm_up = 0;  // steps: a straight line from 0 laid over any kind
  double at(Index step, Index total_steps, Index steps_per_epoch) const;
  bool spans_run() const { return kind == Kind::cosine || kind == Kind::one_cycle; }  // total_steps shapes it
  std::string describe() const;
  void check() const;  // throws Error for a factor below 0 or not finite, `every` below 1, a warm-up below 0 or absurd
};

// Parameters whose names begin with `prefix` learn at `factor` times the rate.
struct RateGroup {
  std::string prefix = {};
  double factor = 1.0;
};

namespace plan {
struct Tuning;
}
class Trace;

struct TrainerOptions {
  Index batch = 64;
  int threads = 0;         // 0: all
  std::uint64_t seed = 1;  // of initial weights, order of batches, dropout
  std::string kernel = "auto";
  bool eager = false;  // run each op as it is recorded, instead of one plan a batch size
  Schedule schedule = {};
  std::vector<RateGroup> rate_groups = {};
  std::shared_ptr<const plan::Tuning> tuning = {};  // of plans: models/tuning_file.hpp
  std::vector<std::string> no_fusions = {};         // that plans of a step leave out, by name; "all": every one
  std::shared_ptr<Trace> trace = {};                // of the first planned steps: models/trace.hpp
  Device device = {};  // on which it trains; it has to be open (backends/cuda/open.hpp). The model's parameters move there
};

struct FitOptions {
  Index epochs = 5;        // the total: it shapes the schedule
  Index examples = 0;      // the first so many of the set; 0: all
  Index validation = 0;    // the last so many of those are held out to choose by
  Index steps = 0;         // stop after so many steps of this call; 0: at the end
  Index patience = 0;      // end after so many epochs without a better validation loss; 0: never
  bool keep_best = false;  // end with the parameters of the epoch with the best validation accuracy; stopped before that: with the latest
};

}  // namespace wengert
