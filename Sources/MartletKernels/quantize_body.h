// Between integers and floats: the way out of an integer product, quantising and dequantising.
// Written once against lanes.h. The AVX-512 rows use those of AVX2, which memory and division bound
// alike.
#ifndef MARTLET_KERNELS_QUANTIZE_BODY_H
#define MARTLET_KERNELS_QUANTIZE_BODY_H

typedef int32_t vs __attribute__((vector_size(VL * 4)));
typedef uint8_t v_byte __attribute__((vector_size(VL)));
typedef int8_t v_schar __attribute__((vector_size(VL)));
typedef uint16_t v_word __attribute__((vector_size(VL * 2)));
typedef int16_t v_short __attribute__((vector_size(VL * 2)));

// The lanes of a float vector as whole numbers, half to even, for |v| < 2^22: adding 1.5 * 2^23
// leaves no room for a fraction.
MK_INLINE vs vs_rounded(vf v) {
  return (vs)vf_add(v, vf_set1(12582912.0f)) - (vs)vi_set1(0x4b400000u);
}

// v between whole numbers lo and hi, rounded; NaN gives lo.
MK_INLINE vs vs_quantized(vf v, vf lo, vf hi) {
  return vs_rounded(vf_at_most(hi, vf_at_least(v, lo)));
}

// `count` lanes of `width` bytes of an integer each, truncated.
MK_INLINE void vs_store_narrow(void *p, vs v, int width, int64_t count) {
  if (width == 1) {
    const v_byte narrow = __builtin_convertvector((typeof(v))v, v_byte);
    if (count == VL) memcpy(p, &narrow, VL);
    else
      for (int64_t i = 0; i < count; i++) ((uint8_t *)p)[i] = narrow[i];
  } else {
    const v_word narrow = __builtin_convertvector(v, v_word);
    if (count == VL) memcpy(p, &narrow, VL * 2);
    else
      for (int64_t i = 0; i < count; i++) memcpy((char *)p + 2 * i, &((uint16_t){narrow[i]}), 2);
  }
}

// `count` lanes, the others 0.
MK_INLINE vs vs_load_some(const int32_t *p, int64_t count) {
  return (vs)(count == VL ? vi_load(p) : vi_load_tail(p, v_first(count)));
}
MK_INLINE vf vf_load_some(const float *p, int64_t count) {
  return count == VL ? vf_load(p) : vf_load_tail(p, v_first(count));
}

static void int8_finish(const mk_int8_finish *f) {
  const vf lo = vf_set1((float)(f->lo - f->zero)), hi = vf_set1((float)(f->hi - f->zero));
  const vs zero = (vs)vi_set1((uint32_t)f->zero);
  for (int64_t i = 0; i < f->m; i++) {
    const int32_t *src = (const int32_t *)((const char *)f->src + i * f->src_stride);
    char *dst = (char *)f->dst + i * f->dst_stride;
    const vs row_zero = (vs)vi_set1(f->row_zero ? (uint32_t)f->row_zero[i] : 0);
    const vs row_sum = (vs)vi_set1(f->row_sum ? (uint32_t)f->row_sum[i] : 0);
    const vs row_bias = (vs)vi_set1(f->row_bias ? (uint32_t)f->row_bias[i] : 0);
    const vf row_scale = vf_set1(f->row_scale ? f->scale * f->row_scale[i] : f->scale);
    for (int64_t j = 0; j < f->n; j += VL) {
      const int64_t count = f->n - j < VL ? f->n - j : VL;
      vs v = vs_load_some(src + j, count);
      if (f->row_zero) v -= row_zero * vs_load_some(f->column_sum + j, count);
      if (f->row_sum) v -= row_sum * vs_load_some(f->column_zero + j, count);
      v += row_bias;
      if (f->column_bias) v += vs_load_some(f->column_bias + j, count);
      if (f->dst_type == MK_I32) {
        if (count == VL) vi_store(dst + j * 4, (vi)v);
        else vi_store_tail(dst + j * 4, v_first(count), (vi)v);
        continue;
      }
      vf scale = row_scale;
      if (f->column_scale) scale = vf_mul(scale, vf_load_some(f->column_scale + j, count));
      vf x = vf_mul(__builtin_convertvector(v, vf), scale);
      if (f->dst_type == MK_F32) {
        if (f->row_addend) x = vf_add(x, vf_set1(f->row_addend[i]));
        if (f->column_addend) x = vf_add(x, vf_load_some(f->column_addend + j, count));
        if (count == VL) vf_store(dst + j * 4, x);
        else vf_store_tail(dst + j * 4, v_first(count), x);
        continue;
      }
      vs_store_narrow(dst + j, vs_quantized(x, lo, hi) + zero, 1, count);
    }
  }
}

