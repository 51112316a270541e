// Copies of strided blocks: rows, transpositions and the general case.
#include "internal.h"

#include <string.h>

enum { TILE = 16 };

static void copy_rows(int64_t n0, size_t bytes, const char *src, int64_t src_stride, char *dst,
                      int64_t dst_stride) {
  // Rows of a few fixed sizes (heads, pixels) are worth their own loops: the call costs more.
  switch (bytes) {
    case 16:
      for (int64_t i = 0; i < n0; i++) memcpy(dst + i * dst_stride, src + i * src_stride, 16);
      return;
    case 64:
      for (int64_t i = 0; i < n0; i++) memcpy(dst + i * dst_stride, src + i * src_stride, 64);
      return;
    case 128:
      for (int64_t i = 0; i < n0; i++) memcpy(dst + i * dst_stride, src + i * src_stride, 128);
      return;
    default:
      for (int64_t i = 0; i < n0; i++) memcpy(dst + i * dst_stride, src + i * src_stride, bytes);
  }
}

// Squares of 4-byte and of 2-byte elements, turned in 16-byte vectors: dst[i][j] = src[j][i].
typedef uint32_t v4 __attribute__((vector_size(16)));
typedef uint16_t v8 __attribute__((vector_size(16)));
enum { SQUARE_1 = 1, SQUARE_2 = 8, SQUARE_4 = 4, SQUARE_8 = 1 };

static inline void turn_square_4(const char *src, int64_t src_stride, char *dst,
                                 int64_t dst_stride) {
  v4 a[4], b[4];
  for (int j = 0; j < 4; j++) memcpy(&a[j], src + j * src_stride, 16);
  for (int j = 0; j < 2; j++) {
    b[j] = __builtin_shufflevector(a[2 * j], a[2 * j + 1], 0, 4, 1, 5);
    b[j + 2] = __builtin_shufflevector(a[2 * j], a[2 * j + 1], 2, 6, 3, 7);
  }
  for (int i = 0; i < 2; i++) {
    a[2 * i] = __builtin_shufflevector(b[2 * i], b[2 * i + 1], 0, 1, 4, 5);
    a[2 * i + 1] = __builtin_shufflevector(b[2 * i], b[2 * i + 1], 2, 3, 6, 7);
  }
  for (int i = 0; i < 4; i++) memcpy(dst + i * dst_stride, &a[i], 16);
}

static inline void turn_square_2(const char *src, int64_t src_stride, char *dst,
                                 int64_t dst_stride) {
  v8 a[8], b[8];
  for (int j = 0; j < 8; j++) memcpy(&a[j], src + j * src_stride, 16);
  for (int j = 0; j < 4; j++) {
    b[j] = __builtin_shufflevector(a[2 * j], a[2 * j + 1], 0, 8, 1, 9, 2, 10, 3, 11);
    b[j + 4] = __builtin_shufflevector(a[2 * j], a[2 * j + 1], 4, 12, 5, 13, 6, 14, 7, 15);
  }
  for (int h = 0; h < 8; h += 4) {  // pairs: columns 0-3, then 4-7
    for (int j = 0; j < 2; j++) {
      const v8 x = b[h + 2 * j], y = b[h + 2 * j + 1];
      a[h + j] = __builtin_shufflevector(x, y, 0, 1, 8, 9, 2, 3, 10, 11);
      a[h + j + 2] = __builtin_shufflevector(x, y, 4, 5, 12, 13, 6, 7, 14, 15);
    }
  }
  for (int i = 0; i < 8; i += 2) {
    const v8 x = a[i], y = a[i + 1];
    b[i] = __builtin_shufflevector(x, y, 0, 1, 2, 3, 8, 9, 10, 11);
    b[i + 1] = __builtin_shufflevector(x, y, 4, 5, 6, 7, 12, 13, 14, 15);
  }
  for (int i = 0; i < 8; i++) memcpy(dst + i * dst_stride, &b[i], 16);
}

static inline void turn_square_1(const char *src, int64_t src_stride, char *dst,
                                 int64_t dst_stride) {
  (void)src_stride, (void)dst_stride;
  memcpy(dst, src, 1);
}
static inline void turn_square_8(const char *src, int64_t src_stride, char *dst,
                                 int64_t dst_stride) {
  (void)src_stride, (void)dst_stride;
  memcpy(dst, src, 8);
}

