#include <wengert/engine/error.hpp>

#include <algorithm>
#include <utility>

namespace wengert {
namespace {

// Damerau-Levenshtein distance in its optimal-string-alignment form: insertions, deletions, replacements and swaps
// of neighbours count one each. Three rows of the table are alive at a time.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last(b.size() + 1), last(b.size() + 1), now(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    now[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0U : 1U);
      now[j] = std::min({last[j] + 1, now[j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) now[j] = std::min(now[j], before_last[j - 2] + 1);
    }
    std::swap(before_last, last);
    std::swap(last, now);
  }
  return last[b.size()];
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

}  // namespace

void fail(const std::string& message) { throw Error(message); }

std::string nearest_name(std::string_view wrong, std::span<const std::string> valid) {
  // Longer input is no misspelling, and the table would cost its square.
  constexpr std::size_t longest_name = 200;
  if (wrong.size() > longest_name) return {};
  const std::string wanted = lower_case(wrong);
  std::size_t limit = std::max<std::size_t>(2, wrong.size() / 3);
  std::string nearest;
  for (const std::string& name : valid) {
    if (name.size() > longest_name) continue;
    const std::size_t distance = edit_distance(wanted, lower_case(name));
    // A distance of the whole length means that no letter is in its place.
    if (distance > limit || distance >= std::max(wrong.size(), name.size())) continue;
    if (!nearest.empty() && distance == limit) continue;
    nearest = name;
    limit = distance;
  }
  return nearest;
}

std::string suggestion(std::string_view wrong, std::span<const std::string> valid) {
  const std::string nearest = nearest_name(wrong, valid);
  if (!nearest.empty()) return "; did you mean '" + nearest + "'?";
  std::string text;
  for (const std::string& name : valid) {
    text += text.empty() ? "; valid: " : ", ";
    text += name;
  }
  return text;
}

}  // namespace wengert
