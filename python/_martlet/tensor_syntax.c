/* What Python's operators, brackets and built-in functions ask of a martlet.Tensor. The work is in
 * martlet._indexing, _arithmetic and _format. */
#include <string.h>

#include "extension.h"

static PyObject *call(const char *module_name, const char *name, PyObject *args) {
  PyObject *module = args == NULL ? NULL : PyImport_ImportModule(module_name);
  PyObject *function = module == NULL ? NULL : PyObject_GetAttrString(module, name);
  PyObject *result = function == NULL ? NULL : PyObject_Call(function, args, NULL);
  Py_XDECREF(function);
  Py_XDECREF(module);
  Py_XDECREF(args);
  return result;
}

static int64_t count_of(PyObject *self) {
  int64_t count = 0;
  martlet_tensor_element_count(((TensorObject *)self)->handle, &count);
  return count;
}

/* ---- operators: either side may be the Tensor */

static PyObject *binary(const char *symbol, PyObject *lhs, PyObject *rhs) {
  return call("martlet._arithmetic", "binary", Py_BuildValue("(sOO)", symbol, lhs, rhs));
}

static PyObject *unary(const char *symbol, PyObject *self) {
  return call("martlet._arithmetic", "unary", Py_BuildValue("(sO)", symbol, self));
}

#define BINARY(name, symbol) \
  static PyObject *tensor_##name(PyObject *lhs, PyObject *rhs) { return binary(symbol, lhs, rhs); }
BINARY(add, "+")
BINARY(subtract, "-")
BINARY(multiply, "*")
BINARY(matrix_multiply, "@")
BINARY(true_divide, "/")
BINARY(floor_divide, "//")
BINARY(remainder, "%")
BINARY(and, "&")
BINARY(or, "|")
BINARY(xor, "^")
BINARY(left_shift, "<<")
BINARY(right_shift, ">>")

#define UNARY(name, symbol) \
  static PyObject *tensor_##name(PyObject *self) { return unary(symbol, self); }
UNARY(negative, "-")
UNARY(positive, "+")
UNARY(absolute, "abs")
UNARY(invert, "~")

static PyObject *tensor_power(PyObject *base, PyObject *exponent, PyObject *modulus) {
  if (modulus != Py_None) Py_RETURN_NOTIMPLEMENTED;
  return binary("**", base, exponent);
}

static PyObject *tensor_compare(PyObject *lhs, PyObject *rhs, int comparison) {
  static const char *const symbols[] = {
    [Py_LT] = "<", [Py_LE] = "<=", [Py_EQ] = "==", [Py_NE] = "!=", [Py_GT] = ">", [Py_GE] = ">=",
  };
  return binary(symbols[comparison], lhs, rhs);
}

/* ---- the value of a single element */

static PyObject *single(PyObject *self, const char *wish) {
  if (count_of(self) == 1) return PyObject_CallMethod(self, "item", NULL);
  PyObject *shape = PyObject_GetAttrString(self, "shape");
  if (shape == NULL) return NULL;
  PyErr_Format(
    PyExc_TypeError,
    "%s needs a Tensor of one element, this one is of shape %R; numpy() and tolist() give "
    "all of them",
    wish, shape);
  Py_DECREF(shape);
  return NULL;
}

/* single() as int or float, where it is a number. */
static PyObject *number(PyObject *self, const char *wish, PyObject *(*convert)(PyObject *)) {
  PyObject *item = single(self, wish);
  if (item != NULL && PyUnicode_Check(item)) {
    PyErr_Format(PyExc_TypeError, "%s of a Tensor of strings; item() gives the str", wish);
    Py_CLEAR(item);
  }
  PyObject *result = item == NULL ? NULL : convert(item);
  Py_XDECREF(item);
  return result;
}

static PyObject *tensor_int(PyObject *self) { return number(self, "int()", PyNumber_Long); }

static PyObject *tensor_float(PyObject *self) { return number(self, "float()", PyNumber_Float); }

