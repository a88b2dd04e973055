// What is compared, in the order in which tables and figures show it, each with its colour in every figure (Okabe and Ito's, which
// colour-blind readers tell apart, their yellow darker, and three more). What the plan trains has the plan's colour.
#pragma once

#include <cstddef>
#include <iterator>
#include <string_view>

namespace wengert::command::experiment {

struct Implementation {
  std::string_view name;
  const char* colour;
};

constexpr Implementation implementations[] = {
    {"naive", "#999999"},  {"matrix", "#56B4E9"},  {"im2col", "#009E73"}, {"direct", "#0072B2"}, {"winograd", "#882255"},
    {"plan", "#D55E00"},   {"wengert", "#D55E00"}, {"CUDA", "#8C6D31"},   {"Keras", "#E69F00"},  {"PyTorch", "#CC79A7"},
    {"oneDNN", "#C4B000"}, {"report", "#000000"},  {"cnn", "#D55E00"},    {"mlp", "#332288"},
};

constexpr const char* no_device = "no device";  // what stands in place of CUDA's figures

// Its place above; after all of them where it is unknown.
constexpr std::size_t rank(std::string_view name) {
  std::size_t i = 0;
  while (i < std::size(implementations) && implementations[i].name != name) ++i;
  return i;
}

constexpr const char* colour(std::string_view name) {
  const std::size_t place = rank(name);
  return place < std::size(implementations) ? implementations[place].colour : "#444444";
}

// As readers write it.
constexpr std::string_view shown(std::string_view name) {
  return name == "wengert" ? "Wengert" : name == "cnn" ? "CNN" : name == "mlp" ? "MLP" : name;
}

}  // namespace wengert::command::experiment
