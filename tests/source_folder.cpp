#include "source_folder.hpp"

namespace wengert::test {

std::filesystem::path source_folder() { return WENGERT_SOURCE; }

}  // namespace wengert::test
