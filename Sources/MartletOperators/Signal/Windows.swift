import MartletBackends
import MartletCore

/// A window of `size` numbers: a sum of cosines over a turn, of which a periodic one leaves out the end.
///
/// Computed in float64 and converted once. A symmetric window of one number is its middle, where the
/// formula divides by 0.
package protocol CosineWindow: Operator {
  static var coefficients: [Double] { get }
  var attributes: WindowAttributes { get }
}

/// What the windows' attributes say.
package struct WindowAttributes: Sendable {
  static let texts = [
    "output_datatype": "the output's type, float32",
    "periodic": "whether the window goes on after its end, 1",
  ]
  let isPeriodic: Bool
  let dtype: DType

  init(_ attributes: Attributes) throws(MartletError) {
    isPeriodic = try attributes.bool("periodic", default: true)
    dtype = try OutputDataType.of(attributes)
  }
}

/// The type that an operator's attribute `output_datatype` names.
enum OutputDataType {
  static func of(_ attributes: Attributes) throws(MartletError) -> DType {
    let name = attributes.operatorName
    let number = try attributes.int(
      "output_datatype", default: Int(DType.float32.rawValue))
    let dtype = try DType.fromONNX(number, operatorName: name, attribute: "output_datatype")
    guard dtype != .bool else {
      throw .dtype(name, "output_datatype", expected: "a number type", actual: dtype)
    }
    return dtype
  }
}

extension CosineWindow {
  static func makeSchema(_ name: String) -> OperatorSchema {
    OperatorSchema(name: name, inputs: ["size"], attributes: WindowAttributes.texts)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let size = inputs.type(0)?.knownElements?.first ?? .unknown
    return [ValueType(dtype: attributes.dtype, shape: Inference.shape(from: [size]))]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let size = try inputs.integer(0)
    guard size >= 0 else {
      throw MartletError(
        .invalidArgument, "\(Self.schema.name): size is \(size)", operatorName: Self.schema.name,
        input: "size", expected: ">= 0", actual: "\(size)")
    }
    let isWide = attributes.dtype == .float64
    let window =
      try isWide ? context.output(0, .float64, [size]) : context.scratch(.float64, [size])
    Generating.cosines(
      Self.coefficients, turn: attributes.isPeriodic ? size : size - 1, into: window)
    context.deliver(try context.finish(window, as: attributes.dtype))
  }
}

/// 0.5 - 0.5 cos(2 pi n / N). Source: ONNX HannWindow-17.
package struct HannWindow: CosineWindow {
  package static let schema = makeSchema("HannWindow")
  package static let coefficients = [0.5, -0.5]
  package let attributes: WindowAttributes
  package init(_ node: OperatorNode) throws(MartletError) {
    attributes = try WindowAttributes(node.attributes)
  }
}

/// 25 / 46 - 21 / 46 cos(2 pi n / N). Source: ONNX HammingWindow-17.
package struct HammingWindow: CosineWindow {
  package static let schema = makeSchema("HammingWindow")
  package static let coefficients = [25.0 / 46, 25.0 / 46 - 1]
  package let attributes: WindowAttributes
  package init(_ node: OperatorNode) throws(MartletError) {
    attributes = try WindowAttributes(node.attributes)
  }
}

/// 0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N). Source: ONNX BlackmanWindow-17.
package struct BlackmanWindow: CosineWindow {
  package static let schema = makeSchema("BlackmanWindow")
  package static let coefficients = [0.42, -0.5, 0.08]
  package let attributes: WindowAttributes
  package init(_ node: OperatorNode) throws(MartletError) {
    attributes = try WindowAttributes(node.attributes)
  }
}
