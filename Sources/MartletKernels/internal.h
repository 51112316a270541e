// What the files of MartletKernels share among themselves; callers include martlet_kernels.h only.
#ifndef MARTLET_KERNELS_INTERNAL_H
#define MARTLET_KERNELS_INTERNAL_H

#include "include/martlet_kernels.h"

// Rows per ISA: an array's length must be a constant where isa_table.c binds it.
enum { MK_GENERIC_ROWS = 3, MK_AVX2_ROWS = 3, MK_AVX512_ROWS = 1, MK_AVX512BF16_ROWS = 2 };

extern const mk_gemm_row mk_gemm_rows_generic[MK_GENERIC_ROWS];
extern const mk_int8_row mk_int8_row_generic;
void mk_finish_generic(const mk_int8_finish *f);
void mk_quantize_generic(const mk_quantize *q);
void mk_dequantize_generic(const mk_dequantize *d);
int64_t mk_peak_f32_generic(int64_t rounds);
int64_t mk_peak_int8_generic(int64_t rounds);

#if defined(__x86_64__)
extern const mk_gemm_row mk_gemm_rows_avx2[MK_AVX2_ROWS];
extern const mk_gemm_row mk_gemm_rows_avx512[MK_AVX512_ROWS];
extern const mk_gemm_row mk_gemm_rows_avx512bf16[MK_AVX512BF16_ROWS];
extern const mk_vector_table mk_vectors_avx2;
extern const mk_vector_table mk_vectors_avx512;
extern const mk_int8_row mk_int8_row_avx2;
extern const mk_int8_row mk_int8_row_avxvnni;
extern const mk_int8_row mk_int8_row_avx512vnni;
void mk_finish_avx2(const mk_int8_finish *f);
void mk_quantize_avx2(const mk_quantize *q);
void mk_dequantize_avx2(const mk_dequantize *d);
int64_t mk_peak_f32_avx2(int64_t rounds);
int64_t mk_peak_f32_avx512(int64_t rounds);
int64_t mk_peak_bf16_avx512bf16(int64_t rounds);
int64_t mk_peak_int8_avx2(int64_t rounds);
int64_t mk_peak_int8_avxvnni(int64_t rounds);
int64_t mk_peak_int8_avx512vnni(int64_t rounds);

// Whether VDPBF16PS gives the bits that its definition promises. Needs MK_CPU_AVX512_BF16.
bool mk_probe_vdpbf16ps(void);
#endif

// Runs small products with edges on every row and compares them with plain C.
bool mk_probe_gemm_rows(const mk_gemm_row *rows, int32_t count);
// The same for integer products, extreme values included.
bool mk_probe_int8_row(const mk_int8_row *row);

#endif
