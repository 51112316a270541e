// The table of one instantiation: MK_VECTOR_TABLE is its name.
#include "vectors_attention.h"
#include "vectors_conv.h"
#include "vectors_norm.h"
#include "vectors_plain.h"
#include "vectors_pool.h"
#include "vectors_recurrent.h"
#include "vectors_sample.h"
#include "vectors_typed.h"
#include "vectors_winograd.h"

const mk_vector_table MK_VECTOR_TABLE = {
  .unary =
    {
      [MK_UNARY_COPY] = copy_f32,
      [MK_UNARY_NEG] = neg_f32,
      [MK_UNARY_ABS] = abs_f32,
      [MK_UNARY_SQRT] = sqrt_f32,
      [MK_UNARY_RECIPROCAL] = reciprocal_f32,
      [MK_UNARY_EXP] = exp_f32,
      [MK_UNARY_LOG] = log_f32,
      [MK_UNARY_TANH] = tanh_f32,
      [MK_UNARY_ERF] = erf_f32,
      [MK_UNARY_SIGMOID] = sigmoid_f32,
      [MK_UNARY_GELU] = gelu_f32,
      [MK_UNARY_GELU_TANH] = gelu_tanh_f32,
      [MK_UNARY_SILU] = silu_f32,
      [MK_UNARY_RELU] = relu_f32,
      [MK_UNARY_LEAKY_RELU] = leaky_relu_f32,
      [MK_UNARY_ELU] = elu_f32,
      [MK_UNARY_SELU] = selu_f32,
      [MK_UNARY_CELU] = celu_f32,
      [MK_UNARY_SWISH] = swish_f32,
      [MK_UNARY_CLAMP] = clamp_f32,
      [MK_UNARY_HARD_SIGMOID] = hard_sigmoid_f32,
      [MK_UNARY_HARD_SWISH] = hard_swish_f32,
      [MK_UNARY_SOFTPLUS] = softplus_f32,
      [MK_UNARY_MISH] = mish_f32,
      [MK_UNARY_ASIN] = asin_f32,
      [MK_UNARY_ACOS] = acos_f32,
      [MK_UNARY_ATAN] = atan_f32,
      [MK_UNARY_FLOOR] = floor_f32,
      [MK_UNARY_CEIL] = ceil_f32,
      [MK_UNARY_ROUND] = round_f32,
      [MK_UNARY_SIN] = sin_f32,
      [MK_UNARY_COS] = cos_f32,
      [MK_UNARY_AFFINE] = affine_f32,
    },
  .binary =
    {
      [MK_BINARY_ADD] = add_f32,
      [MK_BINARY_SUB] = sub_f32,
      [MK_BINARY_MUL] = mul_f32,
      [MK_BINARY_DIV] = div_f32,
      [MK_BINARY_MIN] = min_f32,
      [MK_BINARY_MAX] = max_f32,
      [MK_BINARY_POW] = pow_f32,
      [MK_BINARY_PRELU] = prelu_f32,
    },
  .reduce =
    {
      [MK_REDUCE_SUM] = reduce_row_sum,
      [MK_REDUCE_MAX] = reduce_row_max,
      [MK_REDUCE_MIN] = reduce_row_min,
      [MK_REDUCE_SUM_SQUARES] = reduce_row_sum_squares,
      [MK_REDUCE_SUM_ABS] = reduce_row_sum_abs,
      [MK_REDUCE_PROD] = reduce_row_prod,
    },
  .accumulate =
    {
      [MK_REDUCE_SUM] = accumulate_sum,
      [MK_REDUCE_MAX] = accumulate_max,
      [MK_REDUCE_MIN] = accumulate_min,
      [MK_REDUCE_SUM_SQUARES] = accumulate_sum_squares,
      [MK_REDUCE_SUM_ABS] = accumulate_sum_abs,
      [MK_REDUCE_PROD] = accumulate_prod,
    },
  .softmax = softmax,
  .log_softmax = log_softmax,
  .layer_norm = layer_norm,
  .rms_norm = rms_norm,
  .f32_to_bf16 = f32_to_bf16,
  .bf16_to_f32 = bf16_to_f32,
  .f32_to_f16 = f32_to_f16,
  .f16_to_f32 = f16_to_f32,
  .transpose32 = transpose32,
  .depthwise = depthwise,
  .pool2d = pool2d,
  .winograd_input = winograd_input,
  .winograd_output = winograd_output,
  .attention_softmax = attention_softmax,
  .attention_merge = attention_merge,
  .attention_products = attention_products,
  .attention_mixtures = attention_mixtures,
  .attention_finish = attention_finish,
  .lstm_row = lstm_row,
  .cast =
    {
      [MK_TYPE_F32] = MK_CASTS_FROM(f32),
      [MK_TYPE_F64] = MK_CASTS_FROM(f64),
      [MK_TYPE_I8] = MK_CASTS_FROM(i8),
      [MK_TYPE_I16] = MK_CASTS_FROM(i16),
      [MK_TYPE_I32] = MK_CASTS_FROM(i32),
      [MK_TYPE_I64] = MK_CASTS_FROM(i64),
      [MK_TYPE_U8] = MK_CASTS_FROM(u8),
      [MK_TYPE_U16] = MK_CASTS_FROM(u16),
      [MK_TYPE_U32] = MK_CASTS_FROM(u32),
      [MK_TYPE_U64] = MK_CASTS_FROM(u64),
      [MK_TYPE_BOOL] = MK_CASTS_FROM(truth),
    },
  .compare =
    {
      [MK_COMPARE_EQUAL] = MK_COMPARES_OF(equal, equal_truth),
      // bool is not ordered; what stands there orders its bytes.
      [MK_COMPARE_LESS] = MK_COMPARES_OF(less, less_u8),
      [MK_COMPARE_LESS_OR_EQUAL] = MK_COMPARES_OF(less_or_equal, less_or_equal_u8),
    },
  .extreme =
    {
      [MK_EXTREME_MAX] = extreme_max,
      [MK_EXTREME_MIN] = extreme_min,
      [MK_EXTREME_LAST_MAX] = extreme_last_max,
      [MK_EXTREME_LAST_MIN] = extreme_last_min,
    },
  .grid_points = grid_points,
  .grid_mix = grid_mix,
  .mix_neighbours = mix_neighbours,
  .mix_lines = mix_lines,
  .first_above = first_above,
  .first_below = first_below,
  .plain =
    {
      [MK_PLAIN_F64] = plain_tile_f64,
      [MK_PLAIN_U8] = plain_tile_u8,
      [MK_PLAIN_U16] = plain_tile_u16,
      [MK_PLAIN_U32] = plain_tile_u32,
      [MK_PLAIN_U64] = plain_tile_u64,
    },
  .plain_bytes = 2 * MK_VECTOR_BYTES,
};
