/* martlet.Tensor: what Python may ask of one and do with it. */
#include <stdlib.h>

#include "extension.h"

static void tensor_dealloc(PyObject *object) {
  TensorObject *self = (TensorObject *)object;
  PyTypeObject *type = Py_TYPE(object);
  martlet_tensor_release(self->handle);
  free(self->extents);
  ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
  Py_DECREF(type);
  drain_owners();
}

static PyObject *tensor_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static char *keywords[] = {"data", "dtype", NULL};
  PyObject *data, *dtype_argument = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O", keywords, &data, &dtype_argument))
    return NULL;
  ModuleState *state = PyType_GetModuleState(type);
  PyObject *result = as_tensor(state, data, "data");
  if (result == NULL || dtype_argument == Py_None) return result;
  PyObject *converted = PyObject_CallMethod(result, "astype", "O", dtype_argument);
  Py_DECREF(result);
  return converted;
}

/* ---- attributes */

static PyObject *tuple_of(const Py_ssize_t *values, int32_t count) {
  PyObject *tuple = PyTuple_New(count);
  for (int32_t i = 0; tuple != NULL && i < count; i++) {
    PyObject *value = PyLong_FromSsize_t(values[i]);
    if (value == NULL || PyTuple_SetItem(tuple, i, value) < 0) Py_CLEAR(tuple);
  }
  return tuple;
}

static PyObject *tensor_shape(PyObject *self, void *closure) {
  (void)closure;
  TensorObject *tensor = (TensorObject *)self;
  return tuple_of(tensor->extents, tensor->rank);
}

static PyObject *tensor_strides(PyObject *self, void *closure) {
  (void)closure;
  TensorObject *tensor = (TensorObject *)self;
  return tuple_of(tensor->extents + tensor->rank, tensor->rank);
}

static PyObject *tensor_dtype(PyObject *self, void *closure) {
  (void)closure;
  return PyUnicode_FromString(martlet_dtype_name(((TensorObject *)self)->dtype));
}

static PyObject *tensor_ndim(PyObject *self, void *closure) {
  (void)closure;
  return PyLong_FromLong(((TensorObject *)self)->rank);
}

static int64_t count_of(const TensorObject *self) {
  int64_t count = 0;
  martlet_tensor_element_count(self->handle, &count);
  return count;
}

static PyObject *tensor_size(PyObject *self, void *closure) {
  (void)closure;
  return PyLong_FromLongLong(count_of((TensorObject *)self));
}

static PyObject *tensor_nbytes(PyObject *self, void *closure) {
  (void)closure;
  size_t bytes = 0;
  martlet_tensor_byte_count(((TensorObject *)self)->handle, &bytes);
  return PyLong_FromSize_t(bytes);
}

static PyObject *tensor_is_read_only(PyObject *self, void *closure) {
  (void)closure;
  bool is_read_only = false;
  martlet_tensor_is_read_only(((TensorObject *)self)->handle, &is_read_only);
  return PyBool_FromLong(is_read_only);
}

/* ---- methods */

static PyObject *tensor_copy(PyObject *self, PyObject *unused) {
  (void)unused;
  martlet_tensor *copy = NULL;
  martlet_status status;
  Py_BEGIN_ALLOW_THREADS status = martlet_tensor_copy(((TensorObject *)self)->handle, &copy);
  Py_END_ALLOW_THREADS ModuleState *state = state_of(self);
  return status == MARTLET_OK ? tensor_object(state, copy) : raise_status(state, status);
}

static PyObject *tensor_astype(PyObject *self, PyObject *argument) {
  martlet_dtype dtype = dtype_from_object(argument);
  if (dtype == MARTLET_DTYPE_UNKNOWN) return NULL;
  if (dtype == ((TensorObject *)self)->dtype) return Py_NewRef(self);
  martlet_tensor *converted = NULL;
  martlet_status status;
  Py_BEGIN_ALLOW_THREADS status =
    martlet_tensor_convert(((TensorObject *)self)->handle, dtype, &converted);
  Py_END_ALLOW_THREADS ModuleState *state = state_of(self);
  return status == MARTLET_OK ? tensor_object(state, converted) : raise_status(state, status);
}

static PyObject *tensor_tobytes(PyObject *self, PyObject *unused) {
  (void)unused;
  size_t bytes = 0;
  martlet_status status = martlet_tensor_byte_count(((TensorObject *)self)->handle, &bytes);
  if (status != MARTLET_OK) return raise_status(state_of(self), status);
  PyObject *result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)bytes);
  if (result == NULL) return NULL;
  status = martlet_tensor_read(((TensorObject *)self)->handle, PyBytes_AsString(result), bytes);
  if (status == MARTLET_OK) return result;
  Py_DECREF(result);
  return raise_status(state_of(self), status);
}

