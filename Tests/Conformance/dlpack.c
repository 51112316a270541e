// DLPack in and out, with the structs of dlpack.h as a program would have them.
#include "conformance.h"

typedef struct DLTensor {
  void *data;
  struct {
    int32_t device_type, device_id;
  } device;
  int32_t ndim;
  struct {
    uint8_t code, bits;
    uint16_t lanes;
  } dtype;
  int64_t *shape, *strides;
  uint64_t byte_offset;
} DLTensor;

struct DLManagedTensorVersioned {
  struct {
    uint32_t major, minor;
  } version;
  void *manager_ctx;
  void (*deleter)(struct DLManagedTensorVersioned *self);
  uint64_t flags;
  DLTensor dl_tensor;
};
typedef struct DLManagedTensorVersioned managed_tensor;

static int deletions;
static void count_deletion(managed_tensor *self) {
  (void)self;
  deletions += 1;
}

static float values[6] = {0, 1, 2, 3, 4, 5};
static int64_t shape[] = {2, 3}, strides[] = {-3, 1};

static managed_tensor example(void) {
  managed_tensor managed;
  memset(&managed, 0, sizeof managed);
  managed.version.major = 1;
  managed.deleter = count_deletion;
  managed.dl_tensor.data = values;
  managed.dl_tensor.device.device_type = 1;
  managed.dl_tensor.ndim = 2;
  managed.dl_tensor.dtype.code = 2;
  managed.dl_tensor.dtype.bits = 32;
  managed.dl_tensor.dtype.lanes = 1;
  managed.dl_tensor.shape = shape;
  return managed;
}

static void import(void) {
  managed_tensor managed = example();
  martlet_tensor *tensor = NULL;
  const void *data = NULL;
  check_ok(martlet_tensor_from_dlpack(&managed, &tensor));
  check_ok(martlet_tensor_data(tensor, &data));
  check(data == values && has_shape(tensor, 2, shape), "importing copies nothing");
  check_ok(martlet_tensor_release(tensor));
  check(deletions == 1, "the deleter is called once");

  managed = example();
  managed.dl_tensor.strides = strides;
  managed.dl_tensor.byte_offset = 3 * sizeof(float);
  managed.flags = 1;
  check_ok(martlet_tensor_from_dlpack(&managed, &tensor));
  float out[6];
  bool read_only = false;
  check_ok(martlet_tensor_read(tensor, out, sizeof out));
  check_ok(martlet_tensor_is_read_only(tensor, &read_only));
  check(out[0] == 3 && out[3] == 0 && read_only, "strides, offset and the read-only flag are kept");
  check_ok(martlet_tensor_release(tensor));
  check(deletions == 2, "the deleter is called once more");
}

// What a struct may leave out: strides, the extents of a scalar, the memory of no elements.
static void import_sparsely(void) {
  int64_t none[] = {0, 5}, wild[] = {INT64_MIN, INT64_MAX}, unit[] = {1, 3};
  martlet_tensor *tensor = NULL;
  float out[6];
  deletions = 0;
  managed_tensor managed = example();
  managed.dl_tensor.byte_offset = 4;
  managed.dl_tensor.ndim = 0;
  managed.dl_tensor.shape = NULL;
  check_ok(martlet_tensor_from_dlpack(&managed, &tensor));
  check_ok(martlet_tensor_read(tensor, out, 4));
  check(out[0] == 1, "a scalar needs neither extents nor strides");
  check_ok(martlet_tensor_release(tensor));
  managed = example();
  managed.dl_tensor.data = NULL;
  managed.dl_tensor.shape = none;
  for (int i = 0; i < 2; ++i) {
    managed.dl_tensor.strides = i ? wild : NULL;
    check_ok(martlet_tensor_from_dlpack(&managed, &tensor));
    check(has_shape(tensor, 2, none), "no elements need no memory, whatever the strides");
    check_ok(martlet_tensor_release(tensor));
  }
  managed = example();
  managed.dl_tensor.shape = unit;
  wild[1] = 1;
  managed.dl_tensor.strides = wild;
  check_ok(martlet_tensor_from_dlpack(&managed, &tensor));
  check_ok(martlet_tensor_read(tensor, out, 12));
  check(out[0] == 0 && out[2] == 2, "nobody steps along an axis of one");
  check_ok(martlet_tensor_release(tensor));
  check(deletions == 4, "each deleter is called once");
}

