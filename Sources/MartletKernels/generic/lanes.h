// The vector of the generic kernels: four lanes through clang's vector extension, which become
// NEON or SSE2 registers. Every lanes.h defines the same names; the gemm_*.h bodies are written
// against them and compiled once per instruction set.
#ifndef MARTLET_KERNELS_GENERIC_LANES_H
#define MARTLET_KERNELS_GENERIC_LANES_H

enum { VL = 4 };  // lanes

typedef float vf __attribute__((vector_size(16)));
typedef uint32_t vi __attribute__((vector_size(16)));
typedef uint16_t v_half __attribute__((vector_size(8)));

// The first `count` lanes, 0 <= count <= VL.
typedef struct v_tail {
  int count;
} v_tail;

MK_INLINE v_tail v_first(int64_t count) { return (v_tail){(int)count}; }

MK_INLINE vi vi_load(const void *p) {
  vi v;
  memcpy(&v, p, sizeof v);
  return v;
}
MK_INLINE void vi_store(void *p, vi v) { memcpy(p, &v, sizeof v); }
MK_INLINE vi vi_load_tail(const void *p, v_tail tail) {
  vi v = {0, 0, 0, 0};
  switch (tail.count) {  // constant sizes, so that no call to memcpy remains
    case 1: memcpy(&v, p, 4); break;
    case 2: memcpy(&v, p, 8); break;
    case 3: memcpy(&v, p, 12); break;
    case 4: memcpy(&v, p, 16); break;
  }
  return v;
}
MK_INLINE void vi_store_tail(void *p, v_tail tail, vi v) {
  switch (tail.count) {
    case 1: memcpy(p, &v, 4); break;
    case 2: memcpy(p, &v, 8); break;
    case 3: memcpy(p, &v, 12); break;
    case 4: memcpy(p, &v, 16); break;
  }
}
MK_INLINE vi vi_set1(uint32_t x) { return (vi){x, x, x, x}; }

MK_INLINE vf vf_load(const void *p) { return (vf)vi_load(p); }
MK_INLINE void vf_store(void *p, vf v) { vi_store(p, (vi)v); }
MK_INLINE vf vf_load_tail(const void *p, v_tail tail) { return (vf)vi_load_tail(p, tail); }
MK_INLINE void vf_store_tail(void *p, v_tail tail, vf v) { vi_store_tail(p, tail, (vi)v); }
MK_INLINE vf vf_set1(float x) { return (vf){x, x, x, x}; }
MK_INLINE vf vf_zero(void) { return vf_set1(0); }
MK_INLINE vf vf_add(vf a, vf b) { return a + b; }
MK_INLINE vf vf_mul(vf a, vf b) { return a * b; }

// a * b + c: fused where the baseline has the instruction; elsewhere rounded twice, always, for a
// fmaf call per lane would cost a hundred times more.
MK_INLINE vf vf_fma(vf a, vf b, vf c) {
#if defined(__aarch64__) || defined(__FMA__)
  return __builtin_elementwise_fma(a, b, c);
#else
#pragma clang fp contract(off)
  return a * b + c;
#endif
}

// bound > v ? bound : v, and the mirror image: NaN in v is kept.
MK_INLINE vf vf_at_least(vf bound, vf v) {
  const vi greater = (vi)(bound > v);
  return (vf)((greater & (vi)bound) | (~greater & (vi)v));
}
MK_INLINE vf vf_at_most(vf bound, vf v) {
  const vi less = (vi)(bound < v);
  return (vf)((less & (vi)bound) | (~less & (vi)v));
}

// The two bf16 of each 32-bit lane as f32: even is the lower half.
MK_INLINE vf vf_even(vi pairs) { return (vf)(pairs << 16); }
MK_INLINE vf vf_odd(vi pairs) { return (vf)(pairs & 0xffff0000u); }

