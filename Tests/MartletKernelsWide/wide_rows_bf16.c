// The AVX-512 BF16 rows over sixteen AVX2 lanes, and the instruction set that they make up.
#include "wide_vectors.h"

#ifndef MK_SOFTWARE_AVX512
#define MK_SOFTWARE_AVX512
#endif
#define mk_isa_avx512bf16 mk_isa_wide_bf16
#include "../../Sources/MartletKernels/x86_avx512bf16/gemm.c"

#if defined(__x86_64__)
extern const mk_isa mk_isa_wide_f32;

const mk_isa *mk_wide_isa(void) {
  static mk_gemm_row rows[8];
  static mk_isa isa = {.name = "wide", .gemm_rows = rows};
  const mk_isa *const parts[] = {&mk_isa_wide_f32, &mk_isa_wide_bf16};
  isa.gemm_row_count = 0;
  for (int i = 0; i < 2; i++)
    for (int32_t r = 0; r < parts[i]->gemm_row_count; r++)
      rows[isa.gemm_row_count++] = parts[i]->gemm_rows[r];
  isa.vectors = mk_wide_vectors();
  return &isa;
}
#else
const mk_isa *mk_wide_isa(void) { return NULL; }
#endif
