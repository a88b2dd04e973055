// Safetensors files: written, read back, and refused in every damaged form.
#include <doctest/doctest.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include <wengert/engine/error.hpp>
#include <wengert/models/files/safetensors.hpp>

#include "scratch_folder.hpp"

using namespace wengert;
using namespace wengert::test;

namespace {

template <class T>
StoredTensor stored(const std::string& name, const Shape& shape, const std::vector<T>& values) {
  StoredTensor tensor{name, {shape, dtype_of<T>()}, std::vector<std::byte>(values.size() * sizeof(T))};
  if (!values.empty()) std::memcpy(tensor.bytes.data(), values.data(), tensor.bytes.size());
  return tensor;
}

template <class T>
std::vector<T> values_of(const StoredTensor& tensor) {
  std::vector<T> values(tensor.bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

SafetensorsFile example() {
  SafetensorsFile file;
  file.metadata = {{"format", "wengert"}, {"script", "layers = [\n  { relu = {} },\n]\t\"\\ \xc3\xa9"}};
  file.tensors.push_back(stored<std::uint8_t>("mask", {3}, {1, 0, 255}));
  file.tensors.push_back(stored<float>("conv1.weight", {2, 1, 1, 2}, {1.5F, -2.0F, 0.25F, 3.0e38F}));
  file.tensors.push_back(stored<double>("b", {1, 2}, {0.1, -1e300}));
  file.tensors.push_back(stored<std::int32_t>("step", {}, {-7}));
  file.tensors.push_back(stored<float>("none", {0, 4}, {}));
  return file;
}

// The bytes of a file with this header and as many bytes of data.
std::string file_bytes(const std::string& header, std::size_t data, std::uint64_t length) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + std::string(data, 'd');
}

std::string read_message(const ScratchFolder& folder, const std::string& bytes) {
  spill(folder / "file", bytes);
  return message_of<Error>([&] { read_safetensors(folder / "file"); });
}

std::string save_message(const ScratchFolder& folder, const SafetensorsFile& file) {
  return message_of<Error>([&] { write_safetensors(folder / "file", file); });
}

}  // namespace

TEST_CASE("safetensors: written and read back, sorted by name and aligned") {
  ScratchFolder folder;
  const SafetensorsFile file = example();
  write_safetensors(folder / "file", file);
  const SafetensorsFile back = read_safetensors(folder / "file");
  CHECK(back.metadata == file.metadata);
  REQUIRE(back.tensors.size() == 5);
  std::string last;
  for (const StoredTensor& tensor : back.tensors) {
    CHECK(last < tensor.name);
    last = tensor.name;
    const StoredTensor* original = file.find(tensor.name);
    REQUIRE(original != nullptr);
    CHECK(tensor.spec == original->spec);
    CHECK(tensor.bytes == original->bytes);
  }
  CHECK(back.find("absent") == nullptr);
  CHECK(values_of<float>(*back.find("conv1.weight"))[3] == 3.0e38F);

  const std::string bytes = slurp(folder / "file");
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data(), 8);
  CHECK(header % 8 == 0);
  CHECK(bytes.size() == 8 + header + 3 + 16 + 16 + 4);
  double first = 0;  // the widest elements come first
  std::memcpy(&first, bytes.data() + 8 + header, 8);
  CHECK(first == 0.1);

  // The same contents give the same bytes, in whatever order they come.
  SafetensorsFile reversed{file.metadata, {file.tensors.rbegin(), file.tensors.rend()}};
  write_safetensors(folder / "reversed", reversed);
  CHECK(slurp(folder / "reversed") == bytes);

  write_safetensors(folder / "empty", {});
  CHECK(read_safetensors(folder / "empty").tensors.empty());
}

TEST_CASE("safetensors: what cannot be written leaves the previous file") {
  ScratchFolder folder;
  spill(folder / "file", "previous");
  SafetensorsFile file = example();
  file.tensors.push_back(file.tensors.front());
  CHECK(contains(save_message(folder, file), "wanted different names, got tensor \"mask\" twice"));
  file = example();
  file.tensors[1].bytes.pop_back();
  CHECK(contains(save_message(folder, file), "wanted the bytes of f32 (2,1,1,2) for tensor \"conv1.weight\", got 15 bytes"));
  file = example();
  file.tensors[0].name = "__metadata__";
  CHECK(contains(save_message(folder, file), "wanted another name"));
  file.tensors[0].name = "\xff\xfe";
  CHECK(contains(save_message(folder, file), "UTF-8"));
  file = example();
  file.metadata["script"] = "caf\xe9";
  CHECK(contains(save_message(folder, file), "UTF-8"));
  CHECK(slurp(folder / "file") == "previous");
  CHECK(folder.files() == 1);
}