/* Calls martlet._interop.<name>(self, ...): what needs NumPy or builds Python objects. */
static PyObject *call_interop(const char *name, PyObject *self, PyObject *args, PyObject *kwargs) {
  PyObject *interop = PyImport_ImportModule("martlet._interop");
  PyObject *function = interop == NULL ? NULL : PyObject_GetAttrString(interop, name);
  Py_ssize_t count = args == NULL ? 0 : PyTuple_Size(args);
  PyObject *all = function == NULL ? NULL : PyTuple_New(count + 1);
  PyObject *result = NULL;
  if (all != NULL && PyTuple_SetItem(all, 0, Py_NewRef(self)) == 0) {
    Py_ssize_t i = 0;
    while (i < count && PyTuple_SetItem(all, i + 1, Py_NewRef(PyTuple_GetItem(args, i))) == 0) i++;
    if (i == count) result = PyObject_Call(function, all, kwargs);
  }
  Py_XDECREF(all);
  Py_XDECREF(function);
  Py_XDECREF(interop);
  return result;
}

static PyObject *tensor_numpy(PyObject *self, PyObject *unused) {
  (void)unused;
  return call_interop("to_numpy", self, NULL, NULL);
}

static PyObject *tensor_array(PyObject *self, PyObject *args, PyObject *kwargs) {
  return call_interop("to_numpy", self, args, kwargs);
}

static PyObject *tensor_tolist(PyObject *self, PyObject *unused) {
  (void)unused;
  return call_interop("to_list", self, NULL, NULL);
}

static PyObject *tensor_transpose(PyObject *self, void *closure) {
  (void)closure;
  return call_interop("transpose", self, NULL, NULL);
}

static PyObject *tensor_reshape(PyObject *self, PyObject *args) {
  return call_interop("reshape", self, args, NULL);
}

static PyObject *tensor_argmax(PyObject *self, PyObject *args, PyObject *kwargs) {
  return call_interop("argmax", self, args, kwargs);
}

static PyObject *tensor_format(PyObject *self, PyObject *args) {
  return call_interop("formatted", self, args, NULL);
}

static PyObject *tensor_item(PyObject *self, PyObject *unused) {
  (void)unused;
  if (count_of((TensorObject *)self) != 1) {
    PyErr_Format(PyExc_ValueError,
                 "item() needs a tensor of one element, this one has %lld; tolist() gives all",
                 (long long)count_of((TensorObject *)self));
    return NULL;
  }
  return call_interop("to_item", self, NULL, NULL);
}

static PyObject *tensor_reduce(PyObject *self, PyObject *unused) {
  (void)unused;
  return call_interop("reduce_tensor", self, NULL, NULL);
}

static PyObject *tensor_dlpack_device(PyObject *self, PyObject *unused) {
  (void)self, (void)unused;
  return Py_BuildValue("(ii)", 1, 0); /* kDLCPU */
}

static PyObject *tensor_dlpack(PyObject *self, PyObject *args, PyObject *kwargs) {
  return tensor_to_dlpack((TensorObject *)self, args, kwargs);
}

static Py_ssize_t tensor_length(PyObject *self) {
  TensorObject *tensor = (TensorObject *)self;
  if (tensor->rank == 0) {
    PyErr_SetString(PyExc_TypeError, "a scalar tensor has no length");
    return -1;
  }
  return tensor->extents[0];
}

/* ---- buffer protocol */

static const char *format_of(martlet_dtype dtype) {
  switch (dtype) {
    case MARTLET_FLOAT32: return "f";
    case MARTLET_FLOAT64: return "d";
    case MARTLET_FLOAT16: return "e";
    case MARTLET_INT8: return "b";
    case MARTLET_INT16: return "h";
    case MARTLET_INT32: return "i";
    case MARTLET_INT64: return "q";
    case MARTLET_UINT8: return "B";
    case MARTLET_UINT16: return "H";
    case MARTLET_UINT32: return "I";
    case MARTLET_UINT64: return "Q";
    case MARTLET_BOOL: return "?";
    default: return NULL;
  }
}