MK_INLINE void quantize_body(const int width, const mk_quantize *q, float least, float most) {
  const vf scale = vf_set1(q->scale);
  const vs zero = (vs)vi_set1((uint32_t)q->zero);
  const vf lo = vf_set1(least - (float)q->zero), hi = vf_set1(most - (float)q->zero);
  for (int64_t i = 0; i < q->n; i += VL) {
    const int64_t count = q->n - i < VL ? q->n - i : VL;
    const vf x = vf_load_some(q->src + i, count);
    vs v;
    if (q->scales) {
      const vs zeros = q->zeros ? vs_load_some(q->zeros + i, count) : zero;
      const vf offset = __builtin_convertvector(zeros, vf);
      v = vs_quantized(x / vf_load_some(q->scales + i, count), vf_set1(least) - offset,
                       vf_set1(most) - offset) +
          zeros;
    } else {
      v = vs_quantized(x / scale, lo, hi) + zero;
    }
    vs_store_narrow((char *)q->dst + i * width, v, width, count);
  }
}

static void int8_quantize(const mk_quantize *q) {
  switch (q->dst_type) {
    case MK_U8: quantize_body(1, q, 0, 255); break;
    case MK_I8: quantize_body(1, q, -128, 127); break;
    case MK_U16: quantize_body(2, q, 0, 65535); break;
    case MK_I16: quantize_body(2, q, -32768, 32767); break;
  }
}

#define DEQUANTIZE_LOAD(TYPE)                                                         \
  {                                                                                   \
    TYPE narrow = {0};                                                                \
    if (count == VL)                                                                  \
      memcpy(&narrow, p, sizeof narrow);                                              \
    else                                                                              \
      for (int64_t i = 0; i < count; i++)                                             \
        memcpy((char *)&narrow + i * (int64_t)(sizeof narrow / VL),                   \
               (const char *)p + i * (int64_t)(sizeof narrow / VL), sizeof narrow / VL); \
    return __builtin_convertvector(narrow, vs);                                       \
  }
MK_INLINE vs vs_load_integers(const int32_t type, const void *p, int64_t count) {
  switch (type) {
    case MK_U8: DEQUANTIZE_LOAD(v_byte)
    case MK_I8: DEQUANTIZE_LOAD(v_schar)
    case MK_U16: DEQUANTIZE_LOAD(v_word)
    case MK_I16: DEQUANTIZE_LOAD(v_short)
    default: return vs_load_some((const int32_t *)p, count);
  }
}

MK_INLINE void dequantize_body(const int32_t type, const int width, const mk_dequantize *d) {
  const vf scale = vf_set1(d->scale);
  const vs zero = (vs)vi_set1((uint32_t)d->zero);
  for (int64_t i = 0; i < d->n; i += VL) {
    const int64_t count = d->n - i < VL ? d->n - i : VL;
    const vs v = vs_load_integers(type, (const char *)d->src + i * width, count);
    const vs zeros = d->zeros ? vs_load_some(d->zeros + i, count) : zero;
    const vf scales = d->scales ? vf_load_some(d->scales + i, count) : scale;
    const vf x = vf_mul(__builtin_convertvector(v - zeros, vf), scales);
    if (count == VL) vf_store(d->dst + i, x);
    else vf_store_tail(d->dst + i, v_first(count), x);
  }
}

static void int8_dequantize(const mk_dequantize *d) {
  switch (d->src_type) {
    case MK_U8: dequantize_body(MK_U8, 1, d); break;
    case MK_I8: dequantize_body(MK_I8, 1, d); break;
    case MK_U16: dequantize_body(MK_U16, 2, d); break;
    case MK_I16: dequantize_body(MK_I16, 2, d); break;
    case MK_I32: dequantize_body(MK_I32, 4, d); break;
  }
}

#endif
