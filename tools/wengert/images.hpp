// The batches that commands time a network on.
#pragma once

#include <string>

#include <wengert/models/dataset.hpp>
#include <wengert/models/model.hpp>
#include <wengert/models/script.hpp>

namespace wengert::command {

// Images of the set of --data, else of the script's or MNIST; where those are of another shape than the model's, random ones, of which a
// warning tells, some batches of them. Throws Error where the set of --data does not fit.
class Images {
 public:
  Images(const std::string& data, const Script& script, const Model& model, Split split, Index batch);

  // The batch of a step, which counts from 0: f32 (N,C,H,W) and N labels.
  void fill(Index step, const View& images, std::int32_t* labels) const;
  const Dataset& set() const { return set_; }

 private:
  Dataset set_;
};

}  // namespace wengert::command
