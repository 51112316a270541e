import MartletBackends
import MartletCore

/// The input in another dtype; see `Casting` for what happens to values that do not fit.
/// Source: ONNX Cast-24 (without strings, 4-bit and 8-bit floats).
package struct Cast: Operator {
  package static let schema = OperatorSchema(
    name: "Cast", inputs: ["input"],
    attributes: [
      "to": "the dtype's number in ONNX, required", "saturate": "for 8-bit floats; unused",
      "round_mode": "for 8-bit floats; unused",
    ], traits: [.elementwise, .view(of: 0)])
  private let target: DType

  package init(_ node: OperatorNode) throws(MartletError) {
    guard let to = try node.attributes.optionalInt("to") else {
      throw MartletError(
        .invalidArgument, "Cast: attribute 'to' is missing", operatorName: "Cast", input: "to",
        expected: "a dtype", actual: "nothing")
    }
    target = try DType.fromONNX(to, operatorName: "Cast", attribute: "to")
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [Cast.infer(inputs.type(0), target)]
  }

  static func infer(_ input: ValueType?, _ target: DType?) -> ValueType {
    var result = ValueType(dtype: target, shape: input?.shape)
    if target == .int64 {
      result.elements = input?.knownElements
    } else if target == .int32 {
      // What would wrap is not followed.
      result.elements = input?.knownElements?.map { element in
        if case .known(let value) = element, Int32(exactly: value) == nil { return .unknown }
        return element
      }
    }
    return result
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.required(0)
    context.deliver(try context.finish(input, as: target))
  }
}

/// The input in the dtype of another tensor. Source: ONNX CastLike-24.
package struct CastLike: Operator {
  package static let schema = OperatorSchema(
    name: "CastLike", inputs: ["input", "target_type"],
    attributes: [
      "saturate": "for 8-bit floats; unused", "round_mode": "for 8-bit floats; unused",
    ], traits: [.view(of: 0)])

  package init(_ node: OperatorNode) throws(MartletError) {}

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [Cast.infer(inputs.type(0), inputs.type(1)?.dtype)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    context.deliver(try context.finish(try inputs.required(0), as: try inputs.required(1).dtype))
  }
}

extension DType {
  /// ONNX's types that Martlet does not have, by their number in TensorProto.DataType.
  package static let unsupportedONNXNames = [
    8: "string", 14: "complex64", 15: "complex128", 17: "float8e4m3fn", 18: "float8e4m3fnuz",
    19: "float8e5m2", 20: "float8e5m2fnuz", 21: "uint4", 22: "int4", 23: "float4e2m1",
    24: "float8e8m0", 25: "uint2", 26: "int2", 27: "float6e2m3", 28: "float6e3m2",
  ]

  /// The dtype of this ONNX number; throws where Martlet has none.
  static func fromONNX(_ number: Int, operatorName: String, attribute: String)
    throws(MartletError) -> DType
  {
    guard let dtype = Int32(exactly: number).flatMap(DType.init(rawValue:)) else {
      let name = unsupportedONNXNames[number].map { "\($0) (\(number))" } ?? "\(number)"
      throw MartletError(
        .unsupported,
        "\(operatorName): attribute '\(attribute)' names data type \(name), which is not supported",
        operatorName: operatorName, input: attribute,
        expected: DType.allCases.map(\.description).joined(separator: ", "), actual: "\(number)")
    }
    return dtype
  }
}