TEST_CASE("safetensors: each fault of a header has its message") {
  ScratchFolder folder;
  const std::string prefix = "[safetensors '" + (folder / "file").string() + "'] wanted ";
  const auto refused = [&](const std::string& header, std::size_t data, const std::string& rest) {
    const std::string message = read_message(folder, file_bytes(header, data, header.size()));
    CAPTURE(header);
    CHECK(message == prefix + rest);
    CHECK(message.find('\n') == std::string::npos);
  };
  const auto entry = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return R"({"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
  };
  const std::string good = entry("F32", "[2]", "[0,8]");
  CHECK(read_message(folder, file_bytes("{\"a\":" + good + "}  ", 8, 7 + good.size() + 1)) == "no error");

  refused("", 0, "a header that begins with '{', found an empty one");
  refused("[]", 0, "a header that begins with '{', found \"[\"");
  refused(" {}", 0, "a header that begins with '{', found \" \"");
  refused("{\"a\":" + good + "}", 7, "tensor \"a\" inside 7 bytes of data, found data_offsets [0,8]");
  refused("{\"a\":" + good + "}", 9, "tensors that fill 9 bytes of data, found 8");
  refused("{\"a\":" + good + ",\"a\":" + good + "}", 8, "different names, found \"a\" twice");
  refused("{\"a\":" + good + ",\"b\":" + good + "}", 8, "tensor \"b\" to begin at byte 8 of the data, found 0 (overlap)");
  refused("{\"a\":" + good + ",\"b\":" + entry("U8", "[1]", "[9,10]") + "}", 10,
          "tensor \"b\" to begin at byte 8 of the data, found 9 (hole)");
  refused("{\"a\":" + entry("F32", "[3]", "[0,8]") + "}", 8, "tensor \"a\" with 12 bytes for f32 (3), found 8");
  refused("{\"a\":" + entry("F32", "[0]", "[0,8]") + "}", 8, "tensor \"a\" with 0 bytes for f32 (0), found 8");
  refused("{\"a\":" + entry("F16", "[2]", "[0,4]") + "}", 4, "tensor \"a\" of dtype F32, F64, I32 or U8, found \"F16\"");
  refused("{\"a\":" + entry("I64", "[1]", "[0,8]") + "}", 8, "tensor \"a\" of dtype F32, F64, I32 or U8, found \"I64\"");
  refused("{\"a\":" + entry("F32", "[-2]", "[0,8]") + "}", 8, "tensor \"a\" with a shape of sizes, found [-2]");
  refused("{\"a\":" + entry("F32", "[2.0]", "[0,8]") + "}", 8, "tensor \"a\" with a shape of sizes, found [2.0]");
  refused("{\"a\":" + entry("F32", "2", "[0,8]") + "}", 8, "tensor \"a\" with a shape of sizes, found 2");
  refused("{\"a\":" + entry("F32", "[2]", "[0,8,9]") + "}", 8, "tensor \"a\" with two data_offsets, found [0,8,9]");
  refused("{\"a\":" + entry("F32", "[2]", "[8,0]") + "}", 8, "tensor \"a\" inside 8 bytes of data, found data_offsets [8,0]");
  refused("{\"a\":" + entry("F32", "[4611686018427387904,4]", "[0,0]") + "}", 0,
          "tensor \"a\" with a shape that fits memory, found [4611686018427387904,4]");
  refused("{\"a\":" + entry("U8", "[18446744073709551615,0]", "[0,0]") + "}", 0,
          "tensor \"a\" with a shape that fits memory, found [18446744073709551615,0]");
  refused("{\"a\":" + entry("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]") + "}", 1, "tensor \"a\" of rank 8 at most, found 9");
  refused(R"({"a":{"dtype":"F32","shape":[2]}})", 8,
          "tensor \"a\" with dtype, shape and data_offsets, found {\"dtype\":\"F32\",\"shape\":[2]}");
  refused(R"({"a":[]})", 0, "tensor \"a\" with dtype, shape and data_offsets, found []");
  refused(R"({"two\nlines":1})", 0, "tensor \"two\\nlines\" with dtype, shape and data_offsets, found 1");
  refused(R"({"__metadata__":{"k":1}})", 0, "a string as metadata \"k\", found 1");
  refused(R"({"__metadata__":{"k":"1","k":"2"}})", 0, "different names, found \"k\" twice");
  refused(R"({"__metadata__":"x"})", 0, "an object of strings as metadata, found \"x\"");
  refused(R"({"a":[[[[1]]]]})", 0, "a header nested at most 3 deep, found a deeper one");
  for (const std::string& broken : {std::string("{"), std::string("{\"a\""), std::string("{\"\xff\":1}"), std::string("{}{}"),
                                    std::string("{\"a\":1e999}"), std::string(100000, '{')}) {
    CHECK(contains(read_message(folder, file_bytes(broken, 0, broken.size())), "] wanted a JSON object as header, found a fault"));
  }
  refused(std::string("{}\0x", 4), 0, "a JSON object as header, found a zero byte in it");
  CHECK(contains(read_message(folder, file_bytes("{\"a\":" + std::string(1000000, '['), 0, 1000005)), "nested"));
}

