// MartletKernels: the inner loops, one table of function pointers per instruction set.
//
// Rules of this target: no malloc, no threads, no globals that change after start, no errors.
// Every size is an element count that the caller has checked; every stride with the suffix
// `_stride` is in BYTES and may be negative or zero unless said otherwise. No kernel reads or
// writes a byte outside the rows and columns that its arguments name (tails are masked), so a
// matrix may end at a page boundary. Pointers need no more than the alignment of their element.
//
// Determinism: what a kernel computes for one element (or one reduced row) depends on the values
// and on the length of the reduced axis alone, never on alignment, tile, neighbours or position.
#ifndef MARTLET_KERNELS_H
#define MARTLET_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Only the vector table says so in its types; elsewhere comments say what may be null.
#pragma clang diagnostic ignored "-Wnullability-completeness"

#ifdef __cplusplus
extern "C" {
#endif

// Fields that belong together share a line here, and what they are stands beside them.
// clang-format off

// Element types. The values are those of ONNX TensorProto.DataType and of martlet_dtype.
enum {
  MK_F32 = 1, MK_U8 = 2, MK_I8 = 3, MK_U16 = 4, MK_I16 = 5, MK_I32 = 6, MK_I64 = 7,
  MK_BOOL = 9, MK_F16 = 10, MK_F64 = 11, MK_U32 = 12, MK_U64 = 13, MK_BF16 = 16
};

// ---------------------------------------------------------------------------- GEMM

// Activations that a GEMM epilogue applies in registers.
enum { MK_ACT_NONE = 0, MK_ACT_RELU = 1, MK_ACT_CLAMP = 2 };

// Applied once per element after the last K step, in this order:
//   v = alpha * sum;  v += bias_n[j];  v += bias_m[i];  v += beta * residual[i][j];  v = act(v)
// Null pointers are skipped. relu is max(v, 0) with NaN kept; clamp is min(max(v, lo), hi).
typedef struct mk_epilogue {
  float alpha, beta;
  const float *bias_n;        // [n], of this tile's first column, or null
  const float *bias_m;        // [m], of this tile's first row, or null
  const float *residual;      // f32, of this tile's first element, or null; may alias dst exactly
  int64_t residual_stride;    // bytes between rows
  int32_t act;                // MK_ACT_*
  float lo, hi;               // for MK_ACT_CLAMP
} mk_epilogue;

enum { MK_FIRST_K = 1, MK_LAST_K = 2 };

// One tile: dst[m x n] (+)= lhs[m x k] * rhs[k x n].
// The sum of an element runs over k in ascending order in ONE chain of the row's arithmetic, whatever
// the tile, so that all rows of the same operands and arithmetic yield the same bits.
typedef struct mk_gemm_tile {
  int64_t m, n, k;            // 0 <= m <= row.mr, 0 <= n <= row.nr, k >= 0; see row.tall_mr
  const void *lhs;            // row-major, K contiguous, row dtype `lhs`
  int64_t lhs_stride;         // bytes between rows
  const void *rhs;            // packed panel (see pack_rhs)
  float *acc;                 // f32 partial sums: read unless MK_FIRST_K, written unless MK_LAST_K
  int64_t acc_stride;         // bytes
  void *dst;                  // row dtype `dst`; written on MK_LAST_K only; may equal acc when f32
  int64_t dst_stride;         // bytes
  uint32_t flags;
  const mk_epilogue *epilogue;  // null: alpha 1, nothing else
  // What to fetch a line of for each group of kr k, moving on by prefetch_step bytes, 0: by a line; null:
  // what comes next of rhs itself. A hint, never dereferenced.
  const void *prefetch;
  int64_t prefetch_step;
  // Bytes between lines of rhs; 0: those of a packed panel. Other strides read an f32 rhs in place,
  // columns contiguous, and take an n that is a multiple of row.vector.
  int64_t rhs_line_stride;
} mk_gemm_tile;

enum { MK_RESUME = 1, MK_SUSPEND = 2, MK_ROUND_LHS = 4 };

// Few rows by many columns, streaming panels at memory speed: n may span many panels.
typedef struct mk_gemm_stream {
  int64_t m, n, k;            // 1 <= m <= row.stream_mr; any n
  const void *lhs; int64_t lhs_stride;
  const void *rhs; int64_t rhs_panel_stride;  // bytes from one panel to the next
  void *dst; int64_t dst_stride;
  const mk_epilogue *epilogue;  // null: alpha 1, nothing else
  int64_t rhs_line_stride;    // as in mk_gemm_tile; `columns`: bytes between columns of rhs
  // MK_RESUME: the sums start from acc. MK_SUSPEND: they are left in acc, and dst is not written.
  // 0: all of K in one call. `columns` takes no flags.
  // MK_ROUND_LHS, `small` of a bf16 row alone: lhs is f32, and rounded on the way; k at most small_k.
  uint32_t flags;
  float *acc; int64_t acc_stride;  // f32 partial sums, read and written by flags; may be dst
  // `small` alone: rows of lhs that L1 keeps a line of each of; 0: as many as are read at a time.
  int64_t l1_rows;
} mk_gemm_stream;

// Packs rhs[k x n] (element (p, j) at src + p*k_stride + j*n_stride) into ceil(n/nr) panels.
// Panel layout: for each group g of kr consecutive k: for each of nr columns: kr elements.
// Columns past n and k past the end are zero. A panel holds roundup(k, kr) * nr elements of the
// row's rhs dtype. f32 is rounded to nearest even bf16 where the row's rhs is bf16.
typedef struct mk_pack_rhs {
  int64_t k, n;
  const void *src; int64_t k_stride, n_stride;  // bytes
  void *dst; int64_t dst_panel_stride;          // bytes
} mk_pack_rhs;

// Packs columns n0..n0+n of the implicit im2col matrix of one image and one group into panels of
// the same layout as mk_pack_rhs. Row index k runs row-major from k0: over (channel, kd, kh, kw) where
// the rhs is f32, over (kd, kh, kw, channel) where it is bf16, for mk_conv_dot has that order; column
// index over (od, oh, ow) row-major from n0. Taps outside the image are zero.
// 1-D and 2-D convolutions set the missing leading extents to 1.
typedef struct mk_pack_conv {
  int64_t k0, k, n0, n;
  int64_t channels;                       // of the image; read where the rhs is bf16
  const float *src;                       // image of this group: [C, ID, IH, IW], contiguous
  int64_t in_d, in_h, in_w;
  int64_t ker_d, ker_h, ker_w;
  int64_t out_d, out_h, out_w;
  int64_t stride_d, stride_h, stride_w;
  int64_t dil_d, dil_h, dil_w;
  int64_t pad_d, pad_h, pad_w;            // leading pads
  void *dst; int64_t dst_panel_stride;    // bytes
} mk_pack_conv;

// Convolution whose lanes are output channels, f32, without an im2col matrix. The weights of a group
// [OC / g, K] are packed as its transposed matrix [K, OC / g] would be by the row's pack_rhs_f32.

// Two offsets in elements. Of a pixel: from `src` to what its first tap multiplies, and from `sums`
// to its sums. Of a term: from a pixel's place to what it multiplies, and from `weights` to its line.
typedef struct mk_conv_place {
  int32_t src, other;
} mk_conv_place;

// sums[pixel][0 ..< n] (+)= over the terms, in their order: src[pixel + term] * weights[term], one
// FMA chain. Whole vectors of weights and sums are read and written, up to a multiple of row.vector.
typedef struct mk_conv_sums {
  int64_t pixel_count, term_count, n;  // n: channels, 1 to row.nr
  const float *src;
  const mk_conv_place *pixels, *terms;
  const float *weights;
  float *sums;
  bool accumulates;                    // sums go on from what they hold, else from zero
} mk_conv_sums;

// Rows y0 ..< y0 + rows and columns x0 ..< x0 + columns of some planes [in_h x in_w], zeros outside the
// image: dst[planes][rows][columns], and up to 16 elements past its end that hold anything.
typedef struct mk_conv_band {
  int64_t planes; const float *src; int64_t in_h, in_w;
  int64_t y0, rows, x0, columns;
  float *dst;
} mk_conv_band;

// Pixels dealt evenly to tiles of at most `most`: dst[tile][c][i] = src[c * channel_stride + the place
// of the tile's i-th pixel], lines of dst tile_width elements apart; past a tile's last pixel they hold
// anything. Pixels that follow each other in memory are copied by vectors.
typedef struct mk_conv_gather {
  int64_t channels; const float *src; int64_t channel_stride;      // elements
  const mk_conv_place *pixels; int64_t count, most;                // most: 1 to tile_width
  float *dst; int64_t tile_width;                                  // 8 or 16
} mk_conv_gather;

// sums[pixels][n] as n lines of pixels, v = act(sum + bias + residual), then `function` over each.
typedef struct mk_conv_finish {
  int64_t pixels, n;
  const float *sums; int64_t sums_stride;  // elements between pixels; whole vectors are read
  const float *bias;                       // [n], or null
  const float *residual;                   // in dst's layout, perhaps dst itself; or null
  float *dst; int64_t dst_stride;          // elements between lines
  int32_t act; float lo, hi;               // MK_ACT_*
  void (*function)(int64_t n, const float *src, float *dst, float a, float b);  // or null
  float a, b;
} mk_conv_finish;

typedef struct mk_conv_kernels {
  int32_t pixels;                          // of a tile at most, for n of more than one vector
  int32_t tile_width;                      // see mk_conv_gather
  void (*sums)(const mk_conv_sums *);
  void (*band)(const mk_conv_band *);
  void (*gather)(const mk_conv_gather *);
  void (*finish)(const mk_conv_finish *);
} mk_conv_kernels;

// Convolution on bf16 units whose lanes are output channels, without an im2col matrix. What is read of an
// image is a window of it, rounded once: dst[height][width][dst_channels], zeros in channels that the
// image lacks. Its pixel (y, x) is the image's (y0 + y * step, x0 + x * step), step 1 or 2, and lies in
// the image. All channels are even numbers.
typedef struct mk_conv_window {
  const float *src; int64_t channels, in_h, in_w;  // planes of f32
  int64_t y0, x0, step;
  int64_t height, width, dst_channels;             // dst_channels: at least channels
  uint16_t *dst; int64_t dst_stride;               // elements between rows
} mk_conv_window;

// sums[row][column][0 ..< lanes] of a rectangle of output pixels, each one VDPBF16PS chain over
// (kh, kw, channel) from zero; taps outside the image are left out.
typedef struct mk_conv_dot {
  // The pixel that the first tap of the first output pixel reads, where the rows of a window, `width`
  // pixels apart, would have it, and where in the image [in_h][in_w] it would lie: it need not exist.
  const uint16_t *src; int64_t width, in_h, in_w, h, w;
  int64_t channels;                        // of a pixel of the window
  int64_t ker_h, ker_w, stride_h, stride_w, dil_h, dil_w;
  int64_t rows, columns;                   // of output pixels
  // For each tap and pair of channels a line of `lanes` pairs; `next`: those of the call that follows,
  // fetched ahead, or null.
  const uint16_t *weights, *next;
  int64_t depth;                           // terms of a lane whose weights stay in L2 at a time
  mk_conv_place *places;                   // scratch: one for each output pixel and tap
  float *sums;
  // `grouped`: output channels of a group and pairs of input channels of a group.
  int64_t group_lanes, group_pairs;
} mk_conv_dot;

typedef struct mk_conv_dot_kernels {
  int32_t lanes, grouped_lanes, grouped_channels;
  void (*window)(const mk_conv_window *);
  // Weights as the row's packers make panels of the transposed matrix [K, OC], K over (kh, kw, channel).
  void (*sums)(const mk_conv_dot *);
  // The same of some whole groups, or a part of one, whose input channels are a window's pixel of
  // grouped_channels: lane i belongs to the (i / group_lanes)-th of them. group_pairs: 1, 2, 4 or 8.
  void (*grouped)(const mk_conv_dot *);
} mk_conv_dot_kernels;

// The arithmetic of a chain of multiply-adds: what its sums' bits depend on beside the operands.
enum {
  MK_SUMS_FUSED = 1,   // each multiply-add rounds once
  MK_SUMS_ROUNDED_TWICE,  // product and sum are rounded
  MK_SUMS_DOT          // VDPBF16PS over ascending pairs, which takes denormals for zero
};

// How the driver cuts the products of a row into work items and cache blocks; no bit depends on it.
typedef struct mk_gemm_blocks {
  int32_t kc, mc;              // K (a multiple of kr) and lhs rows that are kept in cache
  int32_t packing_kc, packing_mc;  // the same of an item that packs its own rhs
  int32_t columns;             // of an item at most: its partial sums are kept from one K block to the next
  int32_t copying_columns;     // the same of an item that copies lhs, once for all of its columns
  // Rows down to which an item that copies lhs is divided by rows; then by columns. What it reads of
  // rhs serves too few rows otherwise.
  int32_t copying_rows;
} mk_gemm_blocks;

// One GEMM kernel family of one ISA: everything the driver needs to plan, pack and run.
typedef struct mk_gemm_row {
  const char *name;                // e.g. "gemm_f32_f32_f32_6x16"; names the largest tile
  int32_t dst, lhs, rhs;           // MK_F32 / MK_BF16
  int32_t arithmetic;              // MK_SUMS_*
  int32_t mr, nr, kr;              // tile and K interleave (1 for f32, 2 for bf16)
  int32_t stream_mr;               // rows that `stream` takes at most; 0: no stream kernel
  mk_gemm_blocks blocks;
  int32_t rate;                    // multiply-adds of a thread in a nanosecond, about
  int32_t columns_mr;              // rows that `columns` takes at most
  int32_t vector;                  // columns of a vector: see rhs_line_stride; 0: packed rhs only
  // `tile` also takes exactly this many rows where n <= vector: one vector by mr rows has too few
  // chains of multiply-adds to hide their latency. 0: it does not.
  int32_t tall_mr;
  // Columns of which `small` is the fastest for any number of rows: lhs is turned in registers, for
  // its rows to be lanes. Of a residual, and of biases along both, it makes tiles.
  int32_t few_columns;
  int32_t few_behind;              // the same of columns behind one whole vector of them
  int32_t small_k;                 // see MK_ROUND_LHS; 0: `small` rounds nothing

  // Five ways through a product, by how much of it one call does and how rhs lies: in packed panels
  // (mk_pack_rhs), or in place in the caller's f32 matrix [k x n], of which a line (one k) is
  // contiguous, as usual, or a column (one n), as in a transposed weight. An element's bits are the
  // same whichever way it goes.
  //
  // `tile`: one tile, at most mr x nr; the driver loops over them. Panels, or lines in place.
  void (*tile)(const mk_gemm_tile *);
  // `stream`: up to stream_mr rows by any number of columns, at the speed of memory. Panels, or lines
  // in place; null where stream_mr is 0.
  void (*stream)(const mk_gemm_stream *);
  // `columns`: up to columns_mr rows by columns in place, which lie rhs_line_stride bytes apart; or
  // null. A bf16 row rounds rhs on the way, to the bits that packing gives.
  void (*columns)(const mk_gemm_stream *);
  // `lines`: up to columns_mr rows by lines in place, rounded on the way as in `columns`. Bf16 rows alone
  // need it, since f32 rows have `stream`; null in those. Takes no flags.
  void (*lines)(const mk_gemm_stream *);
  // `small`: all of a product in one call, for any m, n and k above 0, without flags. Panels, or lines in
  // place, where rhs_panel_stride is the bytes of nr columns. A residual may be dst itself only where rhs
  // is packed, for then it is read before dst is written. A bf16 row takes panels alone, and no residual.
  // Null where no row of an ISA has it.
  void (*small)(const mk_gemm_stream *);

  void (*pack_rhs_f32)(const mk_pack_rhs *);    // source f32
  void (*pack_rhs_same)(const mk_pack_rhs *);   // source of the row's rhs dtype
  void (*pack_conv)(const mk_pack_conv *);      // source f32
  // f32 to bf16 for an lhs of this row alone: what f32_to_bf16 gives, or a zero of its sign where that
  // is a denormal, which the row's products take for zero. Null: f32_to_bf16 does it.
  void (*round)(int64_t n, const float *src, uint16_t *dst);
  const mk_conv_kernels *conv;                  // null but in f32 rows
  const mk_conv_dot_kernels *conv_dot;          // null but in rows of bf16 units
  // Called on a thread before and after it calls `tile` or `stream` some times, as for the configuration
  // of a tile unit; both or neither are null. A row that has them has neither columns, lines, small,
  // conv nor conv_dot.
  void (*begin)(void);
  void (*end)(void);
} mk_gemm_row;

// ------------------------------------------------------------ integer products, quantising

// Products of 8-bit integers of either sign on either side, exact modulo 2^32 (so that all rows yield the
// same bits), on kernels that know
// one combination only: whatever the signs, the rhs is packed as s8 (128 subtracted from u8) and the
// lhs as the row's own type (`lhs`): s16 as it is, or u8 with 128 added to s8. Zero points move along,
// and `finish` takes them out of the sums:
//   sum (a - za)(b - zb) = sum a b - za sum b - zb (sum a - K za).

// One tile: dst[m x n] = or += lhs[m x k] * rhs[k x n]; int32, wrapping.
typedef struct mk_int8_tile {
  int64_t m, n, k;            // 0 <= m <= row.mr, 0 <= n <= row.nr, k >= 0; see row.tall_mr
  const void *lhs;            // packed rows (pack_lhs); read up to roundup(k, kr)
  int64_t lhs_stride;         // bytes between rows
  const void *rhs;            // packed panel (pack_rhs)
  int32_t *dst;
  int64_t dst_stride;         // bytes
  bool accumulates;           // dst is added to, else written
  const void *prefetch;       // fetched line by line, or null for what follows this panel
} mk_int8_tile;

// dst row i: the k elements at src + i*m_stride + p*k_stride as the row's lhs type, then zeros up to
// roundup(k, kr).
typedef struct mk_int8_pack_lhs {
  int64_t m, k;
  const void *src; int64_t m_stride, k_stride;
  bool is_signed;
  void *dst; int64_t dst_stride;
  int32_t *sums;              // [m]: each row's sum as packed is added; or null
} mk_int8_pack_lhs;

// Panels as mk_pack_rhs describes them, of s8.
typedef struct mk_int8_pack_rhs {
  int64_t k, n;
  const void *src; int64_t k_stride, n_stride;
  bool is_signed;
  void *dst; int64_t dst_panel_stride;
  int32_t *sums;              // [roundup(n, nr)]: each column's sum as packed is added; or null
} mk_int8_pack_rhs;

// Sums on their way out, element by element in this order; null pointers are skipped:
//   v -= row_zero[i] * column_sum[j];  v -= row_sum[i] * column_zero[j];
//   v += row_bias[i];  v += column_bias[j]                                     (int32, wrapping)
// Then dst is v itself (MK_I32), or f = float(v) * (scale * row_scale[i] * column_scale[j]), each
// product rounded, and
//   MK_F32: f + row_addend[i] + column_addend[j];
//   MK_U8, MK_I8: clamp(round(f) + zero, lo, hi), half to even; NaN gives lo.
typedef struct mk_int8_finish {
  int64_t m, n;
  const int32_t *src; int64_t src_stride;
  void *dst; int64_t dst_stride;  // may be src where the element sizes agree
  int32_t dst_type;
  const int32_t *row_zero, *column_sum, *row_sum, *column_zero, *row_bias, *column_bias;
  float scale;
  const float *row_scale, *column_scale, *row_addend, *column_addend;
  int32_t zero, lo, hi;           // |hi - lo| and |zero| at most 65535
} mk_int8_finish;

// dst[i] = clamp(round(src[i] / scale) + zero, lo, hi): the quotient rounded to f32, then to the
// nearest integer, half to even; NaN gives lo. `scales` and `zeros`, where not null, hold one
// per element in the place of scale and zero.
typedef struct mk_quantize {
  int64_t n;
  const float *src;
  void *dst; int32_t dst_type;    // MK_U8, MK_I8, MK_U16, MK_I16
  float scale; int32_t zero;
  const float *scales; const int32_t *zeros;
} mk_quantize;

// dst[i] = float(src[i] - zero) * scale; int32 differences wrap.
typedef struct mk_dequantize {
  int64_t n;
  const void *src; int32_t src_type;  // MK_U8, MK_I8, MK_U16, MK_I16, MK_I32
  float *dst;
  float scale; int32_t zero;
  const float *scales; const int32_t *zeros;
} mk_dequantize;

// The integer kernels of one ISA.
typedef struct mk_int8_row {
  const char *name;                // e.g. "gemm_s32_s16_s8_6x16"; names the largest tile
  int32_t lhs;                     // MK_I16 or MK_U8: what a packed lhs holds
  int32_t mr, nr, kr;
  int32_t kc, mc;                  // suggested cache blocks (kc a multiple of kr)
  void (*tile)(const mk_int8_tile *);
  // The same on a panel of k rows that `widen` has made of a packed one, 4 bytes for every kr
  // elements: faster where many tiles share it. Both or neither are null.
  void (*wide_tile)(const mk_int8_tile *);
  void (*widen)(int64_t k, const void *panel, void *wide);
  void (*pack_lhs)(const mk_int8_pack_lhs *);
  void (*pack_rhs)(const mk_int8_pack_rhs *);
  void (*finish)(const mk_int8_finish *);
  void (*quantize)(const mk_quantize *);
  void (*dequantize)(const mk_dequantize *);
  // As in mk_gemm_row, around `tile` and `wide_tile`.
  void (*begin)(void);
  void (*end)(void);
} mk_int8_row;

// Rows k0..k0+k by columns n0..n0+n of the im2col matrix of one image and group of 8-bit elements,
// row-major with dst_stride bytes between rows; taps outside the image are `fill`. `conv` gives the
// geometry and what part (src, k0, k, n0, n as in mk_pack_conv; its dst is not read).
void mk_im2col_8bit(const mk_pack_conv *conv, const uint8_t *src, uint8_t fill, uint8_t *dst,
                    int64_t dst_stride);

// ------------------------------------------------------- depthwise convolution, pooling

// Planes first ..< first + planes of one image, output rows y0 ..< y1 of each:
// dst[oh x ow] = act(bias + sum over taps of w[kh x kw] * src). f32, any kernel.
// Sum order: the taps of one kernel column after the other, one FMA chain from 0 (taps outside the
// image are skipped), then + bias.
typedef struct mk_depthwise {
  int64_t first, planes;
  int64_t multiplier;                           // output planes per plane of src
  const float *src; int64_t in_h, in_w;         // the image's planes, contiguous
  const float *weight; int64_t ker_h, ker_w;    // of all output planes
  float *dst; int64_t out_h, out_w;             // from plane `first` on, contiguous
  int64_t y0, y1;
  int64_t stride_h, stride_w, dil_h, dil_w, pad_h, pad_w;
  const float *bias;                            // of all output planes, or null
  int32_t act; float lo, hi;
} mk_depthwise;

// Planes, contiguous. is_max: NaN is propagated as ONNX Runtime does not promise; average divides by the
// number of taps inside the image, or by the kernel size where count_include_pad is set
// (then taps beyond the declared trailing pads do not count, as ONNX ceil_mode says).
typedef struct mk_pool2d {
  int64_t planes;
  const float *src; int64_t in_h, in_w;
  float *dst; int64_t out_h, out_w;
  int64_t ker_h, ker_w, stride_h, stride_w, dil_h, dil_w, pad_h, pad_w, pad_h_end, pad_w_end;
  bool is_max, count_include_pad;
} mk_pool2d;

// ---------------------------------------------------------------------------- vectors

// f32 elementwise of one operand: dst[i] = f(src[i]); a and b are the operator's own parameters.
enum {
  MK_UNARY_COPY = 0, MK_UNARY_NEG, MK_UNARY_ABS, MK_UNARY_SQRT, MK_UNARY_RECIPROCAL,
  MK_UNARY_EXP, MK_UNARY_LOG, MK_UNARY_TANH, MK_UNARY_ERF, MK_UNARY_SIGMOID,
  MK_UNARY_GELU,        // x/2 (1 + erf(x/sqrt 2))
  MK_UNARY_GELU_TANH,   // x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
  MK_UNARY_SILU, MK_UNARY_RELU,
  MK_UNARY_LEAKY_RELU,  // a: slope
  MK_UNARY_ELU,         // a: alpha
  MK_UNARY_SELU,        // a: alpha, b: gamma; gamma elu(x)
  MK_UNARY_CELU,        // a: alpha > 0; x < 0 ? alpha (e^(x/alpha) - 1) : x
  MK_UNARY_SWISH,       // a: alpha > 0; x sigmoid(alpha x)
  MK_UNARY_CLAMP,       // a: lo, b: hi; min(max(x, lo), hi), NaN kept
  MK_UNARY_HARD_SIGMOID,// a: alpha, b: beta; clamp(a x + b, 0, 1)
  MK_UNARY_HARD_SWISH,  // x * clamp(x/6 + 1/2, 0, 1)
  MK_UNARY_SOFTPLUS, MK_UNARY_FLOOR, MK_UNARY_CEIL, MK_UNARY_ROUND /* half to even */,
  MK_UNARY_SIN, MK_UNARY_COS, MK_UNARY_MISH, MK_UNARY_ASIN, MK_UNARY_ACOS, MK_UNARY_ATAN,
  MK_UNARY_AFFINE,      // a*x + b, rounded twice (multiply, then add)
  MK_UNARY_COUNT
};
typedef void (*mk_unary_fn)(int64_t n, const float *src, float *dst, float a, float b);

// f32 elementwise of two operands: dst[i] = f(x[i*x_step], y[i*y_step]); a step is 0 or 1.
enum {
  MK_BINARY_ADD = 0, MK_BINARY_SUB, MK_BINARY_MUL, MK_BINARY_DIV, MK_BINARY_MIN, MK_BINARY_MAX,
  MK_BINARY_POW, MK_BINARY_PRELU /* x < 0 ? x*y : x */, MK_BINARY_COUNT
};
typedef void (*mk_binary_fn)(int64_t n, const float *x, int64_t x_step, const float *y,
                             int64_t y_step, float *dst);

// Reductions of one contiguous f32 row to one value; the order is a function of n alone.
enum {
  MK_REDUCE_SUM = 0, MK_REDUCE_MAX, MK_REDUCE_MIN, MK_REDUCE_SUM_SQUARES, MK_REDUCE_SUM_ABS,
  MK_REDUCE_PROD, MK_REDUCE_COUNT
};
typedef float (*mk_reduce_fn)(int64_t n, const float *src);

// Column-wise accumulation for reductions over an outer axis: acc[i] = f(acc[i], src[i]).
typedef void (*mk_accumulate_fn)(int64_t n, const float *src, float *acc);

// --------------------------------------------------------------- Winograd's convolution

// Convolutions of 3x3, stride 1 as n x n products, n = m + 2, for tiles of m x m results, m = 2 or 4:
//   product (y, x) = sum over channels of weight point (y, x) * image point (y, x)
// The tiles of a batch are numbered image by image, row-major in each. f32 throughout.
typedef struct mk_winograd_tiles {
  int32_t m;
  int64_t in_h, in_w, pad_h, pad_w;       // leading pads; what lies outside the image is zero
  int64_t out_h, out_w;
  int64_t tiles_h, tiles_w;               // ceil(out / m)
} mk_winograd_tiles;

// Tiles first ..< first + count of some channels as panels (see pack_rhs) of n * n matrices
// [channels x count]; columns past the end are written too, and hold anything.
typedef struct mk_winograd_input {
  mk_winograd_tiles tiles;
  int64_t first, count, channels;
  const float *src;                       // of image 0, first channel; planes are contiguous
  int64_t image_step;                     // elements from one image to the next
  float *dst; int64_t nr;                 // nr: 8, 16, 32 or 64
  int64_t panel_stride, point_stride;     // bytes
} mk_winograd_input;

// The n * n products [channels x count] as pixels: v = bias + result; v += residual; v = act(v).
typedef struct mk_winograd_output {
  mk_winograd_tiles tiles;
  int64_t first, count, channels;
  const float *src;                       // rows are read up to a multiple of 16 columns
  int64_t row_stride, point_stride;       // bytes
  const float *bias;                      // [channels], or null
  const float *residual;                  // in dst's layout, perhaps dst itself; or null
  float *dst;                             // of image 0, first channel; planes are contiguous
  int64_t image_step;                     // elements from one image to the next
  int32_t act; float lo, hi;              // MK_ACT_*
  mk_unary_fn function; float a, b;       // applied after that; or null
} mk_winograd_output;

// The points of one filter [channels x 3 x 3], each rounded once: point p of channel c goes to
// dst + p * point_stride (bytes) + c. The same on all ISAs.
void mk_winograd_weights(int32_t m, int64_t channels, const float *src, float *dst,
                         int64_t point_stride);

// ------------------------------------------------------------------ softmax of attention

enum { MK_MASK_NONE = 0, MK_MASK_ADD = 1 /* f32, added */, MK_MASK_BYTES = 2 /* 0 hides */ };

// Rows of scores against one block of keys become weights, in place:
//   x = softcap * tanh(scores / softcap) where softcap > 0;  x = x + mask;  weights = e^(x - max x)
// Weights below 2^-126 are zero. A row without any
// visible key has the maximum -Inf, the sum 0 and weights 0; a NaN makes its row's sum NaN.
// Entries that weigh nothing leave the bits of the others and of the sum alone.
typedef struct mk_attention_rows {
  int64_t rows;
  float *scores;              // rows have room for `filled` elements
  int64_t stride;             // bytes between rows
  bool weights_bf16;          // weights are written as bf16 from each row's start, not as f32
  const int64_t *kept;        // per row: its first entries that count, 0 ... filled
  const int64_t *hidden;      // per row: of these its first ones that weigh nothing; null: none
  int64_t filled;             // weights that are written, zeros after `kept`; a multiple of 16
  const void *const *masks;   // per row: at least `kept` entries; null without a mask
  int32_t mask_kind;          // MK_MASK_*
  float softcap;
  float *max, *sum;           // per row, written
} mk_attention_rows;

// The union of what two blocks of keys came to: sums[rows x width] are the values weighed by
// e^(x - max), `sum` the weights' sum, against each side's own maximum.
typedef struct mk_attention_union {
  int64_t rows, width;
  float *sums; int64_t sums_stride;           // bytes; updated
  float *max, *sum;                           // per row, updated
  const float *block; int64_t block_stride;   // bytes
  const float *block_max, *block_sum;
} mk_attention_union;

// The products of a few queries, without packing: for products dst[m x n] = alpha * lhs[m x k] *
// rhs[n x k]^T, for mixtures dst[m x n] = lhs[m x k] * rhs[k x n]. f32; the bits are those of the
// instruction set's f32 GEMM row. Strides are bytes between rows, elements of a row contiguous.
typedef struct mk_few_rows {
  int64_t m, n, k;
  const float *lhs; int64_t lhs_stride;
  const float *rhs; int64_t rhs_stride;
  float *dst; int64_t dst_stride;
  float alpha;
} mk_few_rows;

// --------------------------------------------------------------------- recurrent layers

// One row of an LSTM's step, gates of n elements in the order i, o, f, g, `sums` the state's part:
//   i, o, f = sigmoid(x + sums);  g = tanh(x + sums);  c = f c + i g;  h = o tanh(c)
// The bits are those of the elementwise functions one after another.
typedef struct mk_lstm_row {
  int64_t n;
  const float *x, *sums;      // [4 n]
  float *cells;               // [n], updated
  float *hidden;              // [n], written
  float *output;              // a copy of hidden, or null
} mk_lstm_row;

// ---------------------------------------------------------------------------- sampling

// Points of a grid in planes [height x width], each mixed linearly from four elements. Places are
// computed in f32, as ONNX's GridSample has them: `aligns` is its align_corners; outside the plane is
// its border, or else nothing. height * width is below 2^31.
typedef struct mk_grid_points {
  int64_t n;
  const float *grid;          // [n x 2]: x, then y
  int32_t height, width;
  bool aligns, border;
  // Written by grid_points, read by grid_mix. Taps (y, x), (y, x + 1), (y + 1, x) and (y + 1, x + 1)
  // `stride` apart, a multiple of 16 that is at least n; offset -1 is outside.
  int32_t *offsets;           // [4 x stride]
  float *weights;             // [4 x stride]
  int64_t stride;
  uint8_t *is_paired;         // [n / 4 + 1]; of a vector of points: all taps are inside, pairs adjacent
} mk_grid_points;

// A tile of a product of float64 or of integers, which wrap around: dst[r][j], `rows` (1 to 4) rows of
// plain_bytes, is 0 or, with `adds`, what is there, plus lhs[r][p] * rhs[p][j] for each p in order. rhs is
// packed: plain_bytes for each p. Strides count elements.
typedef struct mk_plain_tile {
  int64_t rows, k;
  const void *lhs;
  int64_t lhs_row, lhs_column;
  const void *rhs;
  void *dst;
  int64_t dst_row;
  bool adds;
} mk_plain_tile;
typedef void (*mk_plain_fn)(const mk_plain_tile *);
enum { MK_PLAIN_F64, MK_PLAIN_U8, MK_PLAIN_U16, MK_PLAIN_U32, MK_PLAIN_U64, MK_PLAIN_COUNT };

// Types of elements, for functions that there are for each.
enum {
  MK_TYPE_F32, MK_TYPE_F64, MK_TYPE_I8, MK_TYPE_I16, MK_TYPE_I32, MK_TYPE_I64,
  MK_TYPE_U8, MK_TYPE_U16, MK_TYPE_U32, MK_TYPE_U64, MK_TYPE_BOOL, MK_TYPE_COUNT,
};
typedef void (*mk_cast_fn)(int64_t n, const void *src, void *dst);
// Steps of 0 or 1 are fast; dst is 0 or 1. NaN is unequal and unordered. bool has only equal.
typedef void (*mk_compare_fn)(int64_t n, const void *x, int64_t x_step, const void *y, int64_t y_step,
                              uint8_t *dst);
enum { MK_COMPARE_EQUAL, MK_COMPARE_LESS, MK_COMPARE_LESS_OR_EQUAL, MK_COMPARE_COUNT };

// Where along an axis the greatest (or least) float is, for n places at once: where src[i] comes before
// best[i], both that and `at` are taken down. NaN comes before every number. By MK_EXTREME_...; `LAST`
// takes what is equal too.
typedef void (*mk_extreme_fn)(int64_t n, const float *src, float *best, int32_t *places, int32_t at);
enum { MK_EXTREME_MAX, MK_EXTREME_MIN, MK_EXTREME_LAST_MAX, MK_EXTREME_LAST_MIN, MK_EXTREME_COUNT };

// The first of n floats that is not <= bound (above), or not >= bound (below): n where all are. NaN is
// neither.
typedef int64_t (*mk_first_fn)(int64_t n, const float *src, float bound);

// Every instruction set's table has every function, which VectorTablesTests proves.
typedef struct mk_vector_table {
  mk_unary_fn _Nonnull unary[MK_UNARY_COUNT];
  mk_binary_fn _Nonnull binary[MK_BINARY_COUNT];
  mk_reduce_fn _Nonnull reduce[MK_REDUCE_COUNT];
  mk_accumulate_fn _Nonnull accumulate[MK_REDUCE_COUNT];
  // Rows, contiguous, in place allowed. softmax subtracts the row maximum; a row of all -Inf gives NaN.
  void (*_Nonnull softmax)(int64_t n, const float *src, float *dst);
  void (*_Nonnull log_softmax)(int64_t n, const float *src, float *dst);
  // scale and bias may be null. mean_out / inv_std_out may be null.
  void (*_Nonnull layer_norm)(int64_t n, const float *src, const float *scale, const float *bias,
                              float epsilon, float *dst, float *mean_out, float *inv_std_out);
  void (*_Nonnull rms_norm)(int64_t n, const float *src, const float *scale, float epsilon,
                            float *dst);
  // Conversions, round to nearest even, NaN quieted, Inf kept, denormals exact.
  void (*_Nonnull f32_to_bf16)(int64_t n, const float *src, uint16_t *dst);
  void (*_Nonnull bf16_to_f32)(int64_t n, const uint16_t *src, float *dst);
  void (*_Nonnull f32_to_f16)(int64_t n, const float *src, uint16_t *dst);
  void (*_Nonnull f16_to_f32)(int64_t n, const uint16_t *src, float *dst);
  // dst[c][r] = src[r][c]; dst is packed with dst_stride bytes between its rows.
  void (*_Nonnull transpose32)(int64_t rows, int64_t columns, const void *src, int64_t src_stride,
                               void *dst, int64_t dst_stride);
  void (*_Nonnull depthwise)(const mk_depthwise *);
  void (*_Nonnull pool2d)(const mk_pool2d *);
  void (*_Nonnull winograd_input)(const mk_winograd_input *);
  void (*_Nonnull winograd_output)(const mk_winograd_output *);
  void (*_Nonnull attention_softmax)(const mk_attention_rows *);
  void (*_Nonnull attention_merge)(const mk_attention_union *);
  void (*_Nonnull attention_products)(const mk_few_rows *);
  void (*_Nonnull attention_mixtures)(const mk_few_rows *);
  // dst = src * (1 / sum[row]) + 0 for rows of `width`; strides in bytes.
  void (*_Nonnull attention_finish)(int64_t rows, int64_t width, const float *src,
                                    int64_t src_stride, const float *sum, float *dst,
                                    int64_t dst_stride);
  void (*_Nonnull lstm_row)(const mk_lstm_row *);
  // Conversions: [from][to]. Floats to integers as x86 processors convert them (docs/numerics.md).
  mk_cast_fn _Nonnull cast[MK_TYPE_COUNT][MK_TYPE_COUNT];
  mk_compare_fn _Nonnull compare[MK_COMPARE_COUNT][MK_TYPE_COUNT];
  mk_extreme_fn _Nonnull extreme[MK_EXTREME_COUNT];
  void (*_Nonnull grid_points)(const mk_grid_points *);
  // dst[n] = (w0 p0 + w1 p1) + (w2 p2 + w3 p3) of one plane at the points found, each step rounded.
  void (*_Nonnull grid_mix)(const mk_grid_points *, const float *plane, float *dst);
  // dst[i] = (0 + weights[i] line[p]) + weights[n + i] line[p + 1], p = places[i], each step rounded;
  // both exist, and what weighs 0 counts as 0.
  void (*_Nonnull mix_neighbours)(int64_t n, const float *line, const int32_t *places,
                                  const float *weights, float *dst);
  // dst[i] = (0 + a x[i]) + b y[i], each step rounded.
  void (*_Nonnull mix_lines)(int64_t n, float a, const float *x, float b, const float *y, float *dst);
  mk_first_fn _Nonnull first_above;
  mk_first_fn _Nonnull first_below;
  mk_plain_fn _Nonnull plain[MK_PLAIN_COUNT];
  int64_t plain_bytes;
} mk_vector_table;

// Plain C, on every processor.
extern const mk_vector_table mk_vectors_generic;

// ---------------------------------------------------------------------------- movement

// Moves elements of `size` bytes (1, 2, 4 or 8), the same way on all ISAs:
// dst[i][j] = src[i][j] for i < n0, j < n1. Where j is contiguous in both, rows are block copies;
// where i is contiguous in src and j in dst, it is a tiled transposition.
void mk_copy_2d(int32_t size, int64_t n0, int64_t n1,
                const void *src, int64_t src_stride0, int64_t src_stride1,
                void *dst, int64_t dst_stride0, int64_t dst_stride1);

// dst[i] = src[index * stride + i * step] for n indices of 4 or 8 bytes, negative ones counted from
// `extent`; elements of `size` bytes (1, 2, 4 or 8). Returns how many were moved: n, or the place of the
// first index out of range.
int64_t mk_gather(int32_t size, int64_t n, const void *indices, bool is_long, int64_t extent,
                  const void *src, int64_t stride, int64_t step, void *dst);

// dst[i] = src[i] / divisor, truncated, wrapping around; divisor is not 0.
void mk_divide_i64(int64_t n, const int64_t *src, int64_t divisor, int64_t *dst);

// Reads `bytes` bytes, for their rate to be timed; returns a sum that depends on all whole 64 of them.
uint64_t mk_read(const void *memory, int64_t bytes);

// ---------------------------------------------------------------------------- trees

// A node of a decision tree. From a branch a walk goes to `child` where x[feature] <= threshold, or
// where x[feature] is no number and MK_TREE_NAN_FIRST is set; else to the node behind `child`. A leaf
// has neither flag, is its own child, and has a feature that there is; its threshold may be its weight,
// the bits above the flags are the caller's.
enum { MK_TREE_BRANCH = 1, MK_TREE_NAN_FIRST = 2 };
typedef struct mk_tree_node_f32 { float threshold; uint32_t feature, child, flags; } mk_tree_node_f32;
typedef struct mk_tree_node_f64 { double threshold; uint32_t feature, child, flags; } mk_tree_node_f64;

// The leaf that each row of x comes to. `nan`: whether a value may be no number; without it such a
// value goes to the second child.
void mk_tree_rows_f32(const mk_tree_node_f32 *nodes, uint32_t root, const float *x, int64_t row_stride,
                      int64_t rows, bool nan, uint32_t *leaves);
void mk_tree_rows_f64(const mk_tree_node_f64 *nodes, uint32_t root, const double *x, int64_t row_stride,
                      int64_t rows, bool nan, uint32_t *leaves);
// The leaf of each tree that one row comes to.
void mk_tree_row_f32(const mk_tree_node_f32 *nodes, const uint32_t *roots, int64_t trees,
                     const float *x, bool nan, uint32_t *leaves);
void mk_tree_row_f64(const mk_tree_node_f64 *nodes, const uint32_t *roots, int64_t trees,
                     const double *x, bool nan, uint32_t *leaves);
// sums[i] += the threshold of leaf i; and `sum` with those of all leaves added, in their order.
void mk_tree_add_f32(const mk_tree_node_f32 *nodes, const uint32_t *leaves, int64_t count, double *sums);
void mk_tree_add_f64(const mk_tree_node_f64 *nodes, const uint32_t *leaves, int64_t count, double *sums);
double mk_tree_sum_f32(const mk_tree_node_f32 *nodes, const uint32_t *leaves, int64_t count, double sum);
double mk_tree_sum_f64(const mk_tree_node_f64 *nodes, const uint32_t *leaves, int64_t count, double sum);
// Whether any of the values is no number.
bool mk_tree_nan_f32(const float *x, int64_t row_stride, int64_t rows, int64_t columns);
bool mk_tree_nan_f64(const double *x, int64_t row_stride, int64_t rows, int64_t columns);

// ---------------------------------------------------------------------------- ISA table

// CPU features, found by CPUID and XCR0 on x86, HWCAP on Arm: ROW(NAME, bit, name for people).
// AVX512 is F, BW, DQ, VL and CD together.
#define MK_CPU_FEATURES(ROW)                                                                   \
  ROW(AVX2, 0, "avx2") ROW(FMA, 1, "fma") ROW(F16C, 2, "f16c") ROW(AVX512, 3, "avx512")        \
  ROW(AVX512_VNNI, 4, "avx512_vnni") ROW(AVX512_BF16, 5, "avx512_bf16")                        \
  ROW(AMX_TILE, 6, "amx_tile") ROW(AMX_BF16, 7, "amx_bf16") ROW(AMX_INT8, 8, "amx_int8")       \
  ROW(AVX_VNNI, 9, "avx_vnni") ROW(AVX512_FP16, 10, "avx512_fp16")                             \
  ROW(NEON, 16, "neon") ROW(DOTPROD, 17, "dotprod") ROW(I8MM, 18, "i8mm") ROW(BF16, 19, "bf16") \
  ROW(SVE, 20, "sve")

#define MK_CPU_BIT(NAME, BIT, TEXT) MK_CPU_##NAME = 1 << BIT,
enum { MK_CPU_FEATURES(MK_CPU_BIT) };
#undef MK_CPU_BIT

typedef struct mk_isa {
  const char *name;            // "generic", "avx2", "avx512", "avx512bf16", ...
  uint32_t needs;              // MK_CPU_* bits
  const char *target;          // what it was compiled for: clang's names, between commas
  bool (*check)(void);         // what mk_isa_passes checks beyond the rows; or null
  const mk_gemm_row *gemm_rows; int32_t gemm_row_count;
  const mk_vector_table *_Nonnull vectors;
  // The unit's own limit: `rounds` steps of independent multiply-adds on registers. Returns the
  // floating-point operations done, for the caller to time. peak_bf16 is null without bf16 units: an
  // instruction set that has it makes BF16 mode worth while.
  int64_t (*peak_f32)(int64_t rounds);
  int64_t (*peak_bf16)(int64_t rounds);
  // Integer products, or null to take them from the ISA before; with them the limit of its 8-bit
  // multiply-adds as its tile does them, two operations each.
  const mk_int8_row *int8_row;
  int64_t (*peak_int8)(int64_t rounds);
} mk_isa;

// The compiled-in ISAs (isas.inc) from the most portable to the most capable; the count through *count.
// An ISA holds only what it does better: rows that it lacks are taken from the one before it.
const mk_isa *const *mk_isa_list(int32_t *count);

// Runs small products with edges on every row and compares them with plain C, and `check`: once, where
// the processor has what the ISA needs, before it is trusted.
bool mk_isa_passes(const mk_isa *isa);

uint32_t mk_cpu_features(void);
// The name of a bit's feature; null where no feature has it.
const char *mk_cpu_feature_name(int32_t bit);
// The processor's brand string, or its name from the system; at most capacity-1 bytes and a NUL.
void mk_cpu_name(char *buffer, size_t capacity);
// Bytes of data cache at level 1, 2, 3, as the processor reports them; 0 when unknown.
int64_t mk_cpu_cache_bytes(int32_t level);
// Lines that a set of that cache holds; 0 when unknown.
int32_t mk_cpu_cache_ways(int32_t level);

// clang-format on
#ifdef __cplusplus
}
#endif
#endif