// A caller's elements need not lie at multiples of their size.
typedef uint16_t element_2 __attribute__((aligned(1), may_alias));
typedef uint32_t element_4 __attribute__((aligned(1), may_alias));
typedef uint64_t element_8 __attribute__((aligned(1), may_alias));
typedef int32_t index_4 __attribute__((aligned(1), may_alias));
typedef int64_t index_8 __attribute__((aligned(1), may_alias));

// Transpositions to and from few interleaved channels: pixels of an image.
#define DEFINE_NARROW(T, NAME, N)                                                                 \
  static void interleave_##NAME##_##N(int64_t n, const char *src, int64_t src_stride, char *dst,  \
                                      int64_t dst_stride) {                                       \
    for (int64_t i = 0; i < n; i++, dst += dst_stride)                                            \
      for (int64_t j = 0; j < N; j++)                                                             \
        ((T *)dst)[j] = ((const T *)(src + j * src_stride))[i];                                   \
  }                                                                                               \
  static void separate_##NAME##_##N(int64_t n, const char *src, int64_t src_stride, char *dst,    \
                                    int64_t dst_stride) {                                         \
    for (int64_t j = 0; j < n; j++, src += src_stride)                                            \
      for (int64_t i = 0; i < N; i++)                                                             \
        ((T *)(dst + i * dst_stride))[j] = ((const T *)src)[i];                                   \
  }

#define DEFINE_COPY(T, NAME)                                                                      \
  /* src is contiguous along i, dst along j: one cache line of each stays in use per tile. */     \
  static void transpose_##NAME(int64_t n0, int64_t n1, const char *src, int64_t src_stride1,      \
                               char *dst, int64_t dst_stride0) {                                  \
    for (int64_t i0 = 0; i0 < n0; i0 += TILE) {                                                   \
      int64_t i1 = i0 + TILE < n0 ? i0 + TILE : n0;                                               \
      for (int64_t j0 = 0; j0 < n1; j0 += TILE) {                                                 \
        int64_t j1 = j0 + TILE < n1 ? j0 + TILE : n1;                                             \
        int64_t i = i0;                                                                           \
        for (; i + SQUARE_##NAME <= i1; i += SQUARE_##NAME) {                                     \
          char *out = dst + i * dst_stride0;                                                      \
          const char *in = src + i * (int64_t)sizeof(T);                                          \
          int64_t j = j0;                                                                         \
          for (; j + SQUARE_##NAME <= j1; j += SQUARE_##NAME)                                     \
            turn_square_##NAME(in + j * src_stride1, src_stride1, out + j * (int64_t)sizeof(T),   \
                               dst_stride0);                                                      \
          for (; j < j1; j++)                                                                     \
            for (int64_t r = 0; r < SQUARE_##NAME; r++)                                           \
              ((T *)(out + r * dst_stride0))[j] = ((const T *)(in + j * src_stride1))[r];         \
        }                                                                                         \
        for (; i < i1; i++) {                                                                     \
          T *out = (T *)(dst + i * dst_stride0);                                                  \
          const char *in = src + i * (int64_t)sizeof(T);                                          \
          for (int64_t j = j0; j < j1; j++) out[j] = *(const T *)(in + j * src_stride1);          \
        }                                                                                         \
      }                                                                                           \
    }                                                                                             \
  }                                                                                               \
  static void general_##NAME(int64_t n0, int64_t n1, const char *src, int64_t ss0, int64_t ss1,   \
                             char *dst, int64_t ds0, int64_t ds1) {                               \
    for (int64_t i = 0; i < n0; i++) {                                                            \
      const char *in = src + i * ss0;                                                             \
      char *out = dst + i * ds0;                                                                  \
      if (ss1 == 0 && ds1 == (int64_t)sizeof(T)) {                                                \
        T value = *(const T *)in;                                                                 \
        for (int64_t j = 0; j < n1; j++) ((T *)out)[j] = value;                                   \
      } else {                                                                                    \
        for (int64_t j = 0; j < n1; j++) *(T *)(out + j * ds1) = *(const T *)(in + j * ss1);      \
      }                                                                                           \
    }                                                                                             \
  }

