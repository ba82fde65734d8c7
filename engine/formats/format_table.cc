#include "engine/formats/format_table.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <vector>

#include "engine/base/os.h"
#include "engine/formats/excerpt.h"
#include "engine/formats/numeric.h"
#include "engine/storage/matrix_layout.h"
#include "simtile/error.h"

namespace simtile::formats {
namespace {

using namespace std::string_view_literals;

constexpr Format kFormats[] = {
    {"npy", {".npy"}, "\x93NUMPY"sv, open_npy},
    {"npz", {".npz"}, "PK\x03\x04"sv, open_npz, true},
    {"fvecs", {".fvecs"}, {}, open_fvecs},
    {"bvecs", {".bvecs"}, {}, open_bvecs},
    {"ivecs", {".ivecs"}, {}, open_ivecs},
    {"fbin", {".fbin"}, {}, open_fbin},
    {"f16bin", {".f16bin"}, {}, open_f16bin},
    {"u8bin", {".u8bin"}, {}, open_u8bin},
    {"i8bin", {".i8bin"}, {}, open_i8bin},
    {"mtx", {".mtx"}, "%%MatrixMarket"sv, open_matrix_market},
    {"safetensors", {".safetensors"}, {}, open_safetensors, true},
    {"glove", {".glove", ".vec"}, {}, open_word_vectors},
    {"hdf5", {".hdf5", ".h5"}, "\x89HDF\r\n\x1a\n"sv, open_hdf5, true},
    {"text", {".txt", ".text", ".tsv"}, {}, open_text},
};

constexpr std::size_t kHeadBytes = 256 << 10;

std::string all_names() {
  std::string names;
  for (const Format& format : kFormats) names += (names.empty() ? "" : ", ") + std::string(format.name);
  return names;
}

std::string read_head(const std::string& path) {
  const os::File file = os::File::open_for_reading(path);
  std::string head(kHeadBytes, '\0');
  head.resize(file.read_at(std::as_writable_bytes(std::span(head)), 0));
  return head;
}

std::string lower_extension(const std::string& path) {
  std::string extension = std::filesystem::path(path).extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension;
}

// The numbers at the end of a line, after a first token that may be anything.
std::size_t count_numbers_after_word(std::string_view line) {
  take_token(&line);
  std::size_t count = 0;
  float value = 0.0f;
  for (std::string_view token = take_token(&line); !token.empty(); token = take_token(&line), ++count)
    if (!parse_number(token, &value)) return 0;
  return count;
}

// A text whose first line is a word and several numbers, or two counts the second of which the next line bears out.
bool looks_like_word_vectors(std::string_view head) {
  const auto take_line = [&head] {
    const std::size_t end = head.find('\n');
    std::string_view line = head.substr(0, end);
    head.remove_prefix(end == std::string_view::npos ? head.size() : end + 1);
    return line.ends_with('\r') ? line.substr(0, line.size() - 1) : line;
  };
  constexpr std::size_t kFewNumbers = 4;
  std::string_view first = take_line();
  if (count_numbers_after_word(first) >= kFewNumbers) return true;
  std::uint64_t words = 0;
  std::uint64_t dims = 0;
  if (!parse_count(take_token(&first), &words) || !parse_count(take_token(&first), &dims)) return false;
  return dims > 0 && take_token(&first).empty() && count_numbers_after_word(take_line()) == dims;
}

const Format* find_by_extension(const std::string& path, std::string_view head) {
  const std::string extension = lower_extension(path);
  if (extension.empty()) return nullptr;
  for (const Format& format : kFormats) {
    if (std::find(format.extensions.begin(), format.extensions.end(), extension) == format.extensions.end()) continue;
    return format.open == open_text && looks_like_word_vectors(head) ? &find_format("glove") : &format;
  }
  return nullptr;
}

}  // namespace

const Format& find_format(std::string_view name) {
  for (const Format& format : kFormats)
    if (format.name == name) return format;
  throw Error(ErrorCode::kInvalidArgument,
              "'" + std::string(name) + "' is not a format; choose from auto, " + all_names());
}

const Format& detect_format(const std::string& path) {
  const std::string head = read_head(path);
  if (const Format* format = find_by_extension(path, head)) return *format;
  for (const Format& format : kFormats)
    if (!format.magic.empty() && head.starts_with(format.magic)) return format;
  if (head.starts_with(std::string_view(storage::kMatrixMagic, sizeof storage::kMatrixMagic)))
    throw Error(ErrorCode::kCorrupt, "'" + path + "' is a simtile matrix file already; use it as it is");
  throw Error(ErrorCode::kCorrupt, "'" + path + "' is in no format that its name or its first bytes tell; name one " +
                                       "with --format: " + all_names());
}

std::string choose_dataset(const std::vector<std::string>& candidates, const std::string& wanted,
                           const std::string& path, const std::string& kind) {
  std::string names;
  for (const std::string& candidate : candidates) names += (names.empty() ? "" : ", ") + excerpt(candidate);
  if (candidates.empty())
    throw Error(ErrorCode::kCorrupt, "'" + path + "' has no two-dimensional " + kind + " of numbers");
  if (wanted.empty()) {
    if (candidates.size() == 1) return candidates.front();
    throw Error(ErrorCode::kInvalidArgument,
                "'" + path + "' has more than one " + kind + "; choose one with --dataset: " + names);
  }
  if (std::find(candidates.begin(), candidates.end(), wanted) != candidates.end()) return wanted;
  throw Error(ErrorCode::kInvalidArgument,
              "'" + path + "' has no " + kind + " '" + wanted + "' with two dimensions; it has " + names);
}

}  // namespace simtile::formats
