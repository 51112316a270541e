// What the kernel tests share: counted checks, guarded memory, random numbers.
#ifndef MARTLET_EMULATED_KERNELS_HARNESS_H
#define MARTLET_EMULATED_KERNELS_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "martlet_kernels.h"

// Counts the check; prints a failure's message (the first few of each section).
bool check(bool ok, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Names what the following checks are about.
void begin_section(const char *isa, const char *name);

// Memory with an inaccessible page before its slot and one after it. `at_end` memory ends where
// the page begins (so a read past it is a fault), otherwise it begins where the page ends. The
// bytes are CANARY, and so are up to FRINGE bytes on the open side, which fringe_is_whole() checks.
enum { SLOT_BYTES = 1 << 20, SLOTS = 10, FRINGE = 256, CANARY = 0xa5 };
void *slot_memory(int slot, int64_t bytes, bool at_end);
bool fringe_is_whole(int slot);

// Rows of `row_bytes` whose starts lie `stride` bytes apart (maybe 0 or negative) in a slot.
typedef struct rows {
  int slot;
  int64_t count, row_bytes, stride;
  char *first;  // row 0
} rows;
rows make_rows(int slot, int64_t count, int64_t row_bytes, int64_t stride, bool at_end);
// Makes the rows CANARY again and tells whether everything else still was.
bool wipe_rows(const rows *r);

uint32_t random_bits(void);
int64_t random_below(int64_t bound);
// Uniform in [-1, 1).
float random_unit(void);

static inline uint32_t bits_of(float x) {
  uint32_t u;
  memcpy(&u, &x, 4);
  return u;
}
static inline float float_of(uint32_t u) {
  float x;
  memcpy(&x, &u, 4);
  return x;
}
// Equal values, or both NaN; zeros of either sign are equal.
static inline bool same(float a, float b) { return a == b || (a != a && b != b); }
static inline float widen(uint16_t h) { return float_of((uint32_t)h << 16); }
// Round to nearest even, NaN quieted, denormals kept.
static inline uint16_t round_to_bf16(float x) {
  const uint32_t u = bits_of(x);
  if (x != x) return (uint16_t)(u >> 16 | 0x40);
  return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

// How the products of an instruction set are summed.
typedef enum product_order {
  ROUNDED_TWICE,    // a product and a sum per k, ascending: a baseline without multiply-add
  CHAIN,            // one multiply-add per k, ascending
  DOT_PINNED,       // VDPBF16PS as Intel defines it
  DOT_WITHIN_BOUND  // VDPBF16PS of a processor that may round pairs in its own way
} product_order;

void test_gemm_row(const mk_isa *isa, const mk_gemm_row *row, product_order order);
void test_conv_kernels(const mk_isa *isa, const mk_gemm_row *row, bool fused);
void test_vectors(const mk_isa *isa, bool fused);
void test_sampling(const mk_isa *isa);
// What is the same code on all instruction sets.
void test_indexing(void);
void test_int8_row(const mk_isa *isa);
// Rows of `isa` with hooks of the test's own, which must enclose every tile of them.
void test_hooks(const mk_isa *isa, product_order order);

#endif