static void import_badly(void) {
  martlet_tensor *tensor = NULL;
  managed_tensor managed = example();
  deletions = 0;
  managed.version.major = 2;
  check_status(MARTLET_UNSUPPORTED, martlet_tensor_from_dlpack(&managed, &tensor));
  managed = example();
  managed.dl_tensor.device.device_type = 2;
  check_status(MARTLET_UNSUPPORTED, martlet_tensor_from_dlpack(&managed, &tensor));
  managed = example();
  managed.dl_tensor.dtype.lanes = 4;
  check_status(MARTLET_INVALID_DTYPE, martlet_tensor_from_dlpack(&managed, &tensor));
  managed = example();
  managed.dl_tensor.dtype.code = 5;
  check_status(MARTLET_INVALID_DTYPE, martlet_tensor_from_dlpack(&managed, &tensor));
  managed = example();
  managed.dl_tensor.ndim = -1;
  check_status(MARTLET_INVALID_SHAPE, martlet_tensor_from_dlpack(&managed, &tensor));
  managed = example();
  managed.dl_tensor.shape = NULL;
  check_status(MARTLET_INVALID_ARGUMENT, martlet_tensor_from_dlpack(&managed, &tensor));
  int64_t bad_shape[] = {2, -3}, huge[] = {INT64_MAX, 8}, far[] = {INT64_MAX, INT64_MIN};
  managed = example();
  managed.dl_tensor.shape = bad_shape;
  check_status(MARTLET_INVALID_SHAPE, martlet_tensor_from_dlpack(&managed, &tensor));
  managed.dl_tensor.shape = huge;
  check_status(MARTLET_INVALID_SHAPE, martlet_tensor_from_dlpack(&managed, &tensor));
  managed = example();
  managed.dl_tensor.strides = far;
  check_status(MARTLET_INVALID_SHAPE, martlet_tensor_from_dlpack(&managed, &tensor));
  managed = example();
  managed.dl_tensor.byte_offset = 2;
  check_status(MARTLET_INVALID_ARGUMENT, martlet_tensor_from_dlpack(&managed, &tensor));
  managed.dl_tensor.byte_offset = UINT64_MAX - 3;
  check_status(MARTLET_INVALID_SHAPE, martlet_tensor_from_dlpack(&managed, &tensor));
  managed = example();
  managed.dl_tensor.data = NULL;
  check_status(MARTLET_INVALID_ARGUMENT, martlet_tensor_from_dlpack(&managed, &tensor));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_tensor_from_dlpack(NULL, &tensor));
  check(deletions == 0 && tensor == NULL, "what fails stays the caller's");
}

static void export(void) {
  uint64_t state = 3;
  martlet_tensor *tensor = random_tensor(&state, 2, shape, NULL), *back = NULL, *copy = NULL;
  int64_t before = martlet_memory_in_use();
  managed_tensor *managed = NULL;
  check_ok(martlet_tensor_copy(tensor, &copy));
  check_ok(martlet_tensor_to_dlpack(tensor, &managed));
  check(managed->version.major == 1 && managed->dl_tensor.ndim == 2 &&
          managed->dl_tensor.dtype.code == 2 && managed->dl_tensor.dtype.bits == 32 &&
          managed->dl_tensor.dtype.lanes == 1 && managed->dl_tensor.device.device_type == 1 &&
          managed->dl_tensor.shape[1] == 3 && managed->dl_tensor.strides[0] == 3 &&
          managed->flags == 0,
        "the exported struct describes the tensor");
  check_ok(martlet_tensor_release(tensor));
  check_ok(martlet_tensor_from_dlpack(managed, &back));
  check(same_bits(copy, back),
        "a round trip keeps the bits, and outlives the tensor it began with");
  check_ok(martlet_tensor_release(back));
  check_ok(martlet_tensor_release(copy));
  check(martlet_memory_in_use() < before, "and nothing stays behind");

  tensor = random_tensor(&state, 2, shape, NULL);
  check_ok(martlet_tensor_to_dlpack(tensor, &managed));
  managed->deleter(managed);
  check_ok(martlet_tensor_release(tensor));
  check_status(MARTLET_INVALID_HANDLE, martlet_tensor_to_dlpack(tensor, &managed));
  check(managed == NULL, "the result is NULL on failure");

  static const struct {
    martlet_dtype dtype;
    int code, bits;
  } rows[] = {{MARTLET_INT8, 0, 8},     {MARTLET_INT16, 0, 16},   {MARTLET_INT32, 0, 32},
              {MARTLET_INT64, 0, 64},   {MARTLET_UINT8, 1, 8},    {MARTLET_UINT16, 1, 16},
              {MARTLET_UINT32, 1, 32},  {MARTLET_UINT64, 1, 64},  {MARTLET_FLOAT16, 2, 16},
              {MARTLET_FLOAT32, 2, 32}, {MARTLET_FLOAT64, 2, 64}, {MARTLET_BFLOAT16, 4, 16},
              {MARTLET_BOOL, 6, 8}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
    martlet_dtype dtype = 0;
    bool right = !martlet_tensor_create_zeroed(rows[i].dtype, 2, shape, &tensor) &&
                 !martlet_tensor_to_dlpack(tensor, &managed) &&
                 managed->dl_tensor.dtype.code == rows[i].code &&
                 managed->dl_tensor.dtype.bits == rows[i].bits &&
                 !martlet_tensor_from_dlpack(managed, &back) &&
                 !martlet_tensor_dtype(back, &dtype) && dtype == rows[i].dtype;
    check(right, "%s is DLPack type %d of %d bits", martlet_dtype_name(rows[i].dtype), rows[i].code,
          rows[i].bits);
    martlet_tensor_release(back);
    martlet_tensor_release(tensor);
  }
}

int main(void) {
  import();
  import_sparsely();
  import_badly();
  export();
  return finish();
}
