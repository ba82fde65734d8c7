// safetensors: choice of the tensor, dtypes, and headers that lie.
#include <gmock/gmock.h>

#include "tests/import_files.h"

namespace simtile {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using tests::bytes_of;
using tests::import_bytes;
using tests::Imported;
using tests::refuse_bytes;
using tests::row_of;
using tests::TempFolder;

constexpr char kName[] = "a.safetensors";

std::string file(const std::string& header, const std::string& data) {
  return bytes_of(static_cast<std::uint64_t>(header.size())) + header + data;
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape, std::uint64_t begin,
                  std::uint64_t end) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":[" +
         std::to_string(begin) + "," + std::to_string(end) + "]}";
}

TEST(ImportSafetensors, ReadsTheOnlyMatrix) {
  const TempFolder folder;
  const std::string data = bytes_of<float>({9, 9, 1, 2, 3, 4});
  const std::string header = "{\"__metadata__\":{\"format\":\"pt\"}," + entry("bias", "F32", "[2]", 0, 8) + "," +
                             entry("weight", "F32", "[2,2]", 8, 24) + "}   ";
  const Imported imported = import_bytes(folder, kName, file(header, data));
  EXPECT_EQ(imported.summary.format, "safetensors");
  EXPECT_THAT(row_of(imported.matrix, 0), ElementsAre(1, 2));
  EXPECT_THAT(row_of(imported.matrix, 1), ElementsAre(3, 4));
}

TEST(ImportSafetensors, KeepsItsElementType) {
  const TempFolder folder;
  const auto type_of = [&](const std::string& dtype, std::uint64_t bytes) {
    return import_bytes(folder, kName, file("{" + entry("x", dtype, "[1,1]", 0, bytes) + "}", std::string(bytes, '\0')))
        .matrix.info()
        .element_type;
  };
  EXPECT_EQ(type_of("F16", 2), ElementType::kF16);
  EXPECT_EQ(type_of("BF16", 2), ElementType::kBF16);
  EXPECT_EQ(type_of("I8", 1), ElementType::kI8);
  EXPECT_EQ(type_of("U8", 1), ElementType::kU8);
  EXPECT_EQ(type_of("F64", 8), ElementType::kF32);
  const Imported bf16 = import_bytes(
      folder, kName, file("{" + entry("x", "BF16", "[1,2]", 0, 4) + "}", bytes_of<std::uint16_t>({0x3f80, 0xc020})));
  EXPECT_THAT(row_of(bf16.matrix, 0), ElementsAre(1, -2.5f));
}

TEST(ImportSafetensors, ChoosesByName) {
  const TempFolder folder;
  const std::string bytes = file("{" + entry("a", "F32", "[1,1]", 0, 4) + "," + entry("b", "F32", "[1,1]", 4, 8) + "}",
                                 bytes_of<float>({1, 2}));
  ImportOptions options;
  EXPECT_THAT(refuse_bytes(folder, kName, bytes, options, ErrorCode::kInvalidArgument),
              AllOf(HasSubstr("--dataset"), HasSubstr("a, b")));
  options.dataset = "b";
  EXPECT_THAT(row_of(import_bytes(folder, kName, bytes, options).matrix, 0), ElementsAre(2));
  options.dataset = "c";
  EXPECT_THAT(refuse_bytes(folder, kName, bytes, options, ErrorCode::kInvalidArgument), HasSubstr("'c'"));
}

TEST(ImportSafetensors, RefusesHeadersThatLie) {
  const TempFolder folder;
  const std::string data = bytes_of<float>({1, 2, 3, 4});
  const auto refusal = [&](const std::string& header) { return refuse_bytes(folder, kName, file(header, data)); };
  EXPECT_THAT(refusal("{" + entry("x", "F32", "[2,3]", 0, 16) + "}"), HasSubstr("24"));
  EXPECT_THAT(refusal("{" + entry("x", "F32", "[2,2]", 0, 20) + "}"), HasSubstr("20"));
  EXPECT_THAT(refusal("{" + entry("x", "F32", "[2,2]", 8, 4) + "}"), HasSubstr("8 to 4"));
  EXPECT_THAT(refusal("{" + entry("x", "F32", "[1,3]", 0, 12) + "}"), HasSubstr("end at 12"));
  EXPECT_THAT(refusal("{" + entry("x", "F32", "[4611686018427387904,4]", 0, 16) + "}"), HasSubstr("overflows"));
  EXPECT_THAT(refusal("{" + entry("x", "F32", "[-2,2]", 0, 16) + "}"), HasSubstr("damaged entry"));
  EXPECT_THAT(refusal("{" + entry("x", "F32", "[2.5,2]", 0, 16) + "}"), HasSubstr("damaged entry"));
  EXPECT_THAT(refusal("{" + entry("x", "F8_E4M3", "[4,4]", 0, 16) + "}"), HasSubstr("F8_E4M3"));
  EXPECT_THAT(refusal("{" + entry("x", "F32", "[4]", 0, 16) + "}"), HasSubstr("no two-dimensional tensor"));
  EXPECT_THAT(refusal("{\"x\":3}"), HasSubstr("damaged entry"));
  EXPECT_THAT(refusal("[1,2]"), HasSubstr("not a JSON object"));
  EXPECT_THAT(refusal("{\"x\":"), HasSubstr("not a JSON object"));
  EXPECT_THAT(refusal(std::string(1 << 20, '[')), HasSubstr("not a JSON object"));
  EXPECT_THAT(refuse_bytes(folder, kName, bytes_of(std::uint64_t{1} << 40)), HasSubstr("1099511627776"));
}

TEST(ImportSafetensors, RefusesEveryPrefix) {
  const TempFolder folder;
  tests::expect_all_prefixes_refused(
      folder, kName, file("{" + entry("x", "F32", "[2,2]", 0, 16) + "}", bytes_of<float>({1, 2, 3, 4})));
}

}  // namespace
}  // namespace simtile
