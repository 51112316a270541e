#include <stdlib.h>
#include <string.h>

#include "extension.h"

/* The operands of one call: at most a handful of tensors, NULL where None was given. */
enum { MAX_OPERANDS = 4 };
typedef struct {
  PyObject *objects[MAX_OPERANDS];
  martlet_tensor *handles[MAX_OPERANDS];
} Operands;

static void release_operands(Operands *operands) {
  for (int i = 0; i < MAX_OPERANDS; i++) Py_XDECREF(operands->objects[i]);
  drain_owners();
}

/* Converts `count` objects, of which those after the first `required` may be None and are left out.
 * `names` are for errors. 0, or -1 with an exception. */
static int take_operands(ModuleState *state, Operands *operands, int count, int required,
                         PyObject **objects, const char *const *names) {
  *operands = (Operands){0};
  for (int i = 0; i < count; i++) {
    if (objects[i] == Py_None && i >= required) continue;
    operands->objects[i] = as_tensor(state, objects[i], names[i]);
    if (operands->objects[i] == NULL) {
      release_operands(operands);
      return -1;
    }
    operands->handles[i] = ((TensorObject *)operands->objects[i])->handle;
  }
  return 0;
}

/* Ends a call: the result as a Tensor, or the status as an exception. */
static PyObject *finish(ModuleState *state, Operands *operands, martlet_status status,
                        martlet_tensor *result) {
  PyObject *object = status == MARTLET_OK ? tensor_object(state, result)
                                          : raise_status(state, status);
  release_operands(operands);
  return object;
}

/* What Python's libraries call modes: dtypes, and torch.set_float32_matmul_precision()'s words. */
static const struct {
  const char *name;
  martlet_math_mode mode;
} MODE_ALIASES[] = {
  {"float32", MARTLET_MATH_FP32}, {"bfloat16", MARTLET_MATH_BF16}, {"medium", MARTLET_MATH_BF16},
  {"high", MARTLET_MATH_TF32},    {"float16", MARTLET_MATH_F16},   {"fp16", MARTLET_MATH_F16},
};
static const char MODE_CHOICES[] =
  "FP32 (float32, HIGHEST, STRICT, IEEE), BF16 (bfloat16, medium), TF32 (high), F16 (float16, "
  "fp16) "
  "or ANY";

static int mode_of_name(const char *name, martlet_math_mode *mode) {
  for (size_t i = 0; i < sizeof MODE_ALIASES / sizeof MODE_ALIASES[0]; i++) {
    if (PyOS_stricmp(MODE_ALIASES[i].name, name) == 0) {
      *mode = MODE_ALIASES[i].mode;
      return 1;
    }
  }
  return martlet_math_mode_from_name(name, mode) == MARTLET_OK;
}

int parse_mode(ModuleState *state, PyObject *object, martlet_math_mode *mode) {
  *mode = MARTLET_MATH_DEFAULT;
  if (object == Py_None) return 0;
  int is_text = PyUnicode_Check(object);
  PyObject *text = is_text ? Py_NewRef(object) : PyObject_Str(object);
  const char *name = text == NULL ? NULL : PyUnicode_AsUTF8AndSize(text, NULL);
  int is_torchs = name != NULL && !is_text && strncmp(name, "torch.", 6) == 0;
  int is_known = name != NULL && (is_text || is_torchs) && mode_of_name(name + 6 * is_torchs, mode);
  if (name != NULL && !is_text && !is_torchs) {
    PyErr_Format(PyExc_TypeError, "a fast-math mode is a str or None, not %R", object);
  } else if (name != NULL && !is_known) {
    PyObject *message =
      PyUnicode_FromFormat("unknown fast-math mode %R; choose %s", text, MODE_CHOICES);
    raise_message(state, MARTLET_NOT_FOUND, message, MODE_CHOICES, name);
  }
  Py_XDECREF(text);
  return is_known ? 0 : -1;
}

static PyObject *matmul(PyObject *module, PyObject *args) {
  static const char *const names[] = {"lhs", "rhs"};
  ModuleState *state = PyModule_GetState(module);
  PyObject *objects[2], *mode_name;
  martlet_math_mode mode;
  Operands in;
  if (!PyArg_ParseTuple(args, "OOO", &objects[0], &objects[1], &mode_name)) return NULL;
  if (parse_mode(state, mode_name, &mode) < 0) return NULL;
  if (take_operands(state, &in, 2, 2, objects, names) < 0) return NULL;
  martlet_tensor *result = NULL;
  martlet_status status;
  Py_BEGIN_ALLOW_THREADS status = martlet_matmul(in.handles[0], in.handles[1], mode, &result);
  Py_END_ALLOW_THREADS return finish(state, &in, status, result);
}

