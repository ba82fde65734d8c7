// The C ABI's messages, version and stop handle.
#include "engine/c_api/guarded.h"
#include "engine/c_api/stop.h"
#include "engine/kernels/tile_kernel.h"

namespace simtile::c_api {
namespace {

// Plain characters: a thread's last message needs no memory to be kept or to be let go.
constexpr std::size_t kMessageBytes = 2048;
thread_local char last_error[kMessageBytes] = "";

}  // namespace

simtile_status fail(simtile_status status, const char* message) noexcept {
  const std::size_t length = std::min(std::strlen(message), kMessageBytes - 1);
  std::memcpy(last_error, message, length);
  last_error[length] = '\0';
  return status;
}

void copy_text(const std::string& text, char* buffer, std::size_t capacity, std::size_t* length) {
  require(buffer != nullptr || capacity == 0, "the buffer for an id is NULL");
  if (length != nullptr) *length = text.size();
  if (capacity == 0) return;
  const std::size_t copied = std::min(text.size(), capacity - 1);
  std::memcpy(buffer, text.data(), copied);
  buffer[copied] = '\0';
}

}  // namespace simtile::c_api

using namespace simtile::c_api;

const char* simtile_version(void) { return SIMTILE_VERSION; }

const char* simtile_instruction_set(void) {
  return simtile::to_string(simtile::kernels::select_kernel(simtile::Isa::kAuto).isa).data();
}

const char* simtile_last_error(void) { return last_error; }

simtile_status simtile_stop_new(simtile_stop** stop) {
  return guarded([&] {
    require(stop != nullptr, "simtile_stop_new: the place for the handle is NULL");
    *stop = new simtile_stop;
  });
}

void simtile_stop_request(simtile_stop* stop) {
  static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may not wait for a lock");
  if (stop != nullptr) stop->requested.store(true, std::memory_order_relaxed);
}

void simtile_stop_close(simtile_stop* stop) { delete stop; }
