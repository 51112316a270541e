import MartletCore
import MartletKernels

extension NativeBackend {
  /// One product per image and group: weights [OC / g, K] by the image's im2col matrix, of which only
  /// blocks of pixels ever exist.
  func convolve(
    _ problem: IntegerConvolution, pool: ThreadPool
  ) throws(MartletError) -> Execution {
    try problem.validate()
    let row = try integerRow()
    let matrices =
      problem.outChannels > 0 && problem.output.count > 0 ? problem.batch * problem.groups : 0
    let isRunning = WorkItems.runProducts(matrices, enough: 4 * pool.threadCount, on: pool) {
      problem.product($0, row).run(on: pool, threads: $1)
    }
    guard isRunning else {
      throw MartletError(.outOfMemory, "integer conv: no memory for a block of pixels")
    }
    return Execution(backend: name, kernel: row.name, precision: "int8")
  }
}

extension IntegerConvolution {
  /// Image `index / groups`, group `index % groups`.
  fileprivate func product(_ index: Int, _ row: IntegerRow) -> IntegerProduct {
    let (image, group) = index.quotientAndRemainder(dividingBy: groups)
    let groupIn = inChannels / groups
    let groupOut = outChannels / groups
    let depth = groupIn * kernel.count
    let pixels = output.count
    let firstOut = group * groupOut
    let plane = src + (image * inChannels + group * groupIn) * input.count
    let isPointwise =
      kernel.count == 1 && stride.count == 1 && padding == SpatialExtents(d: 0, h: 0, w: 0)
      && input == output
    let source: IntegerRightOperand.Source =
      isPointwise
      ? .strided(UnsafeRawPointer(plane), kStride: pixels, nStride: 1)
      : .image(
        packing, UnsafePointer(plane.assumingMemoryBound(to: UInt8.self)),
        fill: UInt8(truncatingIfNeeded: srcZero))
    var epilogue = self.epilogue
    epilogue.rowBias = epilogue.rowBias.map { $0 + firstOut }
    epilogue.rowScale = epilogue.rowScale.map { $0 + firstOut }
    epilogue.rowAddend = epilogue.rowAddend.map { $0 + firstOut }
    let dstBytes = dstType.wholeByteCount
    let loop = IntegerLoop(
      row: row, k: depth, kc: row.kc, mc: row.mc,
      lhs: MatrixView(weights + firstOut * depth, weightType, rowStride: depth),
      rhs: IntegerRightOperand(dtype: srcType, source: source),
      lhsZero: weightZero.moved(by: firstOut),
      rhsZero: .one(srcZero),
      dst: dst + (image * outChannels + firstOut) * pixels * dstBytes, dstType: dstType,
      dstStride: pixels * dstBytes, epilogue: epilogue)
    return IntegerProduct(m: groupOut, n: pixels, loop: loop, sharesPanels: false)
  }
}
