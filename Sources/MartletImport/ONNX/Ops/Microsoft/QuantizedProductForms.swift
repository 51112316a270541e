import MartletCore
import MartletGraph
import MartletOperators

/// QGemm, MatMulIntegerToFloat and DynamicQuantizeMatMul: products of 8-bit integers, exact in int32.
///
/// Source: com.microsoft of ONNX Runtime 1.32.
enum QuantizedProductForms {
  /// QGemm: alpha * a_scale * b_scale * ((A' - a_zero) @ (B' - b_zero) + C), quantised where there is
  /// y_scale.
  static func gemm(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    let alpha = try node.takeFloat("alpha") ?? 1
    var operands: [ValueID] = []
    for (index, name) in ["A", "B"].enumerated() {
      var operand = try node.required(3 * index, name)
      if try node.takeInt("trans\(name)") ?? 0 != 0 {
        operand = try converter.transposed(operand, [1, 0], for: node)
      }
      operands.append(operand)
    }
    try node.checkAllTaken()
    let aScale = try converter.scaled(
      try node.required(1, "a_scale"), by: alpha, for: node)
    let bScale = try node.required(4, "b_scale")
    let zeros = [try node.required(2, "a_zero_point"), try node.required(5, "b_zero_point")]
    if let yScale = node.input(7), node.input(6) == nil {
      let yZero = try outputZero(&converter, node)
      return try converter.emit(
        "QLinearMatMul",
        [operands[0], aScale, zeros[0], operands[1], bScale, zeros[1], yScale, yZero],
        output: 0, for: node)
    }
    let product = try converter.emitInner("MatMulInteger", operands + zeros, for: node)
    let sum = try converter.adding([node.input(6)], to: product, for: node)
    var factor = try converter.emitInner("Mul", [aScale, bScale], for: node)
    if let yScale = node.input(7) {
      factor = try converter.emitInner("Div", [factor, yScale], for: node)
    }
    let real = try converter.cast(sum, to: .float32, for: node)
    guard node.input(7) != nil else {
      return try converter.emit("Mul", [real, factor], output: 0, for: node)
    }
    let y = try converter.emitInner("Mul", [real, factor], for: node)
    let one = try converter.constant([Float(1)], shape: [], for: node)
    try converter.emit(
      "QuantizeLinear", [y, one, try outputZero(&converter, node)], output: 0, for: node)
  }

  private static func outputZero(
    _ converter: inout ONNXConverter, _ node: ImportedNode
  ) throws(MartletError) -> ValueID {
    if let zero = node.input(8) { return zero }
    return try converter.zero(try knownType(0, "A", converter, node), for: node)
  }

  private static func knownType(
    _ index: Int, _ name: String, _ converter: ONNXConverter, _ node: ImportedNode
  ) throws(MartletError) -> DType {
    guard let type = converter.dtype(of: node.input(index)) else {
      throw node.error(
        .unsupported, "without a zero point the type of '\(name)' must be known", input: name)
    }
    return type
  }

  /// MatMulIntegerToFloat: (A - a_zero) @ (B - b_zero) * (a_scale * b_scale) + bias.
  static func toFloat(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    try node.checkAllTaken()
    let product = try integerProduct(&converter, node)
    converter.bind(
      node, to: try converter.adding([node.input(6)], to: product, for: node))
  }

  /// The product of inputs 0 to 5, ordered as those of MatMulIntegerToFloat, in float32.
  static func integerProduct(
    _ converter: inout ONNXConverter, _ node: ImportedNode
  ) throws(MartletError) -> ValueID {
    var zeros: [ValueID] = []
    for (index, name) in ["A", "B"].enumerated() {
      if let zero = node.input(4 + index) {
        zeros.append(zero)
      } else {
        zeros.append(
          try converter.zero(try knownType(index, name, converter, node), for: node))
      }
    }
    return try converter.integerProduct(
      Quantized(
        elements: try node.required(0, "A"), scale: try node.required(2, "a_scale"),
        zero: zeros[0]),
      Quantized(
        elements: try node.required(1, "B"), scale: try node.required(3, "b_scale"),
        zero: zeros[1]), node)
  }

  /// DynamicQuantizeMatMul: A quantised by its own range, then the integers' product.
  static func dynamic(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    try node.checkAllTaken()
    let a = try converter.emitInner(
      "DynamicQuantizeLinear", [try node.required(0, "A")], outputs: 3, for: node)
    let zero =
      if let zero = node.input(3) { zero } else {
        try converter.zero(try knownType(1, "B", converter, node), for: node)
      }
    let product = try converter.integerProduct(
      Quantized(elements: a[0], scale: a[1], zero: a[2]),
      Quantized(
        elements: try node.required(1, "B"), scale: try node.required(2, "b_scale"), zero: zero),
      node)
    converter.bind(
      node, to: try converter.adding([node.input(4)], to: product, for: node))
  }
}

/// An operand of 8-bit integers.
struct Quantized {
  let elements: ValueID
  let scale: ValueID
  let zero: ValueID
}

extension ONNXConverter {
  /// a @ b in float32, summed exactly in int32.
  mutating func integerProduct(
    _ a: Quantized, _ b: Quantized, _ node: ImportedNode
  ) throws(MartletError) -> ValueID {
    let shape = type(of: b.elements).shape
    if let shape, shape.count >= 2, case .known(let k) = shape[shape.count - 2],
      k > DequantizedMatMul.mostTerms
    {
      let sums = try emitInner(
        "MatMulInteger", [a.elements, b.elements, a.zero, b.zero], for: node)
      let factor = try emitInner("Mul", [a.scale, b.scale], for: node)
      return try emitInner("Mul", [try cast(sums, to: .float32, for: node), factor], for: node)
    }
    return try emitInner(
      DequantizedMatMul.schema.id, [a.elements, a.scale, a.zero, b.elements, b.scale, b.zero],
      for: node)
  }
}
