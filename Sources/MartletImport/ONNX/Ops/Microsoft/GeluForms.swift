import MartletCore
import MartletGraph
import MartletOperators

/// Gelu's relatives of com.microsoft. Where a bias is added, 16-bit floats are computed in float32 and
/// rounded once.
///
/// Source: com.microsoft of ONNX Runtime 1.32.
enum GeluForms {
  /// FastGelu: x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) of x = X + bias.
  static func fast(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    try node.checkAllTaken()
    try converter.emitGelu(node.input(1), "tanh", node)
  }

  /// BiasGelu: Gelu of A + B, B a vector.
  static func biased(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    try node.checkAllTaken()
    let bias = try node.required(1, "B")
    if let rank = converter.rank(of: bias), rank != 1 {
      throw node.error(.invalidModel, "input 'B' is of rank \(rank), expected 1", input: "B")
    }
    try converter.emitGelu(bias, "none", node)
  }

  /// QuickGelu: x * sigmoid(alpha * x).
  static func quick(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    let alpha = try node.takeFloat("alpha") ?? 1.702
    try node.checkAllTaken()
    try converter.emit(
      "Swish", [try node.required(0, "X")], ["alpha": .float(alpha)], output: 0, for: node)
  }

  /// BiasSplitGelu: of X + bias the first half of the last axis, times Gelu of the second.
  static func split(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    try node.checkAllTaken()
    let x = try node.required(0, "X")
    let bias = try converter.widened(try node.required(1, "bias"), for: node)
    let sum = try converter.adding([bias], to: try converter.widened(x, for: node), for: node)
    let halves = try converter.emitInner(
      "Split", [sum], ["axis": .int(-1), "num_outputs": .int(2)], outputs: 2, for: node)
    let gate = try converter.emitInner("Gelu", [halves[1]], for: node)
    let y = try converter.emitInner("Mul", [halves[0], gate], for: node)
    try converter.emitNarrowed(y, like: x, output: 0, for: node)
  }
}

extension ONNXConverter {
  fileprivate mutating func emitGelu(
    _ bias: ValueID?, _ approximation: String, _ node: ImportedNode
  ) throws(MartletError) {
    let x = try node.required(0, "X")
    let attributes: [String: AttributeValue] = ["approximate": .string(approximation)]
    guard let bias else {
      return try emit("Gelu", [x], attributes, output: 0, for: node)
    }
    let sum = try emitInner(
      "Add", [try widened(x, for: node), try widened(bias, for: node)], for: node)
    try emitNarrowed(
      try emitInner("Gelu", [sum], attributes, for: node), like: x, output: 0, for: node)
  }
}

/// SwiGLU-28: Swish of A with `alpha`, times B of the same shape.
enum SwiGLUForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    let alpha = try node.takeFloat("alpha") ?? 1
    try node.checkAllTaken()
    let (a, b) = (try node.required(0, "A"), try node.required(1, "B"))
    if let left = converter.type(of: a).shape, let right = converter.type(of: b).shape {
      let differ =
        left.count != right.count
        || zip(left, right).contains {
          if case (.known(let x), .known(let y)) = ($0, $1) { x != y } else { false }
        }
      guard !differ else {
        throw node.error(
          .invalidModel,
          "A and B must have one shape, got \(Inference.text(left)) and \(Inference.text(right))")
      }
    }
    let gate = try converter.emitInner(
      "Swish", [try converter.widened(a, for: node)], ["alpha": .float(alpha)], for: node)
    let y = try converter.emitInner("Mul", [gate, try converter.widened(b, for: node)], for: node)
    try converter.emitNarrowed(y, like: a, output: 0, for: node)
  }
}
