// The one list that binds instruction sets to their kernels.
#include "internal.h"

static bool probe_generic(void) {
  return mk_probe_gemm_rows(mk_gemm_rows_generic, MK_GENERIC_ROWS) &&
         mk_probe_int8_row(&mk_int8_row_generic);
}

static const mk_isa isa_generic = {
  .name = "generic",
  .needs = 0,
  .probe = probe_generic,
  .gemm_rows = mk_gemm_rows_generic,
  .gemm_row_count = MK_GENERIC_ROWS,
  .vectors = &mk_vectors_generic,
  .peak_f32 = mk_peak_f32_generic,
  .int8_row = &mk_int8_row_generic,
  .peak_int8 = mk_peak_int8_generic,
};

#if defined(__x86_64__)
enum {
  NEEDS_AVX2 = MK_CPU_AVX2 | MK_CPU_FMA | MK_CPU_F16C,
  NEEDS_AVXVNNI = NEEDS_AVX2 | MK_CPU_AVX_VNNI,
  NEEDS_AVX512 = NEEDS_AVX2 | MK_CPU_AVX512,
  NEEDS_AVX512VNNI = NEEDS_AVX512 | MK_CPU_AVX512_VNNI,
  NEEDS_AVX512BF16 = NEEDS_AVX512 | MK_CPU_AVX512_BF16
};

static bool probe_avx2(void) {
  return mk_probe_gemm_rows(mk_gemm_rows_avx2, MK_AVX2_ROWS) &&
         mk_probe_int8_row(&mk_int8_row_avx2);
}

static bool probe_avxvnni(void) { return mk_probe_int8_row(&mk_int8_row_avxvnni); }
static bool probe_avx512vnni(void) { return mk_probe_int8_row(&mk_int8_row_avx512vnni); }

static bool probe_avx512(void) {
  return mk_probe_gemm_rows(mk_gemm_rows_avx512, MK_AVX512_ROWS);
}

static bool probe_avx512bf16(void) {
  return mk_probe_vdpbf16ps() &&
         mk_probe_gemm_rows(mk_gemm_rows_avx512bf16, MK_AVX512BF16_ROWS);
}

static const mk_isa isa_avx2 = {
  .name = "avx2",
  .needs = NEEDS_AVX2,
  .probe = probe_avx2,
  .gemm_rows = mk_gemm_rows_avx2,
  .gemm_row_count = MK_AVX2_ROWS,
  .vectors = &mk_vectors_avx2,
  .peak_f32 = mk_peak_f32_avx2,
  .int8_row = &mk_int8_row_avx2,
  .peak_int8 = mk_peak_int8_avx2,
};

static const mk_isa isa_avxvnni = {
  .name = "avxvnni",
  .needs = NEEDS_AVXVNNI,
  .probe = probe_avxvnni,
  .vectors = &mk_vectors_avx2,
  .int8_row = &mk_int8_row_avxvnni,
  .peak_int8 = mk_peak_int8_avxvnni,
};

static const mk_isa isa_avx512 = {
  .name = "avx512",
  .needs = NEEDS_AVX512,
  .probe = probe_avx512,
  .gemm_rows = mk_gemm_rows_avx512,
  .gemm_row_count = MK_AVX512_ROWS,
  .vectors = &mk_vectors_avx512,
  .peak_f32 = mk_peak_f32_avx512,
};

static const mk_isa isa_avx512vnni = {
  .name = "avx512vnni",
  .needs = NEEDS_AVX512VNNI,
  .probe = probe_avx512vnni,
  .vectors = &mk_vectors_avx512,
  .int8_row = &mk_int8_row_avx512vnni,
  .peak_int8 = mk_peak_int8_avx512vnni,
};

static const mk_isa isa_avx512bf16 = {
  .name = "avx512bf16",
  .needs = NEEDS_AVX512BF16,
  .probe = probe_avx512bf16,
  .gemm_rows = mk_gemm_rows_avx512bf16,
  .gemm_row_count = MK_AVX512BF16_ROWS,
  .vectors = &mk_vectors_avx512,
  .peak_f32 = mk_peak_f32_avx512,
  .peak_bf16 = mk_peak_bf16_avx512bf16,
};
#endif

static const mk_isa *const isa_list[] = {
  &isa_generic,
#if defined(__x86_64__)
  &isa_avx2,
  &isa_avxvnni,
  &isa_avx512,
  &isa_avx512vnni,
  &isa_avx512bf16,
#endif
};

const mk_isa *const *mk_isa_list(int32_t *count) {
  *count = (int32_t)(sizeof isa_list / sizeof isa_list[0]);
  return isa_list;
}
