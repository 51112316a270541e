import MartletKernels

/// A kernel's call on memory that stays where it is, kept so that it can be made again and again: for
/// work that takes no longer than finding out what to do.
///
/// Whoever keeps it keeps the memory. @unchecked Sendable: holds addresses only.
package struct KernelCall: @unchecked Sendable {
  private enum Work {
    case unary(mk_unary_fn, UnsafePointer<Float>, Float, Float)
    case binary(mk_binary_fn, UnsafePointer<Float>, Int, UnsafePointer<Float>, Int)
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

  /// dst = function(x, y) with steps of 0 or 1; nil where the function has no kernel.
  init?(
    _ function: BinaryFunction, _ count: Int, _ x: UnsafePointer<Float>, _ xStep: Int,
    _ y: UnsafePointer<Float>, _ yStep: Int, _ dst: UnsafeMutablePointer<Float>
  ) {
    guard let kernel = function.kernel else { return nil }
    work = .binary(kernel, x, xStep, y, yStep)
    (self.count, self.dst) = (count, dst)
  }

  package func run() {
    switch work {
    case .unary(let kernel, let src, let a, let b): kernel(Int64(count), src, dst, a, b)
    case .binary(let kernel, let x, let xStep, let y, let yStep):
      kernel(Int64(count), x, Int64(xStep), y, Int64(yStep), dst)
    }
  }
}
