#include <stdlib.h>

#include "extension.h"

/* Values that are no tensors, for martlet._values. */

typedef struct {
  PyObject_HEAD
  martlet_value *handle;
} ValueObject;

/* Takes over the handle, also on failure. */
static PyObject *value_object(ModuleState *state, martlet_value *handle) {
  ValueObject *self = PyObject_New(ValueObject, state->value_type);
  if (self == NULL) martlet_value_release(handle);
  else self->handle = handle;
  return (PyObject *)self;
}

static PyObject *made(ModuleState *state, martlet_status status, martlet_value *handle) {
  return status == MARTLET_OK ? value_object(state, handle) : raise_status(state, status);
}

static void value_dealloc(PyObject *object) {
  PyTypeObject *type = Py_TYPE(object);
  martlet_value_release(((ValueObject *)object)->handle);
  ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
  Py_DECREF(type);
  drain_owners();
}

/* The handles of a tuple of Values, to be freed; NULL with an exception. */
static martlet_value **handles_of(ModuleState *state, PyObject *tuple) {
  Py_ssize_t count = PyTuple_Size(tuple);
  martlet_value **handles = calloc((size_t)count + 1, sizeof *handles);
  if (handles == NULL) {
    PyErr_NoMemory();
    return NULL;
  }
  for (Py_ssize_t i = 0; i < count; i++) {
    PyObject *item = PyTuple_GetItem(tuple, i);
    if (Py_TYPE(item) != state->value_type) {
      PyErr_SetString(PyExc_TypeError, "expected Values");
      free(handles);
      return NULL;
    }
    handles[i] = ((ValueObject *)item)->handle;
  }
  return handles;
}

/* ---- making */

static PyObject *value_from_tensor(PyObject *module, PyObject *argument) {
  ModuleState *state = PyModule_GetState(module);
  PyObject *tensor = as_tensor(state, argument, "value");
  if (tensor == NULL) return NULL;
  martlet_value *handle = NULL;
  martlet_status status = martlet_value_from_tensor(((TensorObject *)tensor)->handle, &handle);
  Py_DECREF(tensor);
  return made(state, status, handle);
}

static PyObject *value_sequence(PyObject *module, PyObject *args) {
  ModuleState *state = PyModule_GetState(module);
  PyObject *elements, *dtype_object;
  if (!PyArg_ParseTuple(args, "O!O", &PyTuple_Type, &elements, &dtype_object)) return NULL;
  martlet_dtype dtype = MARTLET_DTYPE_UNKNOWN;
  if (dtype_object != Py_None && (dtype = dtype_from_object(dtype_object)) == MARTLET_DTYPE_UNKNOWN)
    return NULL;
  martlet_value **handles = handles_of(state, elements);
  if (handles == NULL) return NULL;
  martlet_value *handle = NULL;
  martlet_status status =
    martlet_value_create_sequence(handles, (size_t)PyTuple_Size(elements), dtype, &handle);
  free(handles);
  return made(state, status, handle);
}

static PyObject *value_optional(PyObject *module, PyObject *argument) {
  ModuleState *state = PyModule_GetState(module);
  if (argument != Py_None && Py_TYPE(argument) != state->value_type) {
    PyErr_SetString(PyExc_TypeError, "expected a Value or None");
    return NULL;
  }
  martlet_value *handle = NULL;
  martlet_status status = martlet_value_create_optional(
    argument == Py_None ? NULL : ((ValueObject *)argument)->handle, &handle);
  return made(state, status, handle);
}

static PyObject *value_map(PyObject *module, PyObject *args) {
  ModuleState *state = PyModule_GetState(module);
  PyObject *keys_object, *values;
  if (!PyArg_ParseTuple(args, "OO!", &keys_object, &PyTuple_Type, &values)) return NULL;
  PyObject *keys = as_tensor(state, keys_object, "keys");
  if (keys == NULL) return NULL;
  martlet_value **handles = handles_of(state, values);
  martlet_value *handle = NULL;
  martlet_status status = MARTLET_OK;
  if (handles != NULL) {
    status = martlet_value_create_map(((TensorObject *)keys)->handle, handles,
                                      (size_t)PyTuple_Size(values), &handle);
  }
  Py_DECREF(keys);
  if (handles == NULL) return NULL;
  free(handles);
  return made(state, status, handle);
}

