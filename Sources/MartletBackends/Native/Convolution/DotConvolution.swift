import MartletCore
import MartletKernels

/// Convolution on bf16 units with constant weights, without an im2col matrix (`mk_conv_dot`): output
/// channels are the lanes of the kernel, and pairs of channels are broadcast from where they lie.
///
/// Windows of the images are rounded to bf16 first, by all threads, as many at a time as stay in their
/// L2; then a work item is a block of a window's output pixels by a panel of output channels. The sums
/// run over the same terms in the same order as those of `ImplicitProduct` in bf16, hence to the same
/// bits, but for taps outside the image, which are left out.
struct DotConvolution {
  private let problem: ConvolutionProblem
  private let weights: DirectWeights
  private let geometry: Geometry
  private let end: mk_conv_kernels
  private let strip: ProductEpilogue.Strip?
  private let isParallel: Bool
  private let execution: Execution
  /// Output rows and columns of a window, and of a block of it.
  private let window: (rows: Int, columns: Int)
  private let block: (rows: Int, columns: Int)
  /// Windows that are rounded together.
  private let together: Int

  /// Bytes of rounded windows at a time for each thread: they stay in L2 beside a block of weights
  /// (what docs/performance-avx512.md measured; other sizes were not tried).
  static let windowBytes = 768 << 10
  /// The same for all threads together: scratch that a thread keeps from run to run holds it.
  private static let mostWindowBytes = 12 << 20
  /// Terms of a lane whose weights stay in L2 while a block's pixels pass by: 192 KiB of a panel.
  private static let depth = 1536
  /// Most pixels of a block, for their sums stay in L1 and L2.
  private static let mostPixels = 256
  /// Output columns from which a row is divided into blocks, and those that a window has at least.
  private static let widestRow = 512
  private static let leastColumns = 16

  /// Nil where `weights` are not of this kind.
  init?(
    _ problem: ConvolutionProblem, _ weights: DirectWeights, _ kernels: KernelSet, threads: Int,
    windowBytes: Int = DotConvolution.windowBytes
  ) {
    guard weights.dtype == .bfloat16, let geometry = Geometry(problem, kernels),
      let end = kernels.float32?.convolution
    else { return nil }
    self.problem = problem
    self.weights = weights
    self.geometry = geometry
    self.end = end
    strip = ProductEpilogue.strip(problem.activation, kernels)
    execution = Execution(backend: "native", kernel: geometry.name, precision: "bf16")
    let output = problem.output
    isParallel =
      threads > 1
      && Double(problem.groupDepth) * Double(output.count) * Double(problem.outChannels)
        * Double(problem.batch) >= Double(GEMMPlan.serialWork) * geometry.pace
    let budget = min(windowBytes * (isParallel ? threads : 1), DotConvolution.mostWindowBytes)

    var columns = max(output.w, 1)
    while columns > DotConvolution.leastColumns,
      geometry.windowBytes(rows: 1, columns: columns) > budget
    {
      columns = (columns + 1) / 2
    }
    // As many rows as fit, which are all of them where the whole image does.
    let line = geometry.windowExtents(rows: 1, columns: columns)
    let lines = budget / (line.columns * geometry.pixelBytes)
    let fitting =
      lines >= geometry.input.h
      ? output.h : max(0, lines - line.rows) / geometry.stride.h + 1
    window = (
      DotConvolution.even(output.h, most: fitting), DotConvolution.even(output.w, most: columns)
    )
    let windows =
      problem.batch * geometry.sources * DotConvolution.pieces(output.h, window.rows)
      * DotConvolution.pieces(output.w, window.columns)
    together = min(
      max(windows, 1),
      max(1, budget / geometry.windowBytes(rows: window.rows, columns: window.columns)))

    let widest = window.columns > DotConvolution.widestRow
    let blockColumns =
      widest
      ? DotConvolution.even(window.columns, most: DotConvolution.mostPixels) : window.columns
    var rows = max(1, min(window.rows, DotConvolution.mostPixels / blockColumns))
    let across = DotConvolution.pieces(window.columns, blockColumns)
    while isParallel, rows > 1,
      together * geometry.panels * DotConvolution.pieces(window.rows, rows) * across < 2 * threads
    {
      rows = (rows + 1) / 2
    }
    block = (DotConvolution.even(window.rows, most: rows), blockColumns)
  }

