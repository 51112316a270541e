#include <string.h>

#include "extension.h"

/* The dtype of a buffer's format and item size, or UNKNOWN. */
static martlet_dtype dtype_of_format(const char *format, Py_ssize_t size) {
  if (format == NULL) return MARTLET_UINT8;
  if (*format == '@' || *format == '=' || *format == (PY_LITTLE_ENDIAN ? '<' : '>')) format++;
  if (format[0] == '\0' || format[1] != '\0') return MARTLET_DTYPE_UNKNOWN;
  if (strchr("bhilqn", *format) != NULL) {
    switch (size) {
      case 1: return MARTLET_INT8;
      case 2: return MARTLET_INT16;
      case 4: return MARTLET_INT32;
      case 8: return MARTLET_INT64;
    }
  } else if (strchr("BHILQN", *format) != NULL) {
    switch (size) {
      case 1: return MARTLET_UINT8;
      case 2: return MARTLET_UINT16;
      case 4: return MARTLET_UINT32;
      case 8: return MARTLET_UINT64;
    }
  } else {
    switch (*format) {
      case 'f': return MARTLET_FLOAT32;
      case 'd': return MARTLET_FLOAT64;
      case 'e': return MARTLET_FLOAT16;
      case '?': return MARTLET_BOOL;
    }
  }
  return MARTLET_DTYPE_UNKNOWN;
}

/* Where a strided buffer lies: the distance from its lowest byte to element 0, 0, ... and the bytes
 * from the lowest to the highest. False when strides are no multiples of the item size or the
 * elements are misaligned: then the library cannot look at it in place. */
static int span_of(const Py_buffer *view, size_t *offset, size_t *bytes, int64_t *strides) {
  Py_ssize_t below = 0, above = view->itemsize;
  for (int axis = 0; axis < view->ndim; axis++) {
    if (view->strides[axis] % view->itemsize != 0) return 0;
    strides[axis] = view->strides[axis] / view->itemsize;
    if (view->shape[axis] == 0) above = 0;
  }
  if ((uintptr_t)view->buf % (uintptr_t)view->itemsize != 0) return 0;
  if (above != 0) {
    for (int axis = 0; axis < view->ndim; axis++) {
      Py_ssize_t reach = (view->shape[axis] - 1) * view->strides[axis];
      if (reach < 0) below -= reach;
      else above += reach;
    }
  }
  *offset = (size_t)below;
  *bytes = (size_t)(below + above);
  return 1;
}

/* A tensor of its own with the buffer's elements. */
static PyObject *copy_buffer(ModuleState *state, const Py_buffer *view, martlet_dtype dtype,
                             const int64_t *shape) {
  martlet_tensor *handle = NULL;
  void *data = NULL;
  martlet_status status = martlet_tensor_create(dtype, view->ndim, shape, &handle);
  if (status == MARTLET_OK) status = martlet_tensor_mutable_data(handle, &data);
  if (status != MARTLET_OK) {
    raise_status(state, status);
    martlet_tensor_release(handle);
    return NULL;
  }
  if (view->len > 0 && PyBuffer_ToContiguous(data, view, view->len, 'C') < 0) {
    martlet_tensor_release(handle);
    return NULL;
  }
  return tensor_object(state, handle);
}

/* A tensor over the buffer, which is taken over, also on failure. */
static PyObject *wrap_buffer(ModuleState *state, Py_buffer *view, martlet_dtype dtype) {
  int64_t shape[PyBUF_MAX_NDIM], strides[PyBUF_MAX_NDIM];
  size_t offset, bytes;
  for (int axis = 0; axis < view->ndim; axis++) shape[axis] = view->shape[axis];
  if (!span_of(view, &offset, &bytes, strides)) {
    PyObject *copy = copy_buffer(state, view, dtype, shape);
    PyBuffer_Release(view);
    return copy;
  }
  Owner *owner = owner_of_buffer(view);
  if (owner == NULL) {
    PyBuffer_Release(view);
    return NULL;
  }
  martlet_tensor *handle = NULL;
  martlet_status status = martlet_tensor_wrap_strided(
      (char *)view->buf - offset, bytes, offset, dtype, view->ndim, shape, strides,
      view->readonly ? MARTLET_WRAP_READ_ONLY : 0, owner_deleter, owner, &handle);
  if (status != MARTLET_OK) {
    raise_status(state, status);
    owner_release(owner);
    return NULL;
  }
  return tensor_object(state, handle);
}

