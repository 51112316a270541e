import MartletCore
import MartletOperators

/// The messages of onnx.proto that Martlet reads, field by field as in the file.
///
/// Source: onnx/onnx.proto3, IR version 12.
struct ONNXModel {
  var irVersion = 0
  var producerName = ""
  var producerVersion = ""
  var domain = ""
  var modelVersion = 0
  var documentation = ""
  var opsets: [String: Int] = [:]
  var properties: [(key: String, value: String)] = []
  var graph: ONNXGraph?
  var functions: [ONNXFunction] = []
}

struct ONNXGraph {
  var name = ""
  var nodes: [ONNXNode] = []
  var initializers: [ONNXTensor] = []
  var inputs: [ONNXValueInfo] = []
  var outputs: [ONNXValueInfo] = []
  var valueInfo: [ONNXValueInfo] = []
  var sparseInitializers: [ONNXSparseTensor] = []
}

struct ONNXNode {
  var name = ""
  var operatorType = ""
  var domain = ""
  /// Which of several functions of this name and domain the node calls.
  var overload = ""
  var inputs: [String] = []
  var outputs: [String] = []
  var attributes: [ONNXAttribute] = []
  /// Where the node stands in the file.
  var offset = 0
}

struct ONNXAttribute {
  enum Value {
    case plain(AttributeValue)
    case tensor(ONNXTensor)
    case sparse(ONNXSparseTensor)
    case graph(ONNXGraph)
    case type(ONNXValueInfo.Kind)
    /// The name of the function's attribute whose value this takes.
    case reference(String)
    /// A kind that Martlet does not take: lists of tensors, graphs or types.
    case unsupported(String)
  }

  var name = ""
  var value = Value.unsupported("an attribute without a value")
}

struct ONNXTensor {
  var name = ""
  var dims: [Int] = []
  /// TensorProto.DataType as in the file.
  var dataType = 0
  /// The bytes of raw_data in the model.
  var raw: Range<Int>?
  var external: [(key: String, value: String)] = []
  var isExternal = false
  /// The field numbers of typed data that occur, and the whole message to read them from.
  var typedFields: Set<Int> = []
  var isSegmented = false
  var message: Range<Int> = 0..<0
  /// `graph.initializer[2] 'w'`.
  var path = ""
}

/// A tensor of which the file has the elements that are not zero.
struct ONNXSparseTensor {
  var values: ONNXTensor?
  var indices: ONNXTensor?
  var dims: [Int] = []
  /// `graph.sparse_initializer[2] 'w'`.
  var path = ""

  /// The name of the values is that of the tensor.
  var name: String { values?.name ?? "" }
}

struct ONNXValueInfo {
  /// A TypeProto, data types as in the file.
  indirect enum Kind: Equatable {
    case missing
    case tensor(dataType: Int, shape: [Dimension]?)
    case sequence(Kind)
    case optional(Kind)
    case map(keyType: Int, Kind)
    case unsupported(String)
  }

  var name = ""
  var kind = Kind.missing
}

/// A model-local function (IR version 8).
struct ONNXFunction {
  var name = ""
  var domain = ""
  var overload = ""
  var inputs: [String] = []
  var outputs: [String] = []
  var attributeNames: [String] = []
  var attributeDefaults: [ONNXAttribute] = []
  var nodes: [ONNXNode] = []
  var opsets: [String: Int] = [:]
}
