// The safetensors format, read and written: named tensors behind a JSON header, readable by other tools without code.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <wengert/engine/tensor.hpp>

namespace wengert {

// Bytes are row-major and little-endian.
struct StoredTensor {
  std::string name;
  Spec spec;
  std::vector<std::byte> bytes;
};

struct SafetensorsFile {
  std::map<std::string, std::string> metadata;  // the header's "__metadata__"
  std::vector<StoredTensor> tensors;            // reading sorts them by name; writing takes any order

  const StoredTensor* find(std::string_view name) const;  // null where there is none
};

StoredTensor store(const std::string& name, const Tensor& tensor);  // a copy of its elements
Tensor restore(const StoredTensor& stored);
// The same of a tensor that has to be of this spec; the path is for the message of the Error where it is of another.
Tensor restore_as(const StoredTensor& stored, const Spec& wanted, const std::filesystem::path& path);

// Throws Error "[safetensors 'path'] wanted ..., found ..." for anything that is not a whole, consistent file of f32, f64, i32 and u8
// tensors: every size is checked against the file before memory is taken for it, the tensors have to cover the data
// without overlap or hole, names have to be different.
SafetensorsFile read_safetensors(const std::filesystem::path& path);

// Whole or not at all (atomic_file.hpp). Throws Error where two tensors share a name, a name or a metadata entry is not
// UTF-8, or the bytes do not fit the spec.
void write_safetensors(const std::filesystem::path& path, const SafetensorsFile& file);

}  // namespace wengert
