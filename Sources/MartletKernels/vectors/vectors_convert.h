// Conversions between f32, bf16 and f16, and the 32-bit transpose.
#ifndef MARTLET_VECTORS_CONVERT_H
#define MARTLET_VECTORS_CONVERT_H

#include "vectors_lanes.h"

MK_INLINE vh vh_load(const uint16_t *p) {
  vh v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

MK_INLINE void vh_store(uint16_t *p, vh v) { __builtin_memcpy(p, &v, sizeof v); }

MK_INLINE vh bf16_from_f32(vf x) {
  vu bits = (vu)x;
  vu rounded = (bits + (0x7fff + ((bits >> 16) & 1))) >> 16;
  vu quiet = (bits >> 16) | 0x40;
  vi nan = x != x;
  return __builtin_convertvector((vu)vi_select(nan, (vi)quiet, (vi)rounded), vh);
}

MK_INLINE vf f32_from_bf16(vh h) { return (vf)(__builtin_convertvector(h, vu) << 16); }

#if MK_HAS_F16
typedef _Float16 vhalf __attribute__((vector_size(MK_VECTOR_BYTES / 2)));

MK_INLINE vh f16_from_f32(vf x) { return (vh) __builtin_convertvector(x, vhalf); }
MK_INLINE vf f32_from_f16(vh h) { return __builtin_convertvector((vhalf)h, vf); }
#else
MK_INLINE vh f16_from_f32(vf x) {
  vu bits = (vu)x;
  vu sign = (bits >> 16) & 0x8000;
  vu magnitude = bits & 0x7fffffff;
  // Normal halves: move the exponent's bias, round to nearest even in the 13 bits that go.
  vu normal = (magnitude - (112u << 23) + 0xfff + ((magnitude >> 13) & 1)) >> 13;
  // Below 2^-14: adding 2^-1 leaves units of 2^-24 in the low bits, rounded by the addition.
  vu denormal = (vu)((vf)magnitude + 0.5f) - 0x3f000000u;
  vu nan = 0x7e00 | (magnitude >> 13 & 0x3ff);
  vi m = (vi)magnitude;
  vi r = vi_select(m < 0x38800000, (vi)denormal, (vi)normal);
  r = vi_select(m >= 0x477ff000, vi_splat(0x7c00), r);
  r = vi_select(m > 0x7f800000, (vi)nan, r);
  return __builtin_convertvector((vu)r | sign, vh);
}

MK_INLINE vf f32_from_f16(vh h) {
  vu bits = __builtin_convertvector(h, vu);
  vu sign = (bits & 0x8000) << 16;
  vu magnitude = bits & 0x7fff;
  vu normal = (magnitude << 13) + (112u << 23);
  // 2^-14 + units of 2^-24, less 2^-14: exact
  vu denormal = (vu)((vf)((magnitude << 13) + (113u << 23)) - 0x1p-14f);
  vu special = (magnitude << 13) | 0x7f800000;
  vi m = (vi)magnitude;
  special |= (vu)((m > 0x7c00) & 0x400000);
  vi r = vi_select(m < 0x400, (vi)denormal, (vi)normal);
  r = vi_select(m >= 0x7c00, (vi)special, r);
  return (vf)((vu)r | sign);
}
#endif

#define MK_NARROW(name, convert)                                                                  \
  static void f32_to_##name(int64_t n, const float *src, uint16_t *dst) {                         \
    if (n < LANES) {                                                                              \
      if (n <= 0) return;                                                                         \
      vh h = convert(vf_load_part(src, n, 0.0f));                                                 \
      copy_elements(dst, &h, n, 2);                                                               \
      return;                                                                                     \
    }                                                                                             \
    vf last = vf_load(src + n - LANES);                                                           \
    _Pragma("clang loop unroll_count(2)") for (int64_t i = 0; i < n - LANES; i += LANES) {        \
      vh_store(dst + i, convert(vf_load(src + i)));                                               \
    }                                                                                             \
    vh_store(dst + n - LANES, convert(last));                                                     \
  }