static PyObject *linear(PyObject *module, PyObject *args) {
  static const char *const names[] = {"input", "weight", "bias"};
  ModuleState *state = PyModule_GetState(module);
  PyObject *objects[3], *mode_name;
  martlet_math_mode mode;
  Operands in;
  if (!PyArg_ParseTuple(args, "OOOO", &objects[0], &objects[1], &objects[2], &mode_name))
    return NULL;
  if (parse_mode(state, mode_name, &mode) < 0) return NULL;
  if (take_operands(state, &in, 3, 2, objects, names) < 0) return NULL;
  martlet_tensor *result = NULL;
  martlet_status status;
  Py_BEGIN_ALLOW_THREADS status =
    martlet_linear(in.handles[0], in.handles[1], in.handles[2], mode, &result);
  Py_END_ALLOW_THREADS return finish(state, &in, status, result);
}

/* A tuple of `count` integers into `values`. 0, or -1 with an exception. */
static int take_integers(PyObject *tuple, int count, int64_t *values) {
  if (!PyTuple_Check(tuple) || PyTuple_Size(tuple) != count) {
    PyErr_Format(PyExc_ValueError, "expected a tuple of %d integers", count);
    return -1;
  }
  for (int i = 0; i < count; i++) {
    values[i] = PyLong_AsLongLong(PyTuple_GetItem(tuple, i));
    if (values[i] == -1 && PyErr_Occurred()) return -1;
  }
  return 0;
}

/* conv(input, weight, bias, axes, strides, dilations, pads, groups, mode) */
static PyObject *conv(PyObject *module, PyObject *args) {
  static const char *const names[] = {"input", "weight", "bias"};
  ModuleState *state = PyModule_GetState(module);
  PyObject *objects[3], *mode_name, *strides, *dilations, *pads;
  int axes;
  long long groups;
  martlet_math_mode mode;
  Operands in;
  int64_t stride_values[3], dilation_values[3], pad_values[6];
  if (!PyArg_ParseTuple(args, "OOOiOOOLO", &objects[0], &objects[1], &objects[2], &axes, &strides,
                        &dilations, &pads, &groups, &mode_name))
    return NULL;
  if (axes < 1 || axes > 3 || groups < 1) {
    PyErr_SetString(PyExc_ValueError, "conv: axes must be 1 to 3 and groups at least 1");
    return NULL;
  }
  if (take_integers(strides, axes, stride_values) < 0 ||
      take_integers(dilations, axes, dilation_values) < 0 ||
      take_integers(pads, 2 * axes, pad_values) < 0 || parse_mode(state, mode_name, &mode) < 0 ||
      take_operands(state, &in, 3, 2, objects, names) < 0)
    return NULL;
  int32_t rank = ((TensorObject *)in.objects[0])->rank;
  if (rank != axes + 2) {
    PyErr_Format(state->errors[MARTLET_INVALID_SHAPE],
                 "conv%dd: input must have %d dimensions [batch, channels, ...], it has %d", axes,
                 axes + 2, (int)rank);
    release_operands(&in);
    return NULL;
  }
  martlet_conv_options options = {sizeof options, stride_values, dilation_values, pad_values,
                                  groups};
  martlet_tensor *result = NULL;
  martlet_status status;
  Py_BEGIN_ALLOW_THREADS status =
    martlet_conv(in.handles[0], in.handles[1], in.handles[2], &options, mode, &result);
  Py_END_ALLOW_THREADS return finish(state, &in, status, result);
}

static PyObject *softmax(PyObject *module, PyObject *args) {
  static const char *const names[] = {"input"};
  ModuleState *state = PyModule_GetState(module);
  PyObject *object;
  long long axis;
  Operands in;
  if (!PyArg_ParseTuple(args, "OL", &object, &axis)) return NULL;
  if (take_operands(state, &in, 1, 1, &object, names) < 0) return NULL;
  martlet_tensor *result = NULL;
  martlet_status status;
  Py_BEGIN_ALLOW_THREADS status = martlet_softmax(in.handles[0], axis, &result);
  Py_END_ALLOW_THREADS return finish(state, &in, status, result);
}

