// The inverse trigonometric functions: asin, acos, atan.
//
// Polynomials are minimax fits of this project (weighted for relative error of the result) with
// coefficients rounded to float; the bounds are held by VectorMathTests.
#ifndef MARTLET_VECTORS_ARC_H
#define MARTLET_VECTORS_ARC_H

#include "vectors_lanes.h"

// pi/2 as a float and what it lacks.
static const float HALF_PI = 0x1.921fb6p+0f;
static const float HALF_PI_REST = -0x1.777a5cp-25f;

// asin s for s = sqrt z, z <= 1/4.
MK_INLINE vf asin_small(vf s, vf z) {
  vf p = vf_splat(0x1.59da92p-5f);
  p = vf_fma(p, z, vf_splat(0x1.8ba292p-6f));
  p = vf_fma(p, z, vf_splat(0x1.748c60p-5f));
  p = vf_fma(p, z, vf_splat(0x1.33014ep-4f));
  p = vf_fma(p, z, vf_splat(0x1.5555cap-3f));
  return vf_fma(p * z, s, s);
}

// Beyond 1/2: asin t = pi/2 - 2 asin sqrt((1 - t) / 2). Beyond 1 the root is NaN.
MK_INLINE vf vf_asin(vf x) {
  vf t = vf_abs(x);
  vi is_large = t > 0.5f;
  vf z = vf_select(is_large, 0.5f - 0.5f * t, t * t);
  vf a = asin_small(vf_select(is_large, vf_sqrt(z), t), z);
  vf y = vf_select(is_large, (HALF_PI - 2.0f * a) + HALF_PI_REST, a);
  return (vf)((vi)y | vf_sign_bits(x));
}

MK_INLINE vf vf_acos(vf x) {
  vf t = vf_abs(x);
  vi is_large = t > 0.5f;
  vf z = vf_select(is_large, 0.5f - 0.5f * t, x * x);
  vf a = asin_small(vf_select(is_large, vf_sqrt(z), x), z);
  vf far = vf_select(x < 0.0f, (2.0f * HALF_PI - 2.0f * a) + 2.0f * HALF_PI_REST, 2.0f * a);
  return vf_select(is_large, far, (HALF_PI - a) + HALF_PI_REST);
}

// Beyond 1: atan t = pi/2 - atan 1/t.
MK_INLINE vf vf_atan(vf x) {
  vf t = vf_abs(x);
  vi is_large = t > 1.0f;
  vf s = vf_select(is_large, 1.0f / t, t);
  vf z = s * s;
  vf p = vf_splat(-0x1.def698p-10f);
  p = vf_fma(p, z, vf_splat(0x1.6a8b08p-7f));
  p = vf_fma(p, z, vf_splat(-0x1.01ad6ep-5f));
  p = vf_fma(p, z, vf_splat(0x1.dd0cc0p-5f));
  p = vf_fma(p, z, vf_splat(-0x1.58dbdep-4f));
  p = vf_fma(p, z, vf_splat(0x1.c0d254p-4f));
  p = vf_fma(p, z, vf_splat(-0x1.2426f4p-3f));
  p = vf_fma(p, z, vf_splat(0x1.999276p-3f));
  p = vf_fma(p, z, vf_splat(-0x1.555540p-2f));
  vf a = vf_fma(p * z, s, s);
  vf y = vf_select(is_large, (HALF_PI - a) + HALF_PI_REST, a);
  return (vf)((vi)y | vf_sign_bits(x));
}

#endif
