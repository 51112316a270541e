import MartletBackends
import MartletCore

/// A mask for scores [B, H, L, T]: added numbers, or bools of which false hides.
struct AttentionMask {
  /// Broadcast to [B, H, L, `width`], contiguous along the last axis; bool or float.
  let values: Tensor
  /// Keys that it covers; it hides those behind them.
  let width: Int

  /// Nil without a mask. A last axis that is shorter than T masks what it leaves out.
  init?(
    _ mask: Tensor?, shape: [Int], _ context: RunContext
  ) throws(MartletError) {
    guard let mask else { return nil }
    guard mask.dtype == .bool || mask.dtype.isFloatingPoint else {
      throw .dtype("Attention", "attn_mask", expected: "bool or a float", actual: mask.dtype)
    }
    var target = shape
    if let last = mask.shape.last, last != 1, last < shape[3] { target[3] = last }
    guard Shape.broadcast(mask.shape, target) == target else {
      throw .shape(
        "Attention", "attn_mask",
        expected: "a shape that broadcasts to \(Shape.text(shape))",
        actual: Shape.text(mask.shape), input: "attn_mask")
    }
    width = target[3]
    var rows = mask
    if mask.shape.last != width || mask.strides.last != 1 {
      let own = mask.shape.dropLast() + [width]
      rows = try context.contiguous(try mask.broadcast(to: Array(own)))
    }
    values = try rows.broadcast(to: target)
  }

  /// For the fused kernel: bools as they are, numbers as float32.
  func view(_ context: RunContext) throws(MartletError) -> AttentionMaskView {
    let isBool = values.dtype == .bool
    let tensor = isBool ? values : try converted(to: .float32, context)
    return AttentionMaskView(
      isBool ? .shown : .added, tensor.pointer, batchStride: tensor.strides[0],
      headStride: tensor.strides[1], rowStride: tensor.strides[2])
  }

  /// For scores [B, H, L, T] of `type`: what is added to them, -Inf where the mask hides.
  func additive(
    _ shape: [Int], _ type: DType, _ context: RunContext
  ) throws(MartletError) -> Tensor {
    let numbers = try context.scratch(.float64, shape)
    let given = try context.contiguous(try context.converted(values, to: .float64))
    let isBool = values.dtype == .bool
    for index in 0..<(shape[3] == 0 ? 0 : numbers.count) {
      let (row, column) = index.quotientAndRemainder(dividingBy: shape[3])
      var value = -Double.infinity
      if column < width {
        value = given.typed(Double.self)[row * width + column]
        if isBool { value = value == 0 ? -.infinity : 0 }
      }
      numbers.typed(Double.self)[index] = value
    }
    return try context.converted(numbers, to: type)
  }

  /// The values as `type`, without repeating what is broadcast.
  private func converted(to type: DType, _ context: RunContext) throws(MartletError) -> Tensor {
    if values.dtype == type { return values }
    var own = values
    for axis in 0..<3 where values.strides[axis] == 0 {
      own = own.sliced(axis: axis, start: 0, count: min(1, own.shape[axis]), step: 1)
    }
    return try context.contiguous(try context.converted(own, to: type)).broadcast(to: values.shape)
  }
}
