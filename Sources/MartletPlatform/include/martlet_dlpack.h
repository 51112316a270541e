// DLPack's structs, version 1 of the ABI, laid out as dlpack.h lays them out but under names of our
// own, so that a program may include both.
// Source: https://dmlc.github.io/dlpack/latest/c_api.html
#ifndef MARTLET_DLPACK_H
#define MARTLET_DLPACK_H

#include <stdint.h>

enum { MP_DL_CPU = 1, MP_DL_CUDA_HOST = 3 };
enum { MP_DL_INT = 0, MP_DL_UINT = 1, MP_DL_FLOAT = 2, MP_DL_BFLOAT = 4, MP_DL_BOOL = 6 };
enum { MP_DL_READ_ONLY = 1 };

typedef struct mp_dl_tensor {
  void *data;
  int32_t device_type;
  int32_t device_id;
  int32_t ndim;
  uint8_t type_code;
  uint8_t type_bits;
  uint16_t type_lanes;
  int64_t *shape;
  int64_t *strides;  // in elements; may be null: row-major without gaps
  uint64_t byte_offset;
} mp_dl_tensor;

typedef struct mp_dl_managed {
  uint32_t version_major;
  uint32_t version_minor;
  void *manager_ctx;
  void (*deleter)(struct mp_dl_managed *self);
  uint64_t flags;
  mp_dl_tensor tensor;
} mp_dl_managed;

#endif
