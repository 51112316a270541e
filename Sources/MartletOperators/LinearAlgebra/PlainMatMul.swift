import MartletBackends
import MartletCore

/// An f32 matrix [rows, columns], not empty, whose rows are contiguous and follow each other: what
/// most products are made of, without the arrays of a tensor. Its memory must outlive its use.
package struct PlainMatrix: Sendable {
  nonisolated(unsafe) fileprivate let pointer: UnsafeMutableRawPointer
  package let rows: Int
  package let columns: Int
  /// Elements from a row to the next.
  fileprivate let stride: Int

  /// nil for a tensor of another kind.
  package init?(_ tensor: Tensor) {
    guard tensor.dtype == .float32, tensor.rank == 2, tensor.count > 0,
      tensor.strides[1] == 1 || tensor.shape[1] == 1,
      tensor.strides[0] >= tensor.shape[1] || tensor.shape[0] == 1
    else { return nil }
    pointer = tensor.pointer
    rows = tensor.shape[0]
    columns = tensor.shape[1]
    stride = rows == 1 ? columns : tensor.strides[0]
  }

  fileprivate var view: MatrixView { MatrixView(pointer, .float32, rowStride: stride) }

  /// Whether two matrices may share memory: a first look at what `Tensor.overlaps` decides, past which
  /// a call is none of a plain product.
  fileprivate func isNear(_ other: PlainMatrix) -> Bool {
    pointer < other.end && other.pointer < end
  }

  private var end: UnsafeMutableRawPointer { pointer + ((rows - 1) * stride + columns) * 4 }
}

/// An operator of two inputs that, on plain matrices, is their product and nothing else: callers of
/// small ones come past all that operators in general need.
package protocol PlainMatrixProduct: Operator {
  /// That of inputs that are no constants.
  static var plain: Self { get }

  /// dst = a @ b without the work that other operands need; false, with nothing done, where that is
  /// not all there is to do: then `run` is to be used.
  ///
  /// `constant` is b as the tensor that this was made for, where it was made for one.
  func multiply(
    _ a: PlainMatrix, _ b: PlainMatrix, constant: @autoclosure () -> Tensor,
    into dst: PlainMatrix, mode: MathMode
  ) throws(MartletError) -> Bool
}

extension MatMul: PlainMatrixProduct {
  package static let plain = MatMul()

  package func multiply(
    _ a: PlainMatrix, _ b: PlainMatrix, constant: @autoclosure () -> Tensor,
    into dst: PlainMatrix, mode: MathMode
  ) throws(MartletError) -> Bool {
    guard a.columns == b.rows, dst.rows == a.rows, dst.columns == b.columns,
      dst.stride == dst.columns, !dst.isNear(a), !dst.isNear(b)
    else { return false }
    var problem = GEMMProblem(
      m: a.rows, n: b.columns, k: a.columns, lhs: a.view, rhs: b.view, dst: dst.view, mode: mode)
    if let weight, !Backends.readsInPlace(problem) {
      problem.packedRHS = try weight.matrix(constant(), mode: mode, pool: .shared)
    }
    _ = try Backends.run(problem)
    return true
  }
}