static PyObject *layer_norm(PyObject *module, PyObject *args) {
  static const char *const names[] = {"input", "weight", "bias"};
  ModuleState *state = PyModule_GetState(module);
  PyObject *objects[3];
  long long axis;
  float epsilon;
  Operands in;
  if (!PyArg_ParseTuple(args, "OOOLf", &objects[0], &objects[1], &objects[2], &axis, &epsilon))
    return NULL;
  if (take_operands(state, &in, 3, 1, objects, names) < 0) return NULL;
  martlet_tensor *result = NULL;
  martlet_status status;
  Py_BEGIN_ALLOW_THREADS status =
    martlet_layer_norm(in.handles[0], in.handles[1], in.handles[2], axis, epsilon, &result);
  Py_END_ALLOW_THREADS return finish(state, &in, status, result);
}

static PyObject *gelu(PyObject *module, PyObject *args) {
  static const char *const names[] = {"input"};
  ModuleState *state = PyModule_GetState(module);
  PyObject *object;
  int use_tanh;
  Operands in;
  if (!PyArg_ParseTuple(args, "Op", &object, &use_tanh)) return NULL;
  if (take_operands(state, &in, 1, 1, &object, names) < 0) return NULL;
  martlet_tensor *result = NULL;
  martlet_status status;
  Py_BEGIN_ALLOW_THREADS status = martlet_gelu(in.handles[0], use_tanh != 0, &result);
  Py_END_ALLOW_THREADS return finish(state, &in, status, result);
}

static PyObject *attention(PyObject *module, PyObject *args) {
  static const char *const names[] = {"query", "key", "value", "mask"};
  ModuleState *state = PyModule_GetState(module);
  PyObject *objects[4], *mode_name;
  float scale;
  int is_causal;
  martlet_math_mode mode;
  Operands in;
  if (!PyArg_ParseTuple(args, "OOOOfpO", &objects[0], &objects[1], &objects[2], &objects[3], &scale,
                        &is_causal, &mode_name))
    return NULL;
  if (parse_mode(state, mode_name, &mode) < 0) return NULL;
  if (take_operands(state, &in, 4, 3, objects, names) < 0) return NULL;
  martlet_tensor *result = NULL;
  martlet_status status;
  Py_BEGIN_ALLOW_THREADS status = martlet_attention(in.handles[0], in.handles[1], in.handles[2],
                                                    in.handles[3], scale, is_causal != 0, mode,
                                                    &result);
  Py_END_ALLOW_THREADS return finish(state, &in, status, result);
}

static PyObject *pack(PyObject *module, PyObject *object) {
  static const char *const names[] = {"weight"};
  ModuleState *state = PyModule_GetState(module);
  Operands in;
  if (take_operands(state, &in, 1, 1, &object, names) < 0) return NULL;
  martlet_tensor *result = NULL;
  martlet_status status;
  Py_BEGIN_ALLOW_THREADS status = martlet_pack(in.handles[0], &result);
  Py_END_ALLOW_THREADS return finish(state, &in, status, result);
}

/* ---- any operator by name */

/* The items of a list or tuple as C arrays: all integers, or all numbers, or all strings. */
static martlet_status set_sequence(martlet_attributes *attributes, const char *name,
                                   PyObject *items) {
  Py_ssize_t count = PyTuple_Size(items), integers = 0, strings = 0;
  for (Py_ssize_t i = 0; i < count; i++) {
    integers += PyLong_Check(PyTuple_GetItem(items, i));
    strings += PyUnicode_Check(PyTuple_GetItem(items, i));
  }
  void *values = calloc((size_t)count + 1, sizeof(int64_t));
  if (values == NULL) {
    PyErr_NoMemory();
    return MARTLET_OUT_OF_MEMORY;
  }
  for (Py_ssize_t i = 0; i < count && !PyErr_Occurred(); i++) {
    PyObject *item = PyTuple_GetItem(items, i);
    if (integers == count) {
      ((int64_t *)values)[i] = PyLong_AsLongLong(item);
    } else if (strings == count) {
      ((const char **)values)[i] = PyUnicode_AsUTF8AndSize(item, NULL);
    } else {
      ((float *)values)[i] = (float)PyFloat_AsDouble(item);
    }
  }
  martlet_status status = MARTLET_OK;
  if (!PyErr_Occurred()) {
    if (integers == count) {
      status = martlet_attributes_set_ints(attributes, name, values, (size_t)count);
    } else if (strings == count) {
      status = martlet_attributes_set_strings(attributes, name, values, (size_t)count);
    } else {
      status = martlet_attributes_set_floats(attributes, name, values, (size_t)count);
    }
  }
  free(values);
  return status;
}

