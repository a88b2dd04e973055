#include <wengert/engine/gradcheck.hpp>

#include <algorithm>

#include <fmt/format.h>

namespace wengert {

std::string position_text(const Shape& shape, Index index) {
  std::string result;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    result = fmt::format("{}{}{}", index % shape[axis], result.empty() ? "" : ",", result);
    index /= shape[axis];
  }
  return "(" + result + ")";
}

std::string GradcheckFinding::text() const {
  std::string place = input < 0            ? "all inputs jointly"
                      : input_name.empty() ? fmt::format("input {}", input)
                                           : fmt::format("input {} '{}'", input, input_name);
  if (index >= 0) place += fmt::format(" at index {} {}", index, position);
  else if (input >= 0) place += " along a random direction";
  std::string result = fmt::format("{} {}: {}", node, name(verdict), order > 1 ? "second derivative, " : "");
  result += fmt::format("{}: {}: analytic {:.12g}, numeric {:.12g} (left {:.8g}, right {:.8g}, error {:.1g})", place, reason, analytic,
                        numeric, left, right, error);
  if (number >= 0) result += fmt::format("; case {}", number);
  result += fmt::format("; seed {}", seed);
  return command.empty() ? result : result + "; again: " + command;
}

Verdict GradcheckReport::verdict() const { return failed > 0 ? Verdict::fail : inconclusive > 0 ? Verdict::inconclusive : Verdict::pass; }

void GradcheckReport::add(GradcheckFinding finding) {
  const bool wrong = finding.verdict == Verdict::fail;
  ++(wrong ? failed : inconclusive);
  const auto first_doubt =
      std::find_if(findings.begin(), findings.end(), [](const GradcheckFinding& f) { return f.verdict != Verdict::fail; });
  findings.insert(wrong ? first_doubt : findings.end(), std::move(finding));
}

void GradcheckReport::merge(const GradcheckReport& other) {
  const Index counted_failures = failed + other.failed, counted_doubts = inconclusive + other.inconclusive;
  for (const GradcheckFinding& finding : other.findings) add(finding);
  failed = counted_failures;
  inconclusive = counted_doubts;
  checks += other.checks;
  passed += other.passed;
  zero += other.zero;
  if (!first_wrong_node) first_wrong_node = other.first_wrong_node;
}

std::string GradcheckReport::text() const {
  std::string result = fmt::format("{}: {} checks", name(verdict()), checks);
  if (zero > 0) result += fmt::format(", {} of zero slopes", zero);
  if (inconclusive > 0) result += fmt::format(", {} inconclusive", inconclusive);
  if (failed > 0) result += fmt::format(", {} failed", failed);
  return result;
}

}  // namespace wengert
