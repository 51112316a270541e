import MartletKernels

/// A kernel's call on memory that stays where it is, kept so that it can be made again and again: for
/// work that takes no longer than finding out what to do.
///
/// Whoever keeps it keeps the memory. @unchecked Sendable: holds addresses only.
package struct KernelCall: @unchecked Sendable {
  private enum Work {
    case unary(mk_unary_fn, UnsafePointer<Float>, Float, Float)
    case binary(mk_binary_fn, Operand, Operand)
    /// The same row by row.
    case rows(mk_binary_fn, Operand, Operand, Int)
  }

  private let work: Work
  private let count: Int
  private let dst: UnsafeMutablePointer<Float>

  /// dst = function(src), one after another; nil where a function has no kernel.
  init?(
    _ function: UnaryFunction, _ count: Int, _ src: UnsafePointer<Float>,
    _ dst: UnsafeMutablePointer<Float>
  ) {
    guard let entry = function.kernel else { return nil }
    work = .unary(VectorKernels.chosen.unary[entry.index], src, entry.a, entry.b)
    (self.count, self.dst) = (count, dst)
  }

  /// An operand of a function of two: elements from one to the next, 0 or 1, and from row to row.
  struct Operand {
    var start: UnsafePointer<Float>
    var step: Int
    var rowStride = 0
  }

  /// dst = function(x, y) for `rows` of `count` elements, which dst has one after another; nil where
  /// the function has no kernel.
  init?(
    _ function: BinaryFunction, _ count: Int, _ x: Operand, _ y: Operand,
    _ dst: UnsafeMutablePointer<Float>, rows: Int = 1
  ) {
    guard let kernel = function.kernel else { return nil }
    work = rows == 1 ? .binary(kernel, x, y) : .rows(kernel, x, y, rows)
    (self.count, self.dst) = (count, dst)
  }

  package func run() {
    switch work {
    case .unary(let kernel, let src, let a, let b): kernel(Int64(count), src, dst, a, b)
    case .binary(let kernel, let x, let y):
      kernel(Int64(count), x.start, Int64(x.step), y.start, Int64(y.step), dst)
    case .rows(let kernel, let x, let y, let rows):
      for row in 0..<rows {
        kernel(
          Int64(count), x.start + row * x.rowStride, Int64(x.step), y.start + row * y.rowStride,
          Int64(y.step), dst + row * count)
      }
    }
  }
}
