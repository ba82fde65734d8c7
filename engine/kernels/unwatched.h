// To tell the thread sanitizer of each load of the innermost loops took a third of its tests' time. There a strip's
// scores are left out of it, and one float of each row of a panel is named instead: panels are what threads share, and
// are written whole, by functions that it watches; thresholds and lists of survivors are the caller's own. Left out too
// are the passes that count keys: the one that keeps some, which it watches, touches every key again.
// An unwatched function calls only what is always inlined into it.
#pragma once

#if defined(__SANITIZE_THREAD__)
extern "C" void __tsan_read4(void* address);
#define SIMTILE_UNWATCHED __attribute__((no_sanitize("thread")))
#define SIMTILE_READS(address) __tsan_read4(const_cast<float*>(address))
#else
#define SIMTILE_UNWATCHED
#define SIMTILE_READS(address) static_cast<void>(0)
#endif
