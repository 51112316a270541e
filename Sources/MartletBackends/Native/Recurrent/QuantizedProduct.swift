import MartletCore

/// A step's product with a weight of integers: the states quantised row by row, the sums exact in
/// int32, and one factor per row and column on the way out.
struct QuantizedProduct {
  private let states: UnsafePointer<Float>
  private let width: Int
  private let codes: Tensor
  /// Of each row.
  private let scales: UnsafeMutablePointer<Float>
  private let zeros: UnsafeMutablePointer<Int32>
  private var problem: IntegerProblem
  /// Owns what `problem` points into.
  private let owned: [Tensor]
  /// What the first one ran as.
  private(set) var execution: Execution?

  /// `states` [batch, H] contiguous, `weight` [H, columns], `dst` [batch, columns] float32.
  init(
    _ states: Tensor, _ weight: Tensor, _ quantization: RecurrentProblem.Quantization,
    into dst: Tensor, _ workspace: Workspace
  ) throws(MartletError) {
    let batch = states.shape[0]
    width = states.shape[1]
    self.states = UnsafePointer(states.typed(Float.self))
    codes = try workspace.scratch(.uint8, [batch, width])
    let rowScales = try workspace.scratch(.float32, [batch])
    let rowZeros = try workspace.scratch(.int32, [batch])
    scales = rowScales.typed(Float.self)
    zeros = rowZeros.typed(Int32.self)
    problem = IntegerProblem(
      m: batch, n: weight.shape[1], k: width,
      lhs: MatrixView(codes.pointer, .uint8, rowStride: width),
      rhs: MatrixView(
        weight.pointer, weight.dtype, rowStride: weight.strides[0],
        columnStride: weight.strides[1]),
      dst: MatrixView(dst.pointer, .float32, rowStride: dst.strides[0]))
    problem.packedRHS = quantization.packed
    problem.lhsZero = .each(UnsafePointer(zeros))
    problem.epilogue.rowScale = UnsafePointer(scales)
    let columnZeros = UnsafePointer(quantization.zeros.typed(Int32.self))
    problem.rhsZero =
      quantization.zeros.count == 1 ? .one(columnZeros.pointee) : .each(columnZeros)
    let columnScales = UnsafePointer(quantization.scales.typed(Float.self))
    if quantization.scales.count == 1 {
      problem.epilogue.scale = columnScales.pointee
    } else {
      problem.epilogue.columnScale = columnScales
    }
    owned = [states, weight, rowScales, rowZeros, quantization.scales, quantization.zeros, dst]
  }

  mutating func run(rows: Int, _ pool: ThreadPool) throws(MartletError) {
    for row in 0..<rows {
      let source = states + row * width
      let range = DynamicRange(source, width)
      scales[row] = range.scale
      zeros[row] = range.zero
      range.quantize(source, width, into: codes.pointer + row * width, pool: pool)
    }
    problem.m = rows
    let ran = try Backends.multiply([problem], pool: pool)
    if execution == nil { execution = ran }
  }
}
