import MartletCore
import MartletGraph
import MartletOperators

/// A node of the file with its inputs found and its attributes read, on its way into the graph.
struct ImportedNode {
  let name: String
  let op: OperatorID
  /// The version of the operator set of its domain that the model asks for.
  let opset: Int
  var inputs: [ValueID?]
  /// Names as in the file; empty: absent.
  var outputs: [String]
  /// How many outputs the file lists, absent ones at the end included.
  let listedOutputCount: Int
  var attributes: [String: AttributeValue]
  /// Attributes that are graphs.
  var graphs: [String: ONNXGraph]

  func input(_ index: Int) -> ValueID? { index < inputs.count ? inputs[index] : nil }

  /// An error of this node.
  func error(_ code: MartletError.Code, _ what: String, input: String? = nil) -> MartletError {
    MartletError(
      code, "\(op) (node '\(name)', opset \(opset)): \(what)", node: name,
      operatorName: op.description, input: input)
  }

  /// The value at input `index`, which the operator calls `name`.
  func required(_ index: Int, _ name: String) throws(MartletError) -> ValueID {
    guard let value = input(index) else {
      throw error(.invalidModel, "input '\(name)' is missing", input: name)
    }
    return value
  }

  /// Whether the file names output `index`.
  func isWanted(_ index: Int) -> Bool { index < outputs.count && !outputs[index].isEmpty }

  /// Throws where an attribute is left that nobody took.
  func checkAllTaken() throws(MartletError) {
    guard let name = (Array(attributes.keys) + Array(graphs.keys)).min() else { return }
    throw error(.invalidModel, "unknown attribute '\(name)'", input: name)
  }

  // MARK: - Attributes, removed as they are read

  mutating func take(_ attribute: String) -> AttributeValue? {
    attributes.removeValue(forKey: attribute)
  }

  mutating func takeInt(_ attribute: String) throws(MartletError) -> Int? {
    switch take(attribute) {
    case nil: nil
    case .int(let value): value
    default: throw error(.invalidModel, "attribute '\(attribute)' must be an integer")
    }
  }

  mutating func takeInts(_ attribute: String) throws(MartletError) -> [Int]? {
    switch take(attribute) {
    case nil: nil
    case .ints(let values): values
    case .int(let value): [value]
    default: throw error(.invalidModel, "attribute '\(attribute)' must be a list of integers")
    }
  }

  mutating func takeFloat(_ attribute: String) throws(MartletError) -> Float? {
    switch take(attribute) {
    case nil: nil
    case .float(let value): value
    default: throw error(.invalidModel, "attribute '\(attribute)' must be a number")
    }
  }

  mutating func takeFloats(_ attribute: String) throws(MartletError) -> [Float]? {
    switch take(attribute) {
    case nil: nil
    case .floats(let values): values
    default: throw error(.invalidModel, "attribute '\(attribute)' must be a list of numbers")
    }
  }

  mutating func takeString(_ attribute: String) throws(MartletError) -> String? {
    switch take(attribute) {
    case nil: nil
    case .string(let value): value
    default: throw error(.invalidModel, "attribute '\(attribute)' must be a string")
    }
  }
}
