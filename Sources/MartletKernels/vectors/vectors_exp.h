// The exponential and what is made of it: expm1, tanh, sigmoid, silu, gelu, softplus, erf.
//
// Polynomials are minimax fits of this project (weighted for relative error of the result) with
// coefficients rounded to float; the bounds are held by VectorMathTests.
#ifndef MARTLET_VECTORS_EXP_H
#define MARTLET_VECTORS_EXP_H

#include "vectors_lanes.h"

static const float LOG2_E = 0x1.715476p+0f;
// ln 2 in two parts; the first has 15 bits, so that its product with an exponent is exact.
static const float LN2_HIGH = 0x1.62e4p-1f;
static const float LN2_LOW = 0x1.7f7d1cp-20f;
// Adding 1.5 * 2^23 leaves the nearest integer (half to even) in the low bits.
static const float ROUNDING = 12582912.0f;
static const int32_t ROUNDING_BITS = 0x4b400000;

// e^x = 2^exponent * (1 + fraction); fraction is within [-0.2929, 0.4143].
typedef struct exponential {
  vf fraction;
  vi exponent;
} exponential;

// e^r - 1 for |r| <= 0.35 (a little more is harmless). In pairs: the chain is what takes the time.
MK_INLINE vf expm1_near_zero(vf r) {
  vf r2 = r * r;
  vf low = vf_fma(vf_splat(0x1.5554aep-3f), r, vf_splat(0.5f));
  vf high = vf_fma(vf_splat(0x1.12296ep-7f), r, vf_splat(0x1.555484p-5f));
  high = vf_fma(vf_splat(0x1.6d9b08p-10f), r2, high);
  return vf_fma(vf_fma(high, r2, low), r2, r);
}

// |x| <= 150. `rest` is a small addend of x that x itself has no bits for.
MK_INLINE exponential exp_split_with(vf x, vf rest) {
  exponential e;
  vf shifted = vf_fma(x, vf_splat(LOG2_E), vf_splat(ROUNDING));
  e.exponent = (vi)shifted - ROUNDING_BITS;
  vf k = shifted - ROUNDING;
  vf r = vf_fma(k, vf_splat(-LN2_HIGH), x);
  r = vf_fma(k, vf_splat(-LN2_LOW), r) + rest;
  e.fraction = expm1_near_zero(r);
  return e;
}

MK_INLINE exponential exp_split(vf x) {
  exponential e;
  vf shifted = vf_fma(x, vf_splat(LOG2_E), vf_splat(ROUNDING));
  e.exponent = (vi)shifted - ROUNDING_BITS;
  vf k = shifted - ROUNDING;
  vf r = vf_fma(k, vf_splat(-LN2_HIGH), x);
  r = vf_fma(k, vf_splat(-LN2_LOW), r);
  e.fraction = expm1_near_zero(r);
  return e;
}

// 2^n for normal results.
MK_INLINE vf power_of_two(vi n) { return (vf)((n + 127) << 23); }

// v * 2^n in two steps, so that overflow and denormals round once.
MK_INLINE vf scale_by_power_of_two(vf v, vi n) {
  vi half = n >> 1;
  return v * power_of_two(half) * power_of_two(n - half);
}

// v * 2^n where both v and the result are normal: a shift of the exponent.
MK_INLINE vf shift_exponent(vf v, vi n) { return (vf)((vi)v + (n << 23)); }

MK_INLINE vf vf_exp(vf x) {
  // Almost always nothing is near the ends (nor NaN), and the same bits come by a shorter way.
  if (!vi_any(~(vf_abs(x) < 87.0f))) {
    exponential e = exp_split(x);
    return shift_exponent(1.0f + e.fraction, e.exponent);
  }
  x = vf_at_most(vf_at_least(x, vf_splat(-104.0f)), vf_splat(89.0f));
  exponential e = exp_split(x);
  return scale_by_power_of_two(1.0f + e.fraction, e.exponent);
}

// e^x - 1 for x <= 0.
MK_INLINE vf vf_expm1_negative(vf x) {
  exponential e = exp_split(vf_at_least(x, vf_splat(-80.0f)));
  vf s = power_of_two(e.exponent);
  vf y = vf_fma(e.fraction, s, s - 1.0f);
  return vf_select(x == 0.0f, x, y);
}

