import MartletBackends
import MartletCore

/// The first `sequence_lens[b]` steps of each batch entry b reversed, the rest kept.
/// Source: ONNX ReverseSequence-10.
package struct ReverseSequence: Operator {
  package static let schema = OperatorSchema(
    name: "ReverseSequence", inputs: ["input", "sequence_lens"], outputs: ["Y"],
    attributes: ["batch_axis": "0 or 1, 1", "time_axis": "0 or 1, 0"], traits: [.anyElement])
  private let batchAxis: Int
  private let timeAxis: Int

  package init(_ node: OperatorNode) throws(MartletError) {
    batchAxis = try node.attributes.int("batch_axis", default: 1)
    timeAxis = try node.attributes.int("time_axis", default: 0)
    guard [batchAxis, timeAxis].sorted() == [0, 1] else {
      throw MartletError(
        .invalidArgument, "ReverseSequence: batch_axis and time_axis must be 0 and 1",
        operatorName: "ReverseSequence", input: "batch_axis", expected: "0 and 1 in either order",
        actual: "\(batchAxis) and \(timeAxis)")
    }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: inputs.type(0)?.dtype, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.required(0)
    let lengths = try inputs.integers(1, context)
    guard input.rank >= 2, lengths.count == input.shape[batchAxis],
      lengths.allSatisfy({ (0...input.shape[timeAxis]).contains($0) })
    else {
      throw .shape(
        "ReverseSequence", "sequence_lens does not fit the input",
        expected: "one length per entry of axis \(batchAxis), within axis \(timeAxis)",
        actual: "\(Shape.text(lengths)) for \(Shape.text(input.shape))", input: "sequence_lens")
    }
    let output = try context.output(0, input.dtype, input.shape)
    for (entry, length) in lengths.enumerated() {
      let source = input.sliced(axis: batchAxis, start: entry, count: 1, step: 1)
      let target = output.sliced(axis: batchAxis, start: entry, count: 1, step: 1)
      if length > 0 {
        Copying.copy(
          source.sliced(axis: timeAxis, start: length - 1, count: length, step: -1),
          into: target.sliced(axis: timeAxis, start: 0, count: length, step: 1), context.workspace)
      }
      let rest = input.shape[timeAxis] - length
      Copying.copy(
        source.sliced(axis: timeAxis, start: length, count: rest, step: 1),
        into: target.sliced(axis: timeAxis, start: length, count: rest, step: 1),
        context.workspace)
    }
    context.deliver(output)
  }
}
