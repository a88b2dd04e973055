// Pass 5, place: every value gets its bytes in one of three arenas, by liveness. Values that outlive their level lie in the batch arena,
// whole; partial sums have a slot a chunk; what lives and dies within a chunk's task lies in the worker's scratch memory.
#include <algorithm>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>
#include <wengert/engine/plan/passes.hpp>
#include <wengert/engine/structural.hpp>

namespace wengert::plan {

namespace {

constexpr Index alignment = 64, slack = 64;  // kernels may over-read that much

Index padded(Index bytes) { return (bytes + alignment - 1) / alignment * alignment + slack; }

// A buffer to be placed, with the times between which it holds something: levels in the batch arena, ranks of steps in the scratch arena.
struct Block {
  ValueId value = -1;  // or -1: the slots of `step`
  StepId step = -1;
  Index bytes = 0;
  int first = 0, last = 0;
  Index offset = 0;
};

bool overlap_in_time(const Block& a, const Block& b) { return a.first <= b.last && b.first <= a.last; }

// Largest first, each at the lowest offset that is free while it lives. Returns the arena's size.
Index pack(std::vector<Block>& blocks) {
  std::stable_sort(blocks.begin(), blocks.end(), [](const Block& a, const Block& b) { return a.bytes > b.bytes; });
  Index size = 0;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    std::vector<const Block*> others;
    for (std::size_t j = 0; j < i; ++j) {
      if (overlap_in_time(blocks[i], blocks[j])) others.push_back(&blocks[j]);
    }
    std::sort(others.begin(), others.end(), [](const Block* a, const Block* b) { return a->offset < b->offset; });
    Index offset = 0;
    for (const Block* other : others) {
      if (offset + blocks[i].bytes <= other->offset) break;
      offset = std::max(offset, other->offset + other->bytes);
    }
    blocks[i].offset = offset;
    size = std::max(size, offset + blocks[i].bytes);
  }
  return size;
}

// The steps' places in the order in which they run.
std::vector<int> ranks(const Graph& graph) {
  std::vector<StepId> order(graph.steps.size());
  for (std::size_t s = 0; s < order.size(); ++s) order[s] = static_cast<StepId>(s);
  std::stable_sort(order.begin(), order.end(), [&](StepId a, StepId b) { return graph.step(a).level < graph.step(b).level; });
  std::vector<int> rank(order.size());
  for (std::size_t r = 0; r < order.size(); ++r) rank[static_cast<std::size_t>(order[r])] = static_cast<int>(r);
  return rank;
}

ValueId root(const Graph& graph, ValueId id) {
  while (graph.value(id).same_as >= 0) id = graph.value(id).same_as;
  return id;
}

// Reshapes lie where their input lies; updates and assigns of a parameter lie in the parameter where nobody else needs the old value.
void find_aliases(Graph& graph) {
  for (Step& step : graph.steps) {
    if (step.op->alias) graph.value(step.outputs[0]).same_as = step.inputs[0];
    if (!step.attributes.holds<AssignAttributes>()) continue;
    const ValueId next = step.inputs[0];
    graph.value(step.outputs[0]).same_as = next;
    const Step* const update = graph.maker(next);
    const int o = graph.value(next).output;
    if (update == nullptr || update->extent != Extent::whole || ((update->op->overwrites >> o) & 1u) == 0) continue;
    const ValueId old = update->inputs[static_cast<std::size_t>(o)];
    const Value& target = graph.value(old);
    if (target.parameter && *target.parameter == step.attributes.as<AssignAttributes>().parameter) graph.value(next).same_as = old;
  }
}

struct Lifetimes {
  std::vector<int> first, last;  // ranks, of roots
  std::vector<int> first_level, last_level;
  std::vector<bool> local;  // made and read by chunks of one level
};

Lifetimes lifetimes(const Graph& graph) {
  const std::size_t n = graph.values.size();
  const int forever = static_cast<int>(graph.steps.size());
  Lifetimes life{std::vector<int>(n, forever), std::vector<int>(n, -1), std::vector<int>(n, graph.levels), std::vector<int>(n, -1),
                 std::vector<bool>(n, true)};
  const std::vector<int> rank = ranks(graph);
  const auto touch = [&](ValueId id, StepId s, int level) {
    const auto r = static_cast<std::size_t>(root(graph, id));
    const int at = rank[static_cast<std::size_t>(s)];
    life.first[r] = std::min(life.first[r], at);
    life.last[r] = std::max(life.last[r], at);
    if (life.last_level[r] >= 0 && life.last_level[r] != level) life.local[r] = false;
    if (graph.step(s).extent == Extent::whole) life.local[r] = false;
    life.first_level[r] = std::min(life.first_level[r], level);
    life.last_level[r] = std::max(life.last_level[r], level);
  };
  for (std::size_t s = 0; s < graph.steps.size(); ++s) {
    const Step& step = graph.steps[s];
    const auto id = static_cast<StepId>(s);
    for (const ValueId input : step.inputs) touch(input, id, step.level);
    for (const ValueId output : step.outputs) {
      touch(output, id, step.extent == Extent::partial ? step.level + 1 : step.level);
      if (step.extent == Extent::partial) life.local[static_cast<std::size_t>(root(graph, output))] = false;
    }
  }
  for (const Packing& packing : graph.packings) {  // made once its source is, read by its step; and kept between runs
    const auto r = static_cast<std::size_t>(packing.to);
    life.first[r] = 0, life.last[r] = forever, life.first_level[r] = 0, life.last_level[r] = graph.levels + 1, life.local[r] = false;
    const auto from = static_cast<std::size_t>(root(graph, packing.from));
    life.local[from] = false;
    life.last_level[from] = std::max(life.last_level[from], graph.step(packing.step).level);
  }
  for (const ValueId output : graph.outputs) {
    const auto r = static_cast<std::size_t>(root(graph, output));
    life.last[r] = forever, life.last_level[r] = graph.levels + 1, life.local[r] = false;  // sums of the last level end behind it
  }
  return life;
}

Index slot_bytes(const Graph& graph, const Step& step) {
  if (const Index floats = step.prepared->partial_floats(); floats > 0) return padded(floats * size_of(DType::f32));
  Index bytes = 0;
  for (std::size_t o = 0; o < step.outputs.size(); ++o) bytes += part_bytes(graph, step, o);
  return bytes;
}

void find_peak(const Graph& graph, const std::vector<Block>& batch, const std::vector<Block>& scratch, Arenas& arenas) {
  const std::vector<int> rank = ranks(graph);
  for (std::size_t s = 0; s < graph.steps.size(); ++s) {
    const int level = graph.steps[s].level, at = rank[s];
    Index live = arenas.partials;
    for (const Block& block : batch) live += block.first <= level && level <= block.last ? block.bytes : 0;
    for (const Block& block : scratch) live += block.first <= at && at <= block.last ? block.bytes : 0;
    if (live > arenas.peak) arenas.peak = live, arenas.peak_step = static_cast<StepId>(s);
  }
}

}  // namespace

