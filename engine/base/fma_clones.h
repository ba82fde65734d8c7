// A chain of std::fma compiled for processors that have the instruction too, which is chosen when the program is
// loaded: the same bits without a library call for each step.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define SIMTILE_WITH_AND_WITHOUT_FMA __attribute__((target_clones("default", "fma")))
#else
#define SIMTILE_WITH_AND_WITHOUT_FMA
#endif
