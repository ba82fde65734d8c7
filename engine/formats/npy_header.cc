#include "engine/formats/npy_header.h"

#include <array>
#include <cstring>
#include <string_view>
#include <utility>

#include "engine/formats/excerpt.h"
#include "engine/formats/numeric.h"
#include "engine/formats/refuse.h"

namespace simtile::formats {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
// NumPy itself reads headers of up to 10,000 bytes unless told otherwise.
constexpr std::uint32_t kMaxHeaderBytes = 65536;
constexpr std::size_t kMaxDimensions = 64;

constexpr std::pair<std::string_view, NumericType> kArrayTypes[] = {
    {"<f2", NumericType::kF16}, {"<f4", NumericType::kF32}, {"<f8", NumericType::kF64}, {"|i1", NumericType::kI8},
    {"|u1", NumericType::kU8},  {"|b1", NumericType::kU8},  {"<i2", NumericType::kI16}, {"<u2", NumericType::kU16},
    {"<i4", NumericType::kI32}, {"<u4", NumericType::kU32}, {"<i8", NumericType::kI64}, {"<u8", NumericType::kU64}};

// Walks over the dictionary's text. Offsets in messages count from its first character.
class Parser {
 public:
  Parser(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  NpyHeader parse() {
    NpyHeader header;
    unsigned seen = 0;
    expect('{');
    while (!accept('}')) {
      const std::string key = parse_string();
      expect(':');
      if (key == "descr") {
        header.descr = peek() == '[' ? skip_structured() : parse_string();
        seen |= 1;
      } else if (key == "fortran_order") {
        header.fortran_order = parse_bool();
        seen |= 2;
      } else if (key == "shape") {
        header.shape = parse_shape();
        seen |= 4;
      } else {
        fail("an unknown key '" + excerpt(key) + "'");
      }
      if (!accept(',') && peek() != '}') fail("no comma");
    }
    if (seen != 7) fail("no descr, fortran_order or shape");
    return header;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    refuse(name_, "has a damaged .npy header: " + what + " at character " + std::to_string(at_) + " of it");
  }
  char peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool accept(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(std::string("no '") + c + "'");
  }
  std::string parse_string() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') fail("no string");
    const std::size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) fail("an endless string");
    std::string value(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return value;
  }
  bool parse_bool() {
    peek();
    for (const auto& [word, value] : {std::pair{std::string_view("True"), true}, {"False", false}})
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        return value;
      }
    fail("neither True nor False");
  }
  std::vector<std::uint64_t> parse_shape() {
    std::vector<std::uint64_t> shape;
    expect('(');
    while (!accept(')')) {
      peek();
      const std::size_t begin = at_;
      while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
      std::uint64_t extent = 0;
      if (!parse_count(text_.substr(begin, at_ - begin), &extent)) fail("no 64-bit number");
      shape.push_back(extent);
      if (shape.size() > kMaxDimensions) fail("too many dimensions");
      accept('L');  // Python 2 wrote long integers so
      if (!accept(',') && peek() != ')') fail("no comma");
    }
    return shape;
  }
  // A structured dtype is refused later, by name: here it is only stepped over.
  std::string skip_structured() {
    std::size_t depth = 0;
    const std::size_t begin = at_;
    do {
      if (at_ == text_.size()) fail("an endless list");
      depth += text_[at_] == '[' ? 1u : 0u;
      depth -= text_[at_] == ']' ? 1u : 0u;
      ++at_;
    } while (depth > 0);
    return std::string(text_.substr(begin, at_ - begin));
  }

  std::string_view text_;
  const std::string& name_;
  std::size_t at_ = 0;
};

}  // namespace

NpyHeader read_npy_header(ByteStream& stream) {
  std::array<char, 8> start{};
  stream.read_exactly(std::as_writable_bytes(std::span(start)));
  if (std::string_view(start.data(), kMagic.size()) != kMagic)
    refuse(stream.name(), "is not a NumPy array file (wrong magic at offset 0)");
  const auto version = static_cast<unsigned char>(start[6]);
  if (version < 1 || version > 3)
    refuse(stream.name(), "has .npy version " + std::to_string(version) + " at offset 6; versions 1 to 3 are known");
  std::uint32_t length = 0;
  stream.read_exactly(std::as_writable_bytes(std::span(&length, 1)).first(version == 1 ? 2 : 4));
  if (length > kMaxHeaderBytes)
    refuse(stream.name(), "says its .npy header has " + std::to_string(length) + " bytes at offset 8; at most " +
                              std::to_string(kMaxHeaderBytes) + " make sense");
  std::string text(length, '\0');
  stream.read_exactly(std::as_writable_bytes(std::span(text)));
  return Parser(text, stream.name()).parse();
}

NumericType npy_numeric_type(const NpyHeader& header, const std::string& name) {
  for (const auto& [descr, type] : kArrayTypes)
    if (header.descr == descr) return type;
  const std::string dtype = excerpt(header.descr);
  if (header.descr.starts_with("|O"))
    refuse(name, "holds Python objects (dtype object); convert it with .astype('float32') and save it again");
  if (header.descr.starts_with(">"))
    refuse(name, "has the big-endian dtype '" + dtype + "'; convert it with .astype('<" + dtype.substr(1) +
                     "') and save it again");
  refuse(name, "has the dtype '" + dtype + "', which is not a real number; convert it with .astype('float32') " +
                   "and save it again");
}

DenseLayout npy_matrix_layout(const NpyHeader& header, const std::string& name) {
  const NumericType type = npy_numeric_type(header, name);
  if (header.shape.size() < 2)
    refuse(name, "has " + std::to_string(header.shape.size()) + " dimension(s), but a matrix has two; use " +
                     ".reshape(-1, D) or np.stack to make rows, and save it again");
  if (header.shape.size() > 2)
    refuse(name, "has " + std::to_string(header.shape.size()) + " dimensions, but a matrix has two; use " +
                     ".reshape(len(a), -1) and save it again");
  if (header.fortran_order) refuse(name, "is in Fortran order (columns first); save np.ascontiguousarray(a) instead");
  return {header.shape[0], header.shape[1], type};
}

}  // namespace simtile::formats