  private static func pieces(_ extent: Int, _ size: Int) -> Int { (extent + size - 1) / size }

  /// The size of the pieces, as few and as even as at most `most` each allows; at least 1.
  private static func even(_ extent: Int, most: Int) -> Int {
    let count = max(1, pieces(extent, max(most, 1)))
    return max(1, pieces(extent, count))
  }

  /// One window: of which image and source, and its output pixels.
  struct Window {
    let image: Int
    let source: Int
    let rows: Range<Int>
    let columns: Range<Int>
  }

  /// Window `index`, sources outermost: those that follow each other share their weights.
  private func window(at index: Int) -> Window {
    let output = problem.output
    let across = DotConvolution.pieces(output.w, window.columns)
    let down = DotConvolution.pieces(output.h, window.rows)
    let (rest, piece) = index.quotientAndRemainder(dividingBy: down * across)
    let (source, image) = rest.quotientAndRemainder(dividingBy: problem.batch)
    let (y, x) = piece.quotientAndRemainder(dividingBy: across)
    return Window(
      image: image, source: source,
      rows: y * window.rows..<min((y + 1) * window.rows, output.h),
      columns: x * window.columns..<min((x + 1) * window.columns, output.w))
  }

  /// - Throws: `outOfMemory`.
  func run(on pool: ThreadPool) throws(MartletError) -> Execution {
    let output = problem.output
    guard problem.batch > 0, output.count > 0, problem.outChannels > 0 else { return execution }
    let windows =
      problem.batch * geometry.sources * DotConvolution.pieces(output.h, window.rows)
      * DotConvolution.pieces(output.w, window.columns)
    let extents = geometry.windowExtents(rows: window.rows, columns: window.columns)
    let lineBytes = extents.columns * geometry.pixelBytes
    let windowBytes = extents.rows * lineBytes
    let down = DotConvolution.pieces(window.rows, block.rows)
    let across = DotConvolution.pieces(window.columns, block.columns)
    let lines = DotConvolution.even(
      extents.rows, most: isParallel ? extents.rows / (4 * pool.threadCount) : extents.rows)
    let parts = DotConvolution.pieces(extents.rows, lines)
    let layout = Layout(pixels: block.rows * block.columns, geometry)
    var isRunning = true
    let hasMemory = ThreadScratch.withBytes(together * windowBytes, .shared) { shared in
      for first in stride(from: 0, to: windows, by: together) {
        let count = min(together, windows - first)
        let isRounding = WorkItems.run(
          count * parts, isParallel: isParallel, on: pool, scratchBytes: 0
        ) { index, _ in
          let (number, part) = index.quotientAndRemainder(dividingBy: parts)
          let target = shared + number * windowBytes
          geometry.round(
            problem, window(at: first + number), target: target, lineBytes: lineBytes,
            lines: part * lines..<min((part + 1) * lines, extents.rows))
        }
        let isMultiplying = WorkItems.run(
          geometry.panels * count * down * across, isParallel: isParallel, on: pool,
          scratchBytes: layout.byteCount
        ) { index, scratch in
          let (panel, rest) = index.quotientAndRemainder(dividingBy: count * down * across)
          let (number, piece) = rest.quotientAndRemainder(dividingBy: down * across)
          let (y, x) = piece.quotientAndRemainder(dividingBy: across)
          runItem(
            window(at: first + number), panel: panel, rows: y * block.rows,
            columns: x * block.columns, source: shared + number * windowBytes,
            width: extents.columns, isLast: rest + 1 == count * down * across, layout, scratch)
        }
        isRunning = isRunning && isRounding && isMultiplying
      }
    }
    guard hasMemory, isRunning else {
      throw MartletError(.outOfMemory, "conv: no memory for a window of the image")
    }
    return execution
  }

