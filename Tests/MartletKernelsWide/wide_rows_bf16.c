// The AVX-512 BF16 rows over sixteen AVX2 lanes, and the instruction set that they make up.
#include "wide_vectors.h"

#ifndef MK_SOFTWARE_AVX512
#define MK_SOFTWARE_AVX512
#endif
#define mk_gemm_rows_avx512bf16 mk_gemm_rows_wide_bf16
#define mk_probe_vdpbf16ps mk_probe_wide_bf16
#include "../../Sources/MartletKernels/x86_avx512bf16/gemm.c"

#if defined(__x86_64__)
extern const mk_gemm_row mk_gemm_rows_wide_f32[MK_AVX512_ROWS];

enum { ROWS = MK_AVX512_ROWS + MK_AVX512BF16_ROWS };

const mk_isa *mk_wide_isa(void) {
  static mk_gemm_row rows[ROWS];
  static mk_isa isa = {.name = "wide", .gemm_rows = rows, .gemm_row_count = ROWS};
  memcpy(rows, mk_gemm_rows_wide_f32, sizeof mk_gemm_rows_wide_f32);
  memcpy(rows + MK_AVX512_ROWS, mk_gemm_rows_wide_bf16, sizeof mk_gemm_rows_wide_bf16);
  isa.vectors = mk_wide_vectors();
  return &isa;
}
#else
const mk_isa *mk_wide_isa(void) { return NULL; }
#endif
