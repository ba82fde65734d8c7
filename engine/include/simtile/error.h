// The one family of exceptions that simtile throws.
//
// Every message is one line that says what happened, where (file, row, byte offset) and what to do.
// Threads: an Error is a value; it may be copied between threads like any std::exception.
#pragma once

#include <stdexcept>
#include <string>

namespace simtile {

// What went wrong, in the classes a caller can act on. The values are the tool's exit codes.
enum class ErrorCode : int {
  kIo = 1,               // the system refused: missing file, permission, disk full, I/O error
  kInvalidArgument = 2,  // the caller asked for something that makes no sense
  kCorrupt = 3,          // the input is damaged, or not what it says it is
  kBudgetTooSmall = 4,   // the page budget is below the smallest one that works
  kInterrupted = 130,    // stopped on request; the job can be resumed
};

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace simtile