static PyObject *tensor_index(PyObject *self) {
  martlet_dtype dtype = ((TensorObject *)self)->dtype;
  switch (dtype) {
    case MARTLET_INT8:
    case MARTLET_INT16:
    case MARTLET_INT32:
    case MARTLET_INT64:
    case MARTLET_UINT8:
    case MARTLET_UINT16:
    case MARTLET_UINT32:
    case MARTLET_UINT64: return number(self, "an index", PyNumber_Index);
    default:
      PyErr_Format(PyExc_TypeError, "a Tensor of %s is no index; of integers, one element is",
                   martlet_dtype_name(dtype));
      return NULL;
  }
}

static int tensor_bool(PyObject *self) {
  if (count_of(self) == 1) {
    PyObject *item = PyObject_CallMethod(self, "item", NULL);
    int result = item == NULL ? -1 : PyObject_IsTrue(item);
    Py_XDECREF(item);
    return result;
  }
  PyErr_Format(
    PyExc_ValueError,
    "a Tensor of %lld elements is neither true nor false; use numpy().any() or .all(), or "
    "size for whether there are any",
    (long long)count_of(self));
  return -1;
}

/* ---- elements */

static PyObject *tensor_subscript(PyObject *self, PyObject *key) {
  return call("martlet._indexing", "element", Py_BuildValue("(OO)", self, key));
}

static int tensor_assign(PyObject *self, PyObject *key, PyObject *value) {
  (void)self, (void)key;
  PyErr_SetString(PyExc_TypeError,
                  value == NULL ? "elements of a Tensor cannot be deleted"
                                : "a Tensor's elements are not assigned; numpy() is over the same "
                                  "memory and may be written: tensor.numpy()[...] = value");
  return -1;
}

static PyObject *tensor_iterate(PyObject *self) {
  return call("martlet._indexing", "iterate", Py_BuildValue("(O)", self));
}

static PyObject *tensor_repr(PyObject *self) {
  return call("martlet._format", "text", Py_BuildValue("(O)", self));
}

/* Says where to find what other libraries' arrays have and a Tensor has not. */
static PyObject *tensor_get_attribute(PyObject *self, PyObject *name) {
  PyObject *value = PyObject_GenericGetAttr(self, name);
  if (value != NULL || !PyErr_ExceptionMatches(PyExc_AttributeError)) return value;
  const char *text = PyUnicode_Check(name) ? PyUnicode_AsUTF8AndSize(name, NULL) : NULL;
  if (text == NULL || text[0] == '_') return NULL;
  PyErr_Clear();
  PyErr_Format(PyExc_AttributeError,
               "martlet.Tensor has no '%s'; over the same memory numpy() gives an array, and "
               "torch.from_dlpack(tensor) a tensor of torch",
               text);
  return NULL;
}

PyType_Slot tensor_syntax[] = {
  {Py_nb_add, tensor_add},
  {Py_nb_subtract, tensor_subtract},
  {Py_nb_multiply, tensor_multiply},
  {Py_nb_matrix_multiply, tensor_matrix_multiply},
  {Py_nb_true_divide, tensor_true_divide},
  {Py_nb_floor_divide, tensor_floor_divide},
  {Py_nb_remainder, tensor_remainder},
  {Py_nb_power, tensor_power},
  {Py_nb_and, tensor_and},
  {Py_nb_or, tensor_or},
  {Py_nb_xor, tensor_xor},
  {Py_nb_lshift, tensor_left_shift},
  {Py_nb_rshift, tensor_right_shift},
  {Py_nb_negative, tensor_negative},
  {Py_nb_positive, tensor_positive},
  {Py_nb_absolute, tensor_absolute},
  {Py_nb_invert, tensor_invert},
  {Py_nb_int, tensor_int},
  {Py_nb_float, tensor_float},
  {Py_nb_index, tensor_index},
  {Py_nb_bool, tensor_bool},
  {Py_tp_richcompare, tensor_compare},
  {Py_tp_hash, PyObject_HashNotImplemented},
  {Py_mp_subscript, tensor_subscript},
  {Py_mp_ass_subscript, tensor_assign},
  {Py_tp_iter, tensor_iterate},
  {Py_tp_repr, tensor_repr},
  {Py_tp_getattro, tensor_get_attribute},
  {0, NULL},
};
