// Lanes: the vector types of one instantiation, loads and stores with tails, selection.
//
// These words are this folder's: clang's vector extension on MK_VECTOR_BYTES. The kernels of products
// have others of the same names in <isa>/lanes.h (see generic/lanes.h), where each instruction set
// says in intrinsics what a vector is. A source includes one of the two, never both.
//
// This folder is one source for every instruction set. The including file has opened its target
// (target_begin.h) and says how wide a vector is and what the target does in one instruction:
//
//     MK_VECTOR_BYTES    16, 32 or 64
//     MK_HAS_FMA         fused multiply-add of vectors
//     MK_HAS_ROUND       rounding of vectors to integral values
//     MK_HAS_F16         conversion of vectors between float and half
//     MK_HAS_MASKED_IO   masked loads and stores: 1 AVX2 (loads only), 2 AVX-512
//
// Without MK_HAS_FMA a multiply-add rounds twice: what an element becomes is a function of the
// instruction set, never of its position.
#ifndef MARTLET_VECTORS_LANES_H
#define MARTLET_VECTORS_LANES_H

// Multiply-adds are fused where the source says so and nowhere else.
#pragma STDC FP_CONTRACT OFF
// Wide vectors are passed among inlined functions only: no calling convention is at stake.
#pragma clang diagnostic ignored "-Wpsabi"

enum { LANES = MK_VECTOR_BYTES / 4 };

typedef float vf __attribute__((vector_size(MK_VECTOR_BYTES)));
typedef int32_t vi __attribute__((vector_size(MK_VECTOR_BYTES)));
typedef uint32_t vu __attribute__((vector_size(MK_VECTOR_BYTES)));
typedef uint16_t vh __attribute__((vector_size(MK_VECTOR_BYTES / 2)));
// As many doubles as there are floats: two registers.
typedef double vd __attribute__((vector_size(2 * MK_VECTOR_BYTES)));
typedef int64_t vl __attribute__((vector_size(2 * MK_VECTOR_BYTES)));
typedef uint64_t vul __attribute__((vector_size(2 * MK_VECTOR_BYTES)));

MK_INLINE vi vi_splat(int32_t x) { return (vi){0} + x; }
MK_INLINE vl vl_splat(int64_t x) { return (vl){0} + x; }

MK_INLINE vf vf_splat(float x) {
  // Through integers, so that the broadcast keeps every bit and costs no addition.
  int32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  return (vf)vi_splat(bits);
}

MK_INLINE vd vd_splat(double x) {
  int64_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  return (vd)vl_splat(bits);
}

