// Sine and cosine: the argument is reduced in double precision, or, for large ones, in 128-bit
// fixed point, so that the result is good to about one ulp for every float.
#ifndef MARTLET_VECTORS_TRIG_H
#define MARTLET_VECTORS_TRIG_H

#include "vectors_exp.h"

// x = quadrant * pi/2 + r, |r| <= pi/4 (and a trifle), x >= 0.
typedef struct reduced_angle {
  vf r;
  vi quadrant;
} reduced_angle;

// One finite x >= 2^17. The bits of 2/pi that weigh a multiple of 4 periods are never looked at.
static void reduce_large_angle(float x, float *r, int32_t *quadrant) {
  static const uint32_t two_over_pi[8] = {0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0,
                                          0xdb629599, 0x3c439041, 0xfe5163ab, 0xdebbc561};
  uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  int32_t exponent = (int32_t)(bits >> 23) - 150;  // x = mantissa * 2^exponent
  uint64_t mantissa = (bits & 0x7fffff) | 0x800000;
  int32_t skipped = exponent > 2 ? exponent - 2 : 0;
  int32_t word = skipped / 32, shift = skipped % 32;
  // 96 bits of 2/pi after the skipped ones
  unsigned __int128 window = 0;
  for (int32_t i = 0; i < 4; i++) window = window << 32 | two_over_pi[word + i];
  window = (window << shift) >> 32;
  // the product's integer part modulo 4 comes to stand in the top two bits
  unsigned __int128 turns = window * mantissa << (30 + exponent - skipped);
  unsigned __int128 rounded = turns + ((unsigned __int128)1 << 125);
  *quadrant = (int32_t)(rounded >> 126);
  __int128 rest = (__int128)(turns - (rounded >> 126 << 126));
  double high = (double)(int64_t)(rest >> 64), low = (double)(uint64_t)rest;
  *r = (float)((high * 0x1p-62 + low * 0x1p-126) * 0x1.921fb54442d18p+0);
}

MK_INLINE reduced_angle reduce_angle(vf x) {
  reduced_angle a;
  vf shifted = x * 0x1.45f306p-1f + ROUNDING;
  a.quadrant = (vi)shifted - ROUNDING_BITS;
  vd k = __builtin_convertvector(shifted - ROUNDING, vd);
  // pi/2 in two parts; the first has 33 bits, so that its product with k < 2^17 is exact
  vd r = __builtin_convertvector(x, vd) - k * 0x1.921fb54400000p+0;
  r = r - k * 0x1.0b4611a626331p-34;
  a.r = __builtin_convertvector(r, vf);
  vi large = (x >= 0x1p17f) & (x < __builtin_inff());
  if (__builtin_expect(vi_any(large), 0)) {
    float angles[LANES], rests[LANES];
    int32_t quadrants[LANES];
    vf_store(angles, x);
    vf_store(rests, a.r);
    __builtin_memcpy(quadrants, &a.quadrant, sizeof quadrants);
    for (int i = 0; i < LANES; i++) {
      if (angles[i] >= 0x1p17f && angles[i] < __builtin_inff()) {
        reduce_large_angle(angles[i], &rests[i], &quadrants[i]);
      }
    }
    a.r = vf_load(rests);
    __builtin_memcpy(&a.quadrant, quadrants, sizeof quadrants);
  }
  return a;
}

// sin(r + quadrant * pi/2)
MK_INLINE vf sin_of_reduced(vf r, vi quadrant) {
  vf s = r * r;
  vf p = vf_splat(-0x1.98d4b4p-13f);
  p = vf_fma(p, s, vf_splat(0x1.1105f0p-7f));
  p = vf_fma(p, s, vf_splat(-0x1.555542p-3f));
  vf sine = vf_fma(p, s * r, r);
  vf c = vf_splat(0x1.9985eap-16f);
  c = vf_fma(c, s, vf_splat(-0x1.6c0accp-10f));
  c = vf_fma(c, s, vf_splat(0x1.555548p-5f));
  vf cosine = vf_fma(c, s * s, vf_fma(s, vf_splat(-0.5f), vf_splat(1.0f)));
  vf y = vf_select(-(quadrant & 1), cosine, sine);
  return (vf)((vi)y ^ (vi)((vu)(quadrant & 2) << 30));
}

MK_INLINE vf vf_sin(vf x) {
  reduced_angle a = reduce_angle(vf_abs(x));
  return (vf)((vi)sin_of_reduced(a.r, a.quadrant) ^ vf_sign_bits(x));
}

MK_INLINE vf vf_cos(vf x) {
  reduced_angle a = reduce_angle(vf_abs(x));
  return sin_of_reduced(a.r, a.quadrant + 1);
}

#endif
