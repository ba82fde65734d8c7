// safetensors: u64 length of a JSON header, the header (for each tensor its dtype, shape and place), then the tensors'
// bytes. https://huggingface.co/docs/safetensors
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/base/checked.h"
#include "engine/formats/dense_source.h"
#include "engine/formats/excerpt.h"
#include "engine/formats/refuse.h"
#include "engine/formats/sources.h"

namespace simtile::formats {
namespace {

using nlohmann::json;

// The header is parsed in memory; those of large models have a few hundred KiB.
constexpr std::uint64_t kMaxJsonBytes = std::uint64_t{2} << 20;

const std::map<std::string, NumericType> kTensorTypes = {
    {"F16", NumericType::kF16}, {"BF16", NumericType::kBF16}, {"F32", NumericType::kF32}, {"F64", NumericType::kF64},
    {"I8", NumericType::kI8},   {"U8", NumericType::kU8},     {"BOOL", NumericType::kU8}, {"I16", NumericType::kI16},
    {"U16", NumericType::kU16}, {"I32", NumericType::kI32},   {"U32", NumericType::kU32}, {"I64", NumericType::kI64},
    {"U64", NumericType::kU64}};

json read_header(const os::File& file, std::uint64_t* data_begin) {
  std::uint64_t length = 0;
  file.read_exactly_at(std::as_writable_bytes(std::span(&length, 1)), 0);
  if (length > kMaxJsonBytes)
    refuse(file.path(), "says its header has " + std::to_string(length) + " bytes at offset 0; at most " +
                            std::to_string(kMaxJsonBytes) + " are supported: is it a safetensors file?");
  std::string text(static_cast<std::size_t>(length), '\0');
  file.read_exactly_at(std::as_writable_bytes(std::span(text)), sizeof length);
  // What is nested deeper than a tensor's shape is not kept: it could take far more memory than its text.
  const auto keep = [](int depth, json::parse_event_t, json&) { return depth <= 4; };
  json header = json::parse(text, keep, false);
  if (!header.is_object()) refuse(file.path(), "has a header at offset 8 that is not a JSON object");
  *data_begin = sizeof length + length;
  return header;
}

struct Tensor {
  std::string dtype;
  std::vector<std::uint64_t> shape;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

bool all_counts(const json& list) {
  return list.is_array() && std::all_of(list.begin(), list.end(), [](const json& n) { return n.is_number_unsigned(); });
}

Tensor parse_tensor(const std::string& path, const std::string& name, const json& entry) {
  const std::string what = "has a damaged entry for the tensor '" + excerpt(name) + "' in its header";
  if (!entry.is_object() || !entry.contains("dtype") || !entry.contains("shape") || !entry.contains("data_offsets"))
    refuse(path, what);
  const json& offsets = entry["data_offsets"];
  if (!entry["dtype"].is_string() || !all_counts(entry["shape"]) || !all_counts(offsets) || offsets.size() != 2)
    refuse(path, what);
  return {entry["dtype"], entry["shape"].get<std::vector<std::uint64_t>>(), offsets[0], offsets[1]};
}

// All tensors, each of which lies within the data, the last of which ends it.
std::map<std::string, Tensor> parse_tensors(const std::string& path, const json& header, std::uint64_t data_bytes) {
  std::map<std::string, Tensor> tensors;
  std::uint64_t last_end = 0;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    const Tensor tensor = parse_tensor(path, name, entry);
    if (tensor.begin > tensor.end || tensor.end > data_bytes)
      refuse(path, "puts the tensor '" + excerpt(name) + "' at bytes " + std::to_string(tensor.begin) + " to " +
                       std::to_string(tensor.end) + " of its data, which has " + std::to_string(data_bytes) +
                       "; it was cut short: make it again");
    last_end = std::max(last_end, tensor.end);
    tensors.emplace(name, tensor);
  }
  if (last_end != data_bytes)
    refuse(path, "has " + std::to_string(data_bytes) + " bytes of data, but its tensors end at " +
                     std::to_string(last_end) + "; it was damaged or grew: make it again");
  return tensors;
}

DenseLayout layout_of(const std::string& path, const std::string& name, const Tensor& tensor) {
  const auto type = kTensorTypes.find(tensor.dtype);
  if (type == kTensorTypes.end())
    refuse(path, "has the tensor '" + excerpt(name) + "' of dtype " + excerpt(tensor.dtype) +
                     ", which cannot be imported; convert it " + "to F32, F16 or BF16");
  if (tensor.shape.size() != 2)
    refuse(path, "has the tensor '" + excerpt(name) + "' of " + std::to_string(tensor.shape.size()) +
                     " dimension(s), but a matrix has two; name another with --dataset");
  const DenseLayout layout{tensor.shape[0], tensor.shape[1], type->second};
  const std::uint64_t bytes = dense_bytes(layout, path);
  if (tensor.end - tensor.begin != bytes)
    refuse(path, "gives the tensor '" + excerpt(name) + "' " + std::to_string(tensor.end - tensor.begin) +
                     " bytes, but its " + std::to_string(layout.rows) + " x " + std::to_string(layout.columns) +
                     " values need " + std::to_string(bytes));
  return layout;
}

}  // namespace

std::unique_ptr<RowSource> open_safetensors(const SourceRequest& request) {
  os::File file = os::File::open_for_reading(request.path);
  std::uint64_t data_begin = 0;
  const json header = read_header(file, &data_begin);
  const auto tensors = parse_tensors(request.path, header, file.size() - data_begin);
  std::vector<std::string> candidates;
  for (const auto& [name, tensor] : tensors)
    if (tensor.shape.size() == 2 || name == request.options.dataset) candidates.push_back(name);
  const std::string name = choose_dataset(candidates, request.options.dataset, request.path, "tensor");
  const Tensor& tensor = tensors.at(name);
  const DenseLayout layout = layout_of(request.path, name, tensor);
  return make_dense_source(
      std::make_unique<FileStream>(std::move(file), data_begin + tensor.begin, tensor.end - tensor.begin), layout);
}

}  // namespace simtile::formats