static int tensor_get_buffer(PyObject *object, Py_buffer *view, int flags) {
  TensorObject *self = (TensorObject *)object;
  const char *format = format_of(self->dtype);
  bool is_read_only = true, is_contiguous = false;
  const void *data = NULL;
  size_t bytes = 0;
  martlet_tensor_is_read_only(self->handle, &is_read_only);
  martlet_tensor_is_contiguous(self->handle, &is_contiguous);
  martlet_tensor_byte_count(self->handle, &bytes);
  martlet_tensor_data(self->handle, &data);
  const char *refusal = NULL;
  if (self->dtype == MARTLET_STRING) {
    refusal = "strings have no buffer; use numpy() or tolist()";
  } else if (format == NULL) {
    refusal =
      "the buffer protocol has no code for bfloat16 and floats or integers of 8 bits and "
      "less; use numpy(), tobytes(), DLPack or astype()";
  } else if ((flags & PyBUF_WRITABLE) && is_read_only) {
    refusal = "the tensor is read-only";
  } else if (((flags & PyBUF_STRIDES) != PyBUF_STRIDES ||
              (flags & PyBUF_C_CONTIGUOUS) == PyBUF_C_CONTIGUOUS ||
              (flags & PyBUF_F_CONTIGUOUS) == PyBUF_F_CONTIGUOUS) &&
             !is_contiguous) {
    refusal = "the tensor is not contiguous";
  } else if ((flags & PyBUF_F_CONTIGUOUS) == PyBUF_F_CONTIGUOUS && self->rank > 1) {
    refusal = "the tensor is not in Fortran order";
  }
  view->obj = NULL;
  if (refusal != NULL) {
    PyErr_SetString(PyExc_BufferError, refusal);
    return -1;
  }
  view->obj = Py_NewRef(object);
  view->buf = (void *)data;
  view->len = (Py_ssize_t)bytes;
  view->readonly = is_read_only;
  view->itemsize = (Py_ssize_t)martlet_dtype_size(self->dtype);
  view->format = (flags & PyBUF_FORMAT) ? (char *)format : NULL;
  view->ndim = self->rank;
  view->shape = (flags & PyBUF_ND) ? self->extents : NULL;
  view->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? self->extents + self->rank : NULL;
  view->suboffsets = NULL;
  view->internal = NULL;
  return 0;
}

/* ---- the type */

static PyMethodDef methods[] = {
  {"numpy", tensor_numpy, METH_NOARGS, "A NumPy array over the same memory."},
  {"tolist", tensor_tolist, METH_NOARGS, "The elements as nested lists."},
  {"item", tensor_item, METH_NOARGS, "The only element as a Python number."},
  {"tobytes", tensor_tobytes, METH_NOARGS, "The elements' bytes, row-major and packed."},
  {"copy", tensor_copy, METH_NOARGS, "A contiguous copy."},
  {"reshape", tensor_reshape, METH_VARARGS, "The elements in row-major order in another shape."},
  {"argmax", (PyCFunction)(void (*)(void))tensor_argmax, METH_VARARGS | METH_KEYWORDS,
   "The index of the first largest element."},
  {"__format__", tensor_format, METH_VARARGS, NULL},
  {"astype", tensor_astype, METH_O, "The elements in another dtype."},
  {"__array__", (PyCFunction)(void (*)(void))tensor_array, METH_VARARGS | METH_KEYWORDS,
   "A NumPy array of the elements."},
  {"__dlpack__", (PyCFunction)(void (*)(void))tensor_dlpack, METH_VARARGS | METH_KEYWORDS,
   "A DLPack capsule over the same memory."},
  {"__dlpack_device__", tensor_dlpack_device, METH_NOARGS, "The CPU, (1, 0)."},
  {"__reduce__", tensor_reduce, METH_NOARGS, NULL},
  {NULL, NULL, 0, NULL},
};

static PyGetSetDef getters[] = {
  {"shape", tensor_shape, NULL, "The extents, outermost first.", NULL},
  {"strides", tensor_strides, NULL,
   "Bytes between neighbours along each axis; 0 where elements are less than a byte.", NULL},
  {"dtype", tensor_dtype, NULL, "The name of the element type.", NULL},
  {"ndim", tensor_ndim, NULL, "The number of axes.", NULL},
  {"size", tensor_size, NULL, "The number of elements.", NULL},
  {"nbytes", tensor_nbytes, NULL, "Bytes of the elements.", NULL},
  {"T", tensor_transpose, NULL, "The axes in the other order, over the same memory.", NULL},
  {"is_read_only", tensor_is_read_only, NULL, "Whether the elements may not be written.", NULL},
  {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
  {Py_tp_doc,
   "Tensor(data, dtype=None)\n--\n\n"
   "An n-dimensional array over the memory of data where its layout allows.\n\n"
   "data is a Tensor, a NumPy array, anything with a buffer or __dlpack__, or a "
   "number."},
  {Py_tp_new, tensor_new},
  {Py_tp_dealloc, tensor_dealloc},
  {Py_tp_methods, methods},
  {Py_tp_getset, getters},
  {Py_sq_length, tensor_length},
  {Py_bf_getbuffer, tensor_get_buffer},
  {0, NULL},
};

PyType_Spec tensor_spec = {
  .name = "martlet.Tensor",
  .basicsize = sizeof(TensorObject),
  .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
  .slots = slots,
};