#define DEFINE_COPIES(T, NAME)                                                                    \
  DEFINE_COPY(T, NAME)                                                                            \
  DEFINE_NARROW(T, NAME, 2)                                                                       \
  DEFINE_NARROW(T, NAME, 3)                                                                       \
  DEFINE_NARROW(T, NAME, 4)                                                                       \
  static void turn_##NAME(int64_t n0, int64_t n1, const char *src, int64_t ss1, char *dst,        \
                          int64_t ds0) {                                                          \
    if (n1 == 2) interleave_##NAME##_2(n0, src, ss1, dst, ds0);                                   \
    else if (n1 == 3) interleave_##NAME##_3(n0, src, ss1, dst, ds0);                              \
    else if (n1 == 4 && SQUARE_##NAME != 4)                                                       \
      interleave_##NAME##_4(n0, src, ss1, dst, ds0);                                              \
    else if (n0 == 2) separate_##NAME##_2(n1, src, ss1, dst, ds0);                                \
    else if (n0 == 3) separate_##NAME##_3(n1, src, ss1, dst, ds0);                                \
    else if (n0 == 4 && SQUARE_##NAME != 4)                                                       \
      separate_##NAME##_4(n1, src, ss1, dst, ds0);                                                \
    else transpose_##NAME(n0, n1, src, ss1, dst, ds0);                                            \
  }

DEFINE_COPIES(uint8_t, 1)
DEFINE_COPIES(element_2, 2)
DEFINE_COPIES(element_4, 4)
DEFINE_COPIES(element_8, 8)

void mk_copy_2d(int32_t size, int64_t n0, int64_t n1, const void *src, int64_t ss0, int64_t ss1,
                void *dst, int64_t ds0, int64_t ds1) {
  if (n0 <= 0 || n1 <= 0) return;
  if ((ss1 == size && ds1 == size) || n1 == 1) {
    copy_rows(n0, (size_t)n1 * (size_t)size, src, ss0, dst, ds0);
    return;
  }
  bool is_transposition = ss0 == size && ds1 == size && n0 > 1;
  switch (size) {
    case 1:
      if (is_transposition) turn_1(n0, n1, src, ss1, dst, ds0);
      else general_1(n0, n1, src, ss0, ss1, dst, ds0, ds1);
      break;
    case 2:
      if (is_transposition) turn_2(n0, n1, src, ss1, dst, ds0);
      else general_2(n0, n1, src, ss0, ss1, dst, ds0, ds1);
      break;
    case 4:
      if (is_transposition) turn_4(n0, n1, src, ss1, dst, ds0);
      else general_4(n0, n1, src, ss0, ss1, dst, ds0, ds1);
      break;
    default:
      if (is_transposition) turn_8(n0, n1, src, ss1, dst, ds0);
      else general_8(n0, n1, src, ss0, ss1, dst, ds0, ds1);
  }
}

void mk_im2col_8bit(const mk_pack_conv *c, const uint8_t *src, uint8_t fill, uint8_t *dst,
                    int64_t dst_stride) {
  for (int64_t p = 0; p < c->k; p++, dst += dst_stride) {
    int64_t t = c->k0 + p;
    const int64_t kw = t % c->ker_w, kh = (t /= c->ker_w) % c->ker_h,
                  kd = (t /= c->ker_h) % c->ker_d;
    const uint8_t *image = src + t / c->ker_d * c->in_d * c->in_h * c->in_w;
    int64_t j = 0;
    while (j < c->n) {  // one line of output pixels at a time
      const int64_t o = c->n0 + j, ow = o % c->out_w, oh = o / c->out_w % c->out_h;
      const int64_t od = o / c->out_w / c->out_h;
      const int64_t count = c->out_w - ow < c->n - j ? c->out_w - ow : c->n - j;
      const int64_t z = od * c->stride_d - c->pad_d + kd * c->dil_d;
      const int64_t y = oh * c->stride_h - c->pad_h + kh * c->dil_h;
      uint8_t *to = dst + j;
      j += count;
      if (z < 0 || z >= c->in_d || y < 0 || y >= c->in_h) {
        memset(to, fill, (size_t)count);
        continue;
      }
      const uint8_t *line = image + (z * c->in_h + y) * c->in_w;
      const int64_t x0 = ow * c->stride_w - c->pad_w + kw * c->dil_w;
      int64_t i = 0;
      if (c->stride_w == 1) {
        const int64_t before = x0 < 0 ? (-x0 < count ? -x0 : count) : 0;
        int64_t inside = c->in_w - x0 < count ? c->in_w - x0 : count;
        inside = inside > before ? inside - before : 0;
        memset(to, fill, (size_t)before);
        if (inside > 0) memcpy(to + before, line + x0 + before, (size_t)inside);
        memset(to + before + inside, fill, (size_t)(count - before - inside));
        continue;
      }
      for (; i < count; i++) {
        const int64_t x = x0 + i * c->stride_w;
        to[i] = x >= 0 && x < c->in_w ? line[x] : fill;
      }
    }
  }
}

uint64_t mk_read(const void *memory, int64_t bytes) {
  uint64_t sum[8] = {0};
  const char *p = (const char *)memory;
  for (int64_t at = 0; at + 64 <= bytes; at += 64) {
    uint64_t line[8];
    memcpy(line, p + at, 64);
    for (int i = 0; i < 8; i++) sum[i] ^= line[i];
  }
  return sum[0] ^ sum[1] ^ sum[2] ^ sum[3] ^ sum[4] ^ sum[5] ^ sum[6] ^ sum[7];
}

#define DEFINE_GATHER(T, NAME, I)                                                                 \
  static int64_t gather_##NAME##_##I(int64_t n, const void *indices, int64_t extent,              \
                                     const void *src, int64_t stride, int64_t step, void *dst) {  \
    const I *wanted = indices;                                                                    \
    const T *from = src;                                                                          \
    T *to = dst;                                                                                  \
    for (int64_t i = 0; i < n; i++) {                                                             \
      int64_t index = wanted[i];                                                                  \
      index += index < 0 ? extent : 0;                                                            \
      if ((uint64_t)index >= (uint64_t)extent) return i;                                          \
      to[i] = from[index * stride + i * step];                                                    \
    }                                                                                             \
    return n;                                                                                     \
  }

#define DEFINE_GATHERS(T, NAME) DEFINE_GATHER(T, NAME, index_4) DEFINE_GATHER(T, NAME, index_8)
DEFINE_GATHERS(uint8_t, 1)
DEFINE_GATHERS(element_2, 2)
DEFINE_GATHERS(element_4, 4)
DEFINE_GATHERS(element_8, 8)

int64_t mk_gather(int32_t size, int64_t n, const void *indices, bool is_long, int64_t extent,
                  const void *src, int64_t stride, int64_t step, void *dst) {
#define EITHER(NAME)                                                                   \
  (is_long ? gather_##NAME##_index_8(n, indices, extent, src, stride, step, dst)       \
           : gather_##NAME##_index_4(n, indices, extent, src, stride, step, dst))
  switch (size) {
    case 1: return EITHER(1);
    case 2: return EITHER(2);
    case 4: return EITHER(4);
    default: return EITHER(8);
  }
#undef EITHER
}

void mk_divide_i64(int64_t n, const int64_t *dividends, int64_t divisor, int64_t *quotients) {
  const index_8 *src = dividends;
  index_8 *dst = quotients;
  // By the magnitude d: floor(x / d) = (((x - h) / 2) + h) / 2^shift, h the upper half of x * factor,
  // where 2^64 + factor is 2^(65 + shift) / d, rounded up (Granlund and Montgomery, 1994).
  const uint64_t d = divisor < 0 ? 0 - (uint64_t)divisor : (uint64_t)divisor;
  const int shift = 63 - __builtin_clzll(d);
  const uint64_t all = divisor < 0 ? ~(uint64_t)0 : 0;
  if ((d & (d - 1)) == 0) {
    for (int64_t i = 0; i < n; i++) {
      const uint64_t below = src[i] < 0 ? ~(uint64_t)0 : 0, sign = below ^ all;
      const uint64_t x = ((uint64_t)src[i] ^ below) - below;
      dst[i] = (int64_t)(((x >> shift) ^ sign) - sign);
    }
    return;
  }
  uint64_t factor = 0, rest = (uint64_t)1 << shift;
  for (int bit = 0; bit < 65; bit++) {
    const bool carries = rest >> 63 != 0;
    rest <<= 1;
    factor <<= 1;
    if (carries || rest >= d) rest -= d, factor |= 1;
  }
  factor++;
  for (int64_t i = 0; i < n; i++) {
    const uint64_t below = src[i] < 0 ? ~(uint64_t)0 : 0, sign = below ^ all;
    const uint64_t x = ((uint64_t)src[i] ^ below) - below;
    const uint64_t h = (uint64_t)((unsigned __int128)x * factor >> 64);
    const uint64_t quotient = (((x - h) >> 1) + h) >> shift;
    dst[i] = (int64_t)((quotient ^ sign) - sign);
  }
}
