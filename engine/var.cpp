#include <wengert/engine/var.hpp>

#include <mutex>
#include <set>

#include <wengert/engine/error.hpp>
#include <wengert/engine/tape.hpp>

namespace wengert {

std::string Site::text() const { return file == nullptr ? std::string() : std::string(file) + ":" + std::to_string(line); }

std::string caption(const std::string& op, const std::string& name, const Site& site) {
  std::string text = "[" + op;
  if (!name.empty()) text += " '" + name + "'";
  if (const std::string where = site.text(); !where.empty()) text += " " + where;
  return text + "]";
}

const char* intern(const std::string& text) {
  static std::mutex mutex;
  static std::set<std::string> texts;
  const std::lock_guard lock(mutex);
  return texts.insert(text).first->c_str();
}

void Var::check() const {
  if (tape_ && tape_->generation != generation_) {
    fail("[var] this Var is of an earlier recording: " + Tape(tape_).text() + " was cleared since");
  }
}

const Spec& Var::spec() const {
  if (!tape_) {
    if (!value_) fail("[var] wanted a value, got an empty Var");
    return value_.spec();
  }
  check();
  return tape_->nodes[static_cast<std::size_t>(node_)].outputs[static_cast<std::size_t>(output_)].spec();
}

Tensor Var::value() const {
  if (!tape_) {
    if (!value_) fail("[var] wanted a value, got an empty Var");
    return value_;
  }
  check();
  const Node& node = tape_->nodes[static_cast<std::size_t>(node_)];
  const Tensor& tensor = node.outputs[static_cast<std::size_t>(output_)];
  if (!tensor.has_value()) fail(node.text() + " has no value: its tape only declares; an eager tape or a plan computes it");
  return tensor;
}

Device Var::device() const {
  if (!tape_) return value_.device();
  check();
  return tape_->nodes[static_cast<std::size_t>(node_)].outputs[static_cast<std::size_t>(output_)].device();
}

bool Var::batched() const {
  if (!tape_) return batched_;
  check();
  return ((tape_->nodes[static_cast<std::size_t>(node_)].batched >> output_) & 1u) != 0;
}

std::string Var::name() const {
  if (!tape_) return {};
  check();
  return tape_->nodes[static_cast<std::size_t>(node_)].name;
}

Var Var::named(std::string name) const {
  if (tape_) {
    check();
    tape_->nodes[static_cast<std::size_t>(node_)].name = std::move(name);
  }
  return *this;
}

Tape Var::tape() const {
  if (!tape_) fail("[var] wanted a recorded Var, got one that holds only its value");
  return Tape(tape_);
}

}  // namespace wengert
