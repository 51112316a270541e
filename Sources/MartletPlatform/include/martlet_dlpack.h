// DLPack's structs, version 1 of the ABI, laid out as dlpack.h lays them out but under names of our
// own, so that a program may include both.
// Source: https://dmlc.github.io/dlpack/latest/c_api.html
#ifndef MARTLET_DLPACK_H
#define MARTLET_DLPACK_H

#include <stdint.h>

enum { MP_DL_CPU = 1, MP_DL_CUDA_HOST = 3 };
enum { MP_DL_INT = 0, MP_DL_UINT = 1, MP_DL_FLOAT = 2, MP_DL_BFLOAT = 4, MP_DL_BOOL = 6 };
enum {
  MP_DL_FLOAT8_E4M3FN = 10,
  MP_DL_FLOAT8_E4M3FNUZ = 11,
  MP_DL_FLOAT8_E5M2 = 12,
  MP_DL_FLOAT8_E5M2FNUZ = 13,
  MP_DL_FLOAT8_E8M0FNU = 14,
  MP_DL_FLOAT6_E2M3FN = 15,
  MP_DL_FLOAT6_E3M2FN = 16,
  MP_DL_FLOAT4_E2M1FN = 17
};
enum { MP_DL_READ_ONLY = 1, MP_DL_SUBBYTE_PADDED = 4 };

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
