import MartletCore
import MartletKernels
import Synchronization

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
    let isSplit = matrices < 4 * pool.threadCount
    let failures = Atomic<Int>(0)
    func run(_ index: Int, threads: Int) {
      let product = problem.product(index, row)
      if !product.run(on: pool, threads: threads) { failures.add(1, ordering: .relaxed) }
    }
    if isSplit || pool.threadCount == 1 {
      for index in 0..<matrices { run(index, threads: pool.threadCount) }
    } else {
      pool.parallelFor(matrices) { run($0, threads: 1) }
    }
    guard failures.load(ordering: .relaxed) == 0 else {
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
    let right: IntegerLoop.Right =
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
      lhs: MatrixView(weights + firstOut * depth, weightType, rowStride: depth), right: right,
      rhsType: srcType, lhsZero: weightZero.moved(by: firstOut), rhsZero: .one(srcZero),
      dst: dst + (image * outChannels + firstOut) * pixels * dstBytes, dstType: dstType,
      dstStride: pixels * dstBytes, epilogue: epilogue)
    return IntegerProduct(m: groupOut, n: pixels, row: row, loop: loop)
  }
}
