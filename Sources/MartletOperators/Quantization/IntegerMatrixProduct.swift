import MartletBackends
import MartletCore

/// What MatMulInteger and QLinearMatMul have in common: products of int8 and uint8 matrices with zero
/// points, batches broadcast as NumPy's matmul does.
struct IntegerMatrixProduct {
  let operatorName: String
  /// [..., M, K] and [..., K, N].
  private let lhs: Tensor
  private let rhs: Tensor
  private let isVector: (lhs: Bool, rhs: Bool)
  private let batch: [Int]

  var m: Int { lhs.shape[lhs.rank - 2] }
  var n: Int { rhs.shape[rhs.rank - 1] }
  var k: Int { lhs.shape[lhs.rank - 1] }

  init(_ operatorName: String, _ a: Tensor, _ b: Tensor) throws(MartletError) {
    self.operatorName = operatorName
    guard a.rank > 0, b.rank > 0 else {
      throw .shape(
        operatorName, "an operand is a scalar", expected: "rank >= 1",
        actual: "\(Shape.text(a.shape)) and \(Shape.text(b.shape))")
    }
    isVector = (a.rank == 1, b.rank == 1)
    lhs = isVector.lhs ? try a.restrided([1] + a.shape, strides: [0] + a.strides) : a
    rhs = isVector.rhs ? try b.restrided(b.shape + [1], strides: b.strides + [0]) : b
    let rhsK = rhs.shape[rhs.rank - 2]
    guard lhs.shape[lhs.rank - 1] == rhsK else {
      throw .shape(
        operatorName, "inner extents differ", expected: "K=\(lhs.shape[lhs.rank - 1])",
        actual: "K=\(rhsK)")
    }
    guard
      let batch = Shape.broadcast(Array(lhs.shape.dropLast(2)), Array(rhs.shape.dropLast(2)))
    else {
      throw .shape(
        operatorName, "batches do not broadcast",
        expected: "a shape that broadcasts with \(Shape.text(a.shape))",
        actual: Shape.text(b.shape))
    }
    self.batch = batch
  }

  /// The result's shape.
  var shape: [Int] { batch + (isVector.lhs ? [] : [m]) + (isVector.rhs ? [] : [n]) }

  /// Values of one per matrix, per row (of lhs) or per column (of rhs): one for all, or one per row
  /// (column) of every matrix, [batch..., M] (or N).
  struct Values {
    fileprivate var tensor: Tensor
    fileprivate var isOne: Bool
  }

  enum Side { case rows, columns }

  /// `tensor` (a scalar, a vector, or [..., M, 1] for rows and [..., 1, N] for columns) as `dtype`.
  func values(
    _ tensor: Tensor, _ side: Side, _ dtype: DType, _ name: String, _ context: RunContext
  ) throws(MartletError) -> Values {
    if tensor.count == 1 { return Values(tensor: try context.dense(tensor, dtype), isOne: true) }
    let extent = side == .rows ? m : n
    let last = side == .rows ? [extent, 1] : [1, extent]
    let wide =
      tensor.rank == 1
      ? try tensor.restrided(
        tensor.shape.map { $0 } + (side == .rows ? [1] : []),
        strides: tensor.strides + (side == .rows ? [0] : [])) : tensor
    guard wide.rank >= 1, wide.rank <= batch.count + 2,
      Shape.broadcast(wide.shape, batch + last) == batch + last
    else {
      throw .shape(
        operatorName, name, expected: "one element, [\(extent)] or \(Shape.text(batch + last))",
        actual: Shape.text(tensor.shape), input: name)
    }
    let all = try wide.broadcast(to: batch + last)
    return Values(tensor: try context.dense(all, dtype), isOne: false)
  }

  /// The epilogue and zero points of all matrices.
  struct Terms {
    var lhsZero: Values?
    var rhsZero: Values?
    var scale: Float = 1
    var rowScale: Values?
    var columnScale: Values?
    var zero: Int32 = 0
  }

  /// Computes into `dst`, contiguous, of `shape`.
  func run(
    into dst: Tensor, _ terms: Terms, weight: PackedIntegerWeight?, _ context: RunContext
  ) throws(MartletError) {
    guard dst.count > 0 else { return }  // an empty matrix may come in any number
    let sharesRHS = rhs.shape.dropLast(2).allSatisfy { $0 == 1 }
    // One rhs for all: its products are one product of all rows, unless columns differ by matrix.
    let columnsDiffer = [terms.rhsZero, terms.columnScale].contains { $0?.isOne == false }
    let folds = sharesRHS && batch.count > 0 && (!columnsDiffer || batch.allSatisfy { $0 == 1 })
    let matrices = batch.reduce(1, *)
    let rows = folds ? m * matrices : m
    let left =
      try folds
      ? context.contiguous(try lhs.broadcast(to: batch + [m, k])).reshaped([rows, k])
      : lhs.broadcast(to: batch + [m, k])
    let right = folds ? rhs : try rhs.broadcast(to: batch + [k, n])
    func view(_ tensor: Tensor) -> MatrixView {
      MatrixView(
        tensor.pointer, tensor.dtype, rowStride: tensor.strides[tensor.rank - 2],
        columnStride: tensor.strides[tensor.rank - 1])
    }
    var problem = IntegerProblem(
      m: rows, n: n, k: k, lhs: view(left), rhs: view(right),
      dst: MatrixView(dst.pointer, dst.dtype, rowStride: n))
    if let weight, rhs.rank == 2 { problem.packedRHS = try weight.matrix(rhs, context.pool) }
    problem.epilogue.scale = terms.scale
    problem.epilogue.zero = terms.zero
    let steps = folds ? [] : batch
    let count = steps.reduce(1, *)
    let (lhs, rhs, target) = (problem.lhs.pointer, problem.rhs.pointer, problem.dst.pointer)
    var problems: [IntegerProblem] = []
    problems.reserveCapacity(min(count, IntegerMatrixProduct.problemsAtOnce))
    for index in 0..<count {
      problem.lhs.pointer = lhs + IntegerMatrixProduct.offset(left, index, of: steps)
      problem.rhs.pointer = rhs + IntegerMatrixProduct.offset(right, index, of: steps)
      problem.dst.pointer = target + index * m * n * dst.dtype.wholeByteCount
      problem.lhsZero = zeros(terms.lhsZero, index * m)
      problem.rhsZero = zeros(terms.rhsZero, index * n)
      problem.epilogue.rowScale = scales(terms.rowScale, index * m)
      problem.epilogue.columnScale = scales(terms.columnScale, index * n)
      problems.append(problem)
      if problems.count == IntegerMatrixProduct.problemsAtOnce || index == count - 1 {
        let execution = try Backends.multiply(problems, pool: context.pool)
        if index == count - 1 { context.note(execution) }
        problems.removeAll(keepingCapacity: true)
      }
    }
  }

