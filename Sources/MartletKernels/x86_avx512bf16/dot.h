// VDPBF16PS and VCVTNEPS2BF16, what these kernels have beyond the AVX-512 lanes.
#ifndef MARTLET_KERNELS_AVX512BF16_DOT_H
#define MARTLET_KERNELS_AVX512BF16_DOT_H

#define GEMM_HAS_DOT

// Per lane: sum + the products of the two bf16 pairs; denormals count as zero.
// The second operand is loaded by an instruction of its own. Folding that load gains nothing, for a
// panel's vector serves all rows of a tile and a stream waits for memory, and Bochs 3.0, which runs
// these kernels in scripts/test-avx512, misreads a folded operand's one-byte displacement.
MK_INLINE vf vf_dot(vf sum, vi a, vi b) {
#ifdef MK_SOFTWARE_AVX512
  return vf_fma(vf_even(a), vf_even(b), vf_fma(vf_odd(a), vf_odd(b), sum));
#else
  __asm__("" : "+v"(b));
  return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
#endif
}

// Rounding to bf16 for vf_dot, in an instruction that takes f32 denormals for zero. For all but the
// largest of them vf_dot does the same with what they become; those round to 2^-126, which it takes
// as it is. So zeros leave a doubt, on which the caller rounds once more (vi_pairs_of_row,
// vi_pair_bf16), at least where dot_has_denormals. Other elements have the bits that these give.
#ifdef MK_SOFTWARE_AVX512
typedef bool dot_doubt;
MK_INLINE dot_doubt dot_sure(void) { return false; }
MK_INLINE bool dot_is_doubtful(dot_doubt doubt) { return doubt; }
MK_INLINE bool dot_has_denormals(vf first, vf second) {
  (void)first, (void)second;
  return true;
}
MK_INLINE vi dot_pairs_of_row(vf first, vf second, dot_doubt *doubt) {
  (void)doubt;
  return vi_pairs_of_row(first, second);
}
MK_INLINE vi dot_pairs_of_lines(vf even, vf odd, dot_doubt *doubt) {
  (void)doubt;
  return vi_pair_bf16(even, odd);
}
#else
typedef __mmask32 dot_doubt;
MK_INLINE dot_doubt dot_sure(void) { return 0; }
MK_INLINE bool dot_is_doubtful(dot_doubt doubt) { return __builtin_expect(doubt != 0, 0); }

// Whether one of the elements is a denormal, whatever MXCSR says of them. What ReLU has passed is half
// zeros, which leave a doubt too: this tells it at once.
MK_INLINE bool dot_has_denormals(vf first, vf second) {
  // Without its sign and less one, a zero is the largest number and a denormal below all others.
  const vi one = _mm512_set1_epi32(1), a = (vi)first, b = (vi)second;
  const vi least = _mm512_min_epu32(_mm512_sub_epi32(_mm512_add_epi32(a, a), one),
                                    _mm512_sub_epi32(_mm512_add_epi32(b, b), one));
  return _mm512_cmplt_epu32_mask(least, _mm512_set1_epi32(0xffffff)) != 0;
}

// Two vectors that follow each other in a row, as vi_pairs_of_row.
MK_INLINE vi dot_pairs_of_row(vf first, vf second, dot_doubt *doubt) {
  // Not VCVTNE2PS2BF16, which would save an instruction: Bochs 3.0 rounds one operand twice.
  const __m256i low = (__m256i)_mm512_cvtneps_pbh(first);
  const __m256i high = (__m256i)_mm512_cvtneps_pbh(second);
  vi pairs = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
  __asm__("" : "+v"(pairs));  // or the compiler compares floating-point numbers with zero
  *doubt |= _mm512_testn_epi16_mask(pairs, _mm512_set1_epi16(0x7fff));
  return pairs;
}

// Two lines in pairs, as vi_pair_bf16.
MK_INLINE vi dot_pairs_of_lines(vf even, vf odd, dot_doubt *doubt) {
  const vi halves = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,
                                     23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(halves, dot_pairs_of_row(even, odd, doubt));
}
#endif

// Lane i: the index[i]-th of the eight 32-bit words at p.
MK_INLINE vi vi_pick(const void *p, vi index) {
#ifdef MK_SOFTWARE_AVX512
  uint32_t from[VL], lanes[VL], at[VL];
  memcpy(from, p, 32);
  vi_store(at, index);
  for (int i = 0; i < VL; i++) lanes[i] = from[at[i] & 7];
  return vi_load(lanes);
#else
  return _mm512_permutexvar_epi32(index,
                                  _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)p)));
#endif
}

#endif
