import MartletCore

/// X's strings with those of Y behind them; both broadcast. Source: ONNX StringConcat-20.
package struct StringConcat: Operator {
  package static let schema = OperatorSchema(
    name: "StringConcat", inputs: ["X", "Y"], outputs: ["Z"], traits: [.anyElement, .elementwise])

  package init(_ node: OperatorNode) throws(MartletError) {}

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let shape = try Inference.broadcast(
      inputs.type(0)?.shape, inputs.type(1)?.shape, operatorName: "StringConcat")
    return [ValueType(dtype: .string, shape: shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let x = try inputs.required(0, like: .string)
    let y = try inputs.required(1, like: .string)
    let shape = try inputs.broadcastShape(0..<2)
    try context.checkRoom(try Shape.elementCount(shape), "StringConcat")
    let output = try context.output(0, .string, shape)
    let (left, right) = (
      try x.broadcast(to: output.shape).texts, try y.broadcast(to: output.shape).texts
    )
    try StringConcat.checkRoom(left, right)
    var results: [Text?] = []
    results.reserveCapacity(left.count)
    for (a, b) in zip(left, right) {
      guard let a, let b else {
        results.append(a ?? b)
        continue
      }
      results.append(try Text([a.bytes, b.bytes].joined(), context.memory.allowance))
    }
    output.setTexts(results)
    context.deliver(output)
  }

  /// Broadcasting makes much of little: what all results take together is asked for beforehand.
  private static func checkRoom(_ left: [Text?], _ right: [Text?]) throws(MartletError) {
    var bytes = 0
    var isTooMuch = false
    for (a, b) in zip(left, right) {
      guard let a, let b, !isTooMuch else { continue }
      (bytes, isTooMuch) = bytes.addingReportingOverflow(
        a.bytes.count + b.bytes.count + Text.ownBytes)
    }
    guard !isTooMuch, Storage.fits(byteCount: bytes) else {
      throw MartletError(
        .outOfMemory, "StringConcat: the results would take \(bytes) bytes",
        operatorName: "StringConcat", expected: "what the machine holds", actual: "\(bytes) bytes")
    }
  }
}

/// What Equal does with strings.
enum StringComparison {
  /// Whether each pair of strings of the inputs, which broadcast to `output`, is the same bytes.
  static func equal(
    _ a: Tensor, _ b: Tensor, into output: Tensor, _ context: RunContext
  ) throws(MartletError) {
    try context.checkRoom(output.count, "Equal")
    let left = try a.broadcast(to: output.shape).texts
    let right = try b.broadcast(to: output.shape).texts
    let results = output.typed(UInt8.self)
    for (index, pair) in zip(left, right).enumerated() {
      results[index] = pair.0 == pair.1 ? 1 : 0
    }
  }
}