// w = m / (m + 2) with m = e^2|x| - 1, which is good to the last bits near zero; from 10 on that is 1.
// Below m = 1 it is (m - m w) / 2, to which w's own rounding adds less.
MK_INLINE vf vf_tanh(vf x) {
  exponential e = exp_split(2.0f * vf_at_most(vf_abs(x), vf_splat(10.0f)));
  vf scale = power_of_two(e.exponent);
  vf m = vf_fma(e.fraction, scale, scale - 1.0f);
  vf w = m / (m + 2.0f);
  vf h = 0.5f * m;
  vf y = vf_select(m < 1.0f, vf_fma(-h, w, h), w);
  return (vf)((vi)y | vf_sign_bits(x));
}

// v * sigmoid(z), where v must vanish beside e^-112 when z <= -112. With e^-z = 2^n (1 + f) it is
// v / (2^n (2^-n + f) + 2^n), which loses least in the addition of 1. Beyond 2^100, where the 1 is
// nothing, the division is in two parts, so that a denormal result rounds once.
MK_INLINE vf times_sigmoid(vf v, vf z) {
  z = vf_at_most(vf_at_least(z, vf_splat(-112.0f)), vf_splat(80.0f));
  exponential e = exp_split(-z);
  vi n = __builtin_elementwise_min(e.exponent, vi_splat(100));
  vf t = power_of_two(n);
  return v / vf_fma(t, e.fraction + power_of_two(-n), t) * power_of_two(n - e.exponent);
}

MK_INLINE vf vf_sigmoid(vf x) {
  // Almost always no result is denormal (nor NaN).
  if (!vi_any(~(x > -87.0f))) {
    exponential e = exp_split(-vf_at_most(x, vf_splat(80.0f)));
    vf t = power_of_two(e.exponent);
    return 1.0f / vf_fma(t, e.fraction + power_of_two(-e.exponent), t);
  }
  return times_sigmoid(vf_splat(1.0f), x);
}

// x * sigmoid(x). Like the formula, -Inf gives NaN (the product with zero adds it).
MK_INLINE vf vf_silu(vf x) {
  vf y = times_sigmoid(vf_at_least(x, vf_splat(-112.0f)), x);
  return vf_fma(vf_at_most(x, vf_splat(0.0f)), vf_splat(0.0f), y);
}

// x * sigmoid(a x) for a > 0, -Inf as in silu.
MK_INLINE vf vf_swish(vf x, vf a) {
  vf y = times_sigmoid(vf_at_least(x, vf_splat(-112.0f) / a), a * x);
  return vf_fma(vf_at_most(x, vf_splat(0.0f)), vf_splat(0.0f), y);
}

// x/2 (1 + tanh z) = x sigmoid(2z)
MK_INLINE vf vf_gelu_tanh(vf x) {
  vf z = x * vf_fma(x * x, vf_splat(0x1.2444f2p-4f), vf_splat(0x1.988454p+0f));
  vf y = times_sigmoid(vf_at_least(x, vf_splat(-20.0f)), z);
  return vf_fma(vf_at_most(x, vf_splat(0.0f)), vf_splat(0.0f), y);
}

// x/2 + x^2 Q(x^2) near zero; else relu(x) - u Phi(-u) with u = |x| and
// Phi(-u) = e^(-u^2/2) G(u): no cancellation in either tail.
MK_INLINE vf vf_gelu(vf x) {
  vf u = vf_at_most(vf_abs(x), vf_splat(14.6f));
  vf t = 1.0f / vf_fma(u, vf_splat(0.28f), vf_splat(1.0f));
  // The upper half in pairs, to shorten the chain; the lower half in order, which rounds best.
  vf t2 = t * t;
  vf g56 = vf_fma(t, vf_splat(-0x1.ee08aap-3f), vf_splat(0x1.96aedcp-3f));
  vf g78 = vf_fma(t, vf_splat(-0x1.406966p-2f), vf_splat(0x1.8425d0p-2f));
  vf g90 = vf_fma(t, vf_splat(-0x1.247866p-6f), vf_splat(0x1.eb2800p-4f));
  vf g = vf_fma(t2, vf_fma(t2, g90, g78), g56);
  g = vf_fma(g, t, vf_splat(0x1.3efa3cp-5f));
  g = vf_fma(g, t, vf_splat(0x1.d0f5bap-4f));
  g = vf_fma(g, t, vf_splat(0x1.c33752p-4f));
  g = vf_fma(g, t, vf_splat(0x1.ca12fep-4f));
  g = vf_fma(g, t, vf_splat(-0x1.468824p-18f));
  // u^2/2 as an exact square of 12 bits and a rest
  vf high = (vf)((vi)u & ~0xfff);
  exponential e = exp_split_with(-0.5f * high * high, -0.5f * (u - high) * (u + high));
  vf product = u * g;
  vf tail = scale_by_power_of_two(vf_fma(product, e.fraction, product), e.exponent);
  // Like the formula, -Inf gives NaN (the product with zero adds it).
  vf negative = vf_fma(x, vf_splat(0.0f), -tail);
  vf far = vf_select(x < 0.0f, negative, x - tail);
  vf s = x * x;
  vf q = vf_splat(0x1.a9562cp-14f);
  q = vf_fma(q, s, vf_splat(-0x1.352706p-10f));
  q = vf_fma(q, s, vf_splat(0x1.46bf12p-7f));
  q = vf_fma(q, s, vf_splat(-0x1.1057fcp-4f));
  q = vf_fma(q, s, vf_splat(0x1.988452p-2f));
  vf near = x * vf_fma(q, x, vf_splat(0.5f));
  return vf_select(u < 0.75f, near, far);
}

