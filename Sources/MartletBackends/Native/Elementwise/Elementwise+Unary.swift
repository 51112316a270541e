import MartletCore
import MartletKernels

/// Functions of each element, with broadcasting, over tensors of any strides.
package enum Elementwise {
  /// Elements per stage of a 16-bit float computation: the stages stay in L1.
  static let stage = 512

  /// dst = function(src); `dst` is contiguous, of src's shape and dtype.
  ///
  /// f32 runs the vector kernels, 16-bit floats the same in float32 (rounded once at the end), f64
  /// the C library. Of the integers' functions there are neg, abs, sign, relu and shrink (computed
  /// in float64); others leave the value as it is.
  package static func unary(
    _ function: UnaryFunction, _ src: Tensor, into dst: Tensor, _ workspace: Workspace
  ) throws(MartletError) {
    let dtype = dst.dtype
    let size = dtype.wholeByteCount
    if dtype == .float32, src.isContiguous, dst.count <= function.grain {
      FloatUnary(function).run(dst.count, src.typed(Float.self), dst.typed(Float.self))
      return
    }
    var src = src
    var loop = StridedLoop(dst.shape, dst, src)
    if loop.innerStrides[1] != size && loop.count > 1 {
      src = try workspace.contiguous(src)
      loop = StridedLoop(dst.shape, dst, src)
    }
    let from = src.pointer
    let to = dst.pointer
    let kernel = FloatUnary(function)
    loop.run(on: workspace.pool, grain: function.grain) { offsets, count in
      let source = from + offsets[1]
      let target = to + offsets[0]
      switch dtype {
      case .float32:
        kernel.run(
          count, source.assumingMemoryBound(to: Float.self),
          target.assumingMemoryBound(to: Float.self))
      case .float64:
        RealUnary.run(
          function, count, source.assumingMemoryBound(to: Double.self),
          target.assumingMemoryBound(to: Double.self))
      case .float16, .bfloat16:
        let halves = source.assumingMemoryBound(to: UInt16.self)
        let results = target.assumingMemoryBound(to: UInt16.self)
        withStage { buffer in
          var start = 0
          while start < count {
            let n = min(stage, count - start)
            Casting.widen(dtype, n, halves + start, buffer)
            kernel.run(n, buffer, buffer)
            Casting.narrow(dtype, n, buffer, results + start)
            start += n
          }
        }
      default:
        dtype.visitInteger(
          IntegerUnary(function: function, count: count, src: source, dst: target))
      }
    }
  }

  /// What `unary` comes to for tensors that stay where they are; nil where that is more than a call of
  /// one kernel on this thread.
  package static func call(
    _ function: UnaryFunction, _ src: Tensor, into dst: Tensor
  ) -> KernelCall? {
    guard dst.dtype == .float32, src.dtype == .float32, src.shape == dst.shape, src.isContiguous,
      dst.isContiguous, dst.count <= function.grain
    else { return nil }
    return KernelCall(function, dst.count, src.typed(Float.self), dst.typed(Float.self))
  }

  static func withStage(_ body: (UnsafeMutablePointer<Float>) -> Void) {
    withUnsafeTemporaryAllocation(of: Float.self, capacity: stage) { buffer in
      if let base = buffer.baseAddress { body(base) }
    }
  }
}

/// A function over contiguous floats: the kernel where there is one.
struct FloatUnary: @unchecked Sendable {  // holds a C function's address and numbers only
  private let function: UnaryFunction
  private let kernel: mk_unary_fn?
  private let a: Float
  private let b: Float

  init(_ function: UnaryFunction) {
    self.function = function
    let entry = function.kernel
    kernel = entry.flatMap { VectorKernels.chosen.unary[$0.index] }
    a = entry?.a ?? 0
    b = entry?.b ?? 0
  }

  func run(_ count: Int, _ src: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>) {
    if let kernel {
      kernel(Int64(count), src, dst, a, b)
    } else {
      RealUnary.run(function, count, src, dst)
    }
  }
}

private struct IntegerUnary: IntegerVisitor {
  let function: UnaryFunction
  let count: Int
  let src: UnsafeMutableRawPointer
  let dst: UnsafeMutableRawPointer

  func visit<T: Element & FixedWidthInteger>(_: T.Type) {
    let src = src.assumingMemoryBound(to: T.self)
    let dst = dst.assumingMemoryBound(to: T.self)
    switch function {
    case .neg: for i in 0..<count { dst[i] = T.negated(src[i]) }
    case .abs: for i in 0..<count { dst[i] = T.magnitude(src[i]) }
    case .sign: for i in 0..<count { dst[i] = src[i] > 0 ? 1 : (src[i] < 0 ? 0 &- 1 : 0) }
    case .relu: for i in 0..<count { dst[i] = src[i] > 0 ? src[i] : 0 }
    case .shrink(let lambda, let bias):
      let (lambda, bias) = (Double(lambda), Double(bias))
      for i in 0..<count {
        let x = Double(src[i])
        let shift = x < -lambda ? bias : x > lambda ? -bias : -x
        dst[i] = Casting.integer(x + shift)
      }
    default: for i in 0..<count { dst[i] = src[i] }
    }
  }
}
