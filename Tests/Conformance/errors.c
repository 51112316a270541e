// Versions, statuses, the last error, and what happens to handles that are not what they should be.
#include "conformance.h"

#include <pthread.h>

static void *other_thread(void *unused) {
  (void)unused;
  check(martlet_last_error()->status == MARTLET_OK && martlet_last_error()->message[0] == 0,
        "a thread begins without a last error");
  check_status(MARTLET_INVALID_ARGUMENT, martlet_math_mode_set(77));
  return NULL;
}

static void versions(void) {
  check(martlet_version() == MARTLET_VERSION, "header and library have one version");
  char text[32];
  snprintf(text, sizeof text, "%d.%d.%d", MARTLET_VERSION_MAJOR, MARTLET_VERSION_MINOR,
           MARTLET_VERSION_PATCH);
  check(strcmp(martlet_version_string(), text) == 0, "the version as text is %s", text);
}

static void statuses(void) {
  static const char *const names[] = {"OK",
                                      "INVALID_ARGUMENT",
                                      "INVALID_SHAPE",
                                      "INVALID_DTYPE",
                                      "NOT_FOUND",
                                      "IO",
                                      "INVALID_MODEL",
                                      "UNSUPPORTED",
                                      "OUT_OF_MEMORY",
                                      "CANCELLED",
                                      "INVALID_HANDLE",
                                      "INVALID_STATE",
                                      "INTERNAL_ERROR"};
  for (int status = 0; status <= MARTLET_INTERNAL_ERROR; ++status)
    check(strcmp(martlet_status_name(status), names[status]) == 0, "status %d is %s", status,
          names[status]);
  check(strcmp(martlet_status_name(99), "UNKNOWN") == 0, "status 99 is UNKNOWN");
  check(strcmp(martlet_status_name(-1), "UNKNOWN") == 0, "status -1 is UNKNOWN");
}

static void last_error(void) {
  check(martlet_last_error()->status == MARTLET_OK, "no error at first");
  check_status(MARTLET_NOT_FOUND, martlet_set_float32_fast_math_mode("FP7"));
  const martlet_error *error = martlet_last_error();
  check_says(error->message, "martlet_set_float32_fast_math_mode", "message");
  check_says(error->message, "FP7", "message");
  check_says(error->expected, "BF16", "expected");
  check_says(error->actual, "FP7", "actual");
  check(error->node == NULL && error->operator_name == NULL, "there is no node to name");
  pthread_t thread;
  pthread_create(&thread, NULL, other_thread, NULL);
  pthread_join(thread, NULL);
  check(martlet_last_error()->status == MARTLET_NOT_FOUND, "another thread's error is its own");
  check(martlet_set_num_threads(martlet_get_num_threads()) == MARTLET_OK &&
          martlet_last_error()->status == MARTLET_NOT_FOUND,
        "success leaves the last error alone");
}

static void dtypes(void) {
  static const struct {
    martlet_dtype dtype;
    const char *name;
    size_t size;
  } rows[] = {{MARTLET_FLOAT32, "float32", 4},  {MARTLET_UINT8, "uint8", 1},
              {MARTLET_INT8, "int8", 1},        {MARTLET_UINT16, "uint16", 2},
              {MARTLET_INT16, "int16", 2},      {MARTLET_INT32, "int32", 4},
              {MARTLET_INT64, "int64", 8},      {MARTLET_BOOL, "bool", 1},
              {MARTLET_FLOAT16, "float16", 2},  {MARTLET_FLOAT64, "float64", 8},
              {MARTLET_UINT32, "uint32", 4},    {MARTLET_UINT64, "uint64", 8},
              {MARTLET_BFLOAT16, "bfloat16", 2}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i)
    check(strcmp(martlet_dtype_name(rows[i].dtype), rows[i].name) == 0 &&
            martlet_dtype_size(rows[i].dtype) == rows[i].size,
          "%s has %d bytes", rows[i].name, (int)rows[i].size);
  struct {
    martlet_dtype dtype;
    const char *name;
    int bits;
  } narrow[] = {{MARTLET_FLOAT8E4M3FN, "float8e4m3fn", 8},
                {MARTLET_FLOAT8E4M3FNUZ, "float8e4m3fnuz", 8},
                {MARTLET_FLOAT8E5M2, "float8e5m2", 8},
                {MARTLET_FLOAT8E5M2FNUZ, "float8e5m2fnuz", 8},
                {MARTLET_UINT4, "uint4", 4},
                {MARTLET_INT4, "int4", 4},
                {MARTLET_FLOAT4E2M1, "float4e2m1", 4},
                {MARTLET_FLOAT8E8M0, "float8e8m0", 8},
                {MARTLET_UINT2, "uint2", 2},
                {MARTLET_INT2, "int2", 2},
                {MARTLET_FLOAT6E2M3, "float6e2m3", 6},
                {MARTLET_FLOAT6E3M2, "float6e3m2", 6},
                {MARTLET_FLOAT32, "float32", 32},
                {MARTLET_BOOL, "bool", 8}};
  for (size_t i = 0; i < sizeof narrow / sizeof narrow[0]; ++i)
    check(strcmp(martlet_dtype_name(narrow[i].dtype), narrow[i].name) == 0 &&
            martlet_dtype_bits(narrow[i].dtype) == narrow[i].bits &&
            martlet_dtype_size(narrow[i].dtype) == (size_t)(narrow[i].bits / 8),
          "%s has %d bits", narrow[i].name, narrow[i].bits);
  check(martlet_dtype_bits(0) == 0 && martlet_dtype_bits(1000) == 0, "other values have no bits");
  check(martlet_dtype_size(0) == 0 && martlet_dtype_size(8) == 0 && martlet_dtype_size(-1) == 0 &&
          strcmp(martlet_dtype_name(1000), "unknown") == 0,
        "other values are no dtypes");
}

