import MartletBackends
import MartletCore

/// A mask in the scores' own type, broadcast to [B, H, L, T].
struct AttentionMask {
  /// Added to the scores: 0 and -Inf for a bool mask.
  var additive: Tensor
  /// -Inf where the mask is -Inf, 0 elsewhere: for adding once more after softcap.
  var wall: Tensor?

  /// Nil without a mask. A last axis that is shorter than T masks what it leaves out.
  init?(
    _ mask: Tensor?, shape: [Int], _ type: DType, needsWall: Bool, _ context: RunContext
  ) throws(MartletError) {
    guard let mask else { return nil }
    guard mask.dtype == .bool || mask.dtype.isFloatingPoint else {
      throw .dtype("Attention", "attn_mask", expected: "bool or a float", actual: mask.dtype)
    }
    var own = mask.shape
    let total = shape[3]
    if let last = own.last, last != 1, last < total { own[own.count - 1] = total }
    let values = try context.scratch(.float64, own)
    try AttentionMask.fill(values, from: mask, context)
    let additive = try context.converted(values, to: type)
    guard Shape.broadcast(own, shape) == shape else {
      throw .shape(
        "Attention", "attn_mask",
        expected: "a shape that broadcasts to \(Shape.text(shape))",
        actual: Shape.text(mask.shape), input: "attn_mask")
    }
    self.additive = try additive.broadcast(to: shape)
    if needsWall {
      for index in 0..<values.count {
        let value = values.typed(Double.self)[index]
        values.typed(Double.self)[index] = value == -.infinity ? value : 0
      }
      values.keepAlive()
      wall = try context.converted(values, to: type).broadcast(to: shape)
    }
  }

  func part(_ slice: (Tensor) -> Tensor) -> AttentionMask {
    var result = self
    result.additive = slice(additive)
    result.wall = wall.map(slice)
    return result
  }

  /// The mask as numbers, -Inf behind its end.
  private static func fill(
    _ values: Tensor, from mask: Tensor, _ context: RunContext
  ) throws(MartletError) {
    let source = try context.contiguous(try context.converted(mask, to: .float64))
    guard let width = values.shape.last, let given = source.shape.last else {
      values.typed(Double.self)[0] = source.typed(Double.self)[0]
      return finish(values, mask.dtype == .bool)
    }
    let target = values.typed(Double.self)
    for row in 0..<(width == 0 ? 0 : values.count / width) {
      for column in 0..<width {
        let isGiven = column < given
        target[row * width + column] =
          isGiven
          ? source.typed(Double.self)[row * given + column]
          : mask.dtype == .bool ? 0 : -.infinity
      }
    }
    source.keepAlive()
    finish(values, mask.dtype == .bool)
  }

  private static func finish(_ values: Tensor, _ isBool: Bool) {
    guard isBool else { return values.keepAlive() }
    for index in 0..<values.count {
      let attends = values.typed(Double.self)[index] != 0
      values.typed(Double.self)[index] = attends ? 0 : -.infinity
    }
    values.keepAlive()
  }
}
