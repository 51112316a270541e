import MartletCore
import MartletKernels

/// Convolution by Winograd's algorithm F(m x m, 3 x 3) in float32: tiles of the image become columns
/// of (m + 2)^2 matrices, one product with the weights each, and the products become pixels.
///
/// The tiles of the whole batch are numbered image by image and taken block by block, so that what
/// exists at a time stays in L2. Blocks, threads and the batch change no bits.
struct WinogradConvolution {
  private let problem: ConvolutionProblem
  private let weights: WinogradWeights
  private let kernels: KernelSet
  private let row: GEMMRow
  private let execution: Execution
  private let strip: ProductEpilogue.Strip?
  private let geometry: mk_winograd_tiles
  /// Tiles of the whole batch, and points of a tile.
  private let tiles: Int
  private let points: Int

  /// Bytes of a block's image points that stay in L2 beside the weights and sums passing by.
  private static let blockBytes = 512 << 10
  /// Tiles of a block. Fewer do not pay for reading the weights again, more leave L2: 32 to 128 were
  /// within 5% of each other on ResNet-50's layers (AVX2).
  private static let leastTiles = 32
  private static let mostTiles = 128
  /// Bytes of weights from which reading them again costs more than leaving L2.
  private static let largeWeights = 12 << 20
  /// Output channels whose sums are kept at a time.
  private static let rowsAtOnce = 48

  init(
    _ problem: ConvolutionProblem, _ weights: WinogradWeights, _ kernels: KernelSet
  ) throws(MartletError) {
    guard let row = kernels.row(dst: .float32, lhs: .float32, rhs: .float32) else {
      throw MartletError(.internalError, "no GEMM kernel multiplies float32")
    }
    self.problem = problem
    self.weights = weights
    self.kernels = kernels
    self.row = row
    let m = weights.m
    points = (m + 2) * (m + 2)
    execution = Execution(
      backend: "native", kernel: "winograd_\(m)x\(m)_3x3_\(row.name)", precision: "fp32",
      reason: kernels.precision(for: problem.mode).reason)
    strip = ProductEpilogue.strip(problem.activation, kernels)
    var geometry = mk_winograd_tiles()
    geometry.m = Int32(m)
    (geometry.in_h, geometry.in_w) = (Int64(problem.input.h), Int64(problem.input.w))
    (geometry.pad_h, geometry.pad_w) = (Int64(problem.padding.h), Int64(problem.padding.w))
    (geometry.out_h, geometry.out_w) = (Int64(problem.output.h), Int64(problem.output.w))
    let down = (problem.output.h + m - 1) / m
    let across = (problem.output.w + m - 1) / m
    (geometry.tiles_h, geometry.tiles_w) = (Int64(down), Int64(across))
    self.geometry = geometry
    tiles = problem.batch * down * across
  }

  private var depth: Int { problem.inChannels / problem.groups }
  private var rows: Int { problem.groupRows }

  /// - Throws: `outOfMemory`.
  func run(on pool: ThreadPool) throws(MartletError) -> Execution {
    guard tiles > 0, rows > 0 else { return execution }
    let tileBytes = points * depth * 4
    let most =
      tileBytes * rows > WinogradConvolution.largeWeights
      ? WinogradConvolution.mostTiles
      : min(
        max(WinogradConvolution.blockBytes / tileBytes, WinogradConvolution.leastTiles),
        WinogradConvolution.mostTiles)
    let isParallel =
      pool.threadCount > 1
      && Double(tiles) * Double(points) * Double(depth) * Double(rows) * Double(problem.groups)
        >= Double(GEMMPlan.serialWork)
    let block = blockTiles(most, wanted: isParallel ? 4 * pool.threadCount : 1)
    let blocks = (tiles + block - 1) / block
    let isRunning: Bool
    if isParallel, blocks * problem.groups < 3 * pool.threadCount {
      isRunning = (0..<problem.groups).allSatisfy { sharingTiles(group: $0, block: block, pool) }
    } else {
      let scratch = Points(self, tiles: block).byteCount + Sums(self, tiles: block).byteCount
      isRunning = WorkItems.run(
        blocks * problem.groups, isParallel: isParallel, on: pool, scratchBytes: scratch
      ) { index, scratch in
        let (group, part) = index.quotientAndRemainder(dividingBy: blocks)
        let range = part * block..<min((part + 1) * block, tiles)
        let image = Points(self, tiles: range.count)
        transform(group: group, tiles: range, channels: 0..<depth, image, into: scratch)
        for first in stride(from: 0, to: rows, by: WinogradConvolution.rowsAtOnce) {
          multiply(
            group: group, tiles: range,
            rows: first..<min(first + WinogradConvolution.rowsAtOnce, rows), image, at: scratch,
            sums: scratch + image.byteCount)
        }
      }
    }
    guard isRunning else {
      throw MartletError(.outOfMemory, "conv: no memory for a block of tiles")
    }
    return execution
  }

