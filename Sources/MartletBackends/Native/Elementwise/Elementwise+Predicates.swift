import MartletCore
import MartletKernels

/// A comparison of two numbers of one dtype. NaN is unequal and unordered.
package enum Comparison: Sendable {
  case equal, less, lessOrEqual, greater, greaterOrEqual

  /// The kernel that computes it, and whether of the operands in the other order.
  fileprivate var kernel: (index: Int, swaps: Bool) {
    switch self {
    case .equal: (MK_COMPARE_EQUAL, false)
    case .less: (MK_COMPARE_LESS, false)
    case .lessOrEqual: (MK_COMPARE_LESS_OR_EQUAL, false)
    case .greater: (MK_COMPARE_LESS, true)
    case .greaterOrEqual: (MK_COMPARE_LESS_OR_EQUAL, true)
    }
  }
}

/// A test of one floating-point number.
package enum FloatTest: Sendable {
  case isNaN, isInfinite, isPositiveInfinite, isNegativeInfinite
}

/// A function of truth values; a byte that is not zero counts as true.
package enum LogicalFunction: Sendable {
  case and, or, xor
}

extension Elementwise {
  private static let grain = 1 << 15

  /// dst = x comparison y, as bool; x and y have one dtype and broadcast to dst's shape.
  package static func compare(
    _ comparison: Comparison, _ x: Tensor, _ y: Tensor, into dst: Tensor, _ workspace: Workspace
  ) throws(MartletError) {
    // Widening 16-bit floats is exact, so it changes no comparison.
    let xs = try workspace.converted(x, to: x.dtype.computeType)
    let ys = try workspace.converted(y, to: y.dtype.computeType)
    let loop = StridedLoop(
      dst.shape, dst, try xs.broadcast(to: dst.shape), try ys.broadcast(to: dst.shape))
    let size = xs.dtype.wholeByteCount
    let (xStep, yStep) = (loop.innerStrides[1] / size, loop.innerStrides[2] / size)
    let (xBase, yBase, base) = (xs.pointer, ys.pointer, dst.typed(UInt8.self))
    let function = comparison.kernel
    guard let kernel = VectorKernels.chosen.compare(function.index, xs.dtype) else {
      throw .dtype("comparison", "x", expected: "numbers", actual: x.dtype)
    }
    loop.run(on: workspace.pool, grain: grain) { offsets, count in
      let (x, y) = (xBase + offsets[1], yBase + offsets[2])
      if function.swaps {
        kernel(Int64(count), y, Int64(yStep), x, Int64(xStep), base + offsets[0])
      } else {
        kernel(Int64(count), x, Int64(xStep), y, Int64(yStep), base + offsets[0])
      }
    }
  }

  /// dst = x function y on bool tensors.
  package static func logical(
    _ function: LogicalFunction, _ x: Tensor, _ y: Tensor, into dst: Tensor, _ workspace: Workspace
  ) throws(MartletError) {
    let loop = StridedLoop(
      dst.shape, dst, try x.broadcast(to: dst.shape), try y.broadcast(to: dst.shape))
    let (xStep, yStep) = (loop.innerStrides[1], loop.innerStrides[2])
    let (xBase, yBase) = (x.typed(UInt8.self), y.typed(UInt8.self))
    let base = dst.typed(UInt8.self)
    loop.run(on: workspace.pool, grain: grain) { offsets, count in
      let (x, y, dst) = (xBase + offsets[1], yBase + offsets[2], base + offsets[0])
      @inline(__always) func each(_ f: (UInt8, UInt8) -> UInt8) {
        if xStep == 1 && yStep == 1 {
          for i in 0..<count { dst[i] = f(x[i] == 0 ? 0 : 1, y[i] == 0 ? 0 : 1) }
        } else {
          for i in 0..<count { dst[i] = f(x[i &* xStep] == 0 ? 0 : 1, y[i &* yStep] == 0 ? 0 : 1) }
        }
      }
      switch function {
      case .and: each { $0 & $1 }
      case .or: each { $0 | $1 }
      case .xor: each { $0 ^ $1 }
      }
    }
  }

  /// dst = not src, as bool.
  package static func not(_ src: Tensor, into dst: Tensor, _ workspace: Workspace) {
    let loop = StridedLoop(dst.shape, dst, src)
    let step = loop.innerStrides[1]
    let (from, to) = (src.typed(UInt8.self), dst.typed(UInt8.self))
    loop.run(on: workspace.pool, grain: grain) { offsets, count in
      let (x, dst) = (from + offsets[1], to + offsets[0])
      if step == 1 {
        for i in 0..<count { dst[i] = x[i] == 0 ? 1 : 0 }
      } else {
        for i in 0..<count { dst[i] = x[i &* step] == 0 ? 1 : 0 }
      }
    }
  }