static void handles(void) {
  int64_t shape[] = {2}, count = 7;
  martlet_tensor *tensor = NULL;
  martlet_attributes *attributes = NULL;
  check_ok(martlet_tensor_create_zeroed(MARTLET_FLOAT32, 1, shape, &tensor));
  check_ok(martlet_attributes_create(&attributes));

  check_status(MARTLET_INVALID_HANDLE, martlet_tensor_element_count(NULL, &count));
  check(count == 0, "a result is cleared on failure");
  check_says(martlet_last_error()->message, "tensor is NULL", "message");
  check_status(MARTLET_INVALID_HANDLE,
               martlet_tensor_element_count((martlet_tensor *)attributes, &count));
  check_says(martlet_last_error()->actual, "attribute set", "actual");
  check_status(MARTLET_INVALID_HANDLE, martlet_attributes_release((martlet_attributes *)tensor));
  check_status(MARTLET_INVALID_HANDLE, martlet_model_release((martlet_model *)tensor));
  check_status(MARTLET_INVALID_HANDLE, martlet_context_release((martlet_context *)tensor));
  check_status(MARTLET_INVALID_HANDLE, martlet_tensor_release((martlet_tensor *)&count));
  check_says(martlet_last_error()->message, "not a Martlet handle", "message");
  check_status(MARTLET_INVALID_HANDLE,
               martlet_tensor_release((martlet_tensor *)((char *)tensor + 8)));
  check_status(MARTLET_INVALID_HANDLE, martlet_tensor_release((martlet_tensor *)16));

  check_ok(martlet_tensor_retain(tensor));
  check_ok(martlet_tensor_release(tensor));
  check_ok(martlet_tensor_element_count(tensor, &count));
  check(count == 2, "a retained tensor outlives one release");
  check_ok(martlet_tensor_release(tensor));
  check_status(MARTLET_INVALID_HANDLE, martlet_tensor_element_count(tensor, &count));
  check_says(martlet_last_error()->message, "released", "message");
  check_status(MARTLET_INVALID_HANDLE, martlet_tensor_release(tensor));
  check_status(MARTLET_INVALID_HANDLE, martlet_tensor_retain(tensor));
  for (int i = 0; i < 500; ++i) {
    martlet_tensor *other = NULL;
    if (martlet_tensor_create(MARTLET_INT8, 1, shape, &other) || martlet_tensor_release(other)) {
      check(false, "tensors come and go");
      break;
    }
  }
  check_status(MARTLET_INVALID_HANDLE, martlet_tensor_release(tensor));

  check_ok(martlet_attributes_release(attributes));
  check_status(MARTLET_INVALID_HANDLE, martlet_attributes_set_int(attributes, "axis", 1));
  check_ok(martlet_tensor_release(NULL));
  check_ok(martlet_attributes_release(NULL));
  check_ok(martlet_model_release(NULL));
  check_ok(martlet_context_release(NULL));
  check_status(MARTLET_INVALID_HANDLE, martlet_tensor_retain(NULL));
  check_status(MARTLET_INVALID_HANDLE, martlet_context_create(NULL, (martlet_context **)&count));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_attributes_create(NULL));
}

int main(void) {
  last_error();
  versions();
  statuses();
  dtypes();
  handles();
  return finish();
}
