#include "export_start.hpp"

#include <cstdint>
#include <span>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>
#include <wengert/models/files/atomic_file.hpp>
#include <wengert/models/trainer.hpp>

#include "json.hpp"

namespace wengert::command {

namespace {

namespace fs = std::filesystem;

constexpr const char *initial_file = "initial.safetensors", *order_file = "order.i32", *settings_file = "settings.json";
constexpr Index most_positions = Index{1} << 28;  // 1 GiB

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  const bool empty = !error && fs::is_empty(folder, error);
  if (error) fail(fmt::format("[train] wanted a folder for --export-start, '{}': {}", folder.string(), error.message()));
  if (!empty && !fs::exists(folder / order_file))
    fail(fmt::format("[train] wanted a new or empty folder or one of an earlier start for --export-start, '{}' is another folder",
                     folder.string()));
}

const Adam& plain_adam(const Script& script) {
  const Adam* const adam = std::get_if<Adam>(&script.optimiser);
  if (adam == nullptr || adam->weight_decay != 0.0 || !script.options.rate_groups.empty())
    fail("[train] wanted Adam without weight decay and rate groups for --export-start, got another optimiser");
  return *adam;
}

}  // namespace

void export_start(const Script& script, const Dataset& set, const fs::path& folder) {
  const Adam& adam = plain_adam(script);
  const Trainer trainer(script.network, script.optimiser, script.options, script.input, script.text);  // checks them, and sets the weights
  set.want_images("train", script.input);
  set.want_classes("train", trainer.model().classes());
  const Index batch = script.options.batch, epochs = script.fit.epochs, images = trained_images(set, script.fit);
  if (images * epochs > most_positions)
    fail(fmt::format("[train] wanted at most {} images in all epochs for --export-start, got {} epochs of {}", most_positions, epochs,
                     images));

  std::vector<std::int32_t> order;
  for (Index epoch = 0; epoch < epochs; ++epoch) {
    for (const Index position : epoch_order(images, script.options.seed, epoch)) order.push_back(static_cast<std::int32_t>(position));
  }
  const Index batches = (images + batch - 1) / batch, steps = batches * epochs;
  std::vector<double> rates;
  for (Index step = 0; step < steps; ++step) rates.push_back(adam.rate * script.options.schedule.at(step, steps, batches));
  nlohmann::ordered_json settings = {{"batch", batch},      {"epochs", epochs},        {"examples", images}, {"beta1", adam.beta1},
                                     {"beta2", adam.beta2}, {"epsilon", adam.epsilon}, {"steps", nullptr},   {"rates", rates}};
  if (script.fit.steps > 0) settings["steps"] = script.fit.steps;

  make_folder(folder);
  trainer.model().save(folder / initial_file);
  write_file_atomically(folder / order_file, std::as_bytes(std::span(order)));
  write_file_atomically(folder / settings_file, json_text(settings, -1) + '\n');
}

}  // namespace wengert::command