Index part_bytes(const Graph& graph, const Step& step, std::size_t output) {
  return step.prepared->partial_floats() > 0 ? 0 : padded(graph.value(step.outputs[output]).bytes(0));
}

Arenas place(Graph& graph) {
  find_aliases(graph);
  const Lifetimes life = lifetimes(graph);
  std::vector<Block> batch, scratch;
  for (std::size_t v = 0; v < graph.values.size(); ++v) {
    Value& value = graph.values[v];
    if (value.same_as >= 0 || life.last[v] < 0) continue;
    if (value.layout != Layout::packed && value.source != Value::Source::step) {
      value.storage = value.source == Value::Source::input      ? Storage::input
                      : value.source == Value::Source::constant ? Storage::constant
                                                                : Storage::parameter;
      continue;
    }
    const auto id = static_cast<ValueId>(v);
    if (life.local[v] && value.batched) {
      value.storage = Storage::scratch;
      scratch.push_back({id, -1, padded(value.bytes(graph.chunk)), life.first[v], life.last[v]});
    } else {
      value.storage = Storage::batch;
      batch.push_back({id, -1, padded(value.bytes(graph.batch)), life.first_level[v], life.last_level[v]});
    }
  }
  Arenas arenas;
  for (Step& step : graph.steps) {
    if (step.prepared) arenas.workspace = std::max(arenas.workspace, padded(step.prepared->workspace()));
    if (step.extent != Extent::partial) continue;
    step.partial_bytes = slot_bytes(graph, step);
    step.partial_offset = arenas.partials;
    arenas.partials += step.partial_bytes * graph.chunks();
  }
  arenas.batch = pack(batch);
  arenas.scratch = pack(scratch);
  for (const auto* blocks : {&batch, &scratch}) {
    for (const Block& block : *blocks) graph.value(block.value).offset = block.offset;
  }
  for (Value& value : graph.values) {
    if (value.same_as < 0) continue;
    const Value& holder = graph.value(root(graph, value.same_as));
    value.storage = holder.storage;
    value.offset = holder.offset;
  }
  find_peak(graph, batch, scratch, arenas);
  graph.note("place", fmt::format("{} bytes for the batch, {} for partial sums, {} of scratch and {} of workspace a worker", arenas.batch,
                                  arenas.partials, arenas.scratch, arenas.workspace));
  return arenas;
}