/* Sets one attribute. 0, or -1 with an exception. */
static int set_attribute(ModuleState *state, martlet_attributes *attributes, PyObject *key,
                         PyObject *value) {
  const char *name = PyUnicode_Check(key) ? PyUnicode_AsUTF8AndSize(key, NULL) : NULL;
  if (name == NULL) {
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "attribute names must be strings");
    return -1;
  }
  martlet_status status = MARTLET_OK;
  if (PyLong_Check(value)) {
    int64_t number = PyLong_AsLongLong(value);
    if (!PyErr_Occurred()) status = martlet_attributes_set_int(attributes, name, number);
  } else if (PyFloat_Check(value)) {
    status = martlet_attributes_set_float(attributes, name, (float)PyFloat_AsDouble(value));
  } else if (PyUnicode_Check(value)) {
    const char *text = PyUnicode_AsUTF8AndSize(value, NULL);
    if (text != NULL) status = martlet_attributes_set_string(attributes, name, text);
  } else if (PyTuple_Check(value)) {
    status = set_sequence(attributes, name, value);
  } else if (PyList_Check(value)) {
    PyObject *items = PyList_AsTuple(value);
    if (items != NULL) status = set_sequence(attributes, name, items);
    Py_XDECREF(items);
  } else {
    PyObject *tensor = as_tensor(state, value, name);
    if (tensor != NULL)
      status = martlet_attributes_set_tensor(attributes, name, ((TensorObject *)tensor)->handle);
    Py_XDECREF(tensor);
  }
  if (status != MARTLET_OK && !PyErr_Occurred()) raise_status(state, status);
  return PyErr_Occurred() ? -1 : 0;
}

static martlet_attributes *take_attributes(ModuleState *state, PyObject *dict) {
  martlet_attributes *attributes = NULL;
  martlet_status status = martlet_attributes_create(&attributes);
  if (status != MARTLET_OK) {
    raise_status(state, status);
    return NULL;
  }
  PyObject *key, *value;
  Py_ssize_t position = 0;
  while (PyDict_Next(dict, &position, &key, &value)) {
    if (set_attribute(state, attributes, key, value) < 0) {
      martlet_attributes_release(attributes);
      return NULL;
    }
  }
  return attributes;
}

/* Tensors of the objects in `inputs`, None where None is. */
static PyObject *convert_all(ModuleState *state, PyObject *inputs, const char *operator_name) {
  Py_ssize_t count = PyTuple_Size(inputs);
  PyObject *tensors = PyTuple_New(count);
  for (Py_ssize_t i = 0; tensors != NULL && i < count; i++) {
    char what[128];
    PyOS_snprintf(what, sizeof what, "%.80s: input %zd", operator_name, i);
    PyObject *object = PyTuple_GetItem(inputs, i);
    PyObject *tensor = object == Py_None ? Py_NewRef(object) : as_tensor(state, object, what);
    if (tensor == NULL || PyTuple_SetItem(tensors, i, tensor) < 0) Py_CLEAR(tensors);
  }
  return tensors;
}

