#include "engine/formats/id_list.h"

#include "engine/formats/line_reader.h"
#include "engine/formats/numeric.h"
#include "simtile/error.h"

namespace simtile::formats {
namespace {

constexpr std::size_t kMaxIdBytes = 65536;

LineReader open_lines(const std::string& path) {
  return LineReader(std::make_unique<FileStream>(os::File::open_for_reading(path)), kMaxIdBytes);
}

bool parse_u64_id(std::string_view text, std::uint64_t* id) {
  return parse_count(text, id) && (text.size() == 1 || text.front() != '0');
}

}  // namespace

IdList scan_ids(const std::string& path) {
  IdList ids{.path = path};
  LineReader lines = open_lines(path);
  std::string_view line;
  std::uint64_t number = 0;
  for (; lines.next(line); ++ids.count) {
    if (line.empty())
      throw Error(ErrorCode::kCorrupt, lines.where() + ": an empty id; every row needs one that names it");
    if (!parse_u64_id(line, &number)) ids.kind = storage::IdKind::kString;
  }
  return ids;
}

void append_ids(const IdList& ids, storage::MatrixWriter& writer) {
  LineReader lines = open_lines(ids.path);
  std::string_view line;
  std::uint64_t number = 0;
  while (lines.next(line)) {
    if (ids.kind == storage::IdKind::kString) {
      writer.append_id(line);
    } else if (parse_u64_id(line, &number)) {
      writer.append_id(number);
    } else {
      throw Error(ErrorCode::kCorrupt, lines.where() + ": not the number that was there before; the file changed " +
                                           "while it was read: import it again");
    }
  }
}

}  // namespace simtile::formats
