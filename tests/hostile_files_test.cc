// Damaged and hostile files. Whatever is cut off, flipped or forged, opening and using the file is an
// Error(kCorrupt), never a crash and never a wrong answer.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>
#include <xxhash.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <utility>

#include "engine/screen/screen_rows.h"
#include "engine/storage/neighbours_file.h"
#include "simtile/matrix.h"
#include "simtile/neighbours.h"
#include "simtile/screen.h"
#include "simtile/verify.h"
#include "tests/test_files.h"

namespace simtile {
namespace {

using storage::ContainerHeader;
using storage::IdKind;
using storage::MatrixBody;
using storage::NeighboursBody;
using storage::SectionKind;
using testing::HasSubstr;
using tests::expect_error;
using tests::TempFolder;

// Reads everything that the public handles give.
void use_matrix(const std::string& path) {
  const Matrix matrix(path);
  std::vector<float> values(matrix.columns());
  for (std::uint64_t row = 0; row < matrix.rows(); ++row) {
    matrix.read_row(row, values);
    matrix.find(matrix.id(row));
  }
}

void use_neighbours(const std::string& path) {
  const Neighbours neighbours(path);
  for (std::uint64_t row = 0; row < neighbours.info().rows; ++row) {
    for (const Neighbour& neighbour : neighbours.row(row)) neighbours.base_id(neighbour.row);
    neighbours.find(neighbours.query_id(row));
  }
}

// Takes a screen's directions and every row of it.
void use_screen(const std::string& path) {
  PageBudget budget(std::uint64_t{1} << 30);
  screen::ScreenRows screen(path, budget);
  screen.load_basis(budget);
  screen::ScreenRows::Window window = screen.window(0, screen.body().rows);
  window.load(0, screen.body().rows);
  window.close();
}

void write_screen(const TempFolder& folder, const std::string& path) {
  tests::write_dense(folder / "m.emb", 64, 32, ElementType::kU8, IdKind::kNone);
  ScreenOptions options;
  options.output_path = path;
  options.budget_bytes = std::uint64_t{1} << 30;
  build_screen(folder / "m.emb", options);
}

struct Sample {
  std::string name;
  std::function<void(const TempFolder&, const std::string& path)> make;
  std::function<void(const std::string& path)> use;
};

const std::vector<Sample>& samples() {
  static const std::vector<Sample> all{
      {"dense",
       [](const TempFolder&, const std::string& path) {
         tests::write_dense(path, 5, 3, ElementType::kI8, IdKind::kString);
       },
       use_matrix},
      {"csr",
       [](const TempFolder&, const std::string& path) {
         tests::write_sparse(path, 9, {{{0, 3}, {1.0f, 2.0f}}, {{}, {}}, {{1, 2, 8}, {3.0f, 4.0f, 5.0f}}},
                             IdKind::kU64);
       },
       use_matrix},
      {"knn",
       [](const TempFolder& folder, const std::string& path) {
         tests::write_dense(folder / "q.emb", 5, 3, ElementType::kF32, IdKind::kString);
         tests::write_dense(folder / "b.emb", 6, 3, ElementType::kF32, IdKind::kU64);
         tests::write_neighbours(path, folder / "q.emb", folder / "b.emb", 2);
       },
       use_neighbours},
      {"screen", write_screen, use_screen}};
  return all;
}

class HostileFile : public testing::TestWithParam<Sample> {
 protected:
  HostileFile() {
    GetParam().make(folder_, path_);
    bytes_ = tests::read_bytes(path_);
    GetParam().use(path_);
    verify_file(path_);
  }

  void expect_refused() {
    expect_error(ErrorCode::kCorrupt, [&] { GetParam().use(path_); });
    expect_error(ErrorCode::kCorrupt, [&] { verify_file(path_); });
  }

