// What a lanes.h made of clang's vector extension has in common whatever its width, which it names as
// VL before it includes this. It defines what is left: what wants another form at each width.
#ifndef MARTLET_KERNELS_VECTOR_EXTENSION_H
#define MARTLET_KERNELS_VECTOR_EXTENSION_H

typedef float vf __attribute__((vector_size(VL * 4)));
typedef uint32_t vi __attribute__((vector_size(VL * 4)));
typedef uint16_t v_half __attribute__((vector_size(VL * 2)));

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
MK_INLINE vi vi_load_tail(const void *p, v_tail tail);
MK_INLINE void vi_store_tail(void *p, v_tail tail, vi v);
MK_INLINE vi vi_set1(uint32_t x) { return (vi){0} + x; }

MK_INLINE vf vf_load(const void *p) { return (vf)vi_load(p); }
MK_INLINE void vf_store(void *p, vf v) { vi_store(p, (vi)v); }
MK_INLINE vf vf_load_tail(const void *p, v_tail tail) { return (vf)vi_load_tail(p, tail); }
MK_INLINE void vf_store_tail(void *p, v_tail tail, vf v) { vi_store_tail(p, tail, (vi)v); }
MK_INLINE vf vf_set1(float x) { return x - (vf){0}; }  // of -0, too
MK_INLINE vf vf_zero(void) { return (vf){0}; }
MK_INLINE vf vf_add(vf a, vf b) { return a + b; }
MK_INLINE vf vf_mul(vf a, vf b) { return a * b; }

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
MK_INLINE v_half v_to_bf16(vf v) {
  return __builtin_convertvector(vi_rounded_upper(v) >> 16, v_half);
}
MK_INLINE void vf_store_bf16(void *p, vf v) {
  const v_half half = v_to_bf16(v);
  memcpy(p, &half, sizeof half);
}

MK_INLINE void v_prefetch(const void *p) { __builtin_prefetch(p, 0, 2); }

// Which lanes of a vector with a step of one or two in memory exist: low <= i < high. The others
// read as zero and their memory is not touched.
typedef struct v_span {
  int low, high;
} v_span;

MK_INLINE v_span v_span_of(int64_t low, int64_t high) { return (v_span){(int)low, (int)high}; }
// p[i * step] of all lanes
MK_INLINE vf vf_load_step(const float *p, int64_t step);
// p[i]
MK_INLINE vf vf_load_span(const float *p, v_span span) {
  if (span.low == 0 && span.high == VL) return vf_load(p);
  float lanes[VL] = {0};
  for (int i = span.low; i < span.high; i++) lanes[i] = p[i];
  return vf_load(lanes);
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
  v_half half = {0};
  for (int i = 0; i < tail.count; i++) {
    uint16_t x;
    memcpy(&x, (const char *)p + 2 * i, 2);
    half[i] = x;
  }
  return __builtin_convertvector(half, vi);
}
MK_INLINE vi vi_join_u16(vi low, vi high) { return low | high << 16; }

#endif
