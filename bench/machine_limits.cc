// The functions with a target attribute are sealed: intrinsics alone, so their instruction set reaches no other code.
#include "bench/machine_limits.h"

#include <immintrin.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace simtile::bench {
namespace {

constexpr int kSteps = 20'000;
constexpr int kTries = 8;

// Independent chains hide the latency of a fused multiply-add (4 or 5 cycles, two each cycle): 24 of the 32 registers
// of AVX-512, 12 of the 16 of AVX2.
constexpr int kAvx512Chains = 24;
constexpr int kAvx2Chains = 12;

volatile float fma_sink;

__attribute__((target("avx512f"))) void burst_avx512() {
  const __m512 factor = _mm512_set1_ps(0.9999f);
  const __m512 term = _mm512_set1_ps(0.0001f);
  __m512 chains[kAvx512Chains];
  for (int c = 0; c < kAvx512Chains; ++c) chains[c] = _mm512_set1_ps(static_cast<float>(c));
  for (int step = 0; step < kSteps; ++step) {
#pragma GCC unroll 24
    for (int c = 0; c < kAvx512Chains; ++c) chains[c] = _mm512_fmadd_ps(chains[c], factor, term);
  }
  __m512 sum = chains[0];
  for (int c = 1; c < kAvx512Chains; ++c) sum = _mm512_add_ps(sum, chains[c]);
  fma_sink = _mm512_cvtss_f32(sum);
}

__attribute__((target("avx2,fma"))) void burst_avx2() {
  const __m256 factor = _mm256_set1_ps(0.9999f);
  const __m256 term = _mm256_set1_ps(0.0001f);
  __m256 chains[kAvx2Chains];
  for (int c = 0; c < kAvx2Chains; ++c) chains[c] = _mm256_set1_ps(static_cast<float>(c));
  for (int step = 0; step < kSteps; ++step) {
#pragma GCC unroll 12
    for (int c = 0; c < kAvx2Chains; ++c) chains[c] = _mm256_fmadd_ps(chains[c], factor, term);
  }
  __m256 sum = chains[0];
  for (int c = 1; c < kAvx2Chains; ++c) sum = _mm256_add_ps(sum, chains[c]);
  fma_sink = _mm256_cvtss_f32(sum);
}

volatile std::uint64_t read_sink;

}  // namespace

double thread_seconds() noexcept {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double fma_burst_flops(Isa isa) {
  return isa == Isa::kAvx512 ? 2.0 * 16 * kAvx512Chains * kSteps : 2.0 * 8 * kAvx2Chains * kSteps;
}

void run_fma_burst(Isa isa) { isa == Isa::kAvx512 ? burst_avx512() : burst_avx2(); }

double measure_fma_peak_flops(Isa isa) {
  double best_seconds = 1e9;
  for (int i = 0; i < kTries; ++i) {
    const double start = thread_seconds();
    run_fma_burst(isa);
    best_seconds = std::min(best_seconds, (thread_seconds() - start));
  }
  return fma_burst_flops(isa) / best_seconds;
}

std::span<const std::byte> streaming_memory() {
  // 0x3c3c is 1.06 as f16, 0.0115 as bf16; 0x3c 60 as an integer.
  static const std::vector<std::byte> memory(std::size_t{512} << 20, std::byte{0x3c});
  return memory;
}

void read_streaming_memory() {
  const std::span<const std::byte> memory = streaming_memory();
  constexpr std::size_t kLane = sizeof(std::uint64_t);
  std::uint64_t sums[8] = {};
  for (std::size_t at = 0; at < memory.size(); at += sizeof sums)
    for (std::size_t lane = 0; lane < 8; ++lane) {
      std::uint64_t word;
      std::memcpy(&word, memory.data() + at + lane * kLane, kLane);
      sums[lane] += word;
    }
  std::uint64_t sum = 0;
  for (const std::uint64_t s : sums) sum += s;
  read_sink = sum;
}

double measure_read_bytes_per_second() {
  const std::size_t bytes = streaming_memory().size();
  const double start = thread_seconds();
  read_streaming_memory();
  return static_cast<double>(bytes) / (thread_seconds() - start);
}

}  // namespace simtile::bench