  const TempFolder folder_;
  const std::string path_ = folder_ / "sample";
  std::string bytes_;
};

TEST_P(HostileFile, EveryTruncationIsRefused) {
  for (std::size_t length = bytes_.size(); length-- > 0;) {
    SCOPED_TRACE(length);
    ASSERT_EQ(::truncate(path_.c_str(), static_cast<off_t>(length)), 0);
    expect_refused();
    if (HasFailure()) break;
  }
}

TEST_P(HostileFile, AFileThatGrewIsRefused) {
  tests::write_bytes(path_, bytes_ + "x");
  expect_refused();
}

// Flips one bit of the file on disk for as long as it lives.
class FlippedBit {
 public:
  FlippedBit(const std::string& path, std::size_t offset, unsigned bit)
      : file_(os::File::open_for_writing(path)), offset_(offset), mask_(static_cast<unsigned char>(1u << bit)) {
    flip();
  }
  ~FlippedBit() { flip(); }

 private:
  void flip() {
    unsigned char byte = 0;
    file_.read_exactly_at(std::as_writable_bytes(std::span(&byte, 1)), offset_);
    byte = static_cast<unsigned char>(byte ^ mask_);
    file_.write_at(std::as_bytes(std::span(&byte, 1)), offset_);
  }
  os::File file_;
  std::size_t offset_;
  unsigned char mask_;
};

TEST_P(HostileFile, EveryFlippedBitOfTheHeaderIsRefused) {
  for (std::size_t offset = 0; offset < storage::kHeaderBytes; ++offset)
    for (unsigned bit = 0; bit < 8; ++bit) {
      SCOPED_TRACE(testing::Message() << "byte " << offset << " bit " << bit);
      const FlippedBit flipped(path_, offset, bit);
      expect_refused();
      if (HasFailure()) return;
    }
}

TEST_P(HostileFile, EveryFlippedByteOfThePayloadIsFoundByVerify) {
  ContainerHeader header;
  std::memcpy(&header, bytes_.data(), sizeof header);
  for (std::size_t offset = storage::kHeaderBytes; offset < bytes_.size(); ++offset) {
    SCOPED_TRACE(testing::Message() << "byte " << offset);
    const FlippedBit flipped(path_, offset, offset % 8);
    const std::string message = expect_error(ErrorCode::kCorrupt, [&] { verify_file(path_); });
    if (offset >= header.checksums_offset) {
      EXPECT_THAT(message, HasSubstr("checksum table"));
    } else {  // the sections are smaller than a block, so a section is a block
      std::uint32_t block = 0;
      while (block + 1 < header.section_count && header.sections[block + 1].offset <= offset) ++block;
      EXPECT_THAT(message, HasSubstr("block " + std::to_string(block) + " ("));
    }
    if (HasFailure()) return;
  }
}

TEST_P(HostileFile, FlippedBitsOfWhatIsReadAreFoundOnReading) {
  ContainerHeader header;
  std::memcpy(&header, bytes_.data(), sizeof header);
  for (std::uint32_t i = 0; i < header.section_count; ++i) {
    const auto kind = static_cast<SectionKind>(header.sections[i].kind);
    // Norms matter to scores alone, and base ids are never looked up.
    const bool is_screen = GetParam().name == "screen";
    if ((kind == SectionKind::kRowNorms && !is_screen) || kind == SectionKind::kBaseIdIndex) continue;
    SCOPED_TRACE(storage::section_name(kind));
    const FlippedBit flipped(path_, header.sections[i].offset, 6);
    EXPECT_THAT(expect_error(ErrorCode::kCorrupt, [&] { GetParam().use(path_); }),
                HasSubstr("block " + std::to_string(i) + " ("));
  }
}

// Gives the bytes the hashes that an honest writer would have given them: the attacker knows the format.
void seal_header(std::string& bytes) {
  const std::uint64_t hash = XXH3_64bits(bytes.data(), offsetof(ContainerHeader, header_xxh3));
  std::memcpy(bytes.data() + offsetof(ContainerHeader, header_xxh3), &hash, sizeof hash);
}

void seal(std::string& bytes) {
  ContainerHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  for (std::uint32_t i = 0; i < header.section_count; ++i) {
    const storage::SectionEntry& section = header.sections[i];
    const std::uint64_t padded = storage::ContainerFile::padded_bytes(section);
    ASSERT_LE(padded, storage::kBlockBytes);
    if (padded == 0) continue;
    const std::uint64_t hash = XXH3_64bits(bytes.data() + section.offset, padded);
    std::memcpy(bytes.data() + header.checksums_offset + section.first_block * 8, &hash, sizeof hash);
  }
  const std::uint64_t table_hash = XXH3_64bits(bytes.data() + header.checksums_offset, header.block_count * 8);
  std::memcpy(bytes.data() + offsetof(ContainerHeader, checksums_xxh3), &table_hash, sizeof table_hash);
  seal_header(bytes);
}

// Forges header fields in turn, each from the honest file.
template <typename Body>
void expect_forgeries_refused(
    const std::string& path, void (*use)(const std::string&),
    const std::vector<std::pair<const char*, std::function<void(ContainerHeader&, Body&)>>>& forgeries) {
  const std::string honest = tests::read_bytes(path);
  for (const auto& [name, forge] : forgeries) {
    SCOPED_TRACE(name);
    ContainerHeader header;
    Body body;
    std::memcpy(&header, honest.data(), sizeof header);
    std::memcpy(&body, header.body, sizeof body);
    forge(header, body);
    std::memcpy(header.body, &body, sizeof body);
    std::string bytes = honest;
    std::memcpy(bytes.data(), &header, sizeof header);
    ASSERT_NE(bytes, honest);
    seal_header(bytes);
    tests::write_bytes(path, bytes);
    expect_error(ErrorCode::kCorrupt, [&] { use(path); });
    expect_error(ErrorCode::kCorrupt, [&] { verify_file(path); });
  }
}

TEST_P(HostileFile, ForgedContainerFieldsAreRefused) {
  using Forgery = std::pair<const char*, std::function<void(ContainerHeader&)>>;
  constexpr std::uint64_t kWrap = std::uint64_t{1} << 63;
  const std::vector<Forgery> forgeries{
      {"a newer version", [](auto& h) { h.format_version = 2; }},
      {"header size", [](auto& h) { h.header_bytes = 8192; }},
      {"file size", [](auto& h) { h.file_bytes += 8; }},
      {"block size", [](auto& h) { h.block_bytes = 4096; }},
      {"no block size", [](auto& h) { h.block_bytes = 0; }},
      {"block count", [](auto& h) { h.block_count += 1; }},
      {"block count that wraps", [](auto& h) { h.block_count += std::uint64_t{1} << 61; }},
      {"checksums elsewhere", [](auto& h) { h.checksums_offset -= 4096; }},
      {"checksums beyond the end", [](auto& h) { h.checksums_offset = UINT64_MAX - 7; }},
      {"other checksums", [](auto& h) { h.checksums_xxh3 ^= 1; }},
      {"no sections", [](auto& h) { h.section_count = 0; }},
      {"fewer sections", [](auto& h) { h.section_count -= 1; }},
      {"more sections", [](auto& h) { h.section_count += 1; }},
      {"too many sections", [](auto& h) { h.section_count = 17; }},
      {"sections without end", [](auto& h) { h.section_count = UINT32_MAX; }},
      {"a section on the header", [](auto& h) { h.sections[0].offset = 0; }},
      {"overlapping sections", [](auto& h) { h.sections[1].offset = h.sections[0].offset; }},
      {"a section beyond the end", [](auto& h) { h.sections[1].offset = kWrap; }},
      {"a section without end", [](auto& h) { h.sections[0].bytes = UINT64_MAX; }},
      {"a section that wraps", [](auto& h) { h.sections[0].bytes = UINT64_MAX - 4095; }},
      {"a longer section", [](auto& h) { h.sections[0].bytes += 1; }},
      {"a shorter section", [](auto& h) { h.sections[0].bytes -= 1; }},
      {"another block", [](auto& h) { h.sections[1].first_block += 1; }},
      {"another kind", [](auto& h) { h.sections[0].kind = 99; }},
  };
  for (const auto& [name, forge] : forgeries) {
    SCOPED_TRACE(name);
    ContainerHeader header;
    std::memcpy(&header, bytes_.data(), sizeof header);
    forge(header);
    std::string bytes = bytes_;
    std::memcpy(bytes.data(), &header, sizeof header);
    seal_header(bytes);
    tests::write_bytes(path_, bytes);
    if (std::string(name) == "other checksums")  // readers of single blocks never need the table's own hash
      expect_error(ErrorCode::kCorrupt, [&] { verify_file(path_); });
    else
      expect_refused();
  }
}

INSTANTIATE_TEST_SUITE_P(Samples, HostileFile, testing::ValuesIn(samples()),
                         [](const auto& sample) { return sample.param.name; });

constexpr std::uint64_t bit(unsigned b) { return std::uint64_t{1} << b; }

TEST(HostileMatrix, ForgedDenseFieldsAreRefused) {
  const TempFolder folder;
  tests::write_dense(folder / "a.emb", 5, 3, ElementType::kI8, IdKind::kString);
  expect_forgeries_refused<MatrixBody>(
      folder / "a.emb", use_matrix,
      {{"no rows", [](auto&, auto& b) { b.rows = 0; }},
       {"one row more", [](auto&, auto& b) { b.rows += 1; }},
       {"one row fewer", [](auto&, auto& b) { b.rows -= 1; }},
       {"rows whose bytes wrap to the honest size", [](auto&, auto& b) { b.rows += bit(58); }},
       {"rows whose ids wrap to the honest size", [](auto&, auto& b) { b.rows += bit(61); }},
       {"all the rows there can be", [](auto&, auto& b) { b.rows = UINT64_MAX; }},
       {"no columns", [](auto&, auto& b) { b.columns = 0; }},
       {"columns beyond the stride", [](auto&, auto& b) { b.columns = 65; }},
       {"columns beyond 32 bits", [](auto&, auto& b) { b.columns += bit(32); }},
       {"columns that wrap", [](auto&, auto& b) { b.columns += bit(63); }},
       {"no stride", [](auto&, auto& b) { b.row_stride_bytes = 0; }},
       {"a longer stride", [](auto&, auto& b) { b.row_stride_bytes = 128; }},
       {"a stride that wraps", [](auto&, auto& b) { b.row_stride_bytes += bit(62); }},
       {"non-zeros in a dense matrix", [](auto&, auto& b) { b.nonzeros = 1; }},
       {"wider elements", [](auto&, auto& b) { b.columns = 20, b.element_type = 1; }},
       {"no element type", [](auto&, auto& b) { b.element_type = 0; }},
       {"an unknown element type", [](auto&, auto& b) { b.element_type = 6; }},
       {"no layout", [](auto&, auto& b) { b.layout = 0; }},
       {"the other layout", [](auto&, auto& b) { b.layout = 2; }},
       {"the other layout, of f32",
        [](auto&, auto& b) {
          b.layout = 2;
          b.element_type = 1;
          b.row_stride_bytes = 0;
        }},
       {"the other kind of ids", [](auto&, auto& b) { b.id_kind = 1; }},
       {"an unknown kind of ids", [](auto&, auto& b) { b.id_kind = 3; }},
       {"unknown flags", [](auto&, auto& b) { b.flags = 2; }},
       {"no scales", [](auto& h, auto&) { h.sections[1].kind = 6; }},
       {"no ids", [](auto& h, auto&) { h.sections[3].kind = 99; }},
       {"no id offsets", [](auto& h, auto&) { h.sections[4].kind = 99; }},
       {"no id index", [](auto& h, auto&) { h.sections[5].kind = 99; }}});
}

TEST(HostileMatrix, ForgedCsrFieldsAreRefused) {
  const TempFolder folder;
  tests::write_sparse(folder / "a.emb", 9, {{{0, 3}, {1.0f, 2.0f}}, {{1}, {3.0f}}});
  expect_forgeries_refused<MatrixBody>(
      folder / "a.emb", use_matrix,
      {{"one row more", [](auto&, auto& b) { b.rows += 1; }},
       {"rows whose starts wrap", [](auto&, auto& b) { b.rows = UINT64_MAX; }},
       {"rows that wrap to the honest size", [](auto&, auto& b) { b.rows += bit(61); }},
       {"one non-zero more", [](auto&, auto& b) { b.nonzeros += 1; }},
       {"non-zeros that wrap to the honest size", [](auto&, auto& b) { b.nonzeros += bit(62); }},
       {"columns beyond 32 bits", [](auto&, auto& b) { b.columns = bit(32); }},
       {"another element type", [](auto&, auto& b) { b.element_type = 2; }},
       {"a stride", [](auto&, auto& b) { b.row_stride_bytes = 64; }},
       {"the other layout", [](auto&, auto& b) { b.layout = 1; }},
       {"no values", [](auto& h, auto&) { h.sections[0].kind = 99; }},
       {"no columns", [](auto& h, auto&) { h.sections[1].kind = 99; }},
       {"no row starts", [](auto& h, auto&) { h.sections[2].kind = 99; }}});
}

TEST(HostileScreen, ForgedFieldsAreRefused) {
  const TempFolder folder;
  write_screen(folder, folder / "s.screen");
  expect_forgeries_refused<storage::ScreenBody>(
      folder / "s.screen", use_screen,
      {{"no rows", [](auto&, auto& b) { b.rows = 0; }},
       {"one row more", [](auto&, auto& b) { b.rows += 1; }},
       {"rows that wrap to the honest size", [](auto&, auto& b) { b.rows += bit(60); }},
       {"no coordinates", [](auto&, auto& b) { b.prefix_dims = 0; }},
       {"coordinates between steps", [](auto&, auto& b) { b.prefix_dims -= 1; }},
       {"fewer coordinates", [](auto&, auto& b) { b.prefix_dims -= 16; }},
       {"more coordinates than columns", [](auto&, auto& b) { b.prefix_dims += 16; }},
       {"more columns", [](auto&, auto& b) { b.columns += 1; }},
       {"columns beyond 32 bits", [](auto&, auto& b) { b.columns += bit(32); }},
       {"a negative error", [](auto&, auto& b) { b.basis_error = -1e-9; }},
       {"directions that are not orthonormal at all", [](auto&, auto& b) { b.basis_error = 1.5; }},
       {"no error", [](auto&, auto& b) { b.basis_error = std::nan(""); }},
       {"no norm", [](auto&, auto& b) { b.largest_norm = std::nan(""); }},
       {"an endless norm", [](auto&, auto& b) { b.largest_norm = INFINITY; }},
       {"norms the wrong way round", [](auto&, auto& b) { b.smallest_norm = b.largest_norm * 2; }},
       {"no prefixes", [](auto& h, auto&) { h.sections[0].kind = 99; }},
       {"no residual norms", [](auto& h, auto&) { h.sections[1].kind = 99; }},
       {"no row norms", [](auto& h, auto&) { h.sections[2].kind = 99; }},
       {"no directions", [](auto& h, auto&) { h.sections[3].kind = 99; }}});
}

TEST(HostileNeighbours, ForgedSelfJoinFieldsAreRefused) {
  const TempFolder folder;
  tests::write_dense(folder / "a.emb", 5, 3, ElementType::kF32, IdKind::kString);
  tests::write_neighbours(folder / "a.knn", folder / "a.emb", "", 2);
  expect_forgeries_refused<NeighboursBody>(
      folder / "a.knn", use_neighbours,
      {{"no rows", [](auto&, auto& b) { b.rows = 0, b.base_rows = 0; }},
       {"one row more", [](auto&, auto& b) { b.rows += 1, b.base_rows += 1; }},
       {"rows that wrap to the honest size", [](auto&, auto& b) { b.rows += bit(63), b.base_rows += bit(63); }},
       {"no neighbours", [](auto&, auto& b) { b.top_k = 0; }},
       {"one neighbour more", [](auto&, auto& b) { b.top_k += 1; }},
       {"neighbours that wrap to the honest size", [](auto&, auto& b) { b.top_k += bit(63); }},
       {"neighbours whose bytes wrap", [](auto&, auto& b) { b.top_k += bit(61); }},
       {"the same product of other factors", [](auto&, auto& b) { b.rows = b.base_rows = 2, b.top_k = 5; }},
       {"other base rows", [](auto&, auto& b) { b.base_rows += 1; }},
       {"no columns", [](auto&, auto& b) { b.columns = 0; }},
       {"columns beyond 32 bits", [](auto&, auto& b) { b.columns = bit(32); }},
       {"no metric", [](auto&, auto& b) { b.metric = 0; }},
       {"an unknown metric", [](auto&, auto& b) { b.metric = 4; }},
       {"unknown flags", [](auto&, auto& b) { b.flags |= 32; }},
       {"fields without their section", [](auto&, auto& b) { b.flags |= storage::kNeighboursFields; }},
       {"all pairs without row starts",
        [](auto&, auto& b) { b.flags |= storage::kNeighboursAllPairs | storage::kNeighboursMinScore, b.top_k = 0; }},
       {"all pairs and a top K",
        [](auto&, auto& b) { b.flags |= storage::kNeighboursAllPairs | storage::kNeighboursMinScore; }},
       {"a reserved field in use", [](auto&, auto& b) { b.reserved = 1; }},
       {"a least score without its flag", [](auto&, auto& b) { b.min_score = 0.5f; }},
       {"a least score that is no number",
        [](auto&, auto& b) { b.flags |= storage::kNeighboursMinScore, b.min_score = NAN; }},
       {"base ids in a self-join", [](auto&, auto& b) { b.base_id_kind = 1; }},
       {"an unknown kind of ids", [](auto&, auto& b) { b.query_id_kind = 3; }},
       {"another base", [](auto&, auto& b) { b.base_identity ^= 1; }},
       {"no rows of neighbours", [](auto& h, auto&) { h.sections[0].kind = 99; }},
       {"no scores", [](auto& h, auto&) { h.sections[1].kind = 99; }},
       {"no ids", [](auto& h, auto&) { h.sections[2].kind = 99; }}});
}

TEST(HostileNeighbours, ForgedSearchFieldsAreRefused) {
  const TempFolder folder;
  tests::write_dense(folder / "q.emb", 5, 3, ElementType::kF32, IdKind::kU64);
  tests::write_dense(folder / "b.emb", 6, 3, ElementType::kF32, IdKind::kU64);
  tests::write_neighbours(folder / "a.knn", folder / "q.emb", folder / "b.emb", 2);
  expect_forgeries_refused<NeighboursBody>(
      folder / "a.knn", use_neighbours,
      {{"a self-join", [](auto&, auto& b) { b.flags = storage::kNeighboursSelfJoin; }},
       {"base rows that have no ids", [](auto&, auto& b) { b.base_rows += 1; }},
       {"base rows that wrap to the honest size", [](auto&, auto& b) { b.base_rows += bit(61); }},
       {"no base rows", [](auto&, auto& b) { b.base_rows = 0, b.base_id_kind = 0; }},
       {"another kind of base ids", [](auto&, auto& b) { b.base_id_kind = 2; }},
       {"an unknown kind of base ids", [](auto&, auto& b) { b.base_id_kind = 7; }},
       {"no base id index", [](auto& h, auto&) { h.sections[5].kind = 99; }}});
}

// Every hash is right here; only what the bytes say is wrong.
template <typename T>
void expect_payload_refused(const std::string& path, SectionKind kind, std::uint64_t index, T value,
                            void (*use)(const std::string&), const std::string& words) {
  SCOPED_TRACE(words);
  const std::string honest = tests::read_bytes(path);
  ContainerHeader header;
  std::memcpy(&header, honest.data(), sizeof header);
  for (std::uint32_t i = 0; i < header.section_count; ++i) {
    if (header.sections[i].kind != static_cast<std::uint32_t>(kind)) continue;
    std::string bytes = honest;
    std::memcpy(bytes.data() + header.sections[i].offset + index * sizeof value, &value, sizeof value);
    ASSERT_NE(bytes, honest);
    seal(bytes);
    tests::write_bytes(path, bytes);
    EXPECT_NO_THROW(verify_file(path));
    EXPECT_THAT(expect_error(ErrorCode::kCorrupt, [&] { use(path); }), HasSubstr(words));
    tests::write_bytes(path, honest);
    return;
  }
  ADD_FAILURE() << "no such section";
}

TEST(HostileMatrix, ForgedPayloadsAreRefused) {
  const TempFolder folder;
  const std::string csr = folder / "csr.emb";
  tests::write_sparse(csr, 9, {{{0, 3}, {1.0f, 2.0f}}, {{1, 8}, {3.0f, 4.0f}}}, IdKind::kString);
  const std::uint64_t far = UINT64_MAX / 2;
  expect_payload_refused<std::uint64_t>(csr, SectionKind::kRowStarts, 1, 5, use_matrix, "row starts");
  expect_payload_refused<std::uint64_t>(csr, SectionKind::kRowStarts, 2, far, use_matrix, "row starts");
  expect_payload_refused<std::uint64_t>(csr, SectionKind::kRowStarts, 0, 3, use_matrix, "row starts");
  expect_payload_refused<std::uint32_t>(csr, SectionKind::kColumns, 3, 9, use_matrix, "in row 1");
  expect_payload_refused<std::uint32_t>(csr, SectionKind::kColumns, 3, UINT32_MAX, use_matrix, "in row 1");
  expect_payload_refused<std::uint32_t>(csr, SectionKind::kColumns, 1, 0, use_matrix, "in row 0");
  expect_payload_refused<std::uint64_t>(csr, SectionKind::kIdOffsets, 1, far, use_matrix, "in row 0");
  expect_payload_refused<std::uint64_t>(csr, SectionKind::kIdOffsets, 0, 6, use_matrix, "in row 0");
}

TEST(HostileMatrix, AForgedIdIndexFindsNoWrongRow) {
  const TempFolder folder;
  const std::string path = folder / "a.emb";
  tests::write_dense(path, 3, 2, ElementType::kF32, IdKind::kString);
  const std::string honest = tests::read_bytes(path);
  const std::uint64_t index = storage::MatrixFile::open(path).section(SectionKind::kIdIndex)->offset;
  for (const std::uint64_t forged_row : {std::uint64_t{1}, std::uint64_t{3}, UINT64_MAX})
    for (std::uint64_t entry = 0; entry < 3; ++entry) {
      std::string bytes = honest;
      std::memcpy(bytes.data() + index + entry * 16 + 8, &forged_row, sizeof forged_row);
      seal(bytes);
      tests::write_bytes(path, bytes);
      const Matrix matrix(path);
      for (std::uint64_t row = 0; row < 3; ++row) {
        const auto found = matrix.find(matrix.id(row));
        EXPECT_TRUE(!found || *found == row);
      }
    }
}

TEST(HostileNeighbours, ForgedRowsAreRefused) {
  const TempFolder folder;
  const std::string path = folder / "a.knn";
  tests::write_dense(folder / "q.emb", 4, 2);
  tests::write_dense(folder / "b.emb", 9, 2);
  tests::write_neighbours(path, folder / "q.emb", folder / "b.emb", 2);
  const auto refused = [&](std::uint64_t entry, std::uint64_t row, const char* words) {
    expect_payload_refused<std::uint64_t>(path, SectionKind::kNeighbourRows, entry, row, use_neighbours, words);
  };
  refused(3, 9, "names base row 9 in row 1");
  refused(0, UINT64_MAX - 1, "in row 0");
  refused(2, kNoRow, "in row 1");  // unused entries stand at the end of a row
}

}  // namespace
}  // namespace simtile
