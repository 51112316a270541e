// The vector of the AVX2 kernels (see generic/lanes.h).
#ifndef MARTLET_KERNELS_AVX2_LANES_H
#define MARTLET_KERNELS_AVX2_LANES_H

enum { VL = 8 };

typedef __m256 vf;
typedef __m256i vi;

typedef struct v_tail {
  __m256i mask;
  int count;
} v_tail;

MK_INLINE v_tail v_first(int64_t count) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return (v_tail){_mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), lane), (int)count};
}

MK_INLINE vi vi_load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
MK_INLINE void vi_store(void *p, vi v) { _mm256_storeu_si256((__m256i *)p, v); }
MK_INLINE vi vi_load_tail(const void *p, v_tail tail) {
  return _mm256_maskload_epi32((const int *)p, tail.mask);
}
// In pieces: a masked store takes tens of operations on AMD.
MK_INLINE void vi_store_tail(void *p, v_tail tail, vi v) {
  char *to = (char *)p;
  __m128i rest = _mm256_castsi256_si128(v);
  if (tail.count & 8) {
    vi_store(to, v);
    return;
  }
  if (tail.count & 4) {
    _mm_storeu_si128((__m128i *)to, rest);
    rest = _mm256_extracti128_si256(v, 1);
    to += 16;
  }
  if (tail.count & 2) {
    _mm_storel_epi64((__m128i *)to, rest);
    rest = _mm_srli_si128(rest, 8);
    to += 8;
  }
  if (tail.count & 1) {
    const int word = _mm_cvtsi128_si32(rest);
    memcpy(to, &word, 4);
  }
}
MK_INLINE vi vi_set1(uint32_t x) { return _mm256_set1_epi32((int)x); }

MK_INLINE vf vf_load(const void *p) { return _mm256_loadu_ps((const float *)p); }
MK_INLINE void vf_store(void *p, vf v) { _mm256_storeu_ps((float *)p, v); }
MK_INLINE vf vf_load_tail(const void *p, v_tail tail) {
  return _mm256_maskload_ps((const float *)p, tail.mask);
}
MK_INLINE void vf_store_tail(void *p, v_tail tail, vf v) {
  vi_store_tail(p, tail, _mm256_castps_si256(v));
}
MK_INLINE vf vf_set1(float x) { return _mm256_set1_ps(x); }
MK_INLINE vf vf_zero(void) { return _mm256_setzero_ps(); }
MK_INLINE vf vf_add(vf a, vf b) { return _mm256_add_ps(a, b); }
MK_INLINE vf vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
MK_INLINE vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
// VMAXPS and VMINPS return their second operand when either is NaN.
MK_INLINE vf vf_at_least(vf bound, vf v) { return _mm256_max_ps(bound, v); }
MK_INLINE vf vf_at_most(vf bound, vf v) { return _mm256_min_ps(bound, v); }

MK_INLINE vf vf_even(vi pairs) { return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)); }
MK_INLINE vf vf_odd(vi pairs) {
  return _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32((int)0xffff0000u)));
}

MK_INLINE vi vi_rounded_upper(vf v) {
  const __m256i bits = _mm256_castps_si256(v);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
  const __m256i quieted = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  return _mm256_castps_si256(_mm256_blendv_ps(
    _mm256_castsi256_ps(rounded), _mm256_castsi256_ps(quieted), _mm256_cmp_ps(v, v, _CMP_UNORD_Q)));
}
MK_INLINE vi vi_pair_bf16(vf even, vf odd) {
  return _mm256_blend_epi16(_mm256_srli_epi32(vi_rounded_upper(even), 16), vi_rounded_upper(odd),
                            0xaa);
}
MK_INLINE __m128i v_to_bf16(vf v) {
  const __m256i low = _mm256_srli_epi32(vi_rounded_upper(v), 16);
  return _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
}
MK_INLINE void vf_store_bf16(void *p, vf v) { _mm_storeu_si128((__m128i *)p, v_to_bf16(v)); }
MK_INLINE void vf_store_bf16_tail(void *p, v_tail tail, vf v) {
  char *to = (char *)p;
  __m128i rest = v_to_bf16(v);
  if (tail.count & 8) {
    _mm_storeu_si128((__m128i *)to, rest);
    return;
  }
  if (tail.count & 4) {
    _mm_storel_epi64((__m128i *)to, rest);
    rest = _mm_srli_si128(rest, 8);
    to += 8;
  }
  if (tail.count & 2) {
    const int two = _mm_cvtsi128_si32(rest);
    memcpy(to, &two, 4);
    rest = _mm_srli_si128(rest, 4);
    to += 4;
  }
  if (tail.count & 1) {
    const uint16_t one = (uint16_t)_mm_extract_epi16(rest, 0);
    memcpy(to, &one, 2);
  }
}