#define MK_WIDEN(name, convert)                                                                   \
  static void name##_to_f32(int64_t n, const uint16_t *src, float *dst) {                         \
    if (n < LANES) {                                                                              \
      if (n <= 0) return;                                                                         \
      vh h = {0};                                                                                 \
      copy_elements(&h, src, n, 2);                                                               \
      vf_store_part(dst, convert(h), n);                                                          \
      return;                                                                                     \
    }                                                                                             \
    vh last = vh_load(src + n - LANES);                                                           \
    _Pragma("clang loop unroll_count(2)") for (int64_t i = 0; i < n - LANES; i += LANES) {        \
      vf_store(dst + i, convert(vh_load(src + i)));                                               \
    }                                                                                             \
    vf_store(dst + n - LANES, convert(last));                                                     \
  }

MK_NARROW(bf16, bf16_from_f32)
MK_NARROW(f16, f16_from_f32)
MK_WIDEN(bf16, f32_from_bf16)
MK_WIDEN(f16, f32_from_f16)

// -------------------------------------------------------------------------- transpose

// Elements move as integers: a signalling NaN passes through unchanged.
#if MK_VECTOR_BYTES == 16
enum { BLOCK = 4 };
typedef int32_t vt __attribute__((vector_size(16)));

MK_INLINE void transpose_block(const char *src, int64_t src_stride, char *dst, int64_t dst_stride) {
  vt r[4], t[4];
  MK_UNROLL for (int i = 0; i < 4; i++) __builtin_memcpy(&r[i], src + i * src_stride, 16);
  t[0] = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5);
  t[1] = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5);
  t[2] = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7);
  t[3] = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
  r[0] = __builtin_shufflevector(t[0], t[1], 0, 1, 4, 5);
  r[1] = __builtin_shufflevector(t[0], t[1], 2, 3, 6, 7);
  r[2] = __builtin_shufflevector(t[2], t[3], 0, 1, 4, 5);
  r[3] = __builtin_shufflevector(t[2], t[3], 2, 3, 6, 7);
  MK_UNROLL for (int i = 0; i < 4; i++) __builtin_memcpy(dst + i * dst_stride, &r[i], 16);
}
#else
enum { BLOCK = 8 };
typedef int32_t vt __attribute__((vector_size(32)));

MK_INLINE void transpose_block(const char *src, int64_t src_stride, char *dst, int64_t dst_stride) {
  vt r[8], t[8];
  MK_UNROLL for (int i = 0; i < 8; i++) __builtin_memcpy(&r[i], src + i * src_stride, 32);
  MK_UNROLL for (int i = 0; i < 8; i += 2) {
    t[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    t[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  MK_UNROLL for (int i = 0; i < 8; i += 4) {
    r[i] = __builtin_shufflevector(t[i], t[i + 2], 0, 1, 8, 9, 4, 5, 12, 13);
    r[i + 1] = __builtin_shufflevector(t[i], t[i + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    r[i + 2] = __builtin_shufflevector(t[i + 1], t[i + 3], 0, 1, 8, 9, 4, 5, 12, 13);
    r[i + 3] = __builtin_shufflevector(t[i + 1], t[i + 3], 2, 3, 10, 11, 6, 7, 14, 15);
  }
  MK_UNROLL for (int i = 0; i < 4; i++) {
    t[i] = __builtin_shufflevector(r[i], r[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    t[i + 4] = __builtin_shufflevector(r[i], r[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
  MK_UNROLL for (int i = 0; i < 8; i++) __builtin_memcpy(dst + i * dst_stride, &t[i], 32);
}
#endif

// Strips of 16 source columns: a cache line of the source is used up while its row is at hand.
static void transpose32(int64_t rows, int64_t columns, const void *src, int64_t src_stride,
                        void *dst, int64_t dst_stride) {
  const char *s = src;
  char *d = dst;
  for (int64_t c0 = 0; c0 < columns; c0 += 16) {
    int64_t width = columns - c0 < 16 ? columns - c0 : 16;
    for (int64_t r = 0; r < rows; r += BLOCK) {
      int64_t height = rows - r < BLOCK ? rows - r : BLOCK;
      const char *from = s + r * src_stride + c0 * 4;
      char *to = d + c0 * dst_stride + r * 4;
      int64_t c = 0;
      if (height == BLOCK) {
        for (; c + BLOCK <= width; c += BLOCK) {
          transpose_block(from + c * 4, src_stride, to + c * dst_stride, dst_stride);
        }
      }
      for (; c < width; c++) {
        for (int64_t i = 0; i < height; i++) {
          __builtin_memcpy(to + c * dst_stride + i * 4, from + i * src_stride + c * 4, 4);
        }
      }
    }
  }
}

#endif