MK_INLINE vf vf_erf(vf x) {
  vf t = vf_abs(x);
  // |x| < 1: x + x P(x^2)
  vf s = t * t;
  vf p = vf_splat(0x1.496680p-14f);
  p = vf_fma(p, s, vf_splat(-0x1.a3f57cp-11f));
  p = vf_fma(p, s, vf_splat(0x1.540574p-8f));
  p = vf_fma(p, s, vf_splat(-0x1.b7f904p-6f));
  p = vf_fma(p, s, vf_splat(0x1.ce2cf6p-4f));
  p = vf_fma(p, s, vf_splat(-0x1.81273ep-2f));
  p = vf_fma(p, s, vf_splat(0x1.06eba8p-3f));
  vf near = vf_fma(p, t, t);
  // else 1 - e^Q(x) with Q = log erfc; from 4 on that is 1
  vf c = vf_at_most(t, vf_splat(4.0f));
  vf q = vf_splat(0x1.852d8ep-13f);
  q = vf_fma(q, c, vf_splat(-0x1.814d02p-9f));
  q = vf_fma(q, c, vf_splat(0x1.654256p-6f));
  q = vf_fma(q, c, vf_splat(-0x1.a60a8ep-4f));
  q = vf_fma(q, c, vf_splat(-0x1.46c582p-1f));
  q = vf_fma(q, c, vf_splat(-0x1.2085b2p+0f));
  q = vf_fma(q, c, vf_splat(-0x1.72e548p-12f));
  exponential e = exp_split(q);
  vf scale = power_of_two(e.exponent);
  vf far = vf_fma(-e.fraction, scale, 1.0f - scale);
  vf y = vf_select(t < 1.0f, near, far);
  return (vf)((vi)y | vf_sign_bits(x));
}

// x tanh(softplus x) = x n / (n + 2) with n = e^x (e^x + 2), the factor e^x = 2^k (1 + f) applied last,
// so that a denormal result rounds once. From 10 on that is x. Like the formula, -Inf gives NaN.
MK_INLINE vf vf_mish(vf x) {
  vf c = vf_at_most(vf_at_least(x, vf_splat(-112.0f)), vf_splat(10.0f));
  exponential e = exp_split(c);
  vf mantissa = 1.0f + e.fraction;
  vf power = scale_by_power_of_two(mantissa, e.exponent);
  vf sum = power + 2.0f;
  vf y =
    scale_by_power_of_two(c * mantissa * (sum / vf_fma(power, sum, vf_splat(2.0f))), e.exponent);
  y = vf_fma(vf_at_most(x, vf_splat(0.0f)), vf_splat(0.0f), y);
  return vf_select(x > 10.0f, x, y);
}

// max(x, 0) + log1p(e^-|x|), log1p(e) = 2 atanh(s) with s = e / (2 + e)
MK_INLINE vf vf_softplus(vf x) {
  vf e = vf_exp(-vf_abs(x));
  vf s = e / (2.0f + e);
  vf z = s * s;
  vf p = vf_splat(0x1.1ed7c0p-3f);
  p = vf_fma(p, z, vf_splat(0x1.1ebd0cp-3f));
  p = vf_fma(p, z, vf_splat(0x1.99d208p-3f));
  p = vf_fma(p, z, vf_splat(0x1.555502p-2f));
  vf y = vf_fma(2.0f * s * z, p, 2.0f * s);
  y = vf_select(e < 0x1p-24f, e, y);
  return vf_at_least(x, vf_splat(0.0f)) + y;
}

#endif
