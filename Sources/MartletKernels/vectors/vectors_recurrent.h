// The cell of an LSTM, one row of a step in one pass.
#ifndef MARTLET_VECTORS_RECURRENT_H
#define MARTLET_VECTORS_RECURRENT_H

#include "vectors_norm.h"

MK_INLINE vf load_lanes(const float *p, int64_t n) {
  return n >= LANES ? vf_load(p) : vf_load_part(p, n, 0.0f);
}

static void lstm_row(const mk_lstm_row *row) {
  const int64_t n = row->n;
  const float *x = row->x, *s = row->sums;
  for (int64_t i = 0; i < n; i += LANES) {
    const int64_t count = n - i;
    vf input = vf_sigmoid(load_lanes(x + i, count) + load_lanes(s + i, count));
    vf fresh = vf_tanh(load_lanes(x + 3 * n + i, count) + load_lanes(s + 3 * n + i, count));
    vf forget = vf_sigmoid(load_lanes(x + 2 * n + i, count) + load_lanes(s + 2 * n + i, count));
    vf cells = forget * load_lanes(row->cells + i, count) + input * fresh;
    vf output = vf_sigmoid(load_lanes(x + n + i, count) + load_lanes(s + n + i, count));
    vf hidden = output * vf_tanh(cells);
    store_lanes(row->cells + i, cells, count);
    store_lanes(row->hidden + i, hidden, count);
    if (row->output) store_lanes(row->output + i, hidden, count);
  }
}

#endif
