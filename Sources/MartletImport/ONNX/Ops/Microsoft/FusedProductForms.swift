import MartletCore
import MartletGraph
import MartletOperators

/// FusedMatMul, FusedGemm and FusedConv: products with what ONNX Runtime's own passes put around them.
///
/// Source: com.microsoft of ONNX Runtime 1.32.
enum FusedProductForms {
  /// alpha * A' @ B', axes of the operands swapped as the attributes say.
  static func matMul(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    let alpha = try node.takeFloat("alpha") ?? 1
    var operands: [ValueID] = []
    var attributes: [String: AttributeValue] = ["alpha": .float(alpha)]
    for (index, name) in ["A", "B"].enumerated() {
      var operand = try node.required(index, name)
      let swaps = try node.takeInt("trans\(name)") ?? 0 != 0
      if try node.takeInt("transBatch\(name)") ?? 0 != 0 {
        // The first axis is that of the rows, those up to the last are the batch.
        let rank = try converter.knownRank(of: operand, name, for: node)
        if rank > 2 {
          operand = try converter.transposed(
            operand, Array(1..<rank - 1) + [0, rank - 1], for: node)
        }
      }
      // A vector has no axes to swap.
      if swaps, converter.rank(of: operand) != 1 {
        attributes[name == "A" ? "trans_a" : "trans_b"] = .int(1)
      }
      operands.append(operand)
    }
    try node.checkAllTaken()
    try converter.emit(
      .martlet("FusedMatMul"), operands, attributes, output: 0, for: node)
  }

  static func gemm(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    let name = try node.takeString("activation") ?? ""
    let older = try node.takeFloat("leaky_relu_alpha")
    var activation = ImportedActivation(name)
    activation.alpha = try node.takeFloat("activation_alpha") ?? older
    activation.beta = try node.takeFloat("activation_beta")
    activation.gamma = try node.takeFloat("activation_gamma")
    guard name.isEmpty || ImportedActivation.ofGemm.contains(name) else {
      throw activation.unknown(node, ImportedActivation.ofGemm)
    }
    let y = try converter.emitInner("Gemm", node.inputs, node.attributes, for: node)
    converter.bind(node, to: try activation.applied(to: y, &converter, node))
  }

  static func conv(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    let name = try node.takeString("activation") ?? ""
    var activation = ImportedActivation(name)
    let parameters = try node.takeFloats("activation_params") ?? []
    activation.alpha = parameters.first
    activation.beta = parameters.count > 1 ? parameters[1] : nil
    guard name.isEmpty || ImportedActivation.ofConv.contains(name) else {
      throw activation.unknown(node, ImportedActivation.ofConv)
    }
    var y = try converter.emitInner(
      "Conv", [node.input(0), node.input(1), node.input(2)], node.attributes, for: node)
    y = try converter.adding([node.input(3)], to: y, for: node)
    converter.bind(node, to: try activation.applied(to: y, &converter, node))
  }
}

/// A function that a fused product of a file applies, by its name there; parameters that are absent
/// are those of ONNX's operator.
struct ImportedActivation {
  let name: String
  var alpha: Float?
  var beta: Float?
  var gamma: Float?

  init(_ name: String) { self.name = name }

  static let ofConv = [
    "Relu", "Tanh", "Sigmoid", "LeakyRelu", "Clip", "HardSigmoid", "HardSwish",
  ]
  static let ofGemm = [
    "Relu", "LeakyRelu", "Elu", "Selu", "HardSigmoid", "Sigmoid", "Tanh", "Softplus", "Softsign",
    "ThresholdedRelu", "ScaledTanh", "ParametricSoftplus",
  ]

  func unknown(_ node: ImportedNode, _ names: [String]) -> MartletError {
    node.error(
      .unsupported,
      "activation '\(name)' is not supported; expected \(names.joined(separator: ", "))",
      input: "activation")
  }

  /// The function of `x`.
  func applied(
    to x: ValueID, _ converter: inout ONNXConverter, _ node: ImportedNode
  ) throws(MartletError) -> ValueID {
    func given(_ parameters: (String, Float?)...) -> [String: AttributeValue] {
      var attributes: [String: AttributeValue] = [:]
      for (name, value) in parameters { attributes[name] = value.map { .float($0) } }
      return attributes
    }
    switch name {
    case "": return x
    case "Clip":
      var inputs: [ValueID?] = [x]
      for bound in [alpha, beta] {
        inputs.append(
          try bound.map { bound throws(MartletError) in
            try converter.scalar(bound, like: x, for: node)
          })
      }
      return try converter.emitInner("Clip", inputs, for: node)
    case "ScaledTanh", "ParametricSoftplus":
      let inner = try converter.scaled(x, by: beta ?? 1, for: node)
      let op: OperatorID = name == "ScaledTanh" ? "Tanh" : "Softplus"
      let result = try converter.emitInner(op, [inner], for: node)
      return try converter.scaled(result, by: alpha ?? 1, for: node)
    case "HardSigmoid":
      return try converter.emitInner(
        "HardSigmoid", [x], given(("alpha", alpha), ("beta", beta)), for: node)
    case "Selu":
      return try converter.emitInner(
        "Selu", [x], given(("alpha", alpha), ("gamma", gamma)), for: node)
    case "LeakyRelu", "Elu", "ThresholdedRelu":
      return try converter.emitInner(
        OperatorID(name), [x], given(("alpha", alpha)), for: node)
    default: return try converter.emitInner(OperatorID(name), [x], for: node)
    }
  }
}
