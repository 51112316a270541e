// The machine's own limits on one core, for other figures to be shares of.
#ifndef MARTLET_BENCHMARKS_LIMITS_H
#define MARTLET_BENCHMARKS_LIMITS_H

#include <stdint.h>

#include "martlet_kernels.h"

double seconds_now(void);
// GFLOP/s of multiply-adds on registers.
double fma_gflops(const mk_isa *isa);
// GHz of the core's clock, by a chain of dependent additions of one cycle each.
double clock_ghz(void);
// GB/s of reading `bytes` again and again, and of copying `bytes` to as many others (both counted).
double read_gbs(int64_t bytes);
double copy_gbs(int64_t bytes);

// What this processor can run, the most capable last; the names on the command line limit it.
const mk_isa *best_isa(const char *name);

#endif
