// Sorts keys ascending: the final order of a row's neighbours.
//
// Threads: may be called from several threads at once; a thread's first call allocates its scratch memory.
#pragma once

#include <cstddef>

#include "engine/topk/candidate_key.h"

namespace simtile::topk {

void sort_keys(Key* keys, std::size_t count);

}  // namespace simtile::topk
