// What this machine can do, measured in the process and at the moment that wants to compare itself with it: the limits
// of a shared machine change from minute to minute.
#pragma once

#include <cstddef>
#include <span>

#include "simtile/types.h"

namespace simtile::bench {

// Processor seconds that this thread has used: what a busy machine takes away does not count.
double thread_seconds() noexcept;

// Binary32 operations (a fused multiply-add is two) of one thread that does nothing else, on registers as wide as
// `isa`'s: the best of several short tries, about 10 ms in all. kAvx2 or kAvx512, which this processor must have.
double measure_fma_peak_flops(Isa isa);

// One such try: how many operations it takes, and the work itself.
double fma_burst_flops(Isa isa);
void run_fma_burst(Isa isa);

// Memory larger than any cache, filled with bytes that are plain values in every element type. Made at first use.
std::span<const std::byte> streaming_memory();

// Reads all of streaming_memory() once.
void read_streaming_memory();
double measure_read_bytes_per_second();

}  // namespace simtile::bench