/* op_run(name, inputs: tuple, attributes: dict, output_count, mode) -> tuple */
static PyObject *op_run(PyObject *module, PyObject *args) {
  ModuleState *state = PyModule_GetState(module);
  const char *name;
  PyObject *inputs, *dict, *mode_name;
  Py_ssize_t output_count;
  martlet_math_mode mode;
  if (!PyArg_ParseTuple(args, "sO!O!nO", &name, &PyTuple_Type, &inputs, &PyDict_Type, &dict,
                        &output_count, &mode_name))
    return NULL;
  if (parse_mode(state, mode_name, &mode) < 0) return NULL;
  if (output_count < 1 || output_count > 1024) {
    PyErr_SetString(PyExc_ValueError, "the number of outputs must be 1 to 1024");
    return NULL;
  }
  PyObject *tensors = convert_all(state, inputs, name);
  if (tensors == NULL) return NULL;
  Py_ssize_t input_count = PyTuple_Size(tensors);
  martlet_attributes *attributes = take_attributes(state, dict);
  martlet_tensor **handles =
    calloc((size_t)(input_count + output_count) + 1, sizeof(martlet_tensor *));
  PyObject *result = NULL;
  if (handles == NULL) PyErr_NoMemory();
  if (handles != NULL && attributes != NULL) {
    martlet_tensor **slots = handles + input_count;
    for (Py_ssize_t i = 0; i < input_count; i++) {
      PyObject *tensor = PyTuple_GetItem(tensors, i);
      if (tensor != Py_None) handles[i] = ((TensorObject *)tensor)->handle;
    }
    martlet_status status;
    Py_BEGIN_ALLOW_THREADS status = martlet_op_run(
      name, attributes, mode, handles, (size_t)input_count, slots, (size_t)output_count);
    Py_END_ALLOW_THREADS if (status != MARTLET_OK) raise_status(state, status);
    else result = PyTuple_New(output_count);
    for (Py_ssize_t i = 0; i < output_count && status == MARTLET_OK; i++) {
      PyObject *tensor = result == NULL ? NULL : tensor_object(state, slots[i]);
      if (result == NULL) martlet_tensor_release(slots[i]);
      else if (tensor == NULL || PyTuple_SetItem(result, i, tensor) < 0) Py_CLEAR(result);
    }
  }
  free(handles);
  martlet_attributes_release(attributes);
  Py_DECREF(tensors);
  drain_owners();
  return result;
}

static PyObject *op_names(PyObject *module, PyObject *unused) {
  (void)module, (void)unused;
  PyObject *names = PyList_New(0);
  const char *text;
  for (size_t i = 0; names != NULL && (text = martlet_op_name_at(i)) != NULL; i++) {
    PyObject *name = PyUnicode_FromString(text);
    if (name == NULL || PyList_Append(names, name) < 0) Py_CLEAR(names);
    Py_XDECREF(name);
  }
  return names;
}

static PyObject *from_dlpack(PyObject *module, PyObject *object) {
  return tensor_from_dlpack(PyModule_GetState(module), object, "data", 0);
}

/* from_bytes(data, dtype, shape): a Tensor of its own with these row-major elements. */
static PyObject *from_bytes(PyObject *module, PyObject *args) {
  ModuleState *state = PyModule_GetState(module);
  PyObject *data, *dtype_name, *extents;
  if (!PyArg_ParseTuple(args, "SOO!", &data, &dtype_name, &PyTuple_Type, &extents)) return NULL;
  martlet_dtype dtype = dtype_from_object(dtype_name);
  if (dtype == MARTLET_DTYPE_UNKNOWN) return NULL;
  int64_t shape[MAX_RANK];
  Py_ssize_t rank = PyTuple_Size(extents);
  if (rank > MAX_RANK) {
    PyErr_Format(state->errors[MARTLET_INVALID_SHAPE], "a tensor has at most %d axes, not %zd",
                 MAX_RANK, rank);
    return NULL;
  }
  if (take_integers(extents, (int)rank, shape) < 0) return NULL;
  martlet_tensor *handle = NULL;
  martlet_status status = martlet_tensor_from_data(
    PyBytes_AsString(data), (size_t)PyBytes_Size(data), dtype, (int32_t)rank, shape, &handle);
  return status == MARTLET_OK ? tensor_object(state, handle) : raise_status(state, status);
}

PyMethodDef function_methods[] = {
  {"matmul", matmul, METH_VARARGS, NULL},
  {"linear", linear, METH_VARARGS, NULL},
  {"conv", conv, METH_VARARGS, NULL},
  {"softmax", softmax, METH_VARARGS, NULL},
  {"layer_norm", layer_norm, METH_VARARGS, NULL},
  {"gelu", gelu, METH_VARARGS, NULL},
  {"attention", attention, METH_VARARGS, NULL},
  {"pack", pack, METH_O, NULL},
  {"op_run", op_run, METH_VARARGS, NULL},
  {"op_names", op_names, METH_NOARGS, NULL},
  {"from_dlpack", from_dlpack, METH_O, NULL},
  {"bits_of", bits_of, METH_O, NULL},
  {"from_bytes", from_bytes, METH_VARARGS, NULL},
  {"view", tensor_view, METH_VARARGS, NULL},
  {NULL, NULL, 0, NULL},
};
