// Logarithm, and the power function in double precision.
#ifndef MARTLET_VECTORS_LOG_H
#define MARTLET_VECTORS_LOG_H

#include "vectors_exp.h"

// log x = exponent ln 2 + log(1 + f), 1 + f in [sqrt 1/2, sqrt 2)
MK_INLINE vf vf_log(vf x) {
  vi small = x < 0x1p-126f;
  vi bits = (vi)vf_select(small, x * 0x1p23f, x);
  vi exponent = (bits - 0x3f3504f3) >> 23;
  vf f = (vf)(bits - (exponent << 23)) - 1.0f;
  vf k = __builtin_convertvector(exponent - (small & 23), vf);
  vf s = f * f;
  vf p = vf_splat(-0x1.38b51ep-4f);
  p = vf_fma(p, f, vf_splat(0x1.055b58p-3f));
  p = vf_fma(p, f, vf_splat(-0x1.0d854cp-3f));
  p = vf_fma(p, f, vf_splat(0x1.22da20p-3f));
  p = vf_fma(p, f, vf_splat(-0x1.547244p-3f));
  p = vf_fma(p, f, vf_splat(0x1.99a008p-3f));
  p = vf_fma(p, f, vf_splat(-0x1.000226p-2f));
  p = vf_fma(p, f, vf_splat(0x1.555554p-2f));
  vf y = vf_fma(k, vf_splat(LN2_LOW), p * (s * f));
  y = vf_fma(s, vf_splat(-0.5f), y) + f;
  y = vf_fma(k, vf_splat(LN2_HIGH), y);
  y = vf_select(x == 0.0f, vf_splat(-__builtin_inff()), y);
  y = vf_select(x < 0.0f, vf_splat(__builtin_nanf("")), y);
  vi as_it_is = (x != x) | (x == __builtin_inff());
  return vf_select(as_it_is, x, y);
}

// log2 of positive, finite doubles that were floats; the error is below 2^-48 of the result.
MK_INLINE vd vd_log2(vd x) {
  const int64_t sqrt_half = 0x3fe6a09e667f3bcd, one = 0x3ff0000000000000;
  const int64_t mantissa = 0x000fffffffffffff, integers = 0x4330000000000000;  // 2^52
  vul shifted = (vul)((vl)x + (one - sqrt_half));
  vd exponent = (vd)((vl)(shifted >> 52) | integers) - (0x1p52 + 1023.0);
  vd m = (vd)(((vl)shifted & mantissa) + sqrt_half);
  vd s = (m - 1.0) / (m + 1.0);
  vd z = s * s;
  vd p = vd_splat(0x1.5886761c77eb1p-4);
  p = vd_fma(p, z, vd_splat(0x1.732af9d0c467fp-4));
  p = vd_fma(p, z, vd_splat(0x1.c72280afda3adp-4));
  p = vd_fma(p, z, vd_splat(0x1.249241699e201p-3));
  p = vd_fma(p, z, vd_splat(0x1.999999a2a73e4p-3));
  p = vd_fma(p, z, vd_splat(0x1.555555555391dp-2));
  vd log = vd_fma(p * z, s, s);
  return vd_fma(log, vd_splat(0x1.71547652b82fep+1), exponent);
}

// 2^t, |t| <= 1000, with a relative error of 2^-34
MK_INLINE vd vd_exp2(vd t) {
  const double rounding = 0x1.8p52;
  vd shifted = t + rounding;
  vl n = (vl)shifted - 0x4338000000000000;
  vd f = t - (shifted - rounding);
  vd p = vd_splat(0x1.fe17774078000p-17);
  p = vd_fma(p, f, vd_splat(0x1.446a1fc61a8c0p-13));
  p = vd_fma(p, f, vd_splat(0x1.5d8a7092b7080p-10));
  p = vd_fma(p, f, vd_splat(0x1.3b29dc40fb19cp-7));
  p = vd_fma(p, f, vd_splat(0x1.c6b08aaf256edp-5));
  p = vd_fma(p, f, vd_splat(0x1.ebfbe0a4be3e7p-3));
  p = vd_fma(p, f, vd_splat(0x1.62e42ff1162c5p-1));
  p = vd_fma(p, f, vd_splat(0x1.ffffffffabbd2p-1));
  return (vd)((vl)p + (n << 52));
}

// C's powf, special cases included. A square is the product that users expect, to the bit.
MK_INLINE vf vf_pow(vf x, vf y) {
  const float infinity = __builtin_inff();
  vf ax = vf_abs(x), ay = vf_abs(y);
  vi end = (ax == 0.0f) | (ax == infinity);
  vf base = vf_select(end | (x != x), vf_splat(1.0f), ax);
  vd t = vd_log2(__builtin_convertvector(base, vd)) * __builtin_convertvector(y, vd);
  t = vd_select(t > 1000.0, vd_splat(1000.0), t);
  t = vd_select(t < -1000.0, vd_splat(-1000.0), t);
  vf r = __builtin_convertvector(vd_exp2(t), vf);
  r = vf_select(y == 2.0f, x * x, r);
  // |x| is 0 or infinite: the result is too
  vi large = (ax == infinity) ^ (y < 0.0f);
  r = vf_select(end, (vf)(large & (vi)vf_splat(infinity)), r);
  r = vf_select(ax == 1.0f, vf_splat(1.0f), r);
  // the sign, and negative bases under broken exponents; from 2^24 on every float is even
  vf capped = vf_select(ay < 0x1p25f, ay, vf_splat(0x1p25f));
  vi integer = __builtin_convertvector(capped, vi);
  vi broken = __builtin_convertvector(integer, vf) != capped;
  vi odd = ~broken & -(integer & 1);
  r = (vf)((vi)r | (odd & vf_sign_bits(x)));
  r = vf_select((x < 0.0f) & (ax < infinity) & broken, vf_splat(__builtin_nanf("")), r);
  r = vf_select((x != x) | (y != y), x + y, r);
  return vf_select((y == 0.0f) | (x == 1.0f), vf_splat(1.0f), r);
}

#endif
