// The vector of the AVX-512 kernels (see generic/lanes.h).
#ifndef MARTLET_KERNELS_AVX512_LANES_H
#define MARTLET_KERNELS_AVX512_LANES_H

#ifdef MK_SOFTWARE_AVX512
#include "software_lanes.h"
#else

enum { VL = 16 };

typedef __m512 vf;
typedef __m512i vi;

typedef struct v_tail {
  __mmask16 mask;
} v_tail;

MK_INLINE v_tail v_first(int64_t count) {
  return (v_tail){(__mmask16)((1u << (unsigned)count) - 1)};
}

MK_INLINE vi vi_load(const void *p) { return _mm512_loadu_si512(p); }
MK_INLINE void vi_store(void *p, vi v) { _mm512_storeu_si512(p, v); }
MK_INLINE vi vi_load_tail(const void *p, v_tail tail) {
  return _mm512_maskz_loadu_epi32(tail.mask, p);
}
MK_INLINE void vi_store_tail(void *p, v_tail tail, vi v) {
  _mm512_mask_storeu_epi32(p, tail.mask, v);
}
MK_INLINE vi vi_set1(uint32_t x) { return _mm512_set1_epi32((int)x); }

MK_INLINE vf vf_load(const void *p) { return _mm512_loadu_ps(p); }
MK_INLINE void vf_store(void *p, vf v) { _mm512_storeu_ps(p, v); }
MK_INLINE vf vf_load_tail(const void *p, v_tail tail) {
  return _mm512_maskz_loadu_ps(tail.mask, p);
}
MK_INLINE void vf_store_tail(void *p, v_tail tail, vf v) { _mm512_mask_storeu_ps(p, tail.mask, v); }
MK_INLINE vf vf_set1(float x) { return _mm512_set1_ps(x); }
MK_INLINE vf vf_zero(void) { return _mm512_setzero_ps(); }
MK_INLINE vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
MK_INLINE vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
MK_INLINE vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
MK_INLINE vf vf_at_least(vf bound, vf v) { return _mm512_max_ps(bound, v); }
MK_INLINE vf vf_at_most(vf bound, vf v) { return _mm512_min_ps(bound, v); }

MK_INLINE vf vf_even(vi pairs) { return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)); }
MK_INLINE vf vf_odd(vi pairs) {
  return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32((int)0xffff0000u)));
}

// In integers, not VCVTNEPS2BF16, which flushes denormals.
MK_INLINE vi vi_rounded_upper(vf v) {
  const __m512i bits = _mm512_castps_si512(v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
  return _mm512_mask_or_epi32(rounded, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), bits,
                              _mm512_set1_epi32(0x400000));
}
MK_INLINE vi vi_pair_bf16(vf even, vf odd) {
  return _mm512_mask_blend_epi16(0xaaaaaaaau, _mm512_srli_epi32(vi_rounded_upper(even), 16),
                                 vi_rounded_upper(odd));
}
MK_INLINE __m256i v_to_bf16(vf v) {
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(vi_rounded_upper(v), 16));
}
MK_INLINE void vf_store_bf16(void *p, vf v) { _mm256_storeu_si256((__m256i *)p, v_to_bf16(v)); }
MK_INLINE void vf_store_bf16_tail(void *p, v_tail tail, vf v) {
  _mm256_mask_storeu_epi16(p, tail.mask, v_to_bf16(v));
}

// Into L2: fetched into L1, a stream from memory was up to a seventh slower (Benchmarks/kernels).
MK_INLINE void v_prefetch(const void *p) { _mm_prefetch((const char *)p, _MM_HINT_T1); }

typedef struct v_span {
  __mmask16 lanes, even_first, even_second;
} v_span;

MK_INLINE __mmask16 v_below(int64_t high) {
  return high <= 0 ? 0 : high >= 16 ? (__mmask16)0xffff : (__mmask16)((1u << high) - 1);
}
MK_INLINE __mmask16 v_between(int64_t low, int64_t high) {
  return (__mmask16)(v_below(high) & ~(unsigned)v_below(low));
}
MK_INLINE v_span v_span_of(int64_t low, int64_t high) {
  return (v_span){v_between(low, high), v_between(2 * low, 2 * high - 1),
                  v_between(2 * low - 16, 2 * high - 17)};
}
MK_INLINE vf vf_load_span(const float *p, v_span span) {
  return _mm512_maskz_loadu_ps(span.lanes, p);
}
MK_INLINE vf vf_load_step(const float *p, int64_t step) {
  const float *const q = p + 8 * step;
  return _mm512_setr_ps(p[0], p[step], p[2 * step], p[3 * step], p[4 * step], p[5 * step],
                        p[6 * step], p[7 * step], q[0], q[step], q[2 * step], q[3 * step],
                        q[4 * step], q[5 * step], q[6 * step], q[7 * step]);
}
MK_INLINE vf vf_load_even_span(const float *p, v_span span) {
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  return _mm512_permutex2var_ps(_mm512_maskz_loadu_ps(span.even_first, p), even,
                                _mm512_maskz_loadu_ps(span.even_second, p + 16));
}

MK_INLINE vi vi_load_u16(const void *p) {
  return _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
}
MK_INLINE vi vi_load_u16_tail(const void *p, v_tail tail) {
  return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(tail.mask, p));
}
MK_INLINE vi vi_join_u16(vi low, vi high) {
  return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

MK_INLINE vi vi_pairs_of_row(vf first, vf second) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(v_to_bf16(first)), v_to_bf16(second), 1);
}

MK_INLINE void vi_transpose(vi v[VL]) {
  __m512i t[16], u[16];
  MK_UNROLL for (int i = 0; i < 8; i++) {
    t[2 * i] = _mm512_unpacklo_epi32(v[2 * i], v[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(v[2 * i], v[2 * i + 1]);
  }
  // u[4 * i + r]: 128-bit lane q holds column 4 * q + r of rows 4 * i .. 4 * i + 3.
  MK_UNROLL for (int i = 0; i < 4; i++) {
    u[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    u[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    u[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    u[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
  MK_UNROLL for (int r = 0; r < 4; r++) {
    const __m512i a = _mm512_shuffle_i32x4(u[r], u[4 + r], 0x88);       // lanes 0 2 of rows 0-7
    const __m512i b = _mm512_shuffle_i32x4(u[r], u[4 + r], 0xdd);       // lanes 1 3
    const __m512i c = _mm512_shuffle_i32x4(u[8 + r], u[12 + r], 0x88);  // of rows 8-15
    const __m512i d = _mm512_shuffle_i32x4(u[8 + r], u[12 + r], 0xdd);
    v[r] = _mm512_shuffle_i32x4(a, c, 0x88);
    v[4 + r] = _mm512_shuffle_i32x4(b, d, 0x88);
    v[8 + r] = _mm512_shuffle_i32x4(a, c, 0xdd);
    v[12 + r] = _mm512_shuffle_i32x4(b, d, 0xdd);
  }
}

#endif
#endif
