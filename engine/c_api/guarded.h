// What every function of the C ABI goes through: nothing that is thrown leaves it, and structs of other versions are
// understood.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <utility>

#include "simtile/error.h"
#include "simtile/simtile.h"

namespace simtile::c_api {

// Keeps the message for simtile_last_error() in this thread. Never throws: a message that there is no memory for is
// replaced by a fixed one.
simtile_status fail(simtile_status status, const char* message) noexcept;

// Runs `work` and turns what it throws into a status and a message.
template <typename Work>
simtile_status guarded(Work work) noexcept {
  try {
    std::move(work)();
    return SIMTILE_OK;
  } catch (const Error& error) {
    return fail(static_cast<simtile_status>(error.code()), error.what());
  } catch (const std::bad_alloc&) {
    return fail(SIMTILE_OUT_OF_MEMORY, "out of memory; give a smaller budget or fewer threads");
  } catch (const std::exception& error) {
    return fail(SIMTILE_UNEXPECTED, error.what());
  } catch (...) {
    return fail(SIMTILE_UNEXPECTED, "an exception that is no std::exception");
  }
}

inline void require(bool condition, const char* what) {
  if (!condition) throw Error(ErrorCode::kInvalidArgument, what);
}

// The caller's options in this library's layout: defaults where the caller's struct ends before ours does. One that is
// longer comes from a newer header; what we do not know of it must be zero, or it would be ignored in silence.
template <typename Options>
Options options_of(const Options* given, const Options& defaults) {
  Options options = defaults;
  if (given == nullptr) return options;
  require(given->size >= sizeof given->size, "an options struct has no size; call its init function first");
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  if (given->size > sizeof options)
    require(std::all_of(bytes + sizeof options, bytes + given->size, [](unsigned char byte) { return byte == 0; }),
            "an options struct sets a field that this version of libsimtile does not know; install the newer one");
  std::memcpy(&options, given, std::min(given->size, sizeof options));
  options.size = sizeof options;
  return options;
}

// Fills in as much of a struct of the caller's size as there is room for, and leaves its size.
template <typename Struct>
void fill(Struct* given, const Struct& value) noexcept {
  const std::size_t size = std::min(given->size, sizeof value);
  if (size <= sizeof value.size) return;
  std::memcpy(reinterpret_cast<unsigned char*>(given) + sizeof value.size,
              reinterpret_cast<const unsigned char*>(&value) + sizeof value.size, size - sizeof value.size);
}

// What the init functions do: defaults as far as the caller's struct goes, zero beyond what we know, and its size.
template <typename Options>
void init(Options* options, std::size_t size, const Options& defaults) noexcept {
  if (options == nullptr || size < sizeof options->size) return;
  std::memset(static_cast<void*>(options), 0, size);
  options->size = size;
  fill(options, defaults);
}

inline std::string text_or_empty(const char* text) { return text == nullptr ? "" : text; }

// Copies an id and a NUL to the caller's buffer, cut where it must be.
void copy_text(const std::string& text, char* buffer, std::size_t capacity, std::size_t* length);

}  // namespace simtile::c_api