static PyObject *value_state(PyObject *module, PyObject *args) {
  ModuleState *state = PyModule_GetState(module);
  PyObject *initial_object;
  int axis;
  long long capacity;
  if (!PyArg_ParseTuple(args, "OiL", &initial_object, &axis, &capacity)) return NULL;
  PyObject *initial = as_tensor(state, initial_object, "initial");
  if (initial == NULL) return NULL;
  martlet_value *handle = NULL;
  martlet_status status =
    martlet_value_create_state(((TensorObject *)initial)->handle, axis, capacity, &handle);
  Py_DECREF(initial);
  return made(state, status, handle);
}

/* from_strings(flat tuple of str or bytes, shape) -> Tensor */
static PyObject *from_strings(PyObject *module, PyObject *args) {
  ModuleState *state = PyModule_GetState(module);
  PyObject *strings, *shape_object;
  if (!PyArg_ParseTuple(args, "O!O!", &PyTuple_Type, &strings, &PyTuple_Type, &shape_object))
    return NULL;
  Py_ssize_t count = PyTuple_Size(strings), rank = PyTuple_Size(shape_object);
  const char **texts = calloc((size_t)count + 1, sizeof *texts);
  size_t *sizes = calloc((size_t)count + 1, sizeof *sizes);
  int64_t *shape = calloc((size_t)rank + 1, sizeof *shape);
  PyObject *result = NULL;
  martlet_tensor *handle = NULL;
  martlet_status status;
  if (texts == NULL || sizes == NULL || shape == NULL) {
    PyErr_NoMemory();
    goto done;
  }
  int64_t wanted = 1;
  for (Py_ssize_t axis = 0; axis < rank; axis++) {
    shape[axis] = PyLong_AsLongLong(PyTuple_GetItem(shape_object, axis));
    if (PyErr_Occurred()) goto done;
    if (__builtin_mul_overflow(wanted, shape[axis], &wanted)) wanted = -1;
  }
  if (wanted != count) {
    PyErr_Format(PyExc_ValueError, "%zd strings do not fill the shape", count);
    goto done;
  }
  for (Py_ssize_t i = 0; i < count; i++) {
    PyObject *item = PyTuple_GetItem(strings, i);
    Py_ssize_t size = 0;
    char *bytes = NULL;
    if (PyUnicode_Check(item)) texts[i] = PyUnicode_AsUTF8AndSize(item, &size);
    else if (PyBytes_AsStringAndSize(item, &bytes, &size) == 0) texts[i] = bytes;
    if (texts[i] == NULL) goto done;
    sizes[i] = (size_t)size;
  }
  status = martlet_tensor_from_strings(texts, sizes, (int32_t)rank, shape, &handle);
  result = status == MARTLET_OK ? tensor_object(state, handle) : raise_status(state, status);
done:
  free(texts);
  free(sizes);
  free(shape);
  return result;
}

/* The elements of a string tensor as a flat list of str. */
static PyObject *string_list(PyObject *module, PyObject *argument) {
  ModuleState *state = PyModule_GetState(module);
  if (Py_TYPE(argument) != state->tensor_type) {
    PyErr_SetString(PyExc_TypeError, "expected a Tensor");
    return NULL;
  }
  const martlet_tensor *handle = ((TensorObject *)argument)->handle;
  int64_t count = 0;
  martlet_tensor_element_count(handle, &count);
  PyObject *list = PyList_New((Py_ssize_t)count);
  for (int64_t i = 0; list != NULL && i < count; i++) {
    const char *text = NULL;
    size_t size = 0;
    martlet_status status = martlet_tensor_string(handle, i, &text, &size);
    if (status != MARTLET_OK) {
      Py_DECREF(list);
      return raise_status(state, status);
    }
    PyObject *item = PyUnicode_DecodeUTF8(text, (Py_ssize_t)size, NULL);
    if (item == NULL || PyList_SetItem(list, (Py_ssize_t)i, item) < 0) Py_CLEAR(list);
  }
  return list;
}

