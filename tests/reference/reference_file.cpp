#include "reference_file.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <stdexcept>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "../source_folder.hpp"

using namespace wengert;
using nlohmann::json;

namespace {

const std::string path = (test::source_folder() / "tests" / "reference" / "reference.json").string();

std::vector<ReferenceCase> read_file() {
  std::ifstream file(path);
  if (!file) throw std::runtime_error(fmt::format("{}: wanted the reference numbers, got no such file", path));
  const json document = json::parse(file);
  std::map<std::string, int> counts;
  std::vector<ReferenceCase> cases;
  for (const json& entry : document.at("cases")) {
    ReferenceCase reference;
    for (const auto& [key, value] : entry.items()) {
      if (key == "kind") {
        reference.kind = value.get<std::string>();
      } else if (key == "attributes") {
        for (const auto& [name, attribute] : value.items()) reference.attributes[name] = attribute.dump();
      } else {
        reference.arrays[key] = value.get<std::vector<double>>();
      }
    }
    reference.number = counts[reference.kind]++;
    cases.push_back(std::move(reference));
  }
  return cases;
}

template <class T>
T attribute_as(const ReferenceCase& reference, const std::string& name) {
  return json::parse(reference.attributes.at(name)).get<T>();
}

double epsilon_of(DType dtype) {
  return dtype == DType::f64 ? std::numeric_limits<double>::epsilon() : static_cast<double>(std::numeric_limits<float>::epsilon());
}

}  // namespace

Index ReferenceCase::integer(const std::string& attribute) const { return attribute_as<Index>(*this, attribute); }
double ReferenceCase::real(const std::string& attribute) const { return attribute_as<double>(*this, attribute); }
bool ReferenceCase::flag(const std::string& attribute) const { return attribute_as<bool>(*this, attribute); }
std::string ReferenceCase::text(const std::string& attribute) const { return attribute_as<std::string>(*this, attribute); }
std::vector<Index> ReferenceCase::integers(const std::string& attribute) const {
  return attribute_as<std::vector<Index>>(*this, attribute);
}
Shape ReferenceCase::shape(const std::string& attribute) const { return Shape(std::span<const Index>(integers(attribute))); }

std::string ReferenceCase::describe() const {
  std::string text;
  for (const auto& [key, value] : attributes) text += (text.empty() ? "" : ", ") + key + " " + value;
  return text;
}

std::vector<ReferenceCase> reference_cases(const std::string& kind) {
  static const std::vector<ReferenceCase> all = read_file();
  const char* chosen = std::getenv("WENGERT_CASE");
  const auto is_chosen = [&](const ReferenceCase& reference) { return reference.name() == chosen; };
  if (chosen != nullptr && std::none_of(all.begin(), all.end(), is_chosen)) {
    throw std::runtime_error(fmt::format("WENGERT_CASE: wanted a case such as conv2d/0, got {}", chosen));
  }
  std::vector<ReferenceCase> result;
  for (const ReferenceCase& reference : all) {
    if (reference.kind == kind && (chosen == nullptr || is_chosen(reference))) result.push_back(reference);
  }
  return result;
}

double reference_value(Index index, Index salt) {
  constexpr Index prime = 2003;
  const Index base = (index + 1 + 613 * salt) % prime;
  return static_cast<double>(base * base * base % prime - 1001) / 512.0;
}

Tensor reference_tensor(const Shape& shape, DType dtype, const ReferenceFill& fill) {
  std::vector<double> values(static_cast<std::size_t>(shape.elements()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double value = reference_value(static_cast<Index>(i), fill.salt);
    values[i] = fill.scale * (fill.positive ? std::abs(value) + 0.5 : value);
  }
  return Tensor::copy(values.data(), shape).cast(dtype);
}

std::string reference_mismatch(const ReferenceCase& reference, const std::string& array, const Tensor& got, const ReferenceBound& bound) {
  const std::vector<double>& expected = reference.arrays.at(array);
  if (static_cast<std::size_t>(got.elements()) != expected.size()) {
    return fmt::format("{}: wanted {} elements, got {}", array, expected.size(), got.spec().text());
  }
  double largest = 1.0;
  for (const double value : expected) largest = std::max(largest, std::abs(value));
  const double limit = (bound.terms + 4) * epsilon_of(got.dtype()) * largest * bound.conditioning;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double value = got.at(static_cast<Index>(i));
    if (!(std::abs(value - expected[i]) <= limit)) {  // also catches a NaN
      return fmt::format("{}[{}]: wanted {:.17g} within {:.2g}, got {:.17g}, shape {}", array, i, expected[i], limit, value,
                         got.shape().text());
    }
  }
  return {};
}
