#include <wengert/models/files/safetensors.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include <wengert/engine/error.hpp>
#include <wengert/models/files/atomic_file.hpp>
#include <wengert/models/files/input_file.hpp>

namespace wengert {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are stored as they lie in memory");

using Json = nlohmann::json;

constexpr std::uint64_t most_header_bytes = 100'000'000;  // the limit of the reference implementation
constexpr std::size_t length_bytes = 8;
constexpr std::size_t alignment = 8;
constexpr const char* metadata_key = "__metadata__";

const char* stored_name(DType dtype) {
  switch (dtype) {
    case DType::f64: return "F64";
    case DType::i32: return "I32";
    case DType::u8: return "U8";
    default: return "F32";
  }
}

std::optional<DType> dtype_of_name(std::string_view text) {
  for (const DType dtype : {DType::f32, DType::f64, DType::i32, DType::u8}) {
    if (text == stored_name(dtype)) return dtype;
  }
  return std::nullopt;
}

// A name or value of the file for a message: quoted, on one line whatever it holds, and not endless.
std::string shown(const Json& value) {
  constexpr std::size_t longest = 80;
  const std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  return text.size() <= longest ? text : text.substr(0, longest) + "...";
}

// Where a tensor's bytes lie, counted from the end of the header.
struct Entry {
  std::string name;
  Spec spec;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

// Parses the header and checks it against the size of the data. Every refusal goes through the file.
class Header {
 public:
  Header(const InputFile& file, std::uint64_t data_bytes) : file_(file), data_bytes_(data_bytes) {}

  void parse(const std::string& text) {
    const Json root = parse_json(text);
    if (!root.is_object()) file_.refuse("a JSON object as header", shown(root));
    for (const auto& item : root.items()) {
      if (item.key() == metadata_key) read_metadata(item.value());
      else entries.push_back(read_entry(item.key(), item.value()));
    }
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
    std::uint64_t covered = 0;
    for (const Entry& entry : entries) {
      if (entry.begin != covered) {
        file_.refuse("tensor " + shown(entry.name) + " to begin at byte " + std::to_string(covered) + " of the data",
                     std::to_string(entry.begin) + (entry.begin < covered ? " (overlap)" : " (hole)"));
      }
      covered = entry.end;
    }
    if (covered != data_bytes_) {
      file_.refuse("tensors that fill " + std::to_string(data_bytes_) + " bytes of data", std::to_string(covered));
    }
  }

  std::map<std::string, std::string> metadata;
  std::vector<Entry> entries;  // in the order of the data

 private:
  // The library keeps the last of two equal keys and accepts any nesting; neither may pass here.
  Json parse_json(const std::string& text) const {
    constexpr int deepest = 2;  // header, tensor, shape
    std::vector<std::set<std::string>> open_objects;
    const auto check = [&](int depth, Json::parse_event_t event, Json& parsed) {
      const bool opens = event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start;
      if (opens && depth > deepest) file_.refuse("a header nested at most 3 deep", "a deeper one");
      if (event == Json::parse_event_t::object_start) open_objects.emplace_back();
      if (event == Json::parse_event_t::object_end) open_objects.pop_back();
      if (event == Json::parse_event_t::key && !open_objects.back().insert(parsed.get<std::string>()).second) {
        file_.refuse("different names", shown(parsed) + " twice");
      }
      return true;
    };
    try {
      return Json::parse(text, check);
    } catch (const Json::exception& error) {
      const std::string reason = error.what();
      file_.refuse("a JSON object as header", "a fault: " + shown(reason));
    }
  }

  void read_metadata(const Json& value) {
    if (!value.is_object()) file_.refuse("an object of strings as metadata", shown(value));
    for (const auto& item : value.items()) {
      if (!item.value().is_string()) {
        file_.refuse("a string as metadata " + shown(item.key()), shown(item.value()));
      }
      metadata[item.key()] = item.value().get<std::string>();
    }
  }

