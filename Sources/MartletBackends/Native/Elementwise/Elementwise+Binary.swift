import MartletCore
import MartletKernels

/// A function of two numbers of one dtype.
package enum BinaryFunction: Sendable {
  case add, sub, mul, div, min, max, pow
  /// x < 0 ? x * y : x.
  case prelu
  /// Remainders with the dividend's and the divisor's sign.
  case remainder, modulo
  /// Integers only; a shift by the width or more gives 0.
  case bitAnd, bitOr, bitXor, shiftLeft, shiftRight

  /// Elements that one thread takes at a time.
  var grain: Int { if case .pow = self { 1 << 12 } else { 1 << 15 } }

  var kernel: mk_binary_fn? {
    let index: Int
    switch self {
    case .add: index = MK_BINARY_ADD
    case .sub: index = MK_BINARY_SUB
    case .mul: index = MK_BINARY_MUL
    case .div: index = MK_BINARY_DIV
    case .min: index = MK_BINARY_MIN
    case .max: index = MK_BINARY_MAX
    case .pow: index = MK_BINARY_POW
    case .prelu: index = MK_BINARY_PRELU
    default: return nil
    }
    return VectorKernels.chosen.binary[index]
  }
}

extension Elementwise {
  /// dst = function(x, y); x and y have dst's dtype and broadcast to the shape of the contiguous `dst`.
  package static func binary(
    _ function: BinaryFunction, _ x: Tensor, _ y: Tensor, into dst: Tensor, _ workspace: Workspace
  ) throws(MartletError) {
    let dtype = dst.dtype
    let size = dtype.wholeByteCount
    let grain = function.grain
    if dtype == .float32, dst.count <= grain, let xStep = flatStep(x, dst),
      let yStep = flatStep(y, dst)
    {
      FloatBinary(function).run(
        dst.count, x.typed(Float.self), xStep, y.typed(Float.self), yStep, dst.typed(Float.self))
      return
    }
    var (x, y) = (x, y)
    var loop = StridedLoop(
      dst.shape, dst, try x.broadcast(to: dst.shape), try y.broadcast(to: dst.shape))
    if dtype.isFloatingPoint && dtype != .float64 && !hasUnitSteps(loop, size) {
      // The kernels step by 0 or 1; the copy is made before broadcasting and is no larger than needed.
      x = try workspace.contiguous(x)
      y = try workspace.contiguous(y)
      loop = StridedLoop(
        dst.shape, dst, try x.broadcast(to: dst.shape), try y.broadcast(to: dst.shape))
    }
    let inner = loop.innerStrides
    let (xStep, yStep) = (inner[1] / size, inner[2] / size)
    let (xBase, yBase, base) = (x.pointer, y.pointer, dst.pointer)
    let kernel = FloatBinary(function)
    loop.run(on: workspace.pool, grain: grain) { offsets, count in
      let target = base + offsets[0]
      let (xs, ys) = (xBase + offsets[1], yBase + offsets[2])
      switch dtype {
      case .float32:
        kernel.run(
          count, xs.assumingMemoryBound(to: Float.self), xStep,
          ys.assumingMemoryBound(to: Float.self), yStep,
          target.assumingMemoryBound(to: Float.self))
      case .float16, .bfloat16:
        staged(
          dtype, kernel, count, xs.assumingMemoryBound(to: UInt16.self), xStep,
          ys.assumingMemoryBound(to: UInt16.self), yStep,
          target.assumingMemoryBound(to: UInt16.self))
      default:
        dtype.visit(
          TypedBinary(
            function: function, count: count, x: xs, xStep: xStep, y: ys, yStep: yStep, dst: target)
        )
      }
    }
  }

  /// What `binary` comes to for tensors that stay where they are; nil where that is more than a call of
  /// one kernel on this thread.
  package static func call(
    _ function: BinaryFunction, _ x: Tensor, _ y: Tensor, into dst: Tensor
  ) -> KernelCall? {
    guard dst.dtype == .float32, x.dtype == .float32, y.dtype == .float32, dst.isContiguous,
      dst.count > 0, dst.count <= function.grain
    else { return nil }
    let (xs, ys) = (x.typed(Float.self), y.typed(Float.self))
    if let xStep = flatStep(x, dst), let yStep = flatStep(y, dst) {
      return KernelCall(
        function, dst.count, KernelCall.Operand(start: xs, step: xStep),
        KernelCall.Operand(start: ys, step: yStep), dst.typed(Float.self))
    }
    guard let wideX = try? x.broadcast(to: dst.shape), let wideY = try? y.broadcast(to: dst.shape)
    else { return nil }
    let loop = StridedLoop(dst.shape, dst, wideX, wideY)
    guard loop.extents.count == 2, hasUnitSteps(loop, 4) else { return nil }
    let (row, step) = (loop.strides[0] / 4, loop.innerStrides / 4)
    return KernelCall(
      function, loop.extents[1], KernelCall.Operand(start: xs, step: step[1], rowStride: row[1]),
      KernelCall.Operand(start: ys, step: step[2], rowStride: row[2]), dst.typed(Float.self),
      rows: loop.extents[0])
  }