// Into L2: fetched into L1, a stream from memory was up to a seventh slower (Benchmarks/kernels).
MK_INLINE void v_prefetch(const void *p) { _mm_prefetch((const char *)p, _MM_HINT_T1); }

typedef struct v_span {
  __m256i lanes, even_first, even_second;
} v_span;

MK_INLINE __m256i v_between(int64_t low, int64_t high) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32((int)low), lane),
                             _mm256_cmpgt_epi32(_mm256_set1_epi32((int)high), lane));
}
MK_INLINE v_span v_span_of(int64_t low, int64_t high) {
  return (v_span){v_between(low, high), v_between(2 * low, 2 * high - 1),
                  v_between(2 * low - 8, 2 * high - 9)};
}
MK_INLINE vf vf_load_span(const float *p, v_span span) { return _mm256_maskload_ps(p, span.lanes); }
MK_INLINE vf vf_load_step(const float *p, int64_t step) {
  return _mm256_setr_ps(p[0], p[step], p[2 * step], p[3 * step], p[4 * step], p[5 * step],
                        p[6 * step], p[7 * step]);
}
MK_INLINE vf vf_load_even_span(const float *p, v_span span) {
  const __m256 mixed = _mm256_shuffle_ps(_mm256_maskload_ps(p, span.even_first),
                                         _mm256_maskload_ps(p + 8, span.even_second), 0x88);
  return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(mixed), 0xd8));
}

MK_INLINE vi vi_load_u16(const void *p) {
  return _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
}
MK_INLINE vi vi_load_u16_tail(const void *p, v_tail tail) {
  uint16_t words[VL] = {0};
  for (int i = 0; i < tail.count; i++) memcpy(&words[i], (const char *)p + 2 * i, 2);
  return vi_load_u16(words);
}
MK_INLINE vi vi_join_u16(vi low, vi high) {
  return _mm256_or_si256(low, _mm256_slli_epi32(high, 16));
}

MK_INLINE vi vi_pairs_of_row(vf first, vf second) {
  const __m256i a = _mm256_srli_epi32(vi_rounded_upper(first), 16);
  const __m256i b = _mm256_srli_epi32(vi_rounded_upper(second), 16);
  return _mm256_permute4x64_epi64(_mm256_packus_epi32(a, b), 0xd8);
}

MK_INLINE void vi_transpose(vi v[VL]) {
  __m256i t[8], u[8];
  MK_UNROLL for (int i = 0; i < 4; i++) {
    t[2 * i] = _mm256_unpacklo_epi32(v[2 * i], v[2 * i + 1]);
    t[2 * i + 1] = _mm256_unpackhi_epi32(v[2 * i], v[2 * i + 1]);
  }
  MK_UNROLL for (int i = 0; i < 2; i++) {
    u[4 * i] = _mm256_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    u[4 * i + 1] = _mm256_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    u[4 * i + 2] = _mm256_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    u[4 * i + 3] = _mm256_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
  MK_UNROLL for (int i = 0; i < 4; i++) {
    v[i] = _mm256_permute2x128_si256(u[i], u[i + 4], 0x20);
    v[i + 4] = _mm256_permute2x128_si256(u[i], u[i + 4], 0x31);
  }
}

#endif
