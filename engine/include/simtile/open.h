// How the readers (Matrix, Neighbours, Searcher) open a file.
#pragma once

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

struct OpenOptions {
  OpenMode mode = OpenMode::kVerifyOnTouch;
  Access access = Access::kMapped;
};

}  // namespace simtile
