#include <wengert/ops/catalogue.hpp>

#include <wengert/ops/cuda/kernels.hpp>
#include <wengert/ops/direct_kernels.hpp>
#include <wengert/ops/fusion/fusions.hpp>

namespace wengert {

Catalogue builtin_catalogue() {
  static const Catalogue catalogue = [] {
    Catalogue all;
    for (const auto family :
         {structural_ops, arithmetic_ops, activation_ops, reduce_ops, shape_ops, index_ops, matmul_ops, conv_ops, max_pool_ops,
          average_pool_ops, batch_norm_ops, softmax_ops, dropout_ops, optimiser_ops, data_ops, fusion_ops}) {
      for (Op& op : family()) all.add(std::move(op));
    }
    all.add_kernel("add", direct_add_kernel());  // the op itself is the engine's, which knows no backend
    add_cuda_kernels(all);
    return all;
  }();
  return catalogue;
}

}  // namespace wengert
