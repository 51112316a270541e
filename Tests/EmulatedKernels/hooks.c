// The hooks of a row around its tiles, in the self-check and in these tests themselves.
#include <stdio.h>

#include "harness.h"

// Rows with hooks: the first of an instruction set, which count what is called of them.
static const mk_gemm_row *plain;
static const mk_int8_row *plain_int8;
static int64_t begun, ended, inside, outside;

static void begin(void) { begun++; }
static void end(void) { ended++; }
static void count_call(void) { *(begun == ended + 1 ? &inside : &outside) += 1; }

static void tile(const mk_gemm_tile *t) {
  count_call();
  plain->tile(t);
}
static void stream(const mk_gemm_stream *s) {
  count_call();
  plain->stream(s);
}
static void int8_tile(const mk_int8_tile *t) {
  count_call();
  plain_int8->tile(t);
}
static void wide_tile(const mk_int8_tile *t) {
  count_call();
  plain_int8->wide_tile(t);
}

static void check_calls(const char *what) {
  check(begun > 0 && begun == ended && inside > 0 && outside == 0,
        "%s: begun %lld times, ended %lld, %lld tiles inside and %lld outside", what,
        (long long)begun, (long long)ended, (long long)inside, (long long)outside);
  begun = ended = inside = outside = 0;
}

void test_hooks(const mk_isa *isa, product_order order) {
  plain = &isa->gemm_rows[0];
  plain_int8 = isa->int8_row;
  mk_gemm_row row = *plain;
  row.begin = begin, row.end = end, row.tile = tile;
  row.stream = row.stream ? stream : NULL;
  // A row with hooks has none of these.
  row.columns = row.lines = row.small = NULL;
  row.conv = NULL, row.conv_dot = NULL, row.vector = 0;
  mk_int8_row int8_row = *plain_int8;
  int8_row.begin = begin, int8_row.end = end, int8_row.tile = int8_tile;
  int8_row.wide_tile = int8_row.wide_tile ? wide_tile : NULL;

  mk_isa hooked = *isa;
  hooked.gemm_rows = &row, hooked.gemm_row_count = 1, hooked.int8_row = NULL;
  const bool passes = mk_isa_passes(&hooked);
  test_gemm_row(&hooked, &row, order);
  begin_section(isa->name, "hooks");
  check(passes, "the self-check of a row fails");
  check_calls("rows of floats");

  hooked.gemm_row_count = 0, hooked.int8_row = &int8_row;
  const bool passes_int8 = mk_isa_passes(&hooked);
  test_int8_row(&hooked);
  begin_section(isa->name, "hooks");
  check(passes_int8, "the self-check of the integer row fails");
  check_calls("rows of integers");
}
