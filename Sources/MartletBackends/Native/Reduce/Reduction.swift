import MartletCore
import MartletKernels

/// What a reduction makes of the elements that it folds.
package enum ReduceFunction: Sendable {
  case sum, mean, max, min, product, sumOfMagnitudes, sumOfSquares, euclidean, logSum, logSumExp

  /// The fold without its last step.
  var fold: Fold {
    switch self {
    case .sum, .mean, .logSum, .logSumExp: .sum
    case .max: .max
    case .min: .min
    case .product: .product
    case .sumOfMagnitudes: .sumOfMagnitudes
    case .sumOfSquares, .euclidean: .sumOfSquares
    }
  }
}

/// The folds that there are kernels for.
enum Fold {
  case sum, max, min, product, sumOfMagnitudes, sumOfSquares

  var kernelIndex: Int {
    switch self {
    case .sum: MK_REDUCE_SUM
    case .max: MK_REDUCE_MAX
    case .min: MK_REDUCE_MIN
    case .product: MK_REDUCE_PROD
    case .sumOfMagnitudes: MK_REDUCE_SUM_ABS
    case .sumOfSquares: MK_REDUCE_SUM_SQUARES
    }
  }

  /// Partial results may be summed up; they are already magnitudes or squares.
  var isSum: Bool {
    switch self {
    case .sum, .sumOfMagnitudes, .sumOfSquares: true
    default: false
    }
  }

  /// The value of a fold over nothing.
  func identity<T: Element>(_: T.Type) -> T {
    switch self {
    case .sum, .sumOfMagnitudes, .sumOfSquares: .zero
    case .product: .one
    case .max: .lowest
    case .min: .highest
    }
  }

  @inline(__always)
  func step<T: Element>(_ accumulated: T, _ value: T) -> T {
    switch self {
    case .sum: T.sum(accumulated, value)
    case .product: T.product(accumulated, value)
    case .max: T.greatest(accumulated, value)
    case .min: T.least(accumulated, value)
    case .sumOfMagnitudes: T.sum(accumulated, T.magnitude(value))
    case .sumOfSquares: T.sum(accumulated, T.product(value, value))
    }
  }
}

/// Reductions over any axes.
///
/// Where the last axis is reduced, each result is the fold of one row; otherwise rows are folded
/// into columns of results, in blocks. Which of the two it is, and the order of the fold, follow from
/// the reduced axes and their extents alone: never from the batch, the threads or the neighbours.
package enum Reduction {
  /// Elements that one thread folds at a time.
  static let grain = 1 << 15
  /// Rows that are summed one after the other; more are halved first (pairwise summation), which keeps
  /// the rounding error of n rows near log n of one addition's.
  static let block = 16

  /// dst = function over `axes` of `src`; `dst` is contiguous, of src's dtype (not a 16-bit float)
  /// and holds one element per index of the other axes.
  ///
  /// Over no elements: 0 for sums, 1 for products, -Inf and +Inf (or the type's limits) for max and
  /// min, NaN (for integers 0) for the mean.
  package static func reduce(
    _ function: ReduceFunction, _ src: Tensor, axes: Set<Int>, into dst: Tensor,
    _ workspace: Workspace
  ) throws(MartletError) {
    let rank = src.rank
    let reduced = (0..<rank).filter { axes.contains($0) }
    let kept = (0..<rank).filter { !axes.contains($0) }
    let n = reduced.reduce(1) { $0 * src.shape[$1] }
    if dst.count == 0 { return }
    if case .logSumExp = function {
      let rows = try workspace.contiguous(try src.permuted(kept + reduced))
      try LogSumExp.reduce(rows, n, into: dst, workspace)
      return
    }
    if reduced.last == rank - 1 || reduced.isEmpty {
      let rows = try workspace.contiguous(try src.permuted(kept + reduced))
      foldRows(function.fold, rows, n, into: dst, workspace)
    } else {
      let last = reduced[reduced.count - 1]
      let outer = kept.filter { $0 < last }
      let inner = kept.filter { $0 > last }
      let dense = try workspace.contiguous(try src.permuted(outer + reduced + inner))
      try foldColumns(
        function.fold, dense, outer: outer.reduce(1) { $0 * src.shape[$1] }, n,
        inner: inner.reduce(1) { $0 * src.shape[$1] }, into: dst, workspace)
    }
    try finish(function, n, dst, workspace)
  }

  /// The last step of a function, over the folds.
  private static func finish(
    _ function: ReduceFunction, _ n: Int, _ dst: Tensor, _ workspace: Workspace
  ) throws(MartletError) {
    let last: UnaryFunction
    switch function {
    case .mean:
      let divisor = try workspace.scalar(Double(n), dst.dtype)
      try Elementwise.binary(.div, dst, divisor, into: dst, workspace)
      return
    case .euclidean: last = .sqrt
    case .logSum: last = .log
    default: return
    }
    if dst.dtype.isFloatingPoint {
      try Elementwise.unary(last, dst, into: dst, workspace)
    } else {
      let wide = try workspace.converted(dst, to: .float64)
      try Elementwise.unary(last, wide, into: wide, workspace)
      try Casting.cast(wide, into: dst, workspace)
    }
  }

  private static func foldRows(
    _ fold: Fold, _ rows: Tensor, _ n: Int, into dst: Tensor, _ workspace: Workspace
  ) {
    let count = dst.count
    let perChunk = max(1, grain / max(n, 1))
    let kernel = VectorKernels.chosen.reduce[fold.kernelIndex]
    let (from, to) = (rows.pointer, dst.pointer)
    workspace.pool.parallelFor((count + perChunk - 1) / perChunk) { chunk in
      let range = chunk * perChunk..<min((chunk + 1) * perChunk, count)
      if rows.dtype == .float32 {
        let src = from.assumingMemoryBound(to: Float.self)
        let out = to.assumingMemoryBound(to: Float.self)
        for row in range {
          out[row] = n == 0 ? fold.identity(Float.self) : kernel(Int64(n), src + row * n)
        }
      } else {
        rows.dtype.visit(RowFold(fold: fold, rows: range, n: n, src: from, dst: to))
      }
    }
  }

  private static func foldColumns(
    _ fold: Fold, _ src: Tensor, outer: Int, _ n: Int, inner: Int, into dst: Tensor,
    _ workspace: Workspace
  ) throws(MartletError) {
    // Columns per unit: enough units for the threads, and strips that stay in L1.
    let strip = min(inner, 2048)
    let strips = (inner + strip - 1) / strip
    let units = outer * strips
    let perChunk = max(1, grain / max(n * strip, 1))
    let kernel = VectorKernels.chosen.accumulate[fold.kernelIndex]
    let sums = VectorKernels.chosen.accumulate[Fold.sum.kernelIndex]
    let (from, to) = (src.pointer, dst.pointer)
    workspace.pool.parallelFor((units + perChunk - 1) / perChunk) { chunk in
      for unit in chunk * perChunk..<min((chunk + 1) * perChunk, units) {
        let start = unit % strips * strip
        let width = min(strip, inner - start)
        let target = unit / strips * inner + start
        let source = unit / strips * n * inner + start
        if src.dtype == .float32 {
          FloatColumns(fold: fold, kernel: kernel, sums: sums, n: n, width: width, rowStep: inner)
            .run(
              from.assumingMemoryBound(to: Float.self) + source,
              to.assumingMemoryBound(to: Float.self) + target)
        } else {
          src.dtype.visit(
            ColumnFold(
              fold: fold, n: n, width: width, rowStep: inner, source: source, target: target,
              src: from, dst: to))
        }
      }
    }
  }
}