  private func zeros(_ values: Values?, _ first: Int) -> ZeroPoints {
    guard let values else { return .one(0) }
    let pointer = UnsafePointer(values.tensor.typed(Int32.self))
    return values.isOne ? .one(pointer.pointee) : .each(pointer + first)
  }

  private func scales(_ values: Values?, _ first: Int) -> UnsafePointer<Float>? {
    guard let values, !values.isOne else { return nil }
    return UnsafePointer(values.tensor.typed(Float.self)) + first
  }

  /// Matrices that are handed on together.
  private static let problemsAtOnce = 1024

  /// Bytes from the first matrix to number `index` of the batch; both types are one byte wide.
  private static func offset(_ tensor: Tensor, _ index: Int, of batch: [Int]) -> Int {
    var offset = 0
    var rest = index
    for axis in batch.indices.reversed() {
      let (quotient, step) = rest.quotientAndRemainder(dividingBy: batch[axis])
      offset += step * tensor.strides[axis]
      rest = quotient
    }
    return offset
  }

  static func infer(
    _ a: ValueType?, _ b: ValueType?, _ dtype: DType?, operatorName: String
  ) throws(MartletError) -> [ValueType] {
    guard let a = a?.shape, let b = b?.shape else { return [.unknown(dtype)] }
    guard !a.isEmpty, !b.isEmpty else {
      throw .shape(
        operatorName, "an operand is a scalar", expected: "rank >= 1",
        actual: "\(Inference.text(a)) and \(Inference.text(b))")
    }
    let lhs = a.count == 1 ? [.known(1)] + a : a
    let rhs = b.count == 1 ? b + [.known(1)] : b
    if case .known(let x) = lhs[lhs.count - 1], case .known(let y) = rhs[rhs.count - 2], x != y {
      throw .shape(
        operatorName, "inner extents differ", expected: "K=\(x)",
        actual: "\(Inference.text(a)) by \(Inference.text(b))")
    }
    guard
      let batch = try Inference.broadcast(
        Array(lhs.dropLast(2)), Array(rhs.dropLast(2)), operatorName: operatorName)
    else { return [.unknown(dtype)] }
    let rows = a.count == 1 ? [] : [lhs[lhs.count - 2]]
    let columns = b.count == 1 ? [] : [rhs[rhs.count - 1]]
    return [ValueType(dtype: dtype, shape: batch + rows + columns)]
  }
}

/// A constant right-hand matrix of int8 or uint8, packed once and shared by all runs.
final class PackedIntegerWeight: Sendable {
  private let prepared: PreparedConstants
  private let held = HeldForm<PackedIntegerMatrix>()

  init(_ prepared: PreparedConstants) { self.prepared = prepared }

  /// `weight` ([K, N], any strides, always the same tensor) packed; nil where packing serves nothing.
  func matrix(_ weight: Tensor, _ pool: ThreadPool) throws(MartletError) -> PackedIntegerMatrix? {
    guard try Backends.readsPackedMatrices() else { return nil }
    return try held { () throws(MartletError) in
      try prepared.form("integer panels", of: weight) { () throws(MartletError) in
        try Backends.packIntegers(
          MatrixView(
            weight.pointer, weight.dtype, rowStride: weight.strides[0],
            columnStride: weight.strides[1]),
          k: weight.shape[0], n: weight.shape[1], pool: pool)
      }
    }
  }
}

extension PackedIntegerWeight? {
  /// Prepares `weight`, which is input `index`; see `PreparingOperator`.
  func prepare(
    _ weight: Tensor?, input index: Int, _ preparation: Preparation
  ) throws(MartletError) -> [Int] {
    guard let self, let weight, weight.rank == 2, weight.count > 0,
      weight.dtype == .int8 || weight.dtype == .uint8
    else { return [] }
    return try self.matrix(weight, preparation.pool) == nil ? [] : [index]
  }
}

extension Inputs {
  /// The int8 or uint8 input at `index`.
  func byte(_ index: Int) throws(MartletError) -> Tensor {
    try required(index, { $0 == .int8 || $0 == .uint8 }, "int8 or uint8")
  }

  /// The float input at `index` that must be one number, as float32.
  func scale(_ index: Int) throws(MartletError) -> Float {
    _ = try float(index)
    return Float(try number(index))
  }
}
