// Scans of a mapped matrix file for a few queries, one thread, as a service makes them: few_queries/TYPE/dims:D/
// queries:Q/k:K, with the bytes of base rows that a second of processor time takes as a share of the read bandwidth.
#pragma once

namespace simtile::bench {

void register_few_query_scans();

}  // namespace simtile::bench
