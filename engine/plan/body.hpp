// Body: what stands behind a Plan, a frozen graph with its memory. One kind runs on the host, chunk by chunk; the other on a device.
#pragma once

#include <memory>
#include <vector>

#include <wengert/engine/plan/plan.hpp>
#include <wengert/engine/plan/program.hpp>

namespace wengert::plan {

class Body {
 public:
  Body(Graph graph, PlanOptions options);
  virtual ~Body() = default;
  Body(const Body&) = delete;
  Body& operator=(const Body&) = delete;

  const Graph& graph() const { return graph_; }
  const Arenas& arenas() const { return arenas_; }
  const Program& program() const { return program_; }

  virtual void run() = 0;
  virtual View input(ValueId id) = 0;                     // host memory, read by the next run
  virtual void set(ValueId id, const Tensor& value) = 0;  // of its spec
  virtual View output(ValueId id) = 0;                    // host memory
  virtual View view(ValueId id) const = 0;                // wherever it lies
  virtual Index bytes() const = 0;
  virtual void trace(std::vector<TraceEvent>* events) = 0;
  virtual std::size_t events_per_run() const = 0;

 protected:
  struct ParameterUse {
    ValueId id;  // -1: it is assigned and not read
    Parameter parameter;
    bool assigned;
    std::uint64_t version;            // as this plan has last seen it
    const std::byte* data = nullptr;  // where it lay then
  };
  static constexpr std::uint64_t unseen = ~std::uint64_t{0};

  // What the graph reads and what it assigns.
  void find_uses();
  // Makes sure that assigned parameters are the plan's to write, and notes where all of them lie. Throws Error where one lives elsewhere.
  // Returns whether one has moved.
  bool find_parameters();
  // What lies where another value lies has its address.
  void share_addresses();
  // Behind a run.
  void parameters_changed();

  PlanOptions options_;
  Graph graph_;
  Arenas arenas_;
  Program program_;
  std::vector<std::byte*> address_;  // of each value; null for what lies in a worker's scratch
  std::vector<ParameterUse> parameters_;
};

std::unique_ptr<Body> host_body(Graph graph, PlanOptions options);
std::unique_ptr<Body> device_body(Graph graph, PlanOptions options);

}  // namespace wengert::plan