int last_level(const Graph& graph, ValueId id) { return lifetimes(graph).last_level[static_cast<std::size_t>(id)]; }

std::vector<StepId> last_steps(const Graph& graph) {
  const Lifetimes life = lifetimes(graph);
  const std::vector<int> rank = ranks(graph);
  std::vector<StepId> at(rank.size()), result(graph.values.size(), -1);
  for (std::size_t s = 0; s < rank.size(); ++s) at[static_cast<std::size_t>(rank[s])] = static_cast<StepId>(s);
  for (std::size_t v = 0; v < result.size(); ++v) {
    const Value& value = graph.values[v];
    if (value.storage == Storage::scratch && value.same_as < 0) result[v] = at[static_cast<std::size_t>(life.last[v])];
  }
  return result;
}

namespace {

void verify_slots(const Graph& graph, const Arenas& arenas) {
  for (const Step& step : graph.steps) {
    if (step.prepared && padded(step.prepared->workspace()) > arenas.workspace) fail(step.text() + " has too little workspace");
    if (step.extent != Extent::partial) continue;
    const Index end = step.partial_offset + step.partial_bytes * graph.chunks();
    if (end > arenas.partials) fail(step.text() + " has slots that end behind the arena of partial sums");
    if (step.partial_bytes < slot_bytes(graph, step)) fail(step.text() + " has slots too small for its partial sums");
    for (const Step& other : graph.steps) {
      if (&other == &step || other.extent != Extent::partial) continue;
      if (step.partial_offset <= other.partial_offset && other.partial_offset < end)
        fail(step.text() + " and " + other.text() + " have slots of partial sums that overlap");
    }
  }
}

}  // namespace

void verify(const Graph& graph, const Arenas& arenas) {
  verify_slots(graph, arenas);
  const Lifetimes life = lifetimes(graph);
  for (std::size_t a = 0; a < graph.values.size(); ++a) {
    const Value& one = graph.values[a];
    if (one.same_as >= 0 || (one.storage != Storage::batch && one.storage != Storage::scratch)) continue;
    const bool scratch = one.storage == Storage::scratch;
    const Index bytes = one.bytes(scratch ? graph.chunk : graph.batch);
    if (one.offset + bytes > (scratch ? arenas.scratch : arenas.batch)) fail(fmt::format("[plan] value {} ends behind its arena", a));
    for (std::size_t b = 0; b < a; ++b) {
      const Value& other = graph.values[b];
      if (other.same_as >= 0 || other.storage != one.storage) continue;
      const auto& first = scratch ? life.first : life.first_level;
      const auto& last = scratch ? life.last : life.last_level;
      const bool in_time = first[a] <= last[b] && first[b] <= last[a];
      const Index other_bytes = other.bytes(scratch ? graph.chunk : graph.batch);
      if (in_time && one.offset < other.offset + other_bytes && other.offset < one.offset + bytes) {
        fail(fmt::format("[plan] values {} ('{}') and {} ('{}') overlap while both live", a, one.name, b, other.name));
      }
    }
  }
}

}  // namespace wengert::plan