TEST_CASE("safetensors: a forged length takes no memory") {
  ScratchFolder folder;
  for (const std::uint64_t length :
       {std::uint64_t{3}, std::uint64_t{100000001}, std::uint64_t{1} << 40, std::numeric_limits<std::uint64_t>::max()}) {
    CHECK(contains(read_message(folder, file_bytes("{}", 0, length)),
                   "wanted a safetensors file whose header has at most 2 bytes, found " + std::to_string(length)));
  }
  CHECK(contains(read_message(folder, ""), "wanted a safetensors file, found a file of only 0 bytes"));
  CHECK(contains(message_of<Error>([&] { read_safetensors(folder / "absent"); }), "No such file or directory"));
  CHECK(contains(message_of<Error>([&] { read_safetensors(folder.path()); }), "a folder"));
}

TEST_CASE("safetensors: a file cut anywhere is an error, a header with any byte changed never more than one") {
  ScratchFolder folder;
  write_safetensors(folder / "whole", example());
  const std::string whole = slurp(folder / "whole");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    CAPTURE(length);
    CHECK(contains(read_message(folder, whole.substr(0, length)), "] wanted "));
  }
  CHECK(contains(read_message(folder, whole + "x"), "] wanted "));
  std::uint64_t header = 0;
  std::memcpy(&header, whole.data(), 8);
  for (std::size_t at = 0; at < 8 + header; ++at) {
    for (const unsigned flip : {0x01U, 0x02U, 0x10U, 0x80U, 0xffU}) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(static_cast<unsigned char>(damaged[at]) ^ flip);
      const std::string message = read_message(folder, damaged);  // another exception would fail the test
      CAPTURE(at);
      CHECK((message == "no error" || contains(message, "] wanted ")));
      CHECK(message.find('\n') == std::string::npos);
    }
  }
}

// Driven by safetensors_python.py, which names the folder of exchange and checks what is written here.
TEST_CASE("safetensors: exchange with the Python package") {
  const char* named = std::getenv("WENGERT_SAFETENSORS_EXCHANGE");
  if (named == nullptr) return;
  const std::filesystem::path folder = named;
  const SafetensorsFile file = read_safetensors(folder / "from_python.safetensors");
  CHECK(file.metadata.at("note") == "\xc3\xa9\n\"quoted\"");
  REQUIRE(file.tensors.size() == 5);
  CHECK(file.find("f32")->spec.text() == "f32 (2,3)");
  CHECK(values_of<float>(*file.find("f32")) == std::vector<float>{0, 0.5F, 1, 1.5F, 2, 2.5F});
  CHECK(values_of<double>(*file.find("f64")) == std::vector<double>{0.1, -1e300});
  CHECK(values_of<std::int32_t>(*file.find("i32")) == std::vector<std::int32_t>{-7});
  CHECK(values_of<std::uint8_t>(*file.find("u8")) == std::vector<std::uint8_t>{1, 0, 255});
  CHECK(file.find("none")->spec.shape == Shape{0, 4});
  CHECK(contains(message_of<Error>([&] { read_safetensors(folder / "half.safetensors"); }), "found \"F16\""));
  write_safetensors(folder / "from_wengert.safetensors", example());
}
