/* Tensor objects over handles. */
#include <stdlib.h>

#include "extension.h"

PyObject *tensor_object(ModuleState *state, martlet_tensor *handle) {
  const int64_t *strides = NULL;
  TensorObject *self = PyObject_New(TensorObject, state->tensor_type);
  if (self == NULL) {
    martlet_tensor_release(handle);
    return NULL;
  }
  self->handle = handle;
  self->extents = NULL;
  martlet_status status = martlet_tensor_dtype(handle, &self->dtype);
  if (status == MARTLET_OK) status = martlet_tensor_shape(handle, &self->rank, &self->shape);
  if (status == MARTLET_OK) status = martlet_tensor_strides(handle, &strides);
  if (status != MARTLET_OK) {
    raise_status(state, status);
    Py_DECREF(self);
    return NULL;
  }
  self->extents = malloc((size_t)(2 * self->rank + 1) * sizeof(Py_ssize_t));
  if (self->extents == NULL) {
    Py_DECREF(self);
    return PyErr_NoMemory();
  }
  Py_ssize_t size = (Py_ssize_t)martlet_dtype_size(self->dtype);
  for (int32_t axis = 0; axis < self->rank; axis++) {
    self->extents[axis] = (Py_ssize_t)self->shape[axis];
    self->extents[self->rank + axis] = (Py_ssize_t)strides[axis] * size;
  }
  return (PyObject *)self;
}