  /// Tiles of a block: a multiple of nr, at most `most`, fewer where there would be less than
  /// `wanted` blocks.
  private func blockTiles(_ most: Int, wanted: Int) -> Int {
    var block = most
    while block > WinogradConvolution.leastTiles, (tiles + block - 1) / block < wanted {
      block /= 2
    }
    // As even as may be.
    let blocks = (tiles + block - 1) / block
    return ((tiles + blocks - 1) / blocks + row.nr - 1) / row.nr * row.nr
  }

  /// Too few blocks for the threads: they share out the channels of one group, first those of the
  /// image and then those of the result.
  private func sharingTiles(group: Int, block: Int, _ pool: ThreadPool) -> Bool {
    let image = Points(self, tiles: tiles)
    let blocks = (tiles + block - 1) / block
    let share = max(1, depth / (4 * pool.threadCount))
    let height = max(row.mr, min(WinogradConvolution.rowsAtOnce, rows / (4 * pool.threadCount)))
    let heights = (rows + height - 1) / height
    var isRunning = false
    let hasMemory = ThreadScratch.withBytes(image.byteCount, .shared) { shared in
      pool.parallelFor((depth + share - 1) / share) { index in
        transform(
          group: group, tiles: 0..<tiles,
          channels: index * share..<min((index + 1) * share, depth), image, into: shared)
      }
      isRunning = WorkItems.run(
        blocks * heights, isParallel: true, on: pool,
        scratchBytes: Sums(self, tiles: block).byteCount
      ) { index, scratch in
        let (strip, part) = index.quotientAndRemainder(dividingBy: blocks)
        multiply(
          group: group, tiles: part * block..<min((part + 1) * block, tiles),
          rows: strip * height..<min((strip + 1) * height, rows), image,
          at: shared + part * block / row.nr * image.panelStride, sums: scratch)
      }
    }
    return hasMemory && isRunning
  }

  /// The layout of the points of some tiles: for each a packed right operand [depth, tiles].
  private struct Points {
    let panelStride: Int
    let stride: Int
    let byteCount: Int

    init(_ convolution: WinogradConvolution, tiles: Int) {
      let row = convolution.row
      panelStride = row.panelBytes(convolution.depth)
      // An odd number of cache lines apart, so that the points of a tile fall into different sets.
      stride = row.panels(tiles) * panelStride + 64
      byteCount = stride * convolution.points
    }
  }

  /// The layout of the products of some tiles: for each point [rows, tiles].
  private struct Sums {
    let rowStride: Int
    let stride: Int
    let byteCount: Int

    init(_ convolution: WinogradConvolution, tiles: Int) {
      rowStride = (tiles + 15) / 16 * 64
      stride = min(WinogradConvolution.rowsAtOnce, convolution.rows) * rowStride + 64
      byteCount = stride * convolution.points
    }
  }

  /// Tiles of some channels of the image to points; `tiles` starts at the first column of `target`.
  private func transform(
    group: Int, tiles: Range<Int>, channels: Range<Int>, _ image: Points,
    into target: UnsafeMutableRawPointer
  ) {
    var job = mk_winograd_input()
    job.tiles = geometry
    job.first = Int64(tiles.lowerBound)
    job.count = Int64(tiles.count)
    job.channels = Int64(channels.count)
    job.src = problem.src + (group * depth + channels.lowerBound) * problem.input.count
    job.image_step = Int64(problem.inChannels * problem.input.count)
    job.nr = Int64(row.nr)
    job.dst = (target + channels.lowerBound * row.nr * 4).assumingMemoryBound(to: Float.self)
    job.panel_stride = Int64(image.panelStride)
    job.point_stride = Int64(image.stride)
    kernels.vectors.table.winograd_input(&job)
  }

