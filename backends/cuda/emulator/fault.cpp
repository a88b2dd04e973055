#include <wengert/backends/cuda/emulator/fault.hpp>

#include <utility>

namespace wengert::cuda::emulated {
namespace {

std::string message(FaultKind kind, const Fault::Place& place, const std::string& what) {
  std::string text = place.node.empty() ? "" : place.node + " ";
  text += "[" + place.kernel + "] ";
  if (place.block >= 0) text += "block " + std::to_string(place.block) + ", thread " + std::to_string(place.thread) + ", ";
  if (place.line > 0) text += place.file + ":" + std::to_string(place.line) + ": ";
  return text + name(kind) + ": " + what;
}

}  // namespace

const char* name(FaultKind kind) {
  switch (kind) {
    case FaultKind::grid: return "grid";
    case FaultKind::bounds: return "global memory out of bounds";
    case FaultKind::memory: return "not the device's memory";
    case FaultKind::alignment: return "misaligned";
    case FaultKind::shared_bounds: return "shared memory out of bounds";
    case FaultKind::race: return "race";
    case FaultKind::uninitialised: return "uninitialised shared memory";
    default: return "divergence";
  }
}

Fault::Fault(FaultKind kind, Place place, const std::string& what)
    : Error(message(kind, place, what)), kind_(kind), place_(std::move(place)) {}

}  // namespace wengert::cuda::emulated
