import MartletCore

/// A comparison of two numbers of one dtype. NaN is unequal and unordered.
package enum Comparison: Sendable {
  case equal, less, lessOrEqual, greater, greaterOrEqual
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
    let isBool = x.dtype == .bool
    loop.run(on: workspace.pool, grain: grain) { offsets, count in
      xs.dtype.visit(
        TypedComparison(
          comparison: comparison, isBool: isBool, count: count, x: xBase + offsets[1],
          xStep: xStep, y: yBase + offsets[2], yStep: yStep, dst: base + offsets[0]))
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
      @inline(__always) func each(_ f: (Bool, Bool) -> Bool) {
        for i in 0..<count { dst[i] = f(x[i &* xStep] != 0, y[i &* yStep] != 0) ? 1 : 0 }
      }
      switch function {
      case .and: each { $0 && $1 }
      case .or: each { $0 || $1 }
      case .xor: each { $0 != $1 }
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
      for i in 0..<count { dst[i] = x[i &* step] == 0 ? 1 : 0 }
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
      for i in 0..<count { dst[i] = f(x[i &* step]) ? 1 : 0 }
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

private struct TypedComparison: ElementVisitor {
  let comparison: Comparison
  let isBool: Bool
  let count: Int
  let x: UnsafeMutableRawPointer
  let xStep: Int
  let y: UnsafeMutableRawPointer
  let yStep: Int
  let dst: UnsafeMutablePointer<UInt8>

  func visit<T: Element>(_: T.Type) {
    let x = x.assumingMemoryBound(to: T.self)
    let y = y.assumingMemoryBound(to: T.self)
    @inline(__always) func each(_ f: (T, T) -> Bool) {
      if xStep == 1 && yStep == 1 {
        for i in 0..<count { dst[i] = f(x[i], y[i]) ? 1 : 0 }
      } else {
        for i in 0..<count { dst[i] = f(x[i &* xStep], y[i &* yStep]) ? 1 : 0 }
      }
    }
    if isBool && comparison == .equal {
      each { ($0 == T.zero) == ($1 == T.zero) }
      return
    }
    switch comparison {
    case .equal: each { $0 == $1 }
    case .less: each { $0 < $1 }
    case .lessOrEqual: each { $0 <= $1 }
    case .greater: each { $0 > $1 }
    case .greaterOrEqual: each { $0 >= $1 }
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
    for i in 0..<count { dst[i] = ~src[i &* step] }
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
    for i in 0..<count { dst[i] = condition[i &* cStep] != 0 ? x[i &* xStep] : y[i &* yStep] }
  }
}
