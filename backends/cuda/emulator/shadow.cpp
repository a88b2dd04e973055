#include <wengert/backends/cuda/emulator/shadow.hpp>

namespace wengert::cuda::emulated {

void Shadow::find(std::uintptr_t page, Near& near) {
  std::unique_ptr<Page>& cells = pages_[page];
  if (!cells) cells = std::make_unique<Page>();
  near = {page, cells->data()};
}

void Shadow::clear() {
  near_.fill({});
  pages_.clear();
}

}  // namespace wengert::cuda::emulated