  /// Some rows of the weights times the points of some tiles, and on to pixels.
  private func multiply(
    group: Int, tiles: Range<Int>, rows: Range<Int>, _ image: Points,
    at panels: UnsafeMutableRawPointer, sums: UnsafeMutableRawPointer
  ) {
    let layout = Sums(self, tiles: tiles.count)
    let firstRow = group * self.rows + rows.lowerBound
    let source = weights.storage.base + firstRow * depth * 4
    for point in 0..<points {
      let loop = FloatLoop(
        row: row, kernels: kernels, k: depth,
        kc: depth <= row.kc + row.kc / 2 ? depth : row.kc, mc: row.mc,
        lhs: .inPlace(source + point * weights.pointStride, rowStride: depth * 4),
        rhs: .panels(PackedPanels(base: panels + point * image.stride, stride: image.panelStride)),
        dst: sums + point * layout.stride, dstStride: layout.rowStride, dstElementBytes: 4,
        epilogue: ProductEpilogue(Epilogue(), kernels: kernels), staging: FloatLoop.Staging())
      loop.run(rows: 0..<rows.count, columns: 0..<tiles.count, scratch: sums)
    }
    let offset = firstRow * problem.output.count
    var job = mk_winograd_output()
    job.tiles = geometry
    job.first = Int64(tiles.lowerBound)
    job.count = Int64(tiles.count)
    job.channels = Int64(rows.count)
    job.src = UnsafeRawPointer(sums).assumingMemoryBound(to: Float.self)
    job.row_stride = Int64(layout.rowStride)
    job.point_stride = Int64(layout.stride)
    job.bias = problem.bias.map { $0 + firstRow }
    job.residual = problem.residual.map { $0 + offset }
    job.dst = problem.dst + offset
    job.image_step = Int64(problem.outChannels * problem.output.count)
    (job.act, job.lo, job.hi) = ProductEpilogue.tileActivation(problem.activation)
    job.function = strip?.function
    job.a = strip?.a ?? 0
    job.b = strip?.b ?? 0
    kernels.vectors.table.winograd_output(&job)
  }
}

extension NativeBackend {
  /// Multiply-adds of one image and group from which Winograd's algorithm is taken, the least channels
  /// on each side, and the least in for more than `fewChannels` out: below, its transforms cost more
  /// than they save (8 to 64 channels on 24x24 pixels was slower on two threads, AVX2).
  private static let leastWork = 1 << 18
  private static let leastChannels = 8
  private static let fewChannels = 16

  /// The m of Winograd's F(m x m, 3 x 3) for constant weights of this shape, or nil where the direct
  /// algorithm is to run. A function of the layer's shape without its batch, and of the mode.
  func winogradTile(_ problem: ConvolutionProblem) -> Int? {
    let ones = SpatialExtents(d: 1, h: 1, w: 1)
    let depth = problem.inChannels / max(problem.groups, 1)
    let (height, width) = (problem.output.h, problem.output.w)
    guard problem.kernel == SpatialExtents(d: 1, h: 3, w: 3), problem.stride == ones,
      problem.dilation == ones, problem.input.d == 1, problem.output.d == 1,
      problem.padding.d == 0, !problem.isDepthwise, depth >= NativeBackend.leastChannels,
      problem.groupRows >= NativeBackend.leastChannels,
      depth >= NativeBackend.fewChannels || problem.groupRows <= NativeBackend.fewChannels,
      Double(depth) * Double(problem.groupRows) * Double(problem.output.count)
        >= Double(NativeBackend.leastWork)
    else { return nil }
    // Products in bf16 would lose too much to the transforms (docs/numerics.md).
    if kernels.precision(for: problem.mode).usesBF16 { return nil }
    /// Whether there are enough tiles, and few enough pixels in them that are not of the image.
    func fits(_ m: Int, _ leastTiles: Int) -> Bool {
      let tiles = Double((height + m - 1) / m) * Double((width + m - 1) / m)
      return tiles >= Double(leastTiles)
        && tiles * Double(m * m) <= 1.35 * Double(height) * Double(width)
    }
    // 4 x 4 exceeds four times the direct algorithm's error where the image is mostly zeros; BF16
    // mode keeps FP32's bits where it runs FP32.
    if problem.mode == .any, fits(4, 9) { return 4 }
    return fits(2, 16) ? 2 : nil
  }

  /// The problem's weights for that algorithm.
  func winogradWeights(
    _ problem: ConvolutionProblem, m: Int, pool: ThreadPool
  ) throws(MartletError) -> WinogradWeights {
    let points = (m + 2) * (m + 2)
    let depth = problem.inChannels / problem.groups
    let rows = problem.outChannels
    _ = try Shape.byteCount([points, rows + 16, depth + 1], .float32)
    let pointStride = rows * depth * 4 + 64
    let storage = try Storage(byteCount: points * pointStride)
    pool.parallelFor(rows) { index in
      mk_winograd_weights(
        Int32(m), Int64(depth), problem.weights + index * depth * 9,
        (storage.base + index * depth * 4).assumingMemoryBound(to: Float.self),
        Int64(pointStride))
    }
    return WinogradWeights(m: m, storage: storage, pointStride: pointStride)
  }
}

/// Convolution weights at the points of Winograd's algorithm F(m x m, 3 x 3): (m + 2)^2 matrices
/// [OC, C / groups].
///
/// @unchecked Sendable: immutable after init.
final class WinogradWeights: @unchecked Sendable {
  let m: Int
  let storage: Storage
  /// Bytes from one point's matrix to the next.
  let pointStride: Int

  init(m: Int, storage: Storage, pointStride: Int) {
    self.m = m
    self.storage = storage
    self.pointStride = pointStride
  }
}
