// What the files of MartletKernels share among themselves; callers include martlet_kernels.h only.
#ifndef MARTLET_KERNELS_INTERNAL_H
#define MARTLET_KERNELS_INTERNAL_H

#include "include/martlet_kernels.h"
#include "isas.inc"

// What an instruction set's folder may define, for itself and for those that build on it.
#define MK_DECLARED(NAME, WHERE, TARGET, NEEDS)          \
  extern const mk_isa mk_isa_##NAME;                     \
  extern const mk_int8_row mk_int8_row_##NAME;           \
  extern const mk_vector_table mk_vectors_##NAME;        \
  void mk_finish_##NAME(const mk_int8_finish *f);        \
  void mk_quantize_##NAME(const mk_quantize *q);         \
  void mk_dequantize_##NAME(const mk_dequantize *d);     \
  int64_t mk_peak_f32_##NAME(int64_t rounds);            \
  int64_t mk_peak_bf16_##NAME(int64_t rounds);           \
  int64_t mk_peak_int8_##NAME(int64_t rounds);
MK_ISAS(MK_DECLARED)

// The head of an mk_isa: MK_ISA_avx2(MK_FACTS).
#define MK_FACTS(NAME, WHERE, TARGET, NEEDS) .name = #NAME, .needs = NEEDS, .target = TARGET

// An array of rows and how many they are.
#define MK_GEMM_ROWS(ROWS) .gemm_rows = ROWS, .gemm_row_count = sizeof ROWS / sizeof ROWS[0]

#endif
