import MartletBackends
import MartletCore

/// The boxes of each class of each image that overlap no better one by more than a share of the union.
///
/// boxes [N, B, 4], scores [N, classes, B], both float32; the result is int64 [selected, 3] of image,
/// class and box, in that order and for each class by falling score. Source: ONNX NonMaxSuppression-11.
package struct NonMaxSuppression: Operator {
  package static let schema = OperatorSchema(
    name: "NonMaxSuppression",
    inputs: [
      "boxes", "scores", "max_output_boxes_per_class", "iou_threshold", "score_threshold",
    ], requiredInputs: 2, outputs: ["selected_indices"],
    attributes: [
      "center_point_box":
        "0: boxes are two corners, [y1, x1, y2, x2]; 1: [x centre, y centre, width, height]; 0"
    ])
  private let isCentered: Bool

  package init(_ node: OperatorNode) throws(MartletError) {
    let form = try node.attributes.int("center_point_box", default: 0)
    guard form == 0 || form == 1 else {
      throw MartletError(
        .invalidArgument, "NonMaxSuppression: center_point_box is \(form)",
        operatorName: "NonMaxSuppression", input: "center_point_box", expected: "0 or 1",
        actual: "\(form)")
    }
    isCentered = form == 1
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: .int64, shape: [.unknown, .known(3)])]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let boxes = try inputs.required(0, like: .float32)
    let scores = try inputs.required(1, like: .float32)
    guard boxes.rank == 3, boxes.shape[2] == 4, boxes.shape[1] <= Int(Int32.max) else {
      throw .shape(
        "NonMaxSuppression", "boxes", expected: "[N, boxes below 2^31, 4]",
        actual: Shape.text(boxes.shape), input: "boxes")
    }
    guard scores.rank == 3, scores.shape[0] == boxes.shape[0], scores.shape[2] == boxes.shape[1]
    else {
      throw .shape(
        "NonMaxSuppression", "scores",
        expected: "[\(boxes.shape[0]), classes, \(boxes.shape[1])]",
        actual: Shape.text(scores.shape), input: "scores")
    }
    let limit = try isGiven(inputs, 2) ? inputs.integer(2) : 0
    let overlap = try isGiven(inputs, 3) ? inputs.number(3) : 0
    guard overlap >= 0, overlap <= 1 else {
      throw MartletError(
        .invalidArgument, "NonMaxSuppression: iou_threshold is \(overlap)",
        operatorName: "NonMaxSuppression", input: "iou_threshold", expected: "0...1",
        actual: "\(overlap)")
    }
    let least = try isGiven(inputs, 4) ? Float(inputs.number(4)) : nil
    guard limit > 0, scores.count > 0 else {
      return context.deliver(try context.output(0, .int64, [0, 3]))
    }
    let suppression = BoxSuppression(
      batch: scores.shape[0], classes: scores.shape[1], boxes: scores.shape[2],
      isCentered: isCentered, limit: limit, overlapThreshold: Float(overlap),
      scoreThreshold: least)
    let selection = try suppression.run(
      boxes: try context.contiguous(boxes), scores: try context.contiguous(scores),
      context.workspace)
    let items = scores.shape[0] * scores.shape[1]
    let count = (0..<items).reduce(0) { $0 + selection.counts[$1] }
    let output = try context.output(0, .int64, [count, 3])
    var row = output.typed(Int64.self)
    for item in 0..<items {
      let (image, number) = item.quotientAndRemainder(dividingBy: scores.shape[1])
      for place in selection.starts[item]..<selection.starts[item] + selection.counts[item] {
        row[0] = Int64(image)
        row[1] = Int64(number)
        row[2] = Int64(selection.places[place])
        row += 3
      }
    }
    context.deliver(output)
  }

  /// Whether an input of one number is there; empty tensors stand for absent ones.
  private func isGiven(_ inputs: Inputs, _ index: Int) -> Bool {
    inputs.optional(index).map { $0.count > 0 } ?? false
  }
}
