import MartletCore

/// Whether a pattern of RE2's syntax describes the whole of each string; see `RegularExpression`.
/// Source: ONNX RegexFullMatch-20.
package struct RegexFullMatch: Operator {
  package static let schema = OperatorSchema(
    name: "RegexFullMatch", inputs: ["X"], outputs: ["Y"],
    attributes: ["pattern": "in RE2's syntax, required"], traits: [.anyElement])
  private let expression: RegularExpression

  package init(_ node: OperatorNode) throws(MartletError) {
    guard node.attributes.contains("pattern") else {
      throw MartletError(
        .invalidArgument, "RegexFullMatch: attribute 'pattern' is missing",
        operatorName: "RegexFullMatch", input: "pattern", expected: "a pattern", actual: "nothing")
    }
    let pattern = try node.attributes.string("pattern", default: "")
    do {
      expression = try RegularExpression(pattern)
    } catch {
      var error = error
      error.message = "RegexFullMatch: attribute 'pattern': \(error.message)"
      error.operatorName = "RegexFullMatch"
      error.input = "pattern"
      throw error
    }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: .bool, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.required(0, like: .string)
    let output = try context.output(0, .bool, input.shape)
    let results = output.typed(UInt8.self)
    var matcher = RegularExpressionMatcher(expression)
    let matchesEmpty = matcher.matches(EmptyCollection<UInt8>())
    for (index, text) in input.texts.enumerated() {
      if index % 256 == 255 { try context.checkpoint?() }
      results[index] = (text.map { matcher.matches($0.bytes) } ?? matchesEmpty) ? 1 : 0
    }
    context.deliver(output)
  }
}