static PyObject *from_buffer(ModuleState *state, PyObject *object, const char *what) {
  Py_buffer view;
  if (PyObject_GetBuffer(object, &view, PyBUF_RECORDS_RO) < 0) return NULL;
  martlet_dtype dtype = dtype_of_format(view.format, view.itemsize);
  if (dtype == MARTLET_DTYPE_UNKNOWN || (size_t)view.itemsize != martlet_dtype_size(dtype)) {
    PyErr_Format(state->errors[MARTLET_INVALID_DTYPE],
                 "%s has elements of format '%s' (%zd bytes), which no tensor has", what,
                 view.format == NULL ? "B" : view.format, view.itemsize);
    PyBuffer_Release(&view);
    return NULL;
  }
  return wrap_buffer(state, &view, dtype);
}

/* An array of ml_dtypes' bfloat16, which has no buffer format: by way of its bits. Whether it is
 * one; then *result is the tensor, or NULL with an exception. */
static int from_bfloat16_array(ModuleState *state, PyObject *object, PyObject **result) {
  PyObject *dtype = PyObject_GetAttrString(object, "dtype");
  PyObject *name = dtype == NULL ? NULL : PyObject_GetAttrString(dtype, "name");
  int matches = name != NULL && PyUnicode_Check(name) &&
                PyUnicode_CompareWithASCIIString(name, "bfloat16") == 0;
  Py_XDECREF(dtype);
  Py_XDECREF(name);
  PyErr_Clear();
  if (!matches) return 0;
  PyObject *bits = PyObject_CallMethod(object, "view", "s", "uint16");
  if (bits == NULL) return 1;
  Py_buffer view;
  if (PyObject_GetBuffer(bits, &view, PyBUF_RECORDS_RO) == 0)
    *result = wrap_buffer(state, &view, MARTLET_BFLOAT16);
  Py_DECREF(bits);
  return 1;
}

static PyObject *from_number(ModuleState *state, PyObject *object) {
  martlet_tensor *handle = NULL;
  martlet_status status;
  if (PyBool_Check(object)) {
    uint8_t value = object == Py_True;
    status = martlet_tensor_from_data(&value, sizeof value, MARTLET_BOOL, 0, NULL, &handle);
  } else if (PyLong_Check(object)) {
    int64_t value = PyLong_AsLongLong(object);
    if (value == -1 && PyErr_Occurred()) return NULL;
    status = martlet_tensor_from_data(&value, sizeof value, MARTLET_INT64, 0, NULL, &handle);
  } else {
    float value = (float)PyFloat_AsDouble(object);
    status = martlet_tensor_from_data(&value, sizeof value, MARTLET_FLOAT32, 0, NULL, &handle);
  }
  return status == MARTLET_OK ? tensor_object(state, handle) : raise_status(state, status);
}

PyObject *as_tensor(ModuleState *state, PyObject *object, const char *what) {
  if (Py_TYPE(object) == state->tensor_type) return Py_NewRef(object);
  PyObject *result = NULL;
  if (PyObject_CheckBuffer(object)) {
    result = from_buffer(state, object, what);
    if (result != NULL) return result;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    int is_final = PyErr_GivenExceptionMatches(type, state->error);
    if (!is_final && from_bfloat16_array(state, object, &result)) {
      is_final = 0;
    } else if (is_final || !PyObject_HasAttrString(object, "__dlpack__")) {
      PyErr_Restore(type, value, traceback);
      return NULL;
    }
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    if (result != NULL || PyErr_Occurred()) return result;
  }
  if (PyObject_HasAttrString(object, "__dlpack__")) return tensor_from_dlpack(state, object);
  if (PyLong_Check(object) || PyFloat_CheckExact(object)) return from_number(state, object);
  if (PyObject_HasAttrString(object, "__array__")) {
    PyObject *array = PyObject_CallMethod(object, "__array__", NULL);
    if (array == NULL) return NULL;
    result = from_buffer(state, array, what);
    Py_DECREF(array);
    return result;
  }
  PyObject *type_name = PyObject_GetAttrString((PyObject *)Py_TYPE(object), "__name__");
  if (type_name == NULL) return NULL;
  PyErr_Format(PyExc_TypeError,
               "%s is a %S; expected a Tensor, a NumPy array, or anything with a buffer or "
               "__dlpack__ (martlet.tensor() takes nested lists)",
               what, type_name);
  Py_DECREF(type_name);
  return NULL;
}