PyMethodDef value_methods[] = {
  {"value_from_tensor", value_from_tensor, METH_O, NULL},
  {"value_sequence", value_sequence, METH_VARARGS, NULL},
  {"value_optional", value_optional, METH_O, NULL},
  {"value_map", value_map, METH_VARARGS, NULL},
  {"value_state", value_state, METH_VARARGS, NULL},
  {"from_strings", from_strings, METH_VARARGS, NULL},
  {"string_list", string_list, METH_O, NULL},
  {NULL, NULL, 0, NULL},
};

/* ---- looking into one */

static PyObject *value_kind(PyObject *self, PyObject *unused) {
  (void)unused;
  martlet_value_kind kind = 0;
  martlet_value_kind_of(((ValueObject *)self)->handle, &kind);
  return PyLong_FromLong(kind);
}

static PyObject *value_elements(PyObject *self, PyObject *unused) {
  (void)unused;
  ModuleState *state = state_of(self);
  const martlet_value *handle = ((ValueObject *)self)->handle;
  size_t count = 0;
  martlet_status status = martlet_value_count(handle, &count);
  PyObject *all = PyTuple_New((Py_ssize_t)count);
  for (size_t i = 0; status == MARTLET_OK && all != NULL && i < count; i++) {
    martlet_value *element = NULL;
    status = martlet_value_element(handle, i, &element);
    if (status != MARTLET_OK) break;
    PyObject *item = value_object(state, element);
    if (item == NULL || PyTuple_SetItem(all, (Py_ssize_t)i, item) < 0) Py_CLEAR(all);
  }
  if (status == MARTLET_OK) return all;
  Py_XDECREF(all);
  return raise_status(state, status);
}

typedef martlet_status (*tensor_function)(const martlet_value *, martlet_tensor **);

static PyObject *tensor_of(PyObject *self, tensor_function function) {
  ModuleState *state = state_of(self);
  martlet_tensor *tensor = NULL;
  martlet_status status = function(((ValueObject *)self)->handle, &tensor);
  return status == MARTLET_OK ? tensor_object(state, tensor) : raise_status(state, status);
}

static PyObject *value_keys(PyObject *self, PyObject *unused) {
  (void)unused;
  return tensor_of(self, martlet_value_keys);
}

static PyObject *value_tensor(PyObject *self, PyObject *unused) {
  (void)unused;
  return tensor_of(self, martlet_value_tensor);
}

static PyMethodDef methods[] = {
  {"kind", value_kind, METH_NOARGS, NULL},
  {"elements", value_elements, METH_NOARGS, NULL},
  {"keys", value_keys, METH_NOARGS, NULL},
  {"tensor", value_tensor, METH_NOARGS, NULL},
  {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
  {Py_tp_dealloc, value_dealloc},
  {Py_tp_methods, methods},
  {0, NULL},
};

PyType_Spec value_spec = {
  .name = "martlet._martlet.Value",
  .basicsize = sizeof(ValueObject),
  .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
  .slots = slots,
};

/* ---- running */

martlet_value **value_handles(ModuleState *state, PyObject *tuple) {
  return handles_of(state, tuple);
}

PyObject *value_results(ModuleState *state, martlet_value **handles, size_t count) {
  PyObject *results = PyTuple_New((Py_ssize_t)count);
  for (size_t i = 0; i < count; i++) {
    if (results == NULL) {
      martlet_value_release(handles[i]);
      continue;
    }
    PyObject *value = value_object(state, handles[i]);
    if (value == NULL || PyTuple_SetItem(results, (Py_ssize_t)i, value) < 0) Py_CLEAR(results);
  }
  return results;
}
