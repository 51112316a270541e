// The walks of trees.c for values of the type T: NAME(x) is x with T's suffix.
//
// A step of a walk waits for what the step before it read, so LANES walks go on side by side: rows down
// one tree, or one row down several trees. A leaf leads to itself, so a walk that is done stays where it
// is, and all are done once none has moved.

#define INLINE static inline __attribute__((always_inline))

// Where a walk goes from `node`: to its child, or to the one behind that.
INLINE uint32_t NAME(step)(const NAME(mk_tree_node) * node, T value, const bool nan) {
  const uint32_t flags = node->flags;
  // What is no number is not <= either.
  if (!nan) return node->child + ((uint32_t)(!(value <= node->threshold)) & flags);
  const uint32_t first = (uint32_t)(value <= node->threshold) |
                         ((uint32_t)(value != value) & (flags >> 1));
  return node->child + (~first & flags & MK_TREE_BRANCH);
}

INLINE uint32_t NAME(walk)(const NAME(mk_tree_node) * nodes, uint32_t at, const T *x,
                           const bool nan) {
  while (nodes[at].flags & MK_TREE_BRANCH) {
    at = NAME(step)(nodes + at, x[nodes[at].feature], nan);
  }
  return at;
}

INLINE void NAME(walks)(const NAME(mk_tree_node) * nodes, const T *const *x, const bool nan,
                        uint32_t *at) {
  uint32_t moved;
  do {
    moved = 0;
    for (int i = 0; i < LANES; i++) {
      const NAME(mk_tree_node) *node = nodes + at[i];
      const uint32_t next = NAME(step)(node, x[i][node->feature], nan);
      moved |= next ^ at[i];
      at[i] = next;
    }
  } while (moved);
}

INLINE void NAME(rows)(const NAME(mk_tree_node) * nodes, uint32_t root, const T *x,
                       int64_t row_stride, int64_t rows, const bool nan, uint32_t *leaves) {
  int64_t row = 0;
  for (; row + LANES <= rows; row += LANES) {
    uint32_t at[LANES];
    const T *lanes[LANES];
    for (int i = 0; i < LANES; i++) {
      at[i] = root;
      lanes[i] = (const T *)((const char *)x + (row + i) * row_stride);
    }
    NAME(walks)(nodes, lanes, nan, at);
    for (int i = 0; i < LANES; i++) leaves[row + i] = at[i];
  }
  for (; row < rows; row++) {
    leaves[row] = NAME(walk)(nodes, root, (const T *)((const char *)x + row * row_stride), nan);
  }
}

INLINE void NAME(trees)(const NAME(mk_tree_node) * nodes, const uint32_t *roots, int64_t trees,
                        const T *x, const bool nan, uint32_t *leaves) {
  int64_t tree = 0;
  const T *lanes[LANES];
  for (int i = 0; i < LANES; i++) lanes[i] = x;
  for (; tree + LANES <= trees; tree += LANES) {
    uint32_t at[LANES];
    for (int i = 0; i < LANES; i++) at[i] = roots[tree + i];
    NAME(walks)(nodes, lanes, nan, at);
    for (int i = 0; i < LANES; i++) leaves[tree + i] = at[i];
  }
  for (; tree < trees; tree++) leaves[tree] = NAME(walk)(nodes, roots[tree], x, nan);
}

void NAME(mk_tree_rows)(const NAME(mk_tree_node) * nodes, uint32_t root, const T *x,
                        int64_t row_stride, int64_t rows, bool nan, uint32_t *leaves) {
  if (nan) {
    NAME(rows)(nodes, root, x, row_stride, rows, true, leaves);
  } else {
    NAME(rows)(nodes, root, x, row_stride, rows, false, leaves);
  }
}

void NAME(mk_tree_row)(const NAME(mk_tree_node) * nodes, const uint32_t *roots, int64_t trees,
                       const T *x, bool nan, uint32_t *leaves) {
  if (nan) {
    NAME(trees)(nodes, roots, trees, x, true, leaves);
  } else {
    NAME(trees)(nodes, roots, trees, x, false, leaves);
  }
}

void NAME(mk_tree_add)(const NAME(mk_tree_node) * nodes, const uint32_t *leaves, int64_t count,
                       double *sums) {
  for (int64_t i = 0; i < count; i++) sums[i] += (double)nodes[leaves[i]].threshold;
}

double NAME(mk_tree_sum)(const NAME(mk_tree_node) * nodes, const uint32_t *leaves, int64_t count,
                         double sum) {
  for (int64_t i = 0; i < count; i++) sum += (double)nodes[leaves[i]].threshold;
  return sum;
}

bool NAME(mk_tree_nan)(const T *x, int64_t row_stride, int64_t rows, int64_t columns) {
  for (int64_t row = 0; row < rows; row++) {
    const T *values = (const T *)((const char *)x + row * row_stride);
    uint32_t found = 0;
    for (int64_t j = 0; j < columns; j++) found |= (uint32_t)(values[j] != values[j]);
    if (found) return true;
  }
  return false;
}

#undef INLINE
#undef NAME
#undef T
