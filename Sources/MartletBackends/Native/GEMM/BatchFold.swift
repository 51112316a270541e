import MartletCore

/// A product's batch in its simplest form: axes of one step dropped, axes that continue each other
/// merged, and a batch whose rhs stands still folded into M, where rows follow each other evenly.
struct BatchFold {
  /// The problem with M grown by what was folded; its `batch` is what remains, outermost first.
  private(set) var problem: GEMMProblem

  init(_ original: GEMMProblem) {
    problem = original
    problem.batch = problem.batch.filter { $0.count != 1 }
    guard !problem.batch.isEmpty else { return }
    mergeNeighbours()
    while let axis = problem.batch.last, fold(axis) { problem.batch.removeLast() }
  }

  /// Number of matrices.
  var count: Int { problem.batch.reduce(1) { $0 * $1.count } }

  /// Whether every matrix of the batch has the same rhs.
  var sharesRHS: Bool { problem.batch.allSatisfy { $0.rhsStride == 0 } }

  /// How far matrix `index` lies from the first, in elements.
  func offsets(_ index: Int) -> (lhs: Int, rhs: Int, dst: Int, residual: Int) {
    var offsets = (lhs: 0, rhs: 0, dst: 0, residual: 0)
    var rest = index
    for axis in problem.batch.reversed() {
      let (quotient, step) = rest.quotientAndRemainder(dividingBy: axis.count)
      offsets.lhs += step * axis.lhsStride
      offsets.rhs += step * axis.rhsStride
      offsets.dst += step * axis.dstStride
      offsets.residual += step * axis.residualStride
      rest = quotient
    }
    return offsets
  }

  private mutating func mergeNeighbours() {
    var merged: [BatchAxis] = []
    for axis in problem.batch {
      if let outer = merged.last, outer.lhsStride == axis.count * axis.lhsStride,
        outer.rhsStride == axis.count * axis.rhsStride,
        outer.dstStride == axis.count * axis.dstStride,
        outer.residualStride == axis.count * axis.residualStride
      {
        merged[merged.count - 1] = axis
        merged[merged.count - 1].count *= outer.count
      } else {
        merged.append(axis)
      }
    }
    problem.batch = merged
  }

  private mutating func fold(_ axis: BatchAxis) -> Bool {
    let m = problem.m
    guard axis.rhsStride == 0, problem.epilogue.rowBias == nil, m > 0 else { return false }
    if m == 1 {
      problem.lhs.rowStride = axis.lhsStride
      problem.dst.rowStride = axis.dstStride
      problem.epilogue.residual?.rowStride = axis.residualStride
    } else {
      guard axis.lhsStride == m * problem.lhs.rowStride,
        axis.dstStride == m * problem.dst.rowStride,
        problem.epilogue.residual.map({ axis.residualStride == m * $0.rowStride }) ?? true
      else { return false }
    }
    problem.m = m * axis.count
    return true
  }
}
