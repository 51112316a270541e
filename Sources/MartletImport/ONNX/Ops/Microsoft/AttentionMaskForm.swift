import MartletCore
import MartletGraph
import MartletOperators

/// The masks of com.microsoft's attention as one of numbers to add, with the bias that is added too.
///
/// A mask is [B] (how many keys count), [2B] (where they end, then where they begin), [3B + 2] (how
/// many, then sums of them), [B, T], or [B, S, T]; of the last two 0 hides.
struct AttentionMaskForm {
  /// Where the number of all keys is found.
  struct Keys {
    let new: ValueID
    let axis: Int
    let past: ValueID?
    let pastAxis: Int
  }

  private let filter: Float
  /// Has the batch as its first axis.
  private let batch: ValueID
  private let keys: Keys
  private let bias: ValueID?
  private let node: ImportedNode

  init(filter: Float, batchOf: ValueID, keys: Keys, bias: ValueID?, _ node: ImportedNode) {
    self.filter = filter
    batch = batchOf
    self.keys = keys
    self.bias = bias
    self.node = node
  }

  /// What is added to scores [B, N, S, T]; nil: nothing.
  func convert(
    _ mask: ValueID?, isOfMultiHead: Bool, _ converter: inout ONNXConverter
  ) throws(MartletError) -> ValueID? {
    guard let mask else { return bias }
    let shown: ValueID
    switch try converter.knownRank(of: mask, "mask", for: node) {
    case 1:
      shown = try counted(mask, hasStarts: !isOfMultiHead, &converter)
    case 2:
      // A mask of one column says nothing.
      if !isOfMultiHead, converter.type(of: mask).shape?.last == .known(1) { return bias }
      shown = try converter.unsqueezed(try flags(mask, &converter), [1, 2], for: node)
    case 3: shown = try converter.unsqueezed(try flags(mask, &converter), [1], for: node)
    default:
      throw node.error(.unsupported, "masks of more than 3 axes are not supported", input: "mask")
    }
    let numbers = try converter.emitInner(
      "Where",
      [
        shown, try converter.constant([Float(0)], shape: [], for: node),
        try converter.constant([filter], shape: [], for: node),
      ], for: node)
    guard let bias else { return numbers }
    let wide = try converter.cast(bias, to: .float32, for: node)
    return try converter.emitInner("Add", [wide, numbers], for: node)
  }

  private func flags(
    _ mask: ValueID, _ converter: inout ONNXConverter
  ) throws(MartletError) -> ValueID {
    try converter.cast(mask, to: .bool, for: node)
  }

  /// [B, 1, 1, T]: whether a key lies before its row's end, and not before its begin.
  private func counted(
    _ mask: ValueID, hasStarts: Bool, _ converter: inout ONNXConverter
  ) throws(MartletError) -> ValueID {
    let rows = try converter.shape(batch, from: 0, to: 1, for: node)
    var total = try converter.shape(keys.new, from: keys.axis, to: keys.axis + 1, for: node)
    if let past = keys.past {
      let length = try converter.shape(
        past, from: keys.pastAxis, to: keys.pastAxis + 1, for: node)
      total = try converter.emitInner("Add", [length, total], for: node)
    }
    let places = try converter.range(try converter.element(total, for: node), for: node)
    let wide = try converter.cast(mask, to: .int64, for: node)
    let zero = try converter.constant([0], for: node)
    let ends = try column(wide, zero, rows, &converter)
    var shown = try converter.emitInner("Less", [places, ends], for: node)
    let isTwice = hasStarts ? try startsFollow(mask, converter) : false
    if isTwice {
      let last = try converter.emitInner("Add", [rows, rows], for: node)
      let starts = try column(wide, rows, last, &converter)
      let begun = try converter.emitInner("GreaterOrEqual", [places, starts], for: node)
      shown = try converter.emitInner("And", [shown, begun], for: node)
    }
    return shown
  }

  /// Elements `first` to `end` of a vector as [count, 1, 1, 1].
  private func column(
    _ vector: ValueID, _ first: ValueID, _ end: ValueID, _ converter: inout ONNXConverter
  ) throws(MartletError) -> ValueID {
    let part = try converter.emitInner("Slice", [vector, first, end], for: node)
    return try converter.unsqueezed(part, [1, 2, 3], for: node)
  }

  /// Whether a mask that is a vector is [2B].
  private func startsFollow(
    _ mask: ValueID, _ converter: ONNXConverter
  ) throws(MartletError) -> Bool {
    let length = converter.type(of: mask).shape?.first ?? .unknown
    let rows = converter.type(of: batch).shape?.first ?? .unknown
    let twice = Inference.times(rows, .known(2))
    if length == rows, rows != .unknown { return false }
    if length == twice, twice != .unknown { return true }
    if length == Inference.plus(Inference.times(rows, .known(3)), .known(2)), rows != .unknown {
      return false
    }
    throw node.error(
      .unsupported,
      "a mask of shape [\(length)] beside a batch of \(rows): what it means cannot be told",
      input: "mask_index")
  }
}