// Nearest even bf16 in the upper half of each lane; the lower half is not cleared. NaN is quieted.
MK_INLINE vi vi_rounded_upper(vf v) {
  const vi bits = (vi)v, is_nan = (vi)(v != v);
  const vi rounded = bits + 0x7fffu + (bits >> 16 & 1u);
  return (is_nan & (bits | 0x400000u)) | (~is_nan & rounded);
}
MK_INLINE vi vi_pair_bf16(vf even, vf odd) {
  return vi_rounded_upper(even) >> 16 | (vi_rounded_upper(odd) & 0xffff0000u);
}
MK_INLINE void vf_store_bf16(void *p, vf v) {
  const v_half half = __builtin_convertvector(vi_rounded_upper(v) >> 16, v_half);
  memcpy(p, &half, sizeof half);
}
MK_INLINE void vf_store_bf16_tail(void *p, v_tail tail, vf v) {
  const v_half half = __builtin_convertvector(vi_rounded_upper(v) >> 16, v_half);
  switch (tail.count) {
    case 1: memcpy(p, &half, 2); break;
    case 2: memcpy(p, &half, 4); break;
    case 3: memcpy(p, &half, 6); break;
    case 4: memcpy(p, &half, 8); break;
  }
}

MK_INLINE void v_prefetch(const void *p) { __builtin_prefetch(p, 0, 2); }

// Which lanes of a vector with a step of one or two in memory exist: low <= i < high. The others
// read as zero and their memory is not touched.
typedef struct v_span {
  int low, high;
} v_span;

MK_INLINE v_span v_span_of(int64_t low, int64_t high) { return (v_span){(int)low, (int)high}; }
// p[i]
MK_INLINE vf vf_load_span(const float *p, v_span span) {
  if (span.low == 0 && span.high == VL) return vf_load(p);
  float lanes[VL] = {0};
  for (int i = span.low; i < span.high; i++) lanes[i] = p[i];
  return vf_load(lanes);
}
// p[i * step] of all lanes
MK_INLINE vf vf_load_step(const float *p, int64_t step) {
  return (vf){p[0], p[step], p[2 * step], p[3 * step]};
}
// p[2 * i]
MK_INLINE vf vf_load_even_span(const float *p, v_span span) {
  if (span.low == 0 && span.high == VL) return vf_load_step(p, 2);
  float lanes[VL] = {0};
  for (int i = span.low; i < span.high; i++) lanes[i] = p[2 * i];
  return vf_load(lanes);
}

// VL 16-bit values, zero-extended.
MK_INLINE vi vi_load_u16(const void *p) {
  v_half half;
  memcpy(&half, p, sizeof half);
  return __builtin_convertvector(half, vi);
}
MK_INLINE vi vi_load_u16_tail(const void *p, v_tail tail) {
  v_half half = {0, 0, 0, 0};
  for (int i = 0; i < tail.count; i++) {
    uint16_t x;
    memcpy(&x, (const char *)p + 2 * i, 2);
    half[i] = x;
  }
  return __builtin_convertvector(half, vi);
}
MK_INLINE vi vi_join_u16(vi low, vi high) { return low | high << 16; }

// Rounds 2 * VL consecutive f32 to VL pairs of bf16.
MK_INLINE vi vi_pairs_of_row(vf first, vf second) {
  return vi_pair_bf16(__builtin_shufflevector(first, second, 0, 2, 4, 6),
                      __builtin_shufflevector(first, second, 1, 3, 5, 7));
}

MK_INLINE void vi_transpose(vi v[VL]) {
  const vi a = __builtin_shufflevector(v[0], v[1], 0, 4, 1, 5);
  const vi b = __builtin_shufflevector(v[0], v[1], 2, 6, 3, 7);
  const vi c = __builtin_shufflevector(v[2], v[3], 0, 4, 1, 5);
  const vi d = __builtin_shufflevector(v[2], v[3], 2, 6, 3, 7);
  v[0] = __builtin_shufflevector(a, c, 0, 1, 4, 5);
  v[1] = __builtin_shufflevector(a, c, 2, 3, 6, 7);
  v[2] = __builtin_shufflevector(b, d, 0, 1, 4, 5);
  v[3] = __builtin_shufflevector(b, d, 2, 3, 6, 7);
}

#endif
