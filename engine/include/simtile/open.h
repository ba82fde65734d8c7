// How the readers (Matrix, Neighbours, Searcher) open a file.
#pragma once

#include <cstdint>

namespace simtile {

// When bytes are held against their checksums. The header's own, the length and the sections' sizes are checked in
// every mode.
enum class OpenMode {
  kFast,           // no more than that: opening takes well under a millisecond, whatever the file's size
  kVerifyOnTouch,  // each 64 KiB block the first time that a call reads from it
  kFull,           // all of them before the constructor returns
};

// How bytes are reached.
enum class Access {
  kMapped,    // the whole file mapped read-only and shared: no lock, no copy in this process, and as many processes as
              // you like pay for it once. Costs page tables, about 2 MiB for each GiB touched.
  kStreamed,  // read(2) of a block at a time, one thread at a time: bounded memory, for tools with a small budget
};

// What is brought into memory before the constructor, or a reload(), returns. Mapped files alone.
enum class Warm {
  kNone,    // pages come as they are touched
  kHeader,  // the header and the checksum table
  kFull,    // all of it
};

struct OpenOptions {
  OpenMode mode = OpenMode::kVerifyOnTouch;
  Access access = Access::kMapped;
  Warm warm = Warm::kNone;
  std::uint64_t warm_bytes_per_second = 0;  // spares the disk for others; 0: as fast as it goes
  bool lock = false;                        // mlock the mapping: all of it in memory, for as long as it is open
};

}  // namespace simtile