/// One strip of columns by the f32 kernels.
private struct FloatColumns {
  let fold: Fold
  let kernel: mk_accumulate_fn
  let sums: mk_accumulate_fn
  let n: Int
  let width: Int
  let rowStep: Int

  func run(_ src: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>) {
    dst.update(repeating: fold.identity(Float.self), count: width)
    add(0..<n, of: src, to: dst)
  }

  /// `dst` holds the identity before.
  private func add(
    _ rows: Range<Int>, of src: UnsafePointer<Float>, to dst: UnsafeMutablePointer<Float>
  ) {
    guard fold.isSum, rows.count > Reduction.block else {
      for row in rows { kernel(Int64(width), src + row * rowStep, dst) }
      return
    }
    let middle = rows.lowerBound + rows.count / 2
    add(rows.lowerBound..<middle, of: src, to: dst)
    withUnsafeTemporaryAllocation(of: Float.self, capacity: width) { half in
      guard let base = half.baseAddress else { return }
      base.update(repeating: 0, count: width)
      add(middle..<rows.upperBound, of: src, to: base)
      sums(Int64(width), base, dst)
    }
  }
}

private struct RowFold: ElementVisitor {
  let fold: Fold
  let rows: Range<Int>
  let n: Int
  let src: UnsafeMutableRawPointer
  let dst: UnsafeMutableRawPointer

  func visit<T: Element>(_: T.Type) {
    let out = dst.assumingMemoryBound(to: T.self)
    for row in rows {
      let values = src.assumingMemoryBound(to: T.self) + row * n
      @inline(__always) func run(_ fold: Fold) -> T {
        var accumulated = fold.identity(T.self)
        for i in 0..<n { accumulated = fold.step(accumulated, values[i]) }
        return accumulated
      }
      // One loop per fold: the choice is made outside of it.
      switch fold {
      case .sum: out[row] = run(.sum)
      case .max: out[row] = run(.max)
      case .min: out[row] = run(.min)
      case .product: out[row] = run(.product)
      case .sumOfMagnitudes: out[row] = run(.sumOfMagnitudes)
      case .sumOfSquares: out[row] = run(.sumOfSquares)
      }
    }
  }
}

private struct ColumnFold: ElementVisitor {
  let fold: Fold
  let n: Int
  let width: Int
  let rowStep: Int
  let source: Int
  let target: Int
  let src: UnsafeMutableRawPointer
  let dst: UnsafeMutableRawPointer

  func visit<T: Element>(_: T.Type) {
    let values = src.assumingMemoryBound(to: T.self) + source
    let out = dst.assumingMemoryBound(to: T.self) + target
    out.update(repeating: fold.identity(T.self), count: width)
    @inline(__always) func run(_ fold: Fold) {
      for row in 0..<n {
        let line = values + row * rowStep
        for i in 0..<width { out[i] = fold.step(out[i], line[i]) }
      }
    }
    switch fold {
    case .sum: run(.sum)
    case .max: run(.max)
    case .min: run(.min)
    case .product: run(.product)
    case .sumOfMagnitudes: run(.sumOfMagnitudes)
    case .sumOfSquares: run(.sumOfSquares)
    }
  }
}
