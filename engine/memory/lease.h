// The only door to a matrix's bytes: a lease maps a window of one section and counts it against the page budget for as
// long as it lives. Before bytes are read, load() brings them in and checks their blocks.
//
// Why windows: page tables and resident pages stay bounded however large the file is, and what the budget counts is
// what the kernel counts. Windows are widened to whole checksum blocks, so that a block is always checked whole; a
// block is checked the first time this job maps it.
//
// Threads: lease() may be called from several threads at once; a Lease belongs to one thread at a time. Mapping is
// cheap; loading is where the time goes, so that it can be left to whoever reads.
// Lifetime: the PageBudget and the file must outlive the section, the section its leases.
// Errors: Error(kCorrupt) names the damaged block, or says that the file was changed while it was in use; Error(kIo)
// when the system refuses; Error(kBudgetTooSmall) when the budget is overdrawn, which is a bug in the plan.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/base/os.h"
#include "engine/storage/container_file.h"

namespace simtile {

// Counts the bytes that a job holds. A plan that stays within its limit never sees a refusal.
class PageBudget {
 public:
  explicit PageBudget(std::uint64_t limit_bytes) : limit_bytes_(limit_bytes) {}
  PageBudget(const PageBudget&) = delete;
  PageBudget& operator=(const PageBudget&) = delete;

  void charge(std::uint64_t bytes);
  void release(std::uint64_t bytes) noexcept { used_bytes_.fetch_sub(bytes, std::memory_order_relaxed); }
  std::uint64_t used_bytes() const noexcept { return used_bytes_.load(std::memory_order_relaxed); }
  std::uint64_t remaining_bytes() const noexcept { return limit_bytes_ - used_bytes(); }

 private:
  const std::uint64_t limit_bytes_;
  std::atomic<std::uint64_t> used_bytes_{0};
};

// Zeroed memory that counts against the budget while it lives.
class BudgetedMemory {
 public:
  BudgetedMemory() = default;
  BudgetedMemory(PageBudget& budget, std::uint64_t bytes);
  BudgetedMemory(BudgetedMemory&& other) noexcept;
  BudgetedMemory& operator=(BudgetedMemory&& other) noexcept;
  ~BudgetedMemory();

  template <typename T>
  T* as() const noexcept {
    return reinterpret_cast<T*>(memory_.data());
  }
  std::uint64_t bytes() const noexcept { return memory_.size(); }

 private:
  PageBudget* budget_ = nullptr;
  os::Mapping memory_;
};

class LeasedSection;

class Lease {
 public:
  Lease() = default;
  Lease(Lease&& other) noexcept;
  Lease& operator=(Lease&& other) noexcept;
  ~Lease();

  // Brings [offset, offset + bytes) of the lease in, and checks the blocks that no lease has checked before.
  void load(std::uint64_t offset, std::uint64_t bytes);

  // The first byte that was asked for; to be read once it is loaded.
  const std::byte* data() const noexcept { return mapping_.data() + skip_; }

  // Ends the lease once the bytes have been read, and says whether they were there: throws Error(kCorrupt) when the
  // file was changed under the lease and Error(kIo) when the disk could not deliver a page. What was read must not be
  // used then. Destroying a lease without it asks nothing.
  void close();

 private:
  friend class LeasedSection;
  void drop() noexcept;
  LeasedSection* section_ = nullptr;
  std::uint64_t first_block_ = 0;  // of the mapping, counted in the section
  os::Mapping mapping_;
  std::size_t skip_ = 0;
  std::size_t brought_in_to_ = 0;  // of the mapping, by load() in ascending order
};

class LeasedSection {
 public:
  // `checksums` is the file's whole table (ContainerFile::load_checksums).
  LeasedSection(const storage::ContainerFile& container, const storage::SectionEntry& section,
                std::shared_ptr<const std::vector<std::uint64_t>> checksums, PageBudget& budget);

  // Maps [offset, offset + bytes) of the section, which must lie within it; nothing is read yet.
  Lease lease(std::uint64_t offset, std::uint64_t bytes);
  // Copies bytes out instead: for a few here and there, where a mapping would cost more than they do. Their blocks are
  // checked the first time, as load() does.
  void read(std::uint64_t offset, std::span<std::byte> bytes);
  // Asks the kernel to bring that range into the page cache, so that the next load() of its blocks need not.
  void prefetch(std::uint64_t offset, std::uint64_t bytes) noexcept;

  // Bytes that were loaded or read so far: what was asked of the page cache.
  std::uint64_t loaded_bytes() const noexcept { return loaded_bytes_.load(std::memory_order_relaxed); }

  // The most that a lease of so many bytes can count.
  static std::uint64_t lease_cost_bytes(std::uint64_t bytes) noexcept;

 private:
  // What is known of a block.
  enum : std::uint8_t { kChecked = 1, kAskedFor = 2 };

  friend class Lease;
  void ask_for_blocks(std::uint64_t begin, std::uint64_t end) noexcept;
  bool take_asked_for(std::uint64_t block, std::uint64_t loaded_to) noexcept;
  bool are_checked(std::uint64_t first_block, std::uint64_t blocks) const noexcept;
  void check_blocks(std::uint64_t first_block, std::span<const std::byte> mapped);

  const storage::ContainerFile* container_;
  const storage::SectionEntry* section_;
  std::shared_ptr<const std::vector<std::uint64_t>> checksums_;
  PageBudget* budget_;
  std::vector<std::atomic<std::uint8_t>> blocks_;
  std::atomic<std::uint64_t> loaded_bytes_{0};
};

}  // namespace simtile