  /// Elements between those of `operand` that meet neighbours of the contiguous `dst`, where that is the
  /// same throughout: 1 or 0.
  private static func flatStep(_ operand: Tensor, _ dst: Tensor) -> Int? {
    if operand.layout === dst.layout { return 1 }
    if operand.count == 1 { return 0 }
    return operand.isContiguous && operand.shape == dst.shape ? 1 : nil
  }

  private static func hasUnitSteps(_ loop: StridedLoop, _ size: Int) -> Bool {
    let inner = loop.innerStrides
    return (inner[1] == size || inner[1] == 0) && (inner[2] == size || inner[2] == 0)
  }

  /// 16-bit floats through float32 buffers.
  private static func staged(
    _ dtype: DType, _ kernel: FloatBinary, _ count: Int, _ x: UnsafePointer<UInt16>, _ xStep: Int,
    _ y: UnsafePointer<UInt16>, _ yStep: Int, _ dst: UnsafeMutablePointer<UInt16>
  ) {
    withStage { xBuffer in
      withStage { yBuffer in
        var start = 0
        while start < count {
          let n = Swift.min(stage, count - start)
          Casting.widen(dtype, xStep == 0 ? 1 : n, x + start * xStep, xBuffer)
          Casting.widen(dtype, yStep == 0 ? 1 : n, y + start * yStep, yBuffer)
          // The results need a buffer that is not read with step 0.
          if xStep == 1 {
            kernel.run(n, xBuffer, 1, yBuffer, yStep, xBuffer)
            Casting.narrow(dtype, n, xBuffer, dst + start)
          } else {
            withStage { result in
              kernel.run(n, xBuffer, 0, yBuffer, yStep, result)
              Casting.narrow(dtype, n, result, dst + start)
            }
          }
          start += n
        }
      }
    }
  }
}

/// A function over floats with steps of 0 or 1: the kernel where there is one.
struct FloatBinary: @unchecked Sendable {  // holds a C function's address only
  private let function: BinaryFunction
  private let kernel: mk_binary_fn?

  init(_ function: BinaryFunction) {
    self.function = function
    kernel = function.kernel
  }

  func run(
    _ count: Int, _ x: UnsafePointer<Float>, _ xStep: Int, _ y: UnsafePointer<Float>, _ yStep: Int,
    _ dst: UnsafeMutablePointer<Float>
  ) {
    if let kernel {
      kernel(Int64(count), x, Int64(xStep), y, Int64(yStep), dst)
    } else {
      typedBinary(function, count, x, xStep, y, yStep, dst)
    }
  }
}

private struct TypedBinary: ElementVisitor {
  let function: BinaryFunction
  let count: Int
  let x: UnsafeMutableRawPointer
  let xStep: Int
  let y: UnsafeMutableRawPointer
  let yStep: Int
  let dst: UnsafeMutableRawPointer

  func visit<T: Element>(_: T.Type) {
    typedBinary(
      function, count, UnsafePointer(x.assumingMemoryBound(to: T.self)), xStep,
      UnsafePointer(y.assumingMemoryBound(to: T.self)), yStep, dst.assumingMemoryBound(to: T.self))
  }
}

/// dst[i] = function(x[i * xStep], y[i * yStep]) in plain arithmetic; any steps.
private func typedBinary<T: Element>(
  _ function: BinaryFunction, _ count: Int, _ x: UnsafePointer<T>, _ xStep: Int,
  _ y: UnsafePointer<T>, _ yStep: Int, _ dst: UnsafeMutablePointer<T>
) {
  @inline(__always) func each(_ f: (T, T) -> T) {
    if xStep == 1 && yStep == 1 {
      for i in 0..<count { dst[i] = f(x[i], y[i]) }
    } else {
      for i in 0..<count { dst[i] = f(x[i &* xStep], y[i &* yStep]) }
    }
  }
  if case .div = function, T.self == Int64.self, xStep == 1, yStep == 0, count > 16,
    y.pointee != T.zero
  {
    let (x, y) = (UnsafeRawPointer(x), UnsafeRawPointer(y))
    return mk_divide_i64(
      Int64(count), x.assumingMemoryBound(to: Int64.self), y.load(as: Int64.self),
      UnsafeMutableRawPointer(dst).assumingMemoryBound(to: Int64.self))
  }
  switch function {
  case .add: each { T.sum($0, $1) }
  case .sub: each { T.difference($0, $1) }
  case .mul: each { T.product($0, $1) }
  case .div: each { T.quotient($0, $1) }
  case .min: each { T.least($0, $1) }
  case .max: each { T.greatest($0, $1) }
  case .pow: each { T.power($0, $1) }
  case .prelu: each { $0 < T.zero ? T.product($0, $1) : $0 }
  case .remainder: each { T.remainder($0, $1) }
  case .modulo: each { T.modulo($0, $1) }
  case .bitAnd: each { T.bits(.bitAnd, $0, $1) }
  case .bitOr: each { T.bits(.bitOr, $0, $1) }
  case .bitXor: each { T.bits(.bitXor, $0, $1) }
  case .shiftLeft: each { T.bits(.shiftLeft, $0, $1) }
  case .shiftRight: each { T.bits(.shiftRight, $0, $1) }
  }
}