  Entry read_entry(const std::string& name, const Json& value) const {
    const std::string tensor = "tensor " + shown(name);
    if (!value.is_object() || value.size() != 3 || !value.contains("dtype") || !value.contains("shape") ||
        !value.contains("data_offsets")) {
      file_.refuse(tensor + " with dtype, shape and data_offsets", shown(value));
    }
    Entry entry;
    entry.name = name;
    const Json& dtype = value["dtype"];
    const std::optional<DType> known = dtype.is_string() ? dtype_of_name(dtype.get<std::string>()) : std::nullopt;
    if (!known) file_.refuse(tensor + " of dtype F32, F64, I32 or U8", shown(dtype));
    const std::vector<std::uint64_t> sizes = numbers(tensor + " with a shape of sizes", value["shape"]);
    if (sizes.size() > static_cast<std::size_t>(Shape::max_rank)) {
      file_.refuse(tensor + " of rank " + std::to_string(Shape::max_rank) + " at most", std::to_string(sizes.size()));
    }
    entry.spec.dtype = *known;
    // A zero counts as one here: sizes whose product overflows are no shape even where it would be zero.
    Index room = size_of(*known);
    bool overflow = false;
    for (const std::uint64_t size : sizes) {
      overflow = overflow || __builtin_mul_overflow(room, std::max<std::uint64_t>(size, 1), &room);
    }
    if (overflow) file_.refuse(tensor + " with a shape that fits memory", shown(value["shape"]));
    const bool empty = std::find(sizes.begin(), sizes.end(), 0U) != sizes.end();
    const std::uint64_t bytes = empty ? 0 : static_cast<std::uint64_t>(room);
    for (const std::uint64_t size : sizes) entry.spec.shape.push_back(static_cast<Index>(size));

    const std::vector<std::uint64_t> offsets = numbers(tensor + " with two data_offsets", value["data_offsets"]);
    if (offsets.size() != 2) file_.refuse(tensor + " with two data_offsets", shown(value["data_offsets"]));
    entry.begin = offsets[0];
    entry.end = offsets[1];
    if (entry.begin > entry.end || entry.end > data_bytes_) {
      file_.refuse(tensor + " inside " + std::to_string(data_bytes_) + " bytes of data", "data_offsets " + shown(value["data_offsets"]));
    }
    if (entry.end - entry.begin != bytes) {
      file_.refuse(tensor + " with " + std::to_string(bytes) + " bytes for " + entry.spec.text(), std::to_string(entry.end - entry.begin));
    }
    return entry;
  }

  std::vector<std::uint64_t> numbers(const std::string& wanted, const Json& value) const {
    std::vector<std::uint64_t> all;
    if (!value.is_array()) file_.refuse(wanted, shown(value));
    for (const Json& number : value) {
      if (!number.is_number_unsigned()) file_.refuse(wanted, shown(value));
      all.push_back(number.get<std::uint64_t>());
    }
    return all;
  }

  const InputFile& file_;
  std::uint64_t data_bytes_;
};

void check_stored(const std::string& who, const StoredTensor& tensor) {
  const auto elements = static_cast<std::uint64_t>(tensor.spec.shape.elements());
  const auto width = static_cast<std::uint64_t>(size_of(tensor.spec.dtype));
  if (tensor.name == metadata_key) fail(who + "wanted another name for a tensor, got " + shown(tensor.name));
  if (tensor.bytes.size() % width != 0 || tensor.bytes.size() / width != elements) {
    fail(who + "wanted the bytes of " + tensor.spec.text() + " for tensor " + shown(tensor.name) + ", got " +
         std::to_string(tensor.bytes.size()) + " bytes");
  }
}

// Wide elements first, so that every tensor is aligned to its elements; then by name.
std::vector<const StoredTensor*> in_file_order(const SafetensorsFile& file) {
  std::vector<const StoredTensor*> order;
  for (const StoredTensor& tensor : file.tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const StoredTensor* a, const StoredTensor* b) {
    const Index width_a = size_of(a->spec.dtype);
    const Index width_b = size_of(b->spec.dtype);
    return width_a != width_b ? width_a > width_b : a->name < b->name;
  });
  return order;
}

}  // namespace

