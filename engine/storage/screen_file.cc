#include "engine/storage/screen_file.h"

#include <cmath>
#include <cstring>

#include "engine/base/checked.h"
#include "simtile/error.h"

namespace simtile::storage {

ScreenFile ScreenFile::open(const std::string& path) {
  ScreenFile screen;
  screen.container_ = ContainerFile::open(path, kScreenMagic, "screen file");
  std::memcpy(&screen.body_, screen.container_.header().body, sizeof screen.body_);
  const ScreenBody& body = screen.body_;
  const auto refuse = [&](const std::string& why) {
    throw Error(ErrorCode::kCorrupt, "'" + path + "' " + why + "; make it again with 'simtile screen'");
  };
  if (body.rows == 0 || body.prefix_dims == 0 || body.prefix_dims % kScreenStep != 0 ||
      body.prefix_dims > body.columns || body.columns >= (std::uint64_t{1} << 32))
    refuse("says it has " + std::to_string(body.rows) + " rows with " + std::to_string(body.prefix_dims) + " of " +
           std::to_string(body.columns) + " coordinates");
  if (!(body.basis_error >= 0.0 && body.basis_error < 1.0 && body.smallest_norm >= 0.0 &&
        body.largest_norm >= body.smallest_norm && std::isfinite(body.largest_norm)))
    refuse("has an impossible error or norm");
  const auto section = [&](SectionKind kind, std::uint64_t count, std::uint64_t bytes_each) {
    screen.container_.require_section(kind, checked_multiply(count, bytes_each, ErrorCode::kCorrupt, path));
  };
  section(SectionKind::kRowPrefixes, body.rows, body.prefix_dims * sizeof(float));
  section(SectionKind::kResidualNorms, body.rows, screen.steps() * sizeof(float));
  section(SectionKind::kRowNorms, body.rows, sizeof(double));
  section(SectionKind::kBasis, body.prefix_dims, body.columns * sizeof(float));
  return screen;
}

}  // namespace simtile::storage
