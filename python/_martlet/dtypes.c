/* Dtypes by the names that Python's libraries give them. */
#include <string.h>

#include "extension.h"

/* What ml_dtypes, torch and NumPy call dtypes that have another name here, and people for short. */
static const struct {
  const char *name;
  martlet_dtype dtype;
} ALIASES[] = {
  {"float8_e4m3fn", MARTLET_FLOAT8E4M3FN},
  {"float8_e4m3fnuz", MARTLET_FLOAT8E4M3FNUZ},
  {"float8_e5m2", MARTLET_FLOAT8E5M2},
  {"float8_e5m2fnuz", MARTLET_FLOAT8E5M2FNUZ},
  {"float8_e8m0fnu", MARTLET_FLOAT8E8M0},
  {"float6_e2m3fn", MARTLET_FLOAT6E2M3},
  {"float6_e3m2fn", MARTLET_FLOAT6E3M2},
  {"float4_e2m1fn", MARTLET_FLOAT4E2M1},
  {"bf16", MARTLET_BFLOAT16},
  {"fp16", MARTLET_FLOAT16},
  {"half", MARTLET_FLOAT16},
  {"f2", MARTLET_FLOAT16},
  {"fp32", MARTLET_FLOAT32},
  {"f4", MARTLET_FLOAT32},
  {"fp64", MARTLET_FLOAT64},
  {"double", MARTLET_FLOAT64},
  {"f8", MARTLET_FLOAT64},
  {"i1", MARTLET_INT8},
  {"i2", MARTLET_INT16},
  {"i4", MARTLET_INT32},
  {"i8", MARTLET_INT64},
  {"u1", MARTLET_UINT8},
  {"u2", MARTLET_UINT16},
  {"u4", MARTLET_UINT32},
  {"u8", MARTLET_UINT64},
};

martlet_dtype dtype_of_name(const char *name) {
  for (martlet_dtype dtype = 1; dtype <= MARTLET_FLOAT6E3M2; dtype++) {
    if (martlet_dtype_bits(dtype) != 0 && strcmp(martlet_dtype_name(dtype), name) == 0)
      return dtype;
  }
  for (size_t i = 0; i < sizeof ALIASES / sizeof ALIASES[0]; i++)
    if (strcmp(ALIASES[i].name, name) == 0) return ALIASES[i].dtype;
  return MARTLET_DTYPE_UNKNOWN;
}

martlet_dtype dtype_from_object(PyObject *object) {
  if (object == (PyObject *)&PyFloat_Type) return MARTLET_FLOAT64;
  if (object == (PyObject *)&PyLong_Type) return MARTLET_INT64;
  if (object == (PyObject *)&PyBool_Type) return MARTLET_BOOL;
  PyObject *text = NULL;
  if (PyUnicode_Check(object)) text = Py_NewRef(object);
  if (text == NULL) text = PyObject_GetAttrString(object, "name"); /* numpy.dtype */
  if (text == NULL) PyErr_Clear();
  if (text == NULL) text = PyObject_GetAttrString(object, "__name__"); /* numpy.float32 */
  if (text == NULL) PyErr_Clear();
  if (text == NULL) text = PyObject_Str(object); /* torch.float32 */
  if (text == NULL) return MARTLET_DTYPE_UNKNOWN;
  const char *name = PyUnicode_Check(text) ? PyUnicode_AsUTF8AndSize(text, NULL) : NULL;
  martlet_dtype dtype = MARTLET_DTYPE_UNKNOWN;
  if (name != NULL) dtype = dtype_of_name(strncmp(name, "torch.", 6) == 0 ? name + 6 : name);
  if (dtype == MARTLET_DTYPE_UNKNOWN && !PyErr_Occurred()) {
    PyErr_Format(
      PyExc_TypeError,
      "%R is no dtype of a tensor; known: float32, float64, float16, bfloat16, int8 to "
      "int64, uint8 to uint64, bool, int4, uint4, int2, uint2 and the floats of 4, 6 and "
      "8 bits",
      object);
  }
  Py_DECREF(text);
  return dtype;
}