const StoredTensor* SafetensorsFile::find(std::string_view name) const {
  const auto found = std::find_if(tensors.begin(), tensors.end(), [&](const StoredTensor& t) { return t.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

SafetensorsFile read_safetensors(const std::filesystem::path& path) {
  InputFile file(path, "safetensors");
  std::array<std::byte, length_bytes> length{};
  if (file.read(length) < length_bytes) {
    file.refuse("a safetensors file", "a file of only " + std::to_string(file.bytes()) + " bytes");
  }
  const auto header_bytes = std::bit_cast<std::uint64_t>(length);
  const std::uint64_t most = file.bytes() < length_bytes ? 0 : std::min(most_header_bytes, file.bytes() - length_bytes);
  if (header_bytes > most) {
    file.refuse("a safetensors file whose header has at most " + std::to_string(most) + " bytes", std::to_string(header_bytes));
  }
  std::string text(static_cast<std::size_t>(header_bytes), '\0');
  const std::size_t read = file.read(std::as_writable_bytes(std::span(text.data(), text.size())));
  if (read < text.size()) file.refuse("a header of " + std::to_string(text.size()) + " bytes", std::to_string(read));
  if (text.empty() || text.front() != '{') {
    file.refuse("a header that begins with '{'", text.empty() ? "an empty one" : shown(text.substr(0, 1)));
  }
  // The JSON library takes a zero byte for the end of its input.
  if (text.find('\0') != std::string::npos) file.refuse("a JSON object as header", "a zero byte in it");
  Header header(file, file.bytes() - length_bytes - header_bytes);
  header.parse(text);

  SafetensorsFile result;
  result.metadata = std::move(header.metadata);
  for (Entry& entry : header.entries) {
    StoredTensor tensor{std::move(entry.name), entry.spec, {}};
    tensor.bytes.resize(static_cast<std::size_t>(entry.end - entry.begin));
    if (file.read(tensor.bytes) < tensor.bytes.size()) {
      file.refuse(std::to_string(file.bytes()) + " bytes", "a file that became shorter while it was read");
    }
    result.tensors.push_back(std::move(tensor));
  }
  std::sort(result.tensors.begin(), result.tensors.end(), [](const StoredTensor& a, const StoredTensor& b) { return a.name < b.name; });
  return result;
}

void write_safetensors(const std::filesystem::path& path, const SafetensorsFile& file) {
  const std::string who = "[save '" + path.string() + "'] ";
  const std::vector<const StoredTensor*> order = in_file_order(file);
  Json header = Json::object();
  if (!file.metadata.empty()) header[metadata_key] = file.metadata;
  std::uint64_t offset = 0;
  for (const StoredTensor* tensor : order) {
    check_stored(who, *tensor);
    if (header.contains(tensor->name)) fail(who + "wanted different names, got tensor " + shown(tensor->name) + " twice");
    const std::uint64_t end = offset + tensor->bytes.size();
    Json shape = Json::array();
    for (const Index size : tensor->spec.shape) shape.push_back(size);
    header[tensor->name] = {{"dtype", stored_name(tensor->spec.dtype)}, {"shape", shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const Json::exception&) {
    fail(who + "wanted names and metadata in UTF-8, got other bytes");
  }
  text.append((alignment - (length_bytes + text.size()) % alignment) % alignment, ' ');
  if (text.size() > most_header_bytes) {
    fail(who + "wanted at most " + std::to_string(most_header_bytes) + " bytes of names and metadata, got " + std::to_string(text.size()));
  }
  AtomicFile out(path);
  out.write(std::bit_cast<std::array<std::byte, length_bytes>>(static_cast<std::uint64_t>(text.size())));
  out.write(text);
  for (const StoredTensor* tensor : order) out.write(tensor->bytes);
  out.commit();
}

StoredTensor store(const std::string& name, const Tensor& tensor) {
  const View view = tensor.view();
  const auto* const bytes = static_cast<const std::byte*>(view.data);
  return {name, tensor.spec(), std::vector<std::byte>(bytes, bytes + view.bytes())};
}

Tensor restore(const StoredTensor& stored) {
  Tensor tensor = Tensor::uninitialised(stored.spec);
  std::copy(stored.bytes.begin(), stored.bytes.end(), static_cast<std::byte*>(tensor.mutable_view().data));
  return tensor;
}

Tensor restore_as(const StoredTensor& stored, const Spec& wanted, const std::filesystem::path& path) {
  if (stored.spec != wanted) {
    fail("[load '" + path.string() + "'] wanted " + wanted.text() + " as tensor '" + stored.name + "', found " + stored.spec.text());
  }
  return restore(stored);
}

}  // namespace wengert