MK_INLINE vi vi_lane_numbers(void) {
#if MK_VECTOR_BYTES == 16
  return (vi){0, 1, 2, 3};
#elif MK_VECTOR_BYTES == 32
  return (vi){0, 1, 2, 3, 4, 5, 6, 7};
#else
  return (vi){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#endif
}

MK_INLINE vf vf_load(const float *p) {
  vf v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

MK_INLINE void vf_store(float *p, vf v) { __builtin_memcpy(p, &v, sizeof v); }

// `mask` has all bits of a lane set or none.
MK_INLINE vf vf_select(vi mask, vf yes, vf no) { return (vf)((mask & (vi)yes) | (~mask & (vi)no)); }
MK_INLINE vi vi_select(vi mask, vi yes, vi no) { return (mask & yes) | (~mask & no); }
MK_INLINE vd vd_select(vl mask, vd yes, vd no) { return (vd)((mask & (vl)yes) | (~mask & (vl)no)); }

MK_INLINE bool vi_any(vi mask) { return __builtin_reduce_or(mask) != 0; }

MK_INLINE vf vf_abs(vf x) { return (vf)((vi)x & 0x7fffffff); }
MK_INLINE vi vf_sign_bits(vf x) { return (vi)((vu)x & 0x80000000u); }

// a > b ? a : b and a < b ? a : b; that is b where one of them is NaN. On x86 this is what one
// instruction does, which the compiler does not always see.
MK_INLINE vf vf_larger(vf a, vf b) {
#if defined(__x86_64__) && MK_VECTOR_BYTES == 16
  return (vf)__builtin_ia32_maxps(a, b);
#elif defined(__x86_64__) && MK_VECTOR_BYTES == 32
  return (vf)__builtin_ia32_maxps256(a, b);
#else
  return vf_select(a > b, a, b);
#endif
}

MK_INLINE vf vf_smaller(vf a, vf b) {
#if defined(__x86_64__) && MK_VECTOR_BYTES == 16
  return (vf)__builtin_ia32_minps(a, b);
#elif defined(__x86_64__) && MK_VECTOR_BYTES == 32
  return (vf)__builtin_ia32_minps256(a, b);
#else
  return vf_select(a < b, a, b);
#endif
}

// A NaN in `x` is kept by both.
MK_INLINE vf vf_at_least(vf x, vf low) { return vf_larger(low, x); }
MK_INLINE vf vf_at_most(vf x, vf high) { return vf_smaller(high, x); }

// a * b + c
MK_INLINE vf vf_fma(vf a, vf b, vf c) {
#if MK_HAS_FMA
  return __builtin_elementwise_fma(a, b, c);
#else
  return a * b + c;
#endif
}

MK_INLINE vd vd_fma(vd a, vd b, vd c) {
#if MK_HAS_FMA
  return __builtin_elementwise_fma(a, b, c);
#else
  return a * b + c;
#endif
}

// The same rounding as one lane of vf_fma.
MK_INLINE float scalar_fma(float a, float b, float c) {
#if MK_HAS_FMA
  return __builtin_elementwise_fma(a, b, c);
#else
  return a * b + c;
#endif
}

MK_INLINE vf vf_sqrt(vf x) { return __builtin_elementwise_sqrt(x); }

// ------------------------------------------------------------------------------ tails

// Copies fewer than LANES elements of `size` (2 or 4) bytes without a call.
MK_INLINE void copy_elements(void *dst, const void *src, int64_t n, int64_t size) {
  char *d = dst;
  const char *s = src;
#if MK_VECTOR_BYTES == 64
  if (n & 8) {
    __builtin_memcpy(d, s, (size_t)(8 * size));
    d += 8 * size;
    s += 8 * size;
  }
#endif
#if MK_VECTOR_BYTES >= 32
  if (n & 4) {
    __builtin_memcpy(d, s, (size_t)(4 * size));
    d += 4 * size;
    s += 4 * size;
  }
#endif
  if (n & 2) {
    __builtin_memcpy(d, s, (size_t)(2 * size));
    d += 2 * size;
    s += 2 * size;
  }
  if (n & 1) __builtin_memcpy(d, s, (size_t)size);
}

// The first n < LANES elements of p, then `fill`.
MK_INLINE vf vf_load_part(const float *p, int64_t n, float fill) {
#if MK_HAS_MASKED_IO == 2
  return (vf)_mm512_mask_loadu_ps((__m512)vf_splat(fill), (__mmask16)((1u << n) - 1), p);
#elif MK_HAS_MASKED_IO == 1
  vi mask = vi_lane_numbers() < (int32_t)n;
  return vf_select(mask, (vf)_mm256_maskload_ps(p, (__m256i)mask), vf_splat(fill));
#else
  vf v = vf_splat(fill);
  copy_elements(&v, p, n, 4);
  return v;
#endif
}

MK_INLINE void vf_store_part(float *p, vf v, int64_t n) {
#if MK_HAS_MASKED_IO == 2
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
#else
  copy_elements(p, &v, n, 4);
#endif
}

// Lanes lo ..< hi of the vector at p, `fill` in the others; only those lanes' elements are read.
// lo and hi may lie outside 0 ... LANES.
MK_INLINE vf vf_load_lanes(const float *p, int64_t lo, int64_t hi, float fill) {
  if (lo <= 0 && hi >= LANES) return vf_load(p);
  if (lo < 0) lo = 0;
  if (hi > LANES) hi = LANES;
  if (lo >= hi) return vf_splat(fill);
#if MK_HAS_MASKED_IO == 2
  return (vf)_mm512_mask_loadu_ps((__m512)vf_splat(fill), (__mmask16)((1u << hi) - (1u << lo)), p);
#elif MK_HAS_MASKED_IO == 1
  vi mask = (vi_lane_numbers() >= (int32_t)lo) & (vi_lane_numbers() < (int32_t)hi);
  return vf_select(mask, (vf)_mm256_maskload_ps(p, (__m256i)mask), vf_splat(fill));
#else
  float t[LANES];
  vf_store(t, vf_splat(fill));
  for (int64_t i = lo; i < hi; i++) t[i] = p[i];
  return vf_load(t);
#endif
}

// The lanes whose mask is set, zero in the others; only set lanes' elements are read.
MK_INLINE vf vf_load_masked(const float *p, vi mask) {
#if MK_HAS_MASKED_IO == 2
  return (vf)_mm512_maskz_loadu_ps(_mm512_movepi32_mask((__m512i)mask), p);
#elif MK_HAS_MASKED_IO == 1
  return (vf)_mm256_maskload_ps(p, (__m256i)mask);
#else
  vf v = vf_splat(0.0f);
  for (int i = 0; i < LANES; i++)
    if (mask[i]) v[i] = p[i];
  return v;
#endif
}

// Lane i ^ d in lane i, d a constant.
#if MK_VECTOR_BYTES == 16
#define VF_SWAPPED(v, d) __builtin_shufflevector(v, v, 0 ^ (d), 1 ^ (d), 2 ^ (d), 3 ^ (d))
#elif MK_VECTOR_BYTES == 32
#define VF_SWAPPED(v, d)                                                                     \
  __builtin_shufflevector(v, v, 0 ^ (d), 1 ^ (d), 2 ^ (d), 3 ^ (d), 4 ^ (d), 5 ^ (d), 6 ^ (d), \
                          7 ^ (d))
#else
#define VF_SWAPPED(v, d)                                                                         \
  __builtin_shufflevector(v, v, 0 ^ (d), 1 ^ (d), 2 ^ (d), 3 ^ (d), 4 ^ (d), 5 ^ (d), 6 ^ (d),    \
                          7 ^ (d), 8 ^ (d), 9 ^ (d), 10 ^ (d), 11 ^ (d), 12 ^ (d), 13 ^ (d),     \
                          14 ^ (d), 15 ^ (d))
#endif

// The lanes of v under `op`, halved down to one: lane i with lane i + half.
#if MK_VECTOR_BYTES == 16
#define VF_FOLDED(v, op)             \
  ({                                 \
    vf f = op(VF_SWAPPED(v, 2), v);  \
    f = op(VF_SWAPPED(f, 1), f);     \
    f[0];                            \
  })
#elif MK_VECTOR_BYTES == 32
#define VF_FOLDED(v, op)             \
  ({                                 \
    vf f = op(VF_SWAPPED(v, 4), v);  \
    f = op(VF_SWAPPED(f, 2), f);     \
    f = op(VF_SWAPPED(f, 1), f);     \
    f[0];                            \
  })
#else
#define VF_FOLDED(v, op)             \
  ({                                 \
    vf f = op(VF_SWAPPED(v, 8), v);  \
    f = op(VF_SWAPPED(f, 4), f);     \
    f = op(VF_SWAPPED(f, 2), f);     \
    f = op(VF_SWAPPED(f, 1), f);     \
    f[0];                            \
  })
#endif

// Even lanes of the 2 * LANES elements (a, b), then odd ones.
MK_INLINE vf vf_even(vf a, vf b) {
#if MK_VECTOR_BYTES == 16
  return __builtin_shufflevector(a, b, 0, 2, 4, 6);
#elif MK_VECTOR_BYTES == 32
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
#else
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
#endif
}

// Even lanes in the order that takes one instruction, and vf_even's order made of it.
MK_INLINE vf vf_even_mixed(vf a, vf b) {
#if MK_VECTOR_BYTES == 32
  return __builtin_shufflevector(a, b, 0, 2, 8, 10, 4, 6, 12, 14);
#else
  return vf_even(a, b);
#endif
}

MK_INLINE vf vf_unmixed(vf v) {
#if MK_VECTOR_BYTES == 32
  return __builtin_shufflevector(v, v, 0, 1, 4, 5, 2, 3, 6, 7);
#else
  return v;
#endif
}

MK_INLINE vf vf_odd(vf a, vf b) {
#if MK_VECTOR_BYTES == 16
  return __builtin_shufflevector(a, b, 1, 3, 5, 7);
#elif MK_VECTOR_BYTES == 32
  return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
#else
  return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
#endif
}

// The lower halves of a and b lane by lane in turn, then the upper ones: what vf_even and vf_odd undo.
MK_INLINE vf vf_lower_pairs(vf a, vf b) {
#if MK_VECTOR_BYTES == 16
  return __builtin_shufflevector(a, b, 0, 4, 1, 5);
#elif MK_VECTOR_BYTES == 32
  return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
#else
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
#endif
}

MK_INLINE vf vf_upper_pairs(vf a, vf b) {
#if MK_VECTOR_BYTES == 16
  return __builtin_shufflevector(a, b, 2, 6, 3, 7);
#elif MK_VECTOR_BYTES == 32
  return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
#else
  return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15,
                                 31);
#endif
}

#endif
