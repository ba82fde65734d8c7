#include "engine/memory/lease.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "engine/base/checked.h"
#include "simtile/byte_size.h"
#include "simtile/error.h"

namespace simtile {

using storage::ContainerFile;
using storage::kBlockBytes;

void PageBudget::charge(std::uint64_t bytes) {
  const std::uint64_t used = used_bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  if (used <= limit_bytes_) return;
  release(bytes);
  throw Error(ErrorCode::kBudgetTooSmall, "the page budget of " + format_byte_size(limit_bytes_) +
                                              " would be overdrawn to " + format_byte_size(used) +
                                              "; give a larger --budget");
}

BudgetedMemory::BudgetedMemory(PageBudget& budget, std::uint64_t bytes) {
  budget.charge(bytes);
  try {
    memory_ = os::Mapping::anonymous(bytes);
  } catch (...) {
    budget.release(bytes);
    throw;
  }
  budget_ = &budget;
}

BudgetedMemory::BudgetedMemory(BudgetedMemory&& other) noexcept
    : budget_(std::exchange(other.budget_, nullptr)), memory_(std::move(other.memory_)) {}

BudgetedMemory& BudgetedMemory::operator=(BudgetedMemory&& other) noexcept {
  std::swap(budget_, other.budget_);
  std::swap(memory_, other.memory_);
  return *this;
}

BudgetedMemory::~BudgetedMemory() {
  if (budget_ != nullptr) budget_->release(memory_.size());
}

Lease::Lease(Lease&& other) noexcept
    : section_(std::exchange(other.section_, nullptr)),
      first_block_(other.first_block_),
      mapping_(std::move(other.mapping_)),
      skip_(other.skip_),
      brought_in_to_(other.brought_in_to_) {}

Lease& Lease::operator=(Lease&& other) noexcept {
  std::swap(section_, other.section_);
  std::swap(first_block_, other.first_block_);
  std::swap(mapping_, other.mapping_);
  std::swap(skip_, other.skip_);
  std::swap(brought_in_to_, other.brought_in_to_);
  return *this;
}

Lease::~Lease() { drop(); }

void Lease::drop() noexcept {
  const std::uint64_t bytes = mapping_.size();
  mapping_.reset();
  if (section_ != nullptr) std::exchange(section_, nullptr)->budget_->release(bytes);
}

void Lease::load(std::uint64_t offset, std::uint64_t bytes) {
  if (bytes == 0) return;
  section_->loaded_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  const std::uint64_t begin = (skip_ + offset) / kBlockBytes * kBlockBytes;
  const std::uint64_t end = std::min<std::uint64_t>(round_up(skip_ + offset + bytes, kBlockBytes), mapping_.size());
  const std::uint64_t lease_begin = first_block_ * kBlockBytes + skip_;
  section_->ask_for_blocks(lease_begin + offset, lease_begin + offset + bytes);
  const std::size_t missing = std::max(static_cast<std::size_t>(begin), brought_in_to_);
  brought_in_to_ = std::max(static_cast<std::size_t>(end), brought_in_to_);
  // What is hashed is brought in by that, sixteen pages at a touch.
  if (section_->are_checked(first_block_ + begin / kBlockBytes, divide_up(end - begin, kBlockBytes))) {
    if (missing < end) mapping_.populate(missing, static_cast<std::size_t>(end) - missing);
    return;
  }
  try {
    section_->check_blocks(first_block_ + begin / kBlockBytes,
                           {mapping_.data() + begin, static_cast<std::size_t>(end - begin)});
  } catch (const Error&) {
    // Zeros in the place of a lost page have no right hash either; close() knows the better reason.
    if (mapping_.lost_pages()) close();
    throw;
  }
}

void Lease::close() {
  if (section_ == nullptr) return;
  const ContainerFile& container = *section_->container_;
  const bool lost_pages = mapping_.lost_pages();
  drop();
  container.check_unchanged();
  if (lost_pages)
    throw Error(ErrorCode::kIo, "cannot read '" + container.path() +
                                    "': the disk did not deliver a page of it; check the disk, then run again");
}

LeasedSection::LeasedSection(const ContainerFile& container, const storage::SectionEntry& section,
                             std::shared_ptr<const std::vector<std::uint64_t>> checksums, PageBudget& budget)
    : container_(&container),
      section_(&section),
      checksums_(std::move(checksums)),
      budget_(&budget),
      blocks_(static_cast<std::size_t>(ContainerFile::block_count(section))) {}

std::uint64_t LeasedSection::lease_cost_bytes(std::uint64_t bytes) noexcept {
  return round_up(bytes, kBlockBytes) + kBlockBytes;
}

Lease LeasedSection::lease(std::uint64_t offset, std::uint64_t bytes) {
  Lease lease;
  if (bytes == 0) return lease;
  const std::uint64_t first_block = offset / kBlockBytes;
  const std::uint64_t begin = first_block * kBlockBytes;
  const std::uint64_t end = std::min(round_up(offset + bytes, kBlockBytes), ContainerFile::padded_bytes(*section_));
  budget_->charge(end - begin);
  try {
    lease.mapping_ =
        os::Mapping::map_file(container_->file(), section_->offset + begin, static_cast<std::size_t>(end - begin));
  } catch (...) {
    budget_->release(end - begin);
    throw;
  }
  // By itself the kernel reads around a page that is touched, megabytes on some devices: in a small cgroup that drives
  // out what is needed next. load() asks for what it is about to touch.
  lease.mapping_.advise_random();
  lease.section_ = this;
  lease.first_block_ = first_block;
  lease.skip_ = static_cast<std::size_t>(offset - begin);
  return lease;
}

// Blocks that have to be hashed are read whole: that costs less than to map them, page by page.
void LeasedSection::read(std::uint64_t offset, std::span<std::byte> bytes) {
  if (bytes.empty()) return;
  loaded_bytes_.fetch_add(bytes.size(), std::memory_order_relaxed);
  const std::uint64_t first = offset / kBlockBytes;
  const std::uint64_t end =
      std::min(round_up(offset + bytes.size(), kBlockBytes), ContainerFile::padded_bytes(*section_));
  try {
    if (are_checked(first, divide_up(end, kBlockBytes) - first)) {
      container_->read_section(*section_, offset, bytes);
      return;
    }
    std::vector<std::byte> blocks(static_cast<std::size_t>(end - first * kBlockBytes));
    container_->read_section(*section_, first * kBlockBytes, blocks);
    check_blocks(first, blocks);
    std::memcpy(bytes.data(), blocks.data() + (offset - first * kBlockBytes), bytes.size());
  } catch (const Error&) {
    container_->check_unchanged();  // which knows the better reason
    throw;
  }
}

void LeasedSection::prefetch(std::uint64_t offset, std::uint64_t bytes) noexcept {
  container_->file().advise_will_need(section_->offset + offset, bytes);
  // Only blocks that lie in the range whole: of the others a part may be missing.
  for (std::uint64_t block = divide_up(offset, kBlockBytes); (block + 1) * kBlockBytes <= offset + bytes; ++block)
    blocks_[static_cast<std::size_t>(block)].fetch_or(kAskedFor, std::memory_order_relaxed);
}

// To ask costs a look at each page, even of those that are there: once is enough. The answer holds until the block has
// been loaded to its end. What was given up again before that comes page by page.
void LeasedSection::ask_for_blocks(std::uint64_t begin, std::uint64_t end) noexcept {
  const std::uint64_t end_block = divide_up(end, kBlockBytes);
  std::uint64_t first = begin / kBlockBytes;  // of those that were not asked for
  for (std::uint64_t block = first; block <= end_block; ++block) {
    if (block < end_block && !take_asked_for(block, end)) continue;
    if (first < block)
      container_->file().advise_will_need(section_->offset + first * kBlockBytes, (block - first) * kBlockBytes);
    first = block + 1;
  }
}

bool LeasedSection::take_asked_for(std::uint64_t block, std::uint64_t loaded_to) noexcept {
  std::atomic<std::uint8_t>& known = blocks_[static_cast<std::size_t>(block)];
  const bool asked_for = (known.load(std::memory_order_relaxed) & kAskedFor) != 0;
  if (asked_for && (block + 1) * kBlockBytes <= loaded_to)
    known.fetch_and(static_cast<std::uint8_t>(~kAskedFor), std::memory_order_relaxed);
  return asked_for;
}

bool LeasedSection::are_checked(std::uint64_t first_block, std::uint64_t blocks) const noexcept {
  const auto first = blocks_.begin() + static_cast<std::ptrdiff_t>(first_block);
  return std::all_of(first, first + static_cast<std::ptrdiff_t>(blocks), [](const std::atomic<std::uint8_t>& known) {
    return (known.load(std::memory_order_relaxed) & kChecked) != 0;
  });
}

// Two threads may check the same block at once; both come to the same answer.
void LeasedSection::check_blocks(std::uint64_t first_block, std::span<const std::byte> mapped) {
  for (std::uint64_t block = first_block; !mapped.empty(); ++block) {
    const auto bytes = mapped.first(std::min<std::size_t>(kBlockBytes, mapped.size()));
    mapped = mapped.subspan(bytes.size());
    std::atomic<std::uint8_t>& known = blocks_[static_cast<std::size_t>(block)];
    if ((known.load(std::memory_order_relaxed) & kChecked) != 0) continue;
    container_->check_block(*section_, block, bytes, (*checksums_)[section_->first_block + block]);
    known.fetch_or(kChecked, std::memory_order_relaxed);
  }
}

}  // namespace simtile
