// Runs every kernel of the instruction sets named on the command line against plain C.
//
// The instruction sets are taken by name, not by detection, so a processor that lacks one ends the
// program with an illegal instruction: scripts/test-avx512 names those that this machine, or the
// emulated one, has.
//
// Usage: kernels --list
//        kernels [--expect-detected] [--pinned-dot] ISA...
//   --list             says of each instruction set what it was compiled for, by clang's names
//   --expect-detected  detection must find what the named instruction sets need
//   --pinned-dot       VDPBF16PS must give the bits of Intel's definition
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"

static int64_t passed, failed, failed_here;
static char section[128];

bool check(bool ok, const char *format, ...) {
  enum { SHOWN = 6 };
  if (ok) {
    passed++;
    return true;
  }
  failed++;
  if (++failed_here <= SHOWN) {
    va_list arguments;
    va_start(arguments, format);
    printf("FAILED %s: ", section);
    vprintf(format, arguments);
    va_end(arguments);
    puts("");
  }
  return false;
}

void begin_section(const char *isa, const char *name) {
  snprintf(section, sizeof section, "%s %s", isa, name);
  failed_here = 0;
}

static char *slots[SLOTS];
static struct {
  char *start, *end;
} fringes[SLOTS];

static void make_slots(void) {
  const long page = sysconf(_SC_PAGESIZE);
  for (int i = 0; i < SLOTS; i++) {
    char *p =
      mmap(NULL, SLOT_BYTES + 2 * (size_t)page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p + page, SLOT_BYTES, PROT_READ | PROT_WRITE) != 0) {
      perror("mmap");
      exit(2);
    }
    slots[i] = p + page;
  }
}

void *slot_memory(int slot, int64_t bytes, bool at_end) {
  if (bytes < 0 || bytes > SLOT_BYTES - FRINGE) {
    printf("a test asks for %lld bytes\n", (long long)bytes);
    exit(2);
  }
  char *p = at_end ? slots[slot] + SLOT_BYTES - bytes : slots[slot];
  fringes[slot].start = at_end ? p - FRINGE : p + bytes;
  fringes[slot].end = fringes[slot].start + FRINGE;
  memset(at_end ? p - FRINGE : p, CANARY, (size_t)bytes + FRINGE);
  return p;
}

static bool all_canary(const char *start, const char *end) {
  for (; start < end; start++)
    if (*start != (char)CANARY) return false;
  return true;
}

bool fringe_is_whole(int slot) { return all_canary(fringes[slot].start, fringes[slot].end); }

rows make_rows(int slot, int64_t count, int64_t row_bytes, int64_t stride, bool at_end) {
  const int64_t step = stride < 0 ? -stride : stride;
  const int64_t bytes = count > 0 ? (count - 1) * step + row_bytes : 0;
  char *memory = slot_memory(slot, bytes, at_end);
  if (stride < 0 && count > 0) memory += (count - 1) * step;
  return (rows){slot, count, row_bytes, stride, memory};
}

bool wipe_rows(const rows *r) {
  for (int64_t i = 0; i < r->count; i++)
    memset(r->first + i * r->stride, CANARY, (size_t)r->row_bytes);
  if (r->count == 0) return fringe_is_whole(r->slot);
  const int64_t last = (r->count - 1) * r->stride;
  const char *low = r->first + (last < 0 ? last : 0), *high = r->first + (last < 0 ? 0 : last);
  return fringe_is_whole(r->slot) && all_canary(low, high + r->row_bytes);
}

static uint64_t state = 0x9e3779b97f4a7c15u;

uint32_t random_bits(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t)(state >> 32);
}
int64_t random_below(int64_t bound) { return (int64_t)random_bits() % bound; }
float random_unit(void) { return (float)((int32_t)random_bits() >> 8) * 0x1p-23f; }

// The portable kernels use what the baseline of the architecture has.
static bool is_fused(const mk_isa *isa) {
#if defined(__aarch64__) || defined(__FMA__)
  (void)isa;
  return true;
#else
  return isa->needs != 0;
#endif
}

static product_order order_of(const mk_gemm_row *row, bool pinned) {
  if (row->arithmetic == MK_SUMS_DOT) return pinned ? DOT_PINNED : DOT_WITHIN_BOUND;
  return row->arithmetic == MK_SUMS_FUSED ? CHAIN : ROUNDED_TWICE;
}

int main(int argc, char **argv) {
  bool expect_detected = false, pinned = false;
  int named = 0;
  setvbuf(stdout, NULL, _IOLBF, 4096);
  make_slots();
  int32_t count;
  const mk_isa *const *isas = mk_isa_list(&count);
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--list") == 0) {
      for (int32_t j = 0; j < count; j++) printf("%s %s\n", isas[j]->name, isas[j]->target);
      return 0;
    }
    if (strcmp(argv[i], "--expect-detected") == 0) expect_detected = true;
    if (strcmp(argv[i], "--pinned-dot") == 0) pinned = true;
    if (argv[i][0] == '-') continue;
    const mk_isa *isa = NULL;
    for (int32_t j = 0; j < count; j++)
      if (strcmp(isas[j]->name, argv[i]) == 0) isa = isas[j];
    begin_section(argv[i], "detection");
    if (!check(isa != NULL, "there is no such instruction set")) continue;
    named++;
    if (expect_detected)
      check((mk_cpu_features() & isa->needs) == isa->needs, "needs %08x, detected %08x", isa->needs,
            mk_cpu_features());
    check(mk_isa_passes(isa), "the self-check fails");
    for (int32_t r = 0; r < isa->gemm_row_count; r++) {
      test_gemm_row(isa, &isa->gemm_rows[r], order_of(&isa->gemm_rows[r], pinned));
      test_conv_kernels(isa, &isa->gemm_rows[r], is_fused(isa));
    }
    if (isa->int8_row) test_int8_row(isa);
    if (isa->needs == 0) test_hooks(isa, order_of(&isa->gemm_rows[0], pinned));
    // A later instruction set that has nothing of its own points at its predecessor's table.
    bool tested = false;
    for (int k = 1; k < i; k++)
      for (int32_t j = 0; j < count; j++)
        tested |= strcmp(isas[j]->name, argv[k]) == 0 && isas[j]->vectors == isa->vectors;
    if (!tested && isa->vectors) {
      test_vectors(isa, is_fused(isa));
      test_sampling(isa);
    }
  }
  if (named == 0) {
    puts("usage: kernels --list | [--expect-detected] [--pinned-dot] ISA...");
    return 2;
  }
  test_indexing();
  printf("%lld passed, %lld failed\n", (long long)passed, (long long)failed);
  return failed == 0 ? 0 : 1;
}
