/* Tensors over part of another's memory. */
#include "extension.h"

/* How far elements of these extents and strides in bytes reach below and above the first of them, its
 * own bytes included. False where that cannot be addressed. */
static int reach_of(int rank, const int64_t *extents, const int64_t *strides, int64_t size,
                    int64_t *below, int64_t *above) {
  *below = 0;
  *above = size;
  for (int axis = 0; axis < rank; axis++) {
    int64_t reach;
    if (extents[axis] == 0) {
      *below = *above = 0;
      return 1;
    }
    if (__builtin_mul_overflow(extents[axis] - 1, strides[axis], &reach)) return 0;
    if (reach < 0 ? __builtin_sub_overflow(*below, reach, below)
                  : __builtin_add_overflow(*above, reach, above))
      return 0;
  }
  return 1;
}

static void release_tensor(void *handle) { martlet_tensor_release(handle); }

/* Integers of a tuple into `values`, at most 32. How many; -1 with an exception. */
static int take(ModuleState *state, PyObject *tuple, int64_t *values) {
  Py_ssize_t count = PyTuple_Size(tuple);
  if (count > MAX_RANK) {
    PyErr_Format(state->errors[MARTLET_INVALID_SHAPE], "a tensor has at most %d axes, not %zd",
                 MAX_RANK, count);
    return -1;
  }
  for (Py_ssize_t i = 0; i < count; i++) {
    values[i] = PyLong_AsLongLong(PyTuple_GetItem(tuple, i));
    if (values[i] == -1 && PyErr_Occurred()) return -1;
  }
  return (int)count;
}

/* view(tensor, offset, shape, strides): a Tensor over the memory of another, which has its first
 * element `offset` bytes from the other's; strides in bytes. */
PyObject *tensor_view(PyObject *module, PyObject *args) {
  ModuleState *state = PyModule_GetState(module);
  PyObject *object, *shape_tuple, *stride_tuple;
  long long offset;
  if (!PyArg_ParseTuple(args, "O!LO!O!", state->tensor_type, &object, &offset, &PyTuple_Type,
                        &shape_tuple, &PyTuple_Type, &stride_tuple))
    return NULL;
  TensorObject *base = (TensorObject *)object;
  int64_t shape[MAX_RANK], strides[MAX_RANK], own[MAX_RANK];
  int rank = take(state, shape_tuple, shape);
  if (rank < 0 || take(state, stride_tuple, strides) < 0) return NULL;
  int64_t size = (int64_t)martlet_dtype_size(base->dtype);
  int64_t below, above, base_below, base_above;
  for (int axis = 0; axis < base->rank; axis++) own[axis] = base->extents[base->rank + axis];
  int fits = size > 0 && PyTuple_Size(stride_tuple) == rank && offset % size == 0 &&
             reach_of(base->rank, base->shape, own, size, &base_below, &base_above) &&
             reach_of(rank, shape, strides, size, &below, &above) && offset >= -base_below &&
             offset <= base_above && below <= offset + base_below && above <= base_above - offset;
  for (int axis = 0; fits && axis < rank; axis++) {
    fits = shape[axis] >= 0 && strides[axis] % size == 0;
    strides[axis] /= size;
  }
  if (!fits) {
    PyErr_SetString(PyExc_ValueError, "no view: its elements do not lie within the tensor's");
    return NULL;
  }
  bool is_read_only = true;
  const void *data = NULL;
  martlet_tensor_is_read_only(base->handle, &is_read_only);
  martlet_status status = martlet_tensor_data(base->handle, &data);
  if (status != MARTLET_OK) return raise_status(state, status);
  Owner *owner = owner_of_pointer(base->handle, release_tensor);
  if (owner == NULL) return NULL;
  martlet_tensor_retain(base->handle);
  martlet_tensor *handle = NULL;
  status = martlet_tensor_wrap_strided(
    (char *)data + offset - below, (size_t)(below + above), (size_t)below, base->dtype, rank, shape,
    strides, is_read_only ? MARTLET_WRAP_READ_ONLY : 0, owner_deleter, owner, &handle);
  if (status == MARTLET_OK) return tensor_object(state, handle);
  raise_status(state, status);
  owner_release(owner);
  return NULL;
}
