// The passes of a plan, in their order. Each is a file that can be read alone; each notes what it did.
#pragma once

#include <functional>

#include <wengert/engine/context.hpp>
#include <wengert/engine/plan/graph.hpp>
#include <wengert/engine/plan/tuning.hpp>

namespace wengert::plan {

// 1. Keeps what reaches an output or an assign, and computes once and for all what depends on constants alone.
void prune(Graph& graph);

// 2. Rewrites what a rule of ops/fusion/ knows to do in one go, before the chunk pass, which then sees fewer steps and the fused ops' own
// batch rules. A rule looks at the graph around one step and returns whether it changed anything; where it nearly fits, it notes why not. Of
// a rule that fits nowhere, what it wants is noted.
struct Fusion {
  std::string name = {};                           // "conv2d + bias + relu"
  std::string wants = {};                          // "a max pool behind a ReLU, ..."
  std::function<bool(Graph&, StepId)> apply = {};  // absent: the rule is switched off
  std::vector<std::string> makes = {};  // the ops of the steps that it makes: it serves devices for which all of them have kernels
};
void fuse(Graph& graph, const std::vector<Fusion>& rules);
// Why no kernel takes the step where the graph will run, which a rule asks before it makes it; empty on the host, whose naive kernels take all.
std::string refusal(const Graph& graph, const Step& step);

// 3. Decides which steps run chunk by chunk and which at once, and the levels between barriers; with `chunk_images` 0 also the chunks' size. On a
// device all run at once, each in the first level behind those that it reads: steps of a level are independent.
void chunk(Graph& graph, Index chunk_images);
constexpr int chunk_rule = 2;  // by which it decides; another one sums over images in another order

// 4. Picks kernels and layouts together, and inserts reorders and packings where they differ. `reorder` is the op for the former; without it
// every value stays plain. `kernels` is what the user asked for; `tuning` may be null.
void choose(Graph& graph, const KernelChoice& kernels, const Op* reorder, const Tuning* tuning);
// The key of a step in a tuning file.
std::string tuning_key(const Step& step, const OpQuery& query);
// A kernel made ready for a call of a plan, or its reason why not; one that knows no plans (or with `layouts` false) runs on plain values.
Preparation offer(const Kernel& kernel, const PlanQuery& query, DType dtype, bool layouts = true);

// 5. Gives every value its place in one of three arenas, by liveness.
struct Arenas {
  Index batch = 0, partials = 0, scratch = 0;  // bytes; scratch is per worker
  Index workspace = 0;                         // bytes per worker
  Index peak = 0;                              // most live bytes, and the step at which they are
  StepId peak_step = -1;
};
Arenas place(Graph& graph);
// Of a step's partial sums, a slot a chunk: bytes from one output's part to the next's; 0 where the kernel has them in one run.
Index part_bytes(const Graph& graph, const Step& step, std::size_t output);
// The last level that reads a value; behind all levels where it is kept.
int last_level(const Graph& graph, ValueId id);
// For each value that lies in scratch memory, the last step that touches it or what lies in the same place; -1 for the others.
std::vector<StepId> last_steps(const Graph& graph);
// Throws Error where two values that live at the same time overlap, slots of partial sums do, or a kernel has too little workspace. Slow; for
// tests and debug builds.
void verify(const Graph& graph, const Arenas& arenas);

}  // namespace wengert::plan
