// A plain loop compiled for wider vectors too, the widest that the processor has being chosen when the program is
// loaded. For loops whose result no vector width changes, or whose result is not part of an answer.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define SIMTILE_WIDE_CLONES __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define SIMTILE_WIDE_CLONES
#endif
