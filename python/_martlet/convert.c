#include <stdlib.h>
#include <string.h>

#include "extension.h"

/* The dtype of a buffer's format and item size, or UNKNOWN; *is_swapped: its bytes are in the other
 * order than the processor's. */
static martlet_dtype dtype_of_format(const char *format, Py_ssize_t size, int *is_swapped) {
  *is_swapped = 0;
  if (format == NULL) return MARTLET_UINT8;
  if (format[0] != '\0' && format[1] != '\0' && strchr("@=<>!", *format) != NULL) {
    int is_big = *format == '>' || *format == '!';
    *is_swapped = *format != '@' && *format != '=' && is_big == PY_LITTLE_ENDIAN && size > 1;
    format++;
  }
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

/* A buffer's extents and its strides in bytes, also where its exporter has left them out, and how far
 * its bytes reach below and above its first element. */
typedef struct {
  int64_t shape[PyBUF_MAX_NDIM]; /* as Py_ssize_t is, too */
  Py_ssize_t strides[PyBUF_MAX_NDIM];
  Py_ssize_t below, above;
} Layout;

/* No processor has longer addresses. */
#define MOST_BYTES ((Py_ssize_t)1 << (sizeof(Py_ssize_t) > 4 ? 57 : 30))

/* How far the elements reach, into `layout`; false where that cannot be addressed. */
static int reach_of(const Py_buffer *view, Layout *layout) {
  layout->below = 0;
  layout->above = view->len == 0 ? 0 : view->itemsize;
  for (int axis = 0; axis < view->ndim && view->len > 0; axis++) {
    Py_ssize_t reach;
    if (__builtin_mul_overflow((Py_ssize_t)layout->shape[axis] - 1, layout->strides[axis],
                               &reach) ||
        reach < -MOST_BYTES || reach > MOST_BYTES)
      return 0;
    if (reach < 0) layout->below -= reach;
    else layout->above += reach;
    if (layout->below > MOST_BYTES || layout->above > MOST_BYTES) return 0;
  }
  return (uintptr_t)view->buf >= (uintptr_t)layout->below &&
         (uintptr_t)layout->above <= UINTPTR_MAX - (uintptr_t)view->buf;
}

/* Exporters are other people's code: nothing of a view is believed that can be looked at. 0, or -1
 * with an exception. */
static int layout_of(const Py_buffer *view, const char *what, Layout *layout) {
  const char *fault = NULL;
  if (view->obj == NULL) fault = "no owner";
  else if (view->itemsize <= 0 || view->ndim < 0 || view->ndim > PyBUF_MAX_NDIM)
    fault = "an item size or a number of axes that none has";
  else if (view->shape == NULL && view->ndim > (view->strides == NULL)) fault = "no extents";
  for (int axis = 0; fault == NULL && view->suboffsets != NULL && axis < view->ndim; axis++)
    if (view->suboffsets[axis] >= 0) fault = "rows behind pointers";
  Py_ssize_t bytes = fault == NULL ? view->itemsize : 0;
  for (int axis = 0, seen_zero = 0; fault == NULL && axis < view->ndim; axis++) {
    Py_ssize_t extent = view->shape != NULL ? view->shape[axis] : view->len / view->itemsize;
    layout->shape[axis] = extent;
    seen_zero |= extent == 0;
    if (extent < 0) fault = "a negative extent";
    else if (__builtin_mul_overflow(bytes, extent, &bytes) && !seen_zero)
      fault = "more elements than can be addressed";
    if (seen_zero) bytes = 0;
  }
  if (fault == NULL && bytes != view->len) fault = "another number of bytes than its extents";
  if (fault == NULL && view->len > 0 && view->buf == NULL) fault = "no memory";
  Py_ssize_t step = view->itemsize;
  for (int axis = view->ndim - 1; fault == NULL && axis >= 0; axis--) {
    layout->strides[axis] = view->strides != NULL ? view->strides[axis] : step;
    if (bytes > 0) step *= (Py_ssize_t)layout->shape[axis];
  }
  if (fault == NULL && !reach_of(view, layout)) fault = "strides past what can be addressed";
  if (fault == NULL) return 0;
  PyErr_Format(PyExc_BufferError, "%s has a buffer with %s", what, fault);
  return -1;
}

/* A buffer's strides in elements. False when they are no multiples of the item size or the elements
 * are misaligned: then the library cannot look at it in place. */
static int strides_of(const Py_buffer *view, const Layout *layout, int64_t *strides) {
  if ((uintptr_t)view->buf % (uintptr_t)view->itemsize != 0) return 0;
  for (int axis = 0; axis < view->ndim; axis++) {
    int is_whole = layout->strides[axis] % view->itemsize == 0;
    int is_stepped = view->len > 0 && layout->shape[axis] > 1;
    if (!is_whole && is_stepped) return 0;
    strides[axis] = is_whole ? layout->strides[axis] / view->itemsize : 1;
  }
  return 1;
}

/* The elements row-major into `data`, by way of what layout_of() has looked at alone. 0, or -1. */
static int copy_elements(void *data, const Py_buffer *view, Layout *layout) {
  if (view->len == 0) return 0;
  Py_buffer plain = *view;
  plain.shape = (Py_ssize_t *)layout->shape;
  plain.strides = layout->strides;
  plain.suboffsets = NULL;
  return PyBuffer_ToContiguous(data, &plain, plain.len, 'C');
}

/* A tensor of its own; *data is where its elements go, row-major. */
static martlet_tensor *new_tensor(ModuleState *state, martlet_dtype dtype, int rank,
                                  const int64_t *shape, void **data) {
  martlet_tensor *handle = NULL;
  martlet_status status = martlet_tensor_create(dtype, rank, shape, &handle);
  if (status == MARTLET_OK) status = martlet_tensor_mutable_data(handle, data);
  if (status == MARTLET_OK) return handle;
  raise_status(state, status);
  martlet_tensor_release(handle);
  return NULL;
}

/* A tensor in the place of a buffer that the library cannot look at: with its elements, or, for an
 * output, to be copied into it: then *later takes the view over. */
static PyObject *stand_in(ModuleState *state, Py_buffer *view, martlet_dtype dtype, Layout *layout,
                          Py_buffer *later) {
  void *data = NULL;
  martlet_tensor *handle = new_tensor(state, dtype, view->ndim, layout->shape, &data);
  if (handle != NULL && later == NULL && copy_elements(data, view, layout) < 0) {
    martlet_tensor_release(handle);
    handle = NULL;
  }
  PyObject *tensor = handle == NULL ? NULL : tensor_object(state, handle);
  if (tensor == NULL || later == NULL) {
    PyBuffer_Release(view);
    return tensor;
  }
  *later = *view;
  later->suboffsets = NULL; /* none of them leads anywhere */
  /* Exporters may let these point into the view itself. */
  if (view->shape == &view->len) later->shape = &later->len;
  if (view->strides == &view->itemsize) later->strides = &later->itemsize;
  return tensor;
}

/* A tensor over the buffer, which is taken over, also on failure. `later` is NULL but for outputs:
 * see as_output(). */
static PyObject *wrap_buffer(ModuleState *state, Py_buffer *view, martlet_dtype dtype,
                             const char *what, Py_buffer *later) {
  Layout layout;
  int64_t strides[PyBUF_MAX_NDIM];
  if (layout_of(view, what, &layout) < 0) {
    PyBuffer_Release(view);
    return NULL;
  }
  if (later != NULL && view->readonly) {
    PyErr_Format(state->errors[MARTLET_INVALID_ARGUMENT], "%s is read-only", what);
    PyBuffer_Release(view);
    return NULL;
  }
  if (!strides_of(view, &layout, strides)) return stand_in(state, view, dtype, &layout, later);
  Owner *owner = owner_of_buffer(view);
  if (owner == NULL) {
    PyBuffer_Release(view);
    return NULL;
  }
  martlet_tensor *handle = NULL;
  martlet_status status = martlet_tensor_wrap_strided(
    (char *)view->buf - layout.below, (size_t)(layout.below + layout.above), (size_t)layout.below,
    dtype, view->ndim, layout.shape, strides, view->readonly ? MARTLET_WRAP_READ_ONLY : 0,
    owner_deleter, owner, &handle);
  if (status != MARTLET_OK) {
    raise_status(state, status);
    owner_release(owner);
    return NULL;
  }
  return tensor_object(state, handle);
}

/* A tensor with the elements of a buffer that has their bytes in the other order; the view is taken
 * over, also on failure. */
static PyObject *swapped(ModuleState *state, Py_buffer *view, martlet_dtype dtype,
                         const char *what) {
  Layout layout;
  if (layout_of(view, what, &layout) < 0) {
    PyBuffer_Release(view);
    return NULL;
  }
  size_t size = (size_t)view->itemsize, bytes = (size_t)view->len;
  PyObject *tensor = stand_in(state, view, dtype, &layout, NULL);
  void *data = NULL;
  if (tensor == NULL) return NULL;
  martlet_tensor_mutable_data(((TensorObject *)tensor)->handle, &data);
  for (size_t at = 0; data != NULL && at < bytes; at += size) {
    char *element = (char *)data + at;
    for (size_t i = 0; i < size / 2; i++) {
      char byte = element[i];
      element[i] = element[size - 1 - i];
      element[size - 1 - i] = byte;
    }
  }
  return tensor;
}

static PyObject *from_buffer(ModuleState *state, PyObject *object, const char *what,
                             Py_buffer *later) {
  Py_buffer view;
  int is_swapped;
  if (PyObject_GetBuffer(object, &view, PyBUF_RECORDS_RO) < 0) return NULL;
  martlet_dtype dtype = dtype_of_format(view.format, view.itemsize, &is_swapped);
  if (dtype == MARTLET_DTYPE_UNKNOWN || (size_t)view.itemsize != martlet_dtype_size(dtype)) {
    PyErr_Format(state->errors[MARTLET_INVALID_DTYPE],
                 "%s has elements of format '%s' (%zd bytes), which no tensor has", what,
                 view.format == NULL ? "B" : view.format, view.itemsize);
    PyBuffer_Release(&view);
    return NULL;
  }
  if (is_swapped && later != NULL) {
    PyErr_Format(
      state->errors[MARTLET_INVALID_ARGUMENT],
      "%s has elements of format '%s'; results are written in the processor's byte order", what,
      view.format);
    PyBuffer_Release(&view);
    return NULL;
  }
  return is_swapped ? swapped(state, &view, dtype, what)
                    : wrap_buffer(state, &view, dtype, what, later);
}

/* A tensor of elements of less than a byte, packed from a buffer that has one to a byte. The view is
 * taken over, also on failure. */
static PyObject *pack_buffer(ModuleState *state, Py_buffer *view, martlet_dtype dtype,
                             const char *what) {
  Layout layout;
  void *data = NULL;
  uint8_t *codes = NULL;
  martlet_tensor *handle = NULL;
  if (layout_of(view, what, &layout) == 0) {
    codes = malloc((size_t)view->len + 1);
    if (codes == NULL) PyErr_NoMemory();
    else if (copy_elements(codes, view, &layout) == 0)
      handle = new_tensor(state, dtype, view->ndim, layout.shape, &data);
  }
  if (handle != NULL) {
    int bits = martlet_dtype_bits(dtype);
    uint8_t mask = (uint8_t)((1 << bits) - 1), *bytes = data;
    size_t filled = 0;
    unsigned pending = 0;
    int held = 0;
    for (Py_ssize_t i = 0; i < view->len; i++) {
      pending |= (unsigned)(codes[i] & mask) << held;
      held += bits;
      if (held >= 8) {
        bytes[filled++] = (uint8_t)pending;
        pending >>= 8;
        held -= 8;
      }
    }
    if (held > 0) bytes[filled] = (uint8_t)pending;
  }
  free(codes);
  PyBuffer_Release(view);
  return handle == NULL ? NULL : tensor_object(state, handle);
}

/* The dtype of an array of ml_dtypes' that has no buffer format: bfloat16, and floats and integers of
 * 8 bits and less. UNKNOWN for any other object. */
static martlet_dtype dtype_of_ml_array(PyObject *object) {
  martlet_dtype result = MARTLET_DTYPE_UNKNOWN;
  PyObject *dtype = PyObject_GetAttrString(object, "dtype");
  PyObject *name = dtype == NULL ? NULL : PyObject_GetAttrString(dtype, "name");
  const char *text = name != NULL && PyUnicode_Check(name) ? PyUnicode_AsUTF8AndSize(name, NULL)
                                                           : NULL;
  if (text != NULL) result = dtype_of_name(text);
  Py_XDECREF(dtype);
  Py_XDECREF(name);
  PyErr_Clear();
  return result < MARTLET_BFLOAT16 ? MARTLET_DTYPE_UNKNOWN : result;
}

/* An array of ml_dtypes': by way of its bits, which it has one element to a byte at least. Whether it
 * is one; then *result is the tensor, or NULL with an exception. */
static int from_ml_array(ModuleState *state, PyObject *object, const char *what, Py_buffer *later,
                         PyObject **result) {
  martlet_dtype dtype = dtype_of_ml_array(object);
  if (dtype == MARTLET_DTYPE_UNKNOWN) return 0;
  martlet_dtype carrier = dtype == MARTLET_BFLOAT16 ? MARTLET_UINT16 : MARTLET_UINT8;
  const char *dtype_name = martlet_dtype_name(dtype), *carrier_name = martlet_dtype_name(carrier);
  int is_packed = martlet_dtype_bits(dtype) < 8;
  if (is_packed && later != NULL) {
    PyErr_Format(state->errors[MARTLET_UNSUPPORTED],
                 "%s is an array of %s with an element to a byte; results of that dtype are packed",
                 what, dtype_name);
    return 1;
  }
  PyObject *bits = PyObject_CallMethod(object, "view", "s", carrier_name);
  if (bits == NULL) return 1;
  Py_buffer view;
  if (PyObject_GetBuffer(bits, &view, PyBUF_RECORDS_RO) == 0) {
    int is_swapped;
    if (dtype_of_format(view.format, view.itemsize, &is_swapped) != carrier || is_swapped) {
      PyErr_Format(PyExc_BufferError, "%s is %s, but view('%s') is not %s", what, dtype_name,
                   carrier_name, carrier_name);
      PyBuffer_Release(&view);
    } else if (is_packed) {
      *result = pack_buffer(state, &view, dtype, what);
    } else {
      *result = wrap_buffer(state, &view, dtype, what, later);
    }
  }
  Py_DECREF(bits);
  return 1;
}

static PyObject *from_number(ModuleState *state, PyObject *object, const char *what) {
  martlet_tensor *handle = NULL;
  martlet_status status;
  if (PyBool_Check(object)) {
    uint8_t value = object == Py_True;
    status = martlet_tensor_from_data(&value, sizeof value, MARTLET_BOOL, 0, NULL, &handle);
  } else if (PyLong_Check(object)) {
    int64_t value = PyLong_AsLongLong(object);
    if (value == -1 && PyErr_Occurred()) {
      if (PyErr_ExceptionMatches(PyExc_OverflowError))
        PyErr_Format(PyExc_OverflowError, "%s is %R, which is no int64", what, object);
      return NULL;
    }
    status = martlet_tensor_from_data(&value, sizeof value, MARTLET_INT64, 0, NULL, &handle);
  } else {
    float value = (float)PyFloat_AsDouble(object);
    status = martlet_tensor_from_data(&value, sizeof value, MARTLET_FLOAT32, 0, NULL, &handle);
  }
  return status == MARTLET_OK ? tensor_object(state, handle) : raise_status(state, status);
}

/* Whether it is an array of strings, bytes or objects. */
static int is_text_array(PyObject *object) {
  PyObject *dtype = PyObject_GetAttrString(object, "dtype");
  PyObject *kind = dtype == NULL ? NULL : PyObject_GetAttrString(dtype, "kind");
  const char *code = kind == NULL ? NULL : PyUnicode_AsUTF8AndSize(kind, NULL);
  int matches = code != NULL && code[0] != '\0' && strchr("UOTS", code[0]) != NULL;
  Py_XDECREF(kind);
  Py_XDECREF(dtype);
  PyErr_Clear();
  return matches;
}

/* martlet._interop.<function>(object, what): what builds tensors of Python objects. */
static PyObject *by_interop(const char *function, PyObject *object, const char *what) {
  PyObject *interop = PyImport_ImportModule("martlet._interop");
  if (interop == NULL) return NULL;
  PyObject *result = PyObject_CallMethod(interop, function, "Os", object, what);
  Py_DECREF(interop);
  return result;
}

/* A Tensor of an object with a buffer; *is_done is false, and the result NULL, where its __dlpack__()
 * is to be tried. */
static PyObject *from_buffered(ModuleState *state, PyObject *object, const char *what,
                               Py_buffer *later, int *is_done) {
  PyObject *result = from_buffer(state, object, what, later);
  *is_done = 1;
  if (result != NULL) return result;
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  if (later == NULL && is_text_array(object)) {
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    return by_interop("from_texts", object, what);
  }
  if (PyErr_GivenExceptionMatches(type, state->error) ||
      (!from_ml_array(state, object, what, later, &result) &&
       !PyObject_HasAttrString(object, "__dlpack__"))) {
    PyErr_Restore(type, value, traceback);
    return NULL;
  }
  *is_done = result != NULL || PyErr_Occurred() != NULL;
  Py_XDECREF(type);
  Py_XDECREF(value);
  Py_XDECREF(traceback);
  return result;
}

static PyObject *refuse(PyObject *object, const char *what, const char *expected) {
  PyObject *type_name = PyObject_GetAttrString((PyObject *)Py_TYPE(object), "__name__");
  if (type_name == NULL) return NULL;
  if (object == Py_None) PyErr_Format(PyExc_TypeError, "%s is None; expected %s", what, expected);
  else PyErr_Format(PyExc_TypeError, "%s is of type %S; expected %s", what, type_name, expected);
  Py_DECREF(type_name);
  return NULL;
}

PyObject *as_tensor(ModuleState *state, PyObject *object, const char *what) {
  if (Py_TYPE(object) == state->tensor_type) return Py_NewRef(object);
  if (PyUnicode_Check(object)) return by_interop("from_texts", object, what);
  if (PyList_Check(object) || PyTuple_Check(object)) return by_interop("from_list", object, what);
  if (PyObject_CheckBuffer(object)) {
    int is_done;
    PyObject *result = from_buffered(state, object, what, NULL, &is_done);
    if (is_done) return result;
  }
  if (PyObject_HasAttrString(object, "__dlpack__"))
    return tensor_from_dlpack(state, object, what, 0);
  if (PyLong_Check(object) || PyFloat_CheckExact(object)) return from_number(state, object, what);
  if (PyObject_HasAttrString(object, "__array__")) {
    PyObject *array = PyObject_CallMethod(object, "__array__", NULL);
    if (array == NULL) return NULL;
    PyObject *result = NULL;
    if (PyObject_CheckBuffer(array)) result = as_tensor(state, array, what);
    else PyErr_Format(PyExc_TypeError, "%s has an __array__() that gives no array", what);
    Py_DECREF(array);
    return result;
  }
  if (PyObject_HasAttrString(object, "__array_interface__"))
    return by_interop("from_interface", object, what);
  if (PyObject_HasAttrString(object, "toarray"))
    return refuse(object, what, "an array with all elements: its toarray()");
  return refuse(object, what,
                "a number, a list of them, a Tensor, a NumPy array, or anything with a buffer, "
                "__dlpack__ or __array__");
}

PyObject *as_output(ModuleState *state, PyObject *object, const char *what, Py_buffer *later) {
  if (Py_TYPE(object) == state->tensor_type) return Py_NewRef(object);
  if (PyObject_CheckBuffer(object)) {
    int is_done;
    PyObject *result = from_buffered(state, object, what, later, &is_done);
    if (is_done) return result;
  }
  if (PyObject_HasAttrString(object, "__dlpack__"))
    return tensor_from_dlpack(state, object, what, 1);
  return refuse(object, what,
                "what can be written into: a Tensor, a NumPy array, or anything with a buffer or "
                "__dlpack__");
}
