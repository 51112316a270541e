// Reads NumPy's .npy files (format versions 1 to 3, C order, little-endian) into tensors.
#ifndef NPY_H
#define NPY_H

#include <martlet.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static martlet_dtype npy_dtype(const char *descr) {
  static const struct {
    const char *descr;
    martlet_dtype dtype;
  } table[] = {{"<f4", MARTLET_FLOAT32}, {"<f8", MARTLET_FLOAT64}, {"<f2", MARTLET_FLOAT16},
               {"<i8", MARTLET_INT64},   {"<i4", MARTLET_INT32},   {"<i2", MARTLET_INT16},
               {"|i1", MARTLET_INT8},    {"<u8", MARTLET_UINT64},  {"<u4", MARTLET_UINT32},
               {"<u2", MARTLET_UINT16},  {"|u1", MARTLET_UINT8},   {"|b1", MARTLET_BOOL}};
  for (size_t i = 0; i < sizeof table / sizeof table[0]; ++i)
    if (strncmp(descr, table[i].descr, 3) == 0) return table[i].dtype;
  return MARTLET_DTYPE_UNKNOWN;
}

// The text behind `key` in the header's dictionary, or NULL.
static const char *npy_field(const char *header, const char *key) {
  const char *at = strstr(header, key);
  return at ? at + strlen(key) : NULL;
}

// Returns NULL and explains itself on standard error when the file cannot be used.
static martlet_tensor *npy_read(const char *path) {
  FILE *file = fopen(path, "rb");
  unsigned char start[12];
  char *header = NULL;
  void *data = NULL;
  martlet_tensor *tensor = NULL;
  const char *problem = "cannot be read";
  if (file == NULL || fread(start, 1, 10, file) != 10) goto done;
  problem = "is not a .npy file";
  if (memcmp(start, "\x93NUMPY", 6) != 0 || start[6] < 1 || start[6] > 3) goto done;
  size_t length = start[8] | (size_t)start[9] << 8;
  if (start[6] > 1) {
    if (fread(start + 10, 1, 2, file) != 2) goto done;
    length |= (size_t)start[10] << 16 | (size_t)start[11] << 24;
  }
  if (length > 1 << 20 || !(header = calloc(1, length + 1))) goto done;
  if (fread(header, 1, length, file) != length) goto done;
  const char *descr = npy_field(header, "'descr': '"),
             *shape_text = npy_field(header, "'shape': (");
  if (descr == NULL || shape_text == NULL) goto done;
  problem = "has a dtype or an order that is not supported";
  martlet_dtype dtype = npy_dtype(descr);
  if (dtype == MARTLET_DTYPE_UNKNOWN || strstr(header, "'fortran_order': True")) goto done;
  int64_t shape[32];
  int32_t rank = 0;
  size_t bytes = martlet_dtype_size(dtype);
  while (rank < 32 && *shape_text && *shape_text != ')') {
    char *end = NULL;
    shape[rank] = strtoll(shape_text, &end, 10);
    if (end == shape_text || shape[rank] < 0 || bytes > ((size_t)1 << 40)) goto done;
    bytes *= (size_t)shape[rank++];
    shape_text = end + strspn(end, ", ");
  }
  problem = "is truncated";
  data = malloc(bytes ? bytes : 1);
  if (data == NULL || fread(data, 1, bytes, file) != bytes) goto done;
  problem = NULL;
  if (martlet_tensor_from_data(data, bytes, dtype, rank, shape, &tensor))
    problem = martlet_last_error()->message;
done:
  if (problem) fprintf(stderr, "%s %s\n", path, problem);
  if (file) fclose(file);
  free(header);
  free(data);
  return tensor;
}

#endif
