// Pass 3, chunk: which steps run chunk by chunk, which sums are partial or deferred, and where the barriers stand.
#include <algorithm>
#include <map>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>
#include <wengert/engine/executor.hpp>
#include <wengert/engine/plan/passes.hpp>
#include <wengert/engine/structural.hpp>

namespace wengert::plan {

namespace {

// A sum over images larger than this is deferred: computed behind the barrier over the whole batch, instead of once a chunk and added.
// Slots of all chunks together should stay well within a core's cache.
constexpr Index largest_partial_bytes = Index{64} << 10;

Extent extent_of(const Graph& graph, Step& step) {
  const std::uint32_t mask = graph.batched_inputs(step);
  const bool assigns = step.attributes.holds<AssignAttributes>();
  if (graph.on_device() || graph.batch == 0 || assigns || (mask == 0 && !step.op->starts_batch)) return Extent::whole;
  const std::vector<Spec> specs = graph.specs_of(step.inputs);
  step.effect = step.op->batch({{step.attributes, specs}, mask});
  switch (step.effect.kind) {
    case BatchEffect::Kind::per_image: return mask == 0 ? Extent::whole : Extent::chunk;
    case BatchEffect::Kind::mixes: return Extent::whole;
    default: break;
  }
  Index bytes = 0;
  for (const ValueId id : step.outputs) bytes += graph.value(id).bytes(0);
  return step.op->sliced && bytes > largest_partial_bytes ? Extent::whole : Extent::partial;
}

// The parameter that an assign step sets, or null.
const Parameter* assigned(const Step& step) {
  return step.attributes.holds<AssignAttributes>() ? &step.attributes.as<AssignAttributes>().parameter : nullptr;
}

// Whether it sets a parameter to what an update makes: it lies in the parameter already, and there is nothing left to do.
bool follows_update(const Graph& graph, const Step& step) {
  if (assigned(step) == nullptr) return false;
  const Step* const maker = graph.maker(step.inputs[0]);
  return maker != nullptr && maker->extent == Extent::whole && maker->op->overwrites != 0;
}

// The first level at which `step` may run, given the levels of the steps before it.
int first_level(const Graph& graph, const Step& step) {
  int level = 0;
  for (const ValueId id : step.inputs) {
    const Step* const maker = graph.maker(graph.through_reshape(id));  // a reshape takes no time
    if (maker == nullptr) continue;
    int ready = maker->level;
    if (step.extent == Extent::whole) {
      // The chunks, or slices, must all be done; a sum's total is made at the beginning of that level.
      if (maker->extent != Extent::whole || ((maker->op->sliced || graph.on_device()) && !follows_update(graph, step))) ++ready;
    } else if (maker->extent == Extent::whole) {
      ++ready;
    } else if (maker->extent == Extent::partial) {
      ready += 2;
    } else if (!graph.value(id).batched) {
      ++ready;  // a reshape of all images, read by each
    }
    level = std::max(level, ready);
  }
  return level;
}

// Whether `step` is computed from `other` by steps that run at once, in one task of a level.
bool follows(const Graph& graph, const Step& step, const Step& other) {
  for (const ValueId id : step.inputs) {
    const Step* const maker = graph.maker(id);
    if (maker == nullptr || maker->extent != Extent::whole || maker->op->sliced || maker->level != step.level) continue;
    if (maker == &other || follows(graph, *maker, other)) return true;
  }
  return false;
}

// The living steps that read each parameter.
std::map<ValueId, std::vector<StepId>> parameter_readers(const Graph& graph) {
  std::map<ValueId, std::vector<StepId>> readers;
  for (std::size_t s = 0; s < graph.steps.size(); ++s) {
    if (!graph.steps[s].alive) continue;
    for (const ValueId id : graph.steps[s].inputs) {
      const ValueId read = graph.through_reshape(id);
      if (graph.value(read).parameter) readers[read].push_back(static_cast<StepId>(s));
    }
  }
  return readers;
}

// Writing a parameter waits until everybody has read it: the assign, and what is updated in place on its way there.
int level_after_readers(const Graph& graph, const std::map<ValueId, std::vector<StepId>>& readers, const Step& step, int level) {
  const Parameter* const target = assigned(step);
  if (target == nullptr) return level;
  const ValueId next = step.inputs[0];
  for (const auto& [read, steps] : readers) {
    if (!(*graph.value(read).parameter == *target)) continue;
    for (const StepId s : steps) {
      const Step& other = graph.step(s);
      if (&other == &step) continue;
      if (graph.value(next).maker >= 0 && &other == graph.maker(next)) continue;  // the update itself
      level = std::max(level, follows(graph, step, other) ? other.level : other.level + 1);
    }
  }
  return level;
}

// Gives every step the first level at which it may run, from the level that it has on.
void settle(Graph& graph) {
  const auto readers = parameter_readers(graph);
  for (bool again = true; again;) {  // an update may have to wait for readers that come after it on the tape
    again = false;
    for (Step& step : graph.steps) {
      const int level = std::max(step.level, level_after_readers(graph, readers, step, first_level(graph, step)));
      if (level > 4 * static_cast<int>(graph.steps.size()) + 4) {
        fail(step.text() + " and the reads of what it sets wait for each other: a plan cannot hold that");
      }
      if (level != step.level) again = true;
      step.level = level;
      if (follows_update(graph, step)) {
        Step& update = graph.step(graph.value(step.inputs[0]).maker);
        again = again || update.level != level;
        update.level = level;
      }
    }
  }
}

// Every chunk's task reads the weights whole: where a linear layer's lie beyond the caches of a core, fewer and larger chunks fetch them less
// often, still at least four where the batch allows. A function of network and batch alone, as results must not depend on the machine.
Index images_in_chunk(const Graph& graph) {
  constexpr Index cached_bytes = Index{1} << 20, large = 32, least_chunks = 4;
  const Index batch = std::max<Index>(graph.batch, 1), usual = chunk_size(batch);
  for (const Step& step : graph.steps) {
    const std::uint32_t batched = graph.batched_inputs(step);
    for (std::size_t i = 0; i < step.inputs.size(); ++i) {
      const Value& value = graph.value(step.inputs[i]);
      if (batched != 0 && !value.batched && value.spec.shape.rank() == 2 && value.bytes(0) > cached_bytes)
        return std::max(usual, std::min(large, (batch + least_chunks - 1) / least_chunks));
    }
  }
  return usual;
}

}  // namespace

void chunk(Graph& graph, Index chunk_images) {
  graph.chunk = chunk_images > 0 ? chunk_images : graph.on_device() ? std::max<Index>(graph.batch, 1) : images_in_chunk(graph);
  for (Step& step : graph.steps) step.extent = extent_of(graph, step);
  settle(graph);
  int last = 0;
  for (const Step& step : graph.steps) last = std::max(last, step.extent == Extent::partial ? step.level + 1 : step.level);
  for (Step& step : graph.steps) {  // parameters change when all that may turn out not to be finite has been looked at
    if (assigned(step) != nullptr) step.level = last;
  }
  settle(graph);
  graph.levels = 0;
  Index chunked = 0, partial = 0, whole = 0;
  for (const Step& step : graph.steps) {
    graph.levels = std::max(graph.levels, step.level + 1);
    (step.extent == Extent::chunk ? chunked : step.extent == Extent::partial ? partial : whole) += 1;
  }
  graph.note("chunk",
             fmt::format("batch {} in {} chunks of up to {} images; {} steps a chunk, {} partial sums, {} steps at once; {} barriers",
                         graph.batch, graph.chunks(), graph.chunk, chunked, partial, whole, graph.levels));
}

}  // namespace wengert::plan
