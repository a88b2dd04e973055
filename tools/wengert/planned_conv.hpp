// One convolution as a plan runs it: values in blocks of 8 channels, weights packed beforehand, the batch in chunks.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <wengert/engine/executor.hpp>
#include <wengert/engine/tensor.hpp>

#include "replay.hpp"

namespace wengert::command {

class PlannedConv {
 public:
  // `op` is one of the triple, `inputs` as it takes them. Values lie as the kernel likes best, but images of fewer than 8 channels as data
  // sets have them. `kernel` must outlive it.
  PlannedConv(const Op& op, const Attributes& attributes, const Kernel& kernel, const std::vector<Tensor>& inputs);

  const std::string& refusal() const { return refusal_; }  // why the kernel cannot run; then nothing else is defined
  std::string describe() const { return kernel_->describe(); }
  void run(Executor& executor);
  Tensor result() const;  // plain, of the last run

 private:
  struct Operand {
    View view = {};         // of all images
    Index image_bytes = 0;  // 0: the same for all chunks
    View chunk(Index first, Index count) const;
  };
  void* allocate(Index bytes);
  Operand blank(const Spec& spec, Layout layout, bool batched);
  Operand laid_out(int number, const Tensor& plain, bool batched);
  static void reorder(const View& from, const View& to);

  Attributes attributes_;
  std::string refusal_;
  std::unique_ptr<const PreparedKernel> kernel_;
  Spec result_;
  Index batch_ = 0, chunk_ = 0, part_bytes_ = 0;  // of a chunk's sum over its images, the gradient of w
  std::vector<Buffer> buffers_;
  std::vector<Operand> inputs_;
  Operand output_;
  std::byte* parts_ = nullptr;
  std::vector<void*> workspaces_;  // of the workers
};

}  // namespace wengert::command
