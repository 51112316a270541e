import MartletBackends
import MartletCore

/// The input in another dtype; see `Casting` for what happens to values that do not fit.
/// Strings are read and written as `StringCast` says. Source: ONNX Cast-28.
package struct Cast: Operator {
  static let roundingAttributes = [
    "saturate":
      "To floats of 8 bits: whether what is too large becomes the largest value, not infinity or NaN (1).",
    "round_mode": "To float8e8m0: up, down or nearest (up).",
  ]

  package static let schema = OperatorSchema(
    name: "Cast", inputs: ["input"],
    attributes: ["to": "the dtype's number in ONNX, required"].merging(roundingAttributes) {
      first, _ in first
    }, traits: [.anyElement, .elementwise, .view(of: 0), .narrow(.carried)])
  private let target: DType
  private let rounding: NarrowRounding

  package init(_ node: OperatorNode) throws(MartletError) {
    guard let to = try node.attributes.optionalInt("to") else {
      throw MartletError(
        .invalidArgument, "Cast: attribute 'to' is missing", operatorName: "Cast", input: "to",
        expected: "a dtype", actual: "nothing")
    }
    target = try DType.fromONNX(
      to, operatorName: "Cast", attribute: "to", permitsNarrow: true, permitsString: true)
    rounding = try NarrowRounding(node.attributes)
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
    let input = try StringCast.bridged(try inputs.required(0), to: target, context, "Cast")
    context.deliver(try context.finish(input, as: target, rounding: rounding))
  }
}

/// The input in the dtype of another tensor. Source: ONNX CastLike-25.
package struct CastLike: Operator {
  package static let schema = OperatorSchema(
    name: "CastLike", inputs: ["input", "target_type"], attributes: Cast.roundingAttributes,
    traits: [.anyElement, .view(of: 0), .narrow(.carried)])
  private let rounding: NarrowRounding

  package init(_ node: OperatorNode) throws(MartletError) {
    rounding = try NarrowRounding(node.attributes)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [Cast.infer(inputs.type(0), inputs.type(1)?.dtype)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let target = try inputs.required(1).dtype
    let input = try StringCast.bridged(try inputs.required(0), to: target, context, "CastLike")
    context.deliver(try context.finish(input, as: target, rounding: rounding))
  }
}

extension NarrowRounding {
  /// As the attributes `saturate` and `round_mode` say.
  init(_ attributes: Attributes) throws(MartletError) {
    self.init()
    saturates = try attributes.int("saturate", default: 1) != 0
    let name = try attributes.string("round_mode", default: "up")
    guard let mode = Mode(rawValue: name) else {
      throw MartletError(
        .invalidArgument, "\(attributes.operatorName): round_mode is '\(name)'",
        operatorName: attributes.operatorName, input: "round_mode",
        expected: "up, down or nearest", actual: name)
    }
    self.mode = mode
  }
}

extension DType {
  /// ONNX's types that Martlet does not have, by their number in TensorProto.DataType.
  package static let unsupportedONNXNames = [14: "complex64", 15: "complex128"]

  /// The dtype of this ONNX number; throws where Martlet has none, and for a narrow one unless the
  /// operator makes such.
  static func fromONNX(
    _ number: Int, operatorName: String, attribute: String, permitsNarrow: Bool = false,
    permitsString: Bool = false
  ) throws(MartletError) -> DType {
    guard let dtype = Int32(exactly: number).flatMap(DType.init(rawValue:)),
      permitsString || dtype != .string
    else {
      let name = unsupportedONNXNames[number].map { "\($0) (\(number))" } ?? "\(number)"
      throw MartletError(
        .unsupported,
        "\(operatorName): attribute '\(attribute)' names data type \(name), which is not supported",
        operatorName: operatorName, input: attribute,
        expected: DType.allCases.map(\.description).joined(separator: ", "), actual: "\(number)")
    }
    guard permitsNarrow || !dtype.isNarrow else {
      throw NarrowError.refused(operatorName, attribute, dtype)
    }
    return dtype
  }
}
