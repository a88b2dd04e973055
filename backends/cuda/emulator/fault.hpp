// What the emulator found wrong with a kernel, and where.
#pragma once

#include <cstdint>
#include <string>

#include <wengert/engine/error.hpp>
#include <wengert/engine/types.hpp>

namespace wengert::cuda::emulated {

enum class FaultKind : std::uint8_t {
  grid,           // a launch that no device takes
  bounds,         // global memory: an index outside the accessor's elements
  memory,         // global memory: an address that the runtime never gave out, or took back
  alignment,      // an address that is no multiple of what is accessed there
  shared_bounds,  // shared memory: outside the part, or the part outside the block's bytes
  race,           // two threads, one address, at least one write and no barrier between
  uninitialised,  // shared memory that nothing has been written to
  divergence      // some threads wait where others do not come
};

const char* name(FaultKind kind);  // "race"

// The message is "[kernel] block 2, thread 31, file.cpp:14: race: what exactly", with the node before it where the queue names one.
class Fault : public Error {
 public:
  // A launch's own faults have block and thread -1 and no line.
  struct Place {
    std::string node, kernel;
    Index block = -1;
    int thread = -1;
    std::string file = {};
    int line = 0;
  };
  Fault(FaultKind kind, Place place, const std::string& what);

  FaultKind kind() const { return kind_; }
  const Place& place() const { return place_; }

 private:
  FaultKind kind_;
  Place place_;
};

}  // namespace wengert::cuda::emulated