  /// dst = ~src on integers of any width.
  package static func bitNot(_ src: Tensor, into dst: Tensor, _ workspace: Workspace) {
    let loop = StridedLoop(dst.shape, dst, src)
    let (from, to) = (src.pointer, dst.pointer)
    loop.run(on: workspace.pool, grain: grain) { offsets, count in
      dst.dtype.visitWidth(
        BitNot(
          count: count, src: from + offsets[1], step: loop.innerStrides[1], dst: to + offsets[0])
      )
    }
  }

  /// dst = test(src), as bool; `src` is a float tensor.
  package static func test(
    _ test: FloatTest, _ src: Tensor, into dst: Tensor, _ workspace: Workspace
  ) throws(MartletError) {
    let wide = try workspace.converted(src, to: src.dtype.computeType)
    let loop = StridedLoop(dst.shape, dst, wide)
    let (from, to) = (wide.pointer, dst.typed(UInt8.self))
    let step = loop.innerStrides[1] / wide.dtype.wholeByteCount
    loop.run(on: workspace.pool, grain: grain) { offsets, count in
      if wide.dtype == .float64 {
        testReals(
          test, count, (from + offsets[1]).assumingMemoryBound(to: Double.self), step,
          to + offsets[0])
      } else {
        testReals(
          test, count, (from + offsets[1]).assumingMemoryBound(to: Float.self), step,
          to + offsets[0])
      }
    }
  }

  private static func testReals<T: RealElement>(
    _ test: FloatTest, _ count: Int, _ x: UnsafeMutablePointer<T>, _ step: Int,
    _ dst: UnsafeMutablePointer<UInt8>
  ) {
    @inline(__always) func each(_ f: (T) -> Bool) {
      if step == 1 {
        for i in 0..<count { dst[i] = f(x[i]) ? 1 : 0 }
      } else {
        for i in 0..<count { dst[i] = f(x[i &* step]) ? 1 : 0 }
      }
    }
    switch test {
    case .isNaN: each { $0 != $0 }
    case .isInfinite: each { $0.magnitude == .infinity }
    case .isPositiveInfinite: each { $0 == .infinity }
    case .isNegativeInfinite: each { $0 == -.infinity }
    }
  }

  /// dst = condition ? x : y; x and y have dst's dtype, all broadcast to dst's shape.
  package static func select(
    _ condition: Tensor, _ x: Tensor, _ y: Tensor, into dst: Tensor, _ workspace: Workspace
  ) throws(MartletError) {
    let loop = StridedLoop(
      dst.shape, dst, try condition.broadcast(to: dst.shape), try x.broadcast(to: dst.shape),
      try y.broadcast(to: dst.shape))
    let (conditions, xs, ys, base) = (condition.pointer, x.pointer, y.pointer, dst.pointer)
    loop.run(on: workspace.pool, grain: grain) { offsets, count in
      dst.dtype.visitWidth(
        Selection(
          count: count, strides: loop.innerStrides,
          condition: (conditions + offsets[1]).assumingMemoryBound(to: UInt8.self),
          x: xs + offsets[2], y: ys + offsets[3], dst: base + offsets[0]))
    }
  }
}

private struct BitNot: IntegerVisitor {
  let count: Int
  let src: UnsafeMutableRawPointer
  let step: Int
  let dst: UnsafeMutableRawPointer

  func visit<T: Element & FixedWidthInteger>(_: T.Type) {
    let src = src.assumingMemoryBound(to: T.self)
    let dst = dst.assumingMemoryBound(to: T.self)
    let step = step / MemoryLayout<T>.size
    if step == 1 {
      for i in 0..<count { dst[i] = ~src[i] }
    } else {
      for i in 0..<count { dst[i] = ~src[i &* step] }
    }
  }
}

private struct Selection: IntegerVisitor {
  let count: Int
  let strides: SIMD4<Int>
  let condition: UnsafeMutablePointer<UInt8>
  let x: UnsafeMutableRawPointer
  let y: UnsafeMutableRawPointer
  let dst: UnsafeMutableRawPointer

  func visit<T: Element & FixedWidthInteger>(_: T.Type) {
    let size = MemoryLayout<T>.size
    let x = x.assumingMemoryBound(to: T.self)
    let y = y.assumingMemoryBound(to: T.self)
    let dst = dst.assumingMemoryBound(to: T.self)
    let (cStep, xStep, yStep) = (strides[1], strides[2] / size, strides[3] / size)
    if cStep == 1 && xStep == 1 && yStep == 1 {
      for i in 0..<count { dst[i] = condition[i] != 0 ? x[i] : y[i] }
    } else if cStep == 1 && xStep == 1 && yStep == 0 {
      let other = y[0]
      for i in 0..<count { dst[i] = condition[i] != 0 ? x[i] : other }
    } else if cStep == 1 && xStep == 0 && yStep == 1 {
      let other = x[0]
      for i in 0..<count { dst[i] = condition[i] != 0 ? other : y[i] }
    } else {
      for i in 0..<count { dst[i] = condition[i &* cStep] != 0 ? x[i &* xStep] : y[i &* yStep] }
    }
  }
}