  /// Where an item keeps what in its scratch.
  private struct Layout {
    let places: Int
    let byteCount: Int

    init(pixels: Int, _ geometry: Geometry) {
      places = pixels * geometry.lanes * 4
      byteCount = places + (pixels + geometry.taps) * MemoryLayout<mk_conv_place>.stride
    }
  }

  /// A block of `given` whose first output pixel is that many rows and columns within it.
  private func runItem(
    _ given: Window, panel: Int, rows y: Int, columns x: Int, source: UnsafeMutableRawPointer,
    width: Int, isLast: Bool, _ layout: Layout, _ scratch: UnsafeMutableRawPointer
  ) {
    let (stride, padding, output) = (geometry.stride, problem.padding, problem.output)
    let rows = min(block.rows, given.rows.count - y)
    let columns = min(block.columns, given.columns.count - x)
    guard rows > 0, columns > 0 else { return }  // the last windows may be smaller
    var job = mk_conv_dot()
    // The first tap may lie in the padding, which no window holds and no kernel reads.
    let pixels = geometry.pixels(given)
    let h = (given.rows.lowerBound + y) * stride.h - padding.h
    let w = (given.columns.lowerBound + x) * stride.w - padding.w
    let offset =
      ((h - pixels.rows.lowerBound) * width + w - pixels.columns.lowerBound) * geometry.pixelBytes
    job.src = UnsafePointer((source + offset).assumingMemoryBound(to: UInt16.self))
    job.width = Int64(width)
    (job.in_h, job.in_w) = (Int64(geometry.input.h), Int64(geometry.input.w))
    (job.h, job.w) = (Int64(h), Int64(w))
    job.channels = Int64(geometry.windowChannels)
    (job.ker_h, job.ker_w) = (Int64(problem.kernel.h), Int64(problem.kernel.w))
    (job.stride_h, job.stride_w) = (Int64(stride.h), Int64(stride.w))
    (job.dil_h, job.dil_w) = (Int64(problem.dilation.h), Int64(problem.dilation.w))
    (job.rows, job.columns) = (Int64(rows), Int64(columns))
    let index = given.source * geometry.panels + panel
    job.weights = weights.panel(index, group: 0).assumingMemoryBound(to: UInt16.self)
    let next = isLast ? index + 1 : index
    if next < geometry.sources * geometry.panels {
      job.next = weights.panel(next, group: 0).assumingMemoryBound(to: UInt16.self)
    }
    job.depth = Int64(DotConvolution.depth)
    job.places = (scratch + layout.places).assumingMemoryBound(to: mk_conv_place.self)
    job.sums = scratch.assumingMemoryBound(to: Float.self)
    geometry.multiply(&job)

    let channels = geometry.outChannels(source: given.source, panel: panel)
    let plane = (given.image * problem.outChannels + channels.lowerBound) * output.count
    var end = mk_conv_finish()
    end.n = Int64(channels.count)
    end.sums_stride = Int64(geometry.lanes)
    end.bias = problem.bias.map { $0 + channels.lowerBound }
    end.dst_stride = Int64(output.count)
    (end.act, end.lo, end.hi) = ProductEpilogue.tileActivation(problem.activation)
    end.function = strip?.function
    end.a = strip?.a ?? 0
    end.b = strip?.b ?? 0
    // Whole rows follow each other in the planes too.
    let isWhole = columns == output.w
    for row in 0..<(isWhole ? 1 : rows) {
      let pixel =
        (given.rows.lowerBound + y + row) * output.w + given.columns.lowerBound + x
      end.pixels = Int64(isWhole ? rows * columns : columns)
      end.sums = UnsafePointer(job.sums + row * columns * geometry.lanes)
      end.residual = problem.residual.map { $0 + plane + pixel }
      end.dst = problem.dst + plane + pixel
      self.end.finish(&end)
    }
  }
}
