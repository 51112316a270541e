// The vector of the AVX-512 kernels on processors without it, for tests alone: the same bodies and
// tile shapes with sixteen lanes through clang's vector extension, slowly (scripts/test-bf16
// --software). Nothing that is shipped contains it.
#ifndef MARTLET_KERNELS_SOFTWARE_LANES_H
#define MARTLET_KERNELS_SOFTWARE_LANES_H

// Every function is inlined, so no ABI for these vectors is needed.
#pragma clang diagnostic ignored "-Wpsabi"

enum { VL = 16 };

typedef float vf __attribute__((vector_size(64)));
typedef uint32_t vi __attribute__((vector_size(64)));
typedef uint16_t v_half __attribute__((vector_size(32)));

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
  uint32_t lanes[VL] = {0};
  memcpy(lanes, p, (size_t)tail.count * 4);
  return vi_load(lanes);
}
MK_INLINE void vi_store_tail(void *p, v_tail tail, vi v) { memcpy(p, &v, (size_t)tail.count * 4); }
MK_INLINE vi vi_set1(uint32_t x) { return (vi){0} + x; }

MK_INLINE vf vf_load(const void *p) { return (vf)vi_load(p); }
MK_INLINE void vf_store(void *p, vf v) { vi_store(p, (vi)v); }
MK_INLINE vf vf_load_tail(const void *p, v_tail tail) { return (vf)vi_load_tail(p, tail); }
MK_INLINE void vf_store_tail(void *p, v_tail tail, vf v) { vi_store_tail(p, tail, (vi)v); }
MK_INLINE vf vf_set1(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return (vf)vi_set1(bits);
}
MK_INLINE vf vf_zero(void) { return (vf){0}; }
MK_INLINE vf vf_add(vf a, vf b) { return a + b; }
MK_INLINE vf vf_mul(vf a, vf b) { return a * b; }
MK_INLINE vf vf_fma(vf a, vf b, vf c) { return __builtin_elementwise_fma(a, b, c); }
MK_INLINE vf vf_at_least(vf bound, vf v) {
  const vi greater = (vi)(bound > v);
  return (vf)((greater & (vi)bound) | (~greater & (vi)v));
}
MK_INLINE vf vf_at_most(vf bound, vf v) {
  const vi less = (vi)(bound < v);
  return (vf)((less & (vi)bound) | (~less & (vi)v));
}

MK_INLINE vf vf_even(vi pairs) { return (vf)(pairs << 16); }
MK_INLINE vf vf_odd(vi pairs) { return (vf)(pairs & 0xffff0000u); }

MK_INLINE vi vi_rounded_upper(vf v) {
  const vi bits = (vi)v, is_nan = (vi)(v != v);
  const vi rounded = bits + 0x7fffu + (bits >> 16 & 1u);
  return (is_nan & (bits | 0x400000u)) | (~is_nan & rounded);
}
MK_INLINE vi vi_pair_bf16(vf even, vf odd) {
  return vi_rounded_upper(even) >> 16 | (vi_rounded_upper(odd) & 0xffff0000u);
}
MK_INLINE v_half v_to_bf16(vf v) {
  return __builtin_convertvector(vi_rounded_upper(v) >> 16, v_half);
}
MK_INLINE void vf_store_bf16_tail(void *p, v_tail tail, vf v) {
  const v_half half = v_to_bf16(v);
  memcpy(p, &half, (size_t)tail.count * 2);
}
MK_INLINE void vf_store_bf16(void *p, vf v) { vf_store_bf16_tail(p, v_first(VL), v); }

MK_INLINE void v_prefetch(const void *p) { (void)p; }

typedef struct v_span {
  int low, high;
} v_span;

MK_INLINE v_span v_span_of(int64_t low, int64_t high) { return (v_span){(int)low, (int)high}; }
MK_INLINE vf vf_load_step(const float *p, int64_t step) {
  float lanes[VL];
  for (int i = 0; i < VL; i++) lanes[i] = p[i * step];
  return vf_load(lanes);
}
MK_INLINE vf vf_load_span(const float *p, v_span span) {
  float lanes[VL] = {0};
  for (int i = span.low; i < span.high; i++) lanes[i] = p[i];
  return vf_load(lanes);
}
MK_INLINE vf vf_load_even_span(const float *p, v_span span) {
  float lanes[VL] = {0};
  for (int i = span.low; i < span.high; i++) lanes[i] = p[2 * i];
  return vf_load(lanes);
}

MK_INLINE vi vi_load_u16_tail(const void *p, v_tail tail) {
  v_half half = {0};
  memcpy(&half, p, (size_t)tail.count * 2);
  return __builtin_convertvector(half, vi);
}
MK_INLINE vi vi_load_u16(const void *p) { return vi_load_u16_tail(p, v_first(VL)); }
MK_INLINE vi vi_join_u16(vi low, vi high) { return low | high << 16; }

MK_INLINE vi vi_pairs_of_row(vf first, vf second) {
  const v_half halves[2] = {v_to_bf16(first), v_to_bf16(second)};
  return vi_load(halves);
}

MK_INLINE void vi_transpose(vi v[VL]) {
  uint32_t lanes[VL][VL], turned[VL][VL];
  for (int i = 0; i < VL; i++) vi_store(lanes[i], v[i]);
  for (int i = 0; i < VL; i++)
    for (int j = 0; j < VL; j++) turned[j][i] = lanes[i][j];
  for (int i = 0; i < VL; i++) v[i] = vi_load(turned[i]);
}

#endif
